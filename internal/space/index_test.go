package space

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIndexFindsWhatMeets compares the index and the pile with looking at all boxes.
func TestIndexFindsWhatMeets(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	for range 20 {
		var boxes []*Box
		var under Pile
		pile := under.On()
		for len(boxes) < 150 {
			if b, ok := randomBox(r); ok {
				boxes = append(boxes, &b)
				if len(boxes) <= 75 {
					under.Add(&b)
				} else {
					pile.Add(&b)
				}
			}
		}
		x := NewIndex(boxes)
		for range 40 {
			b, ok := randomBox(r)
			if !ok {
				continue
			}
			var want []int32
			for i := range boxes {
				if boxes[i].Meets(&b) {
					want = append(want, int32(i))
				}
			}
			if got := x.Meeting(nil, &b); !slices.Equal(got, want) {
				t.Fatalf("%v meets %v, want %v", b, got, want)
			}
			checkLeft(t, pile, &b, boxes, r)
			p, below := randomPoint(r), r.IntN(len(boxes))
			first := slices.IndexFunc(boxes[:below], func(b *Box) bool { return b.Has(p) })
			if got := x.First(p, below); got != first {
				t.Fatalf("the first box below %d with %+v is %d, want %d", below, p, got, first)
			}
		}
	}
}

// checkLeft compares what the pile leaves of b with its boxes, point by point.
func checkLeft(t *testing.T, pile *Pile, b *Box, boxes []*Box, r *rand.Rand) {
	t.Helper()
	var left []Box
	pile.Left(b, func(x Box) bool { left = append(left, x); return true })
	for range 20 {
		p := randomPoint(r)
		b.Sample(p, r)
		want := b.Has(p) && !slices.ContainsFunc(boxes, func(x *Box) bool { return x.Has(p) })
		if got := hasAny(left, p); got != want {
			t.Fatalf("%v less %d boxes has %+v: %v, want %v", b, len(boxes), p, got, want)
		}
	}
}
