package space

import "math"

// Disjoint is the set of boxes that have no packet in common, for which the
// caller answers. The boxes belong to the set then.
func Disjoint(boxes []Box) Set { return Set{boxes} }

// Share is about which part of all packets is in the box, as if all values of a
// dimension were alike: from 0 to 1. Each atom halves it. A name of an interface
// counts as much as an address of IPv4.
func (b *Box) Share() float64 {
	part := 1.0
	b.Dims(func(d Dim, v Values) {
		size := sizeOf(v)
		if d.isName() {
			size = max(size, 0x1p88)
		}
		part *= size / math.Exp2(float64(width(d, v)))
	})
	return math.Ldexp(part, -len(b.lits))
}

// sizeOf is about how many values there are; v may not be nil.
func sizeOf(v Values) (size float64) {
	for lo, hi := range Runs(v) {
		n := hi.Sub(lo)
		size += float64(n.Hi)*0x1p64 + float64(n.Lo) + 1
	}
	return size
}
