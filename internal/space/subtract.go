package space

import "math/bits"

// Subtract gives the boxes, disjoint, that are left of a without all of bs. It
// stops, and returns false, when yield does.
//
// What differs from a in one dimension only becomes a hole there, all holes of
// a dimension at once. For the others, a is parted along the dimension that
// separates them best, into the values that the same of them have.
func (a Box) Subtract(bs []*Box, yield func(Box) bool) bool {
	var c cutter
	for {
		c.begin()
		rest := make([]*Box, 0, len(bs))
		for _, b := range bs {
			switch c.look(&a, b) {
			case coversAll:
				return true
			case cutsMore:
				rest = append(rest, b)
			}
		}
		changed, left := c.cut(&a)
		switch {
		case !left:
			return true
		case len(rest) == 0:
			return yield(a)
		case !changed:
			return a.part(rest, yield)
		}
		bs = rest
	}
}

// relation is what a box that is to be taken away means for the one it is taken from.
type relation uint8

const (
	apart     relation = iota // they have nothing in common
	coversAll                 // nothing is left
	cutsOne                   // a hole in one dimension, noted by the cutter
	cutsMore
)

// cutter collects what cuts a box in one dimension.
type cutter struct {
	holes [NumDims][]Values
	lits  []Literal
}

func (c *cutter) begin() {
	for d := range c.holes {
		c.holes[d] = c.holes[d][:0]
	}
	c.lits = c.lits[:0]
}

func (c *cutter) look(a, b *Box) relation {
	free, lit, n := uint32(0), -1, 0
	for used := b.used; used != 0; used &= used - 1 {
		d := bits.TrailingZeros32(used)
		switch {
		case a.dims[d] == nil:
			free, n = free|1<<d, n+1
		case !Meets(a.dims[d], b.dims[d]):
			return apart
		case !Covers(b.dims[d], a.dims[d]):
			free, n = free|1<<d, n+1
		}
	}
	for i := range b.lits {
		switch s := a.says(b.lits[i].Atom); {
		case s == unsaid:
			lit, n = i, n+1
		case (s == isTrue) == b.lits[i].Not:
			return apart
		}
	}
	switch {
	case n == 0:
		return coversAll
	case n > 1:
		return cutsMore
	case lit >= 0:
		c.lits = append(c.lits, b.lits[lit])
	default:
		d := bits.TrailingZeros32(free)
		c.holes[d] = append(c.holes[d], b.dims[d])
	}
	return cutsOne
}

// cut makes the holes that were collected.
func (c *cutter) cut(a *Box) (changed, left bool) {
	left = true
	for d := range c.holes {
		if len(c.holes[d]) == 0 {
			continue
		}
		changed = true
		if *a, left = a.Replace(Dim(d), Minus(Dim(d), a.dims[d], unionOf(c.holes[d]))); !left {
			return changed, false
		}
	}
	for _, l := range c.lits {
		changed = true
		l.Not = !l.Not
		if *a, left = a.WithLiteral(l); !left {
			return changed, false
		}
	}
	return changed, true
}

// unionOf is the union of many sets of one dimension.
func unionOf(list []Values) Values {
	if len(list) == 1 {
		return list[0]
	}
	switch list[0].(type) {
	case *runs[n32]:
		return unionRuns[n32](list)
	case *runs[Number]:
		return unionRuns[Number](list)
	}
	all := list[0]
	for _, v := range list[1:] {
		all = Or(all, v)
	}
	return all
}

func unionRuns[T number[T]](list []Values) Values {
	var r []run[T]
	for _, v := range list {
		if v, ok := v.(*runs[T]); ok {
			r = append(r, v.r...)
		}
	}
	return joined(r)
}

// part splits a along one dimension or atom and goes on with each part.
func (a Box) part(bs []*Box, yield func(Box) bool) bool {
	d, atom := a.separator(bs)
	if d == NumDims {
		for _, not := range [...]bool{false, true} {
			if one, left := a.WithLiteral(Literal{atom, not}); left && !one.Subtract(bs, yield) {
				return false
			}
		}
		return true
	}
	var free []*Box // in every part
	var cutting []*Box
	for _, b := range bs {
		if b.dims[d] == nil || Covers(b.dims[d], a.dims[d]) && a.dims[d] != nil {
			free = append(free, b)
		} else {
			cutting = append(cutting, b)
		}
	}
	for _, p := range partition(d, a.dims[d], cutting) {
		one, left := a.Replace(d, p.values)
		if !left {
			continue
		}
		if some := append(free[:len(free):len(free)], p.boxes...); !one.Subtract(some, yield) {
			return false
		}
	}
	return true
}

// separator chooses the dimension along which a is parted: the one in which
// the fewest copies of boxes have to be looked at. With no dimension left it is an
// atom, and d is NumDims.
func (a *Box) separator(bs []*Box) (d Dim, atom Atom) {
	best, d := -1, NumDims
	used := uint32(0)
	for _, b := range bs {
		used |= b.used
	}
	for ; used != 0; used &= used - 1 {
		try := Dim(bits.TrailingZeros32(used))
		sets, free := map[Values]struct{}{}, 0
		for _, b := range bs {
			v := b.dims[try]
			if v == nil || a.dims[try] != nil && Covers(v, a.dims[try]) {
				free++
				continue
			}
			sets[key(v)] = struct{}{}
		}
		if len(sets) == 0 {
			continue
		}
		if cost := (len(sets) + 1) * (1 + free); best < 0 || cost < best {
			best, d = cost, try
		}
	}
	if d < NumDims {
		return d, atom
	}
	for _, b := range bs {
		for _, l := range b.lits {
			if a.says(l.Atom) == unsaid {
				return d, l.Atom
			}
		}
	}
	return d, atom
}

// bitKey is a bitmap as a value, so that equal ones are equal as map keys.
type bitKey struct{ bitmap }

func (bitKey) isValues() {}

// oneKey is a set of one interval as a value.
type oneKey struct{ lo, hi Number }

func (oneKey) isValues() {}

// key gives something that is equal for sets that are equal and simple: for
// bitmaps and single intervals. For others it is the set itself.
func key(v Values) Values {
	switch x := v.(type) {
	case *bitmap:
		return bitKey{*x}
	case *runs[n32]:
		if len(x.r) == 1 {
			return oneKey{x.r[0].lo.wide(), x.r[0].hi.wide()}
		}
	case *runs[Number]:
		if len(x.r) == 1 {
			return oneKey{x.r[0].lo, x.r[0].hi}
		}
	}
	return v
}
