package space

import "math/bits"

// Box is the packets whose value is in a set, dimension by dimension, and for
// which some atoms are true or false. The zero Box is every packet. A Box is a
// value: what changes it gives a new one.
type Box struct {
	used uint32 // bit d: dims[d] is not nil
	dims [NumDims]Values
	lits []Literal // sorted by atom
}

// Values is the box's extent in a dimension; nil is every value.
func (b *Box) Values(d Dim) Values { return b.dims[d] }

// IsAll reports whether the box is every packet.
func (b *Box) IsAll() bool { return b.used == 0 && len(b.lits) == 0 }

// With cuts the box down to values of a dimension; false if nothing is left.
func (b Box) With(d Dim, v Values) (Box, bool) {
	if v == nil {
		return b, true
	}
	return b.Replace(d, And(b.dims[d], v))
}

// Replace gives the box another extent in a dimension; false if it is empty.
func (b Box) Replace(d Dim, v Values) (Box, bool) {
	if v == nil || isFull(d, v) {
		b.dims[d] = nil
		b.used &^= 1 << d
		return b, true
	}
	b.dims[d] = v
	b.used |= 1 << d
	if IsEmpty(v) {
		return b, false
	}
	return b, len(b.lits) == 0 || b.settle(d)
}

// Uses is the dimensions in which the box is not every value: bit d for dimension d.
func (b *Box) Uses() uint32 { return b.used }

// HasLiterals reports whether the box has literals.
func (b *Box) HasLiterals() bool { return len(b.lits) > 0 }

// WithoutLiterals is the box with any answer to its atoms.
func (b Box) WithoutLiterals() Box {
	b.lits = nil
	return b
}

// Dims calls f for each dimension in which the box is not every value.
func (b *Box) Dims(f func(d Dim, v Values)) {
	for used := b.used; used != 0; used &= used - 1 {
		d := Dim(bits.TrailingZeros32(used))
		f(d, b.dims[d])
	}
}

// And is what both boxes have; false if that is nothing.
func (b Box) And(c *Box) (Box, bool) {
	if !b.Meets(c) {
		return b, false
	}
	for used := c.used; used != 0; used &= used - 1 {
		d := Dim(bits.TrailingZeros32(used))
		switch {
		case b.dims[d] == nil:
			b.dims[d] = c.dims[d]
		case !Covers(c.dims[d], b.dims[d]):
			b.dims[d] = And(b.dims[d], c.dims[d])
		}
	}
	b.used |= c.used
	for _, l := range c.lits {
		var ok bool
		if b, ok = b.WithLiteral(l); !ok {
			return b, false
		}
	}
	return b, b.settleAll()
}

// settleAll settles each dimension that has masked comparisons.
func (b *Box) settleAll() bool {
	for i := 0; i < len(b.lits); i++ {
		if !b.lits[i].IsMasked() {
			continue
		}
		n := len(b.lits)
		if !b.settle(b.lits[i].Dim) {
			return false
		}
		if len(b.lits) < n {
			i = -1
		}
	}
	return true
}

// Meets reports whether the boxes have packets in common, as far as the atoms
// tell: a masked comparison beside a set of many values counts as free of it.
func (b *Box) Meets(c *Box) bool {
	for both := b.used & c.used; both != 0; both &= both - 1 {
		if d := bits.TrailingZeros32(both); !Meets(b.dims[d], c.dims[d]) {
			return false
		}
	}
	for i := range c.lits {
		if s := b.says(c.lits[i].Atom); s == isTrue && c.lits[i].Not || s == isFalse && !c.lits[i].Not {
			return false
		}
	}
	return true
}

// Covers reports whether every packet of c is in b.
func (b *Box) Covers(c *Box) bool {
	if b.used&^c.used != 0 {
		return false
	}
	for used := b.used; used != 0; used &= used - 1 {
		if d := bits.TrailingZeros32(used); !Covers(b.dims[d], c.dims[d]) {
			return false
		}
	}
	for i := range b.lits {
		if s := c.says(b.lits[i].Atom); s != isTrue && !b.lits[i].Not || s != isFalse && b.lits[i].Not {
			return false
		}
	}
	return true
}

// equal reports whether both boxes say the same but for dimension except
// (NumDims for none).
func (b *Box) equal(c *Box, except Dim) bool {
	if (b.used^c.used)&^(1<<except) != 0 || len(b.lits) != len(c.lits) {
		return false
	}
	for used := b.used &^ (1 << except); used != 0; used &= used - 1 {
		if d := bits.TrailingZeros32(used); !Equal(b.dims[d], c.dims[d]) {
			return false
		}
	}
	for i := range b.lits {
		if b.lits[i] != c.lits[i] {
			return false
		}
	}
	return true
}
