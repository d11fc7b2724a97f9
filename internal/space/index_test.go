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
	for range 60 {
		var boxes []*Box
		var pile, half Pile
		for len(boxes) < 150 {
			if b, ok := randomBox(r); ok {
				boxes = append(boxes, &b)
				pile.Add(&b)
				if len(boxes) == 75 {
					half = pile
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
			below, _ := slices.BinarySearch(want, 75)
			if n, m := len(pile.Meeting(nil, &b)), len(half.Meeting(nil, &b)); n != len(want) || m != below || half.Len() != 75 {
				t.Fatalf("%v meets %d of the pile and %d of its half of %d, want %d and %d", b, n, m, half.Len(), len(want), below)
			}
			p, below := randomPoint(r), r.IntN(len(boxes))
			first := slices.IndexFunc(boxes[:below], func(b *Box) bool { return b.Has(p) })
			if got := x.First(p, below); got != first {
				t.Fatalf("the first box below %d with %+v is %d, want %d", below, p, got, first)
			}
		}
	}
}
