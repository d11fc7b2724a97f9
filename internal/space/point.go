package space

import (
	"maps"
	"math/rand/v2"
)

// Point is one packet: a value in every dimension, and the atoms that are true
// of it. Masked comparisons are decided by the value.
type Point struct {
	At   [NumDims]Number
	True map[Atom]bool
}

// Holds says whether an atom is true of the point.
func (p *Point) Holds(a Atom) bool {
	if a.IsMasked() {
		return a.Decide(p.At[a.Dim])
	}
	return p.True[a]
}

// Has reports whether a point is in the box.
func (b *Box) Has(p *Point) bool {
	for d := range NumDims {
		if b.dims[d] != nil && !Has(b.dims[d], p.At[d]) {
			return false
		}
	}
	for i := range b.lits {
		if p.Holds(b.lits[i].Atom) == b.lits[i].Not {
			return false
		}
	}
	return true
}

// Has reports whether a point is in the set.
func (s Set) Has(p *Point) bool {
	for i := range s.boxes {
		if s.boxes[i].Has(p) {
			return true
		}
	}
	return false
}

// Sample changes p into a point of the box: what the box leaves open stays as
// it is, the rest is chosen by r, often at the ends of intervals. False if a
// masked comparison beside a set of many values found no value that fits.
func (b *Box) Sample(p *Point, r *rand.Rand) bool {
	p.True = maps.Clone(p.True)
	for i := range b.lits {
		if l := b.lits[i]; !l.IsMasked() {
			if p.True == nil {
				p.True = map[Atom]bool{}
			}
			p.True[l.Atom] = !l.Not
		}
	}
	for d := range NumDims {
		if !b.sampleDim(d, p, r) {
			return false
		}
	}
	return true
}

// sampleDim chooses the value of one dimension.
func (b *Box) sampleDim(d Dim, p *Point, r *rand.Rand) bool {
	masked := false
	for _, l := range b.lits {
		masked = masked || l.IsMasked() && l.Dim == d
	}
	if b.dims[d] == nil && !masked {
		return true
	}
	for range 200 {
		if b.dims[d] != nil {
			p.At[d] = Pick(b.dims[d], r)
		} else {
			p.At[d] = Number{Lo: r.Uint64() & (1<<32 - 1)}
		}
		if !masked || b.fits(d, p) {
			return true
		}
	}
	return false
}

// fits tries to mend the value for masked comparisons that have to be true, and
// reports whether it fits all.
func (b *Box) fits(d Dim, p *Point) bool {
	for _, l := range b.lits {
		if l.IsMasked() && l.Dim == d && !l.Not {
			p.At[d] = p.At[d].And(l.Mask.Not()).Or(l.Value)
		}
	}
	for _, l := range b.lits {
		if l.IsMasked() && l.Dim == d && l.Decide(p.At[d]) == l.Not {
			return false
		}
	}
	return b.dims[d] == nil || Has(b.dims[d], p.At[d])
}

// Pick gives a value of a set that is not empty and not nil.
func Pick(v Values, r *rand.Rand) Number {
	at := r.IntN(max(Count(v), 1))
	lo, hi := nth(v, at)
	switch r.IntN(4) {
	case 0:
		return lo
	case 1:
		return hi
	}
	return between(lo, hi, r)
}

// nth gives the interval number at.
func nth(v Values, at int) (lo, hi Number) {
	switch v := v.(type) {
	case *runs[n32]:
		return v.r[at].lo.wide(), v.r[at].hi.wide()
	case *runs[Number]:
		return v.r[at].lo, v.r[at].hi
	}
	for lo, hi = range Runs(v) {
		if at--; at < 0 {
			break
		}
	}
	return lo, hi
}

// between gives a number from lo to hi.
func between(lo, hi Number, r *rand.Rand) Number {
	size := hi.Sub(lo)
	if size.Hi == 0 {
		if size.Lo == 1<<64-1 {
			return lo.Add(Number{Lo: r.Uint64()})
		}
		return lo.Add(Number{Lo: r.Uint64N(size.Lo + 1)})
	}
	part := Number{Lo: r.Uint64()}
	if size.Hi < 1<<64-1 {
		part.Hi = r.Uint64N(size.Hi + 1)
	} else {
		part.Hi = r.Uint64()
	}
	if size.Less(part) {
		part = size
	}
	return lo.Add(part)
}
