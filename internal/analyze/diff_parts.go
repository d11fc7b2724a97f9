package analyze

import (
	"slices"

	"moat/internal/space"
)

// Packets of one change come as many boxes, parted by rules that have nothing to
// do with the change. People want few and large ones, which may overlap.

const (
	// maxParts is how many parts of a change are described.
	maxParts = 12
	// maxWidened is up to how many boxes of a change parts are widened; each
	// costs a look at all.
	maxWidened = 600
)

// parts gives boxes that together are the set, as wide as they can be, and how
// many of the set's boxes are in none because there are too many. within are
// all packets that there can be: what none of them has is not mentioned.
func parts(s, within space.Set) (list []space.Box, more int) {
	left := s
	for !left.IsEmpty() {
		if len(list) == maxParts {
			return list, len(left.Boxes())
		}
		b := largest(left)
		if len(s.Boxes()) <= maxWidened {
			b = widened(b, s, within)
		}
		list = append(list, b)
		left = left.Minus(space.Of(b))
	}
	return list, 0
}

// largest is the box of a set that has most packets.
func largest(s space.Set) space.Box {
	boxes := s.Boxes()
	best, size := 0, -1.0
	for i := range boxes {
		if n := boxes[i].Share(); n > size {
			best, size = i, n
		}
	}
	return boxes[best]
}

// widening is the order in which dimensions are widened: first those that a
// description can do best without.
var widening = [...]space.Dim{
	space.Status, space.Dir, space.ConnMark, space.PktType, space.Length, space.TTL, space.TOS, space.Mark, space.ICMP, space.Fragment,
	space.Flags, space.SPort, space.Out, space.In, space.State, space.Dst, space.Src, space.DPort, space.Proto,
}

// widened gives a box the widest extent in each dimension with which all its
// packets that there can be are in the set.
func widened(b space.Box, s, within space.Set) space.Box {
	for _, l := range b.Literals() {
		without := withoutLiteral(&b, l)
		if s.Covers(space.Of(without).And(within)) {
			b = without
		}
	}
	for _, d := range widening {
		if b.Values(d) == nil || d == space.Proto && hasHeader(&b) {
			continue
		}
		open, _ := b.Replace(d, nil)
		all := space.Of(open).And(within)
		outside := all.Minus(s)
		if outside.IsEmpty() {
			b = open
			continue
		}
		not := extent(outside, d)
		if not == nil {
			continue
		}
		if values := space.Minus(d, extent(all, d), not); space.Covers(values, b.Values(d)) {
			b, _ = b.Replace(d, values)
		}
	}
	return b
}

// hasHeader reports whether a box asks for fields that only some protocols have.
func hasHeader(b *space.Box) bool {
	return b.Uses()&bitsOf(space.SPort, space.DPort, space.Flags, space.ICMP) != 0
}

// extent is the values that the boxes of a set have in a dimension; nil for every one.
func extent(s space.Set, d space.Dim) (all space.Values) {
	boxes := s.Boxes()
	for i := range boxes {
		v := boxes[i].Values(d)
		if v == nil {
			return nil
		}
		all = either(all, v)
	}
	return all
}

// withoutLiteral is a box that says nothing of a literal.
func withoutLiteral(b *space.Box, l space.Literal) space.Box {
	out := b.WithoutLiterals()
	for _, x := range b.Literals() {
		if x != l {
			out, _ = out.WithLiteral(x)
		}
	}
	return out
}

// sortParts puts the parts with most packets first.
func sortParts(list []space.Box) {
	slices.SortStableFunc(list, func(a, b space.Box) int {
		switch x, y := a.Share(), b.Share(); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
}
