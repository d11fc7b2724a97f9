package space

import (
	"cmp"
	"slices"
)

// Atom is a condition that is not a set of values: opaque, known only by its
// text, or a masked comparison that would be too many intervals. Two atoms are
// the same condition if they are equal.
type Atom struct {
	Text string
	// Mask is not zero for a masked comparison: the value of Dim, ANDed with
	// Mask, is Value. Such an atom is decided wherever the value is known.
	Dim         Dim
	Value, Mask Number
	// Drawn says that no packet decides the condition, and that it may answer
	// otherwise when it is asked again.
	Drawn bool
}

// compare orders atoms in some way.
func (a Atom) compare(b Atom) int {
	return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.Dim, b.Dim), cmp.Compare(a.Value.Hi, b.Value.Hi),
		cmp.Compare(a.Value.Lo, b.Value.Lo), cmp.Compare(a.Mask.Hi, b.Mask.Hi), cmp.Compare(a.Mask.Lo, b.Mask.Lo))
}

// IsMasked reports whether the atom is a masked comparison.
func (a Atom) IsMasked() bool { return a.Mask != Number{} }

// Decide answers a masked comparison for a value of its dimension.
func (a Atom) Decide(n Number) bool { return n.And(a.Mask) == a.Value }

// Literal is an atom that is true, or with Not false.
type Literal struct {
	Atom
	Not bool
}

// Where is the packets whose value in d, ANDed with mask, is value, or with not
// all others: a set of values if that is not too many intervals, otherwise a masked
// comparison. wide says that the values are IPv6 addresses.
func Where(d Dim, value, mask Number, wide, not bool) Set {
	if v, ok := Masked(d, value, mask, wide); ok {
		if not {
			v = Complement(d, v)
		}
		if b, ok := (Box{}).With(d, v); ok {
			return Of(b)
		}
		return Set{}
	}
	text := "--" + d.String() + " " + value.String() + "/" + mask.String()
	b, _ := Box{}.WithLiteral(Literal{Atom{Text: text, Dim: d, Value: value, Mask: mask}, not})
	return Of(b)
}

// sign is what a box says of an atom.
type sign uint8

const (
	unsaid sign = iota
	isTrue
	isFalse
)

// Literals are the box's literals, each atom at most once.
func (b *Box) Literals() []Literal { return slices.Clone(b.lits) }

// sign gives what the box says of an atom.
func (b *Box) sign(a Atom) sign {
	for i := range b.lits {
		if b.lits[i].Atom == a {
			if b.lits[i].Not {
				return isFalse
			}
			return isTrue
		}
	}
	return unsaid
}

// says is sign, and knows masked comparisons that all of the box's few values
// answer alike.
func (b *Box) says(a Atom) sign {
	s := b.sign(a)
	if s != unsaid || !a.IsMasked() {
		return s
	}
	few, ok := fewValues(b.dims[a.Dim])
	if !ok {
		return unsaid
	}
	for i, n := range few {
		one := isFalse
		if a.Decide(n) {
			one = isTrue
		}
		if i > 0 && one != s {
			return unsaid
		}
		s = one
	}
	return s
}

// WithLiteral adds a literal; false if the box is empty then.
func (b Box) WithLiteral(l Literal) (Box, bool) {
	switch b.says(l.Atom) {
	case isTrue:
		return b, !l.Not
	case isFalse:
		return b, l.Not
	}
	at, _ := slices.BinarySearchFunc(b.lits, l, func(a, b Literal) int { return a.Atom.compare(b.Atom) })
	b.lits = slices.Insert(slices.Clone(b.lits), at, l)
	return b, !l.IsMasked() || b.settle(l.Dim)
}

// maxSettle is how many values of a dimension are tried against masked comparisons.
const maxSettle = 64

// settle decides the masked comparisons on a dimension that has few values
// left: they are values then, and no literals. False if none is left.
func (b *Box) settle(d Dim) bool {
	if !slices.ContainsFunc(b.lits, func(l Literal) bool { return l.IsMasked() && l.Dim == d }) {
		return true
	}
	few, ok := fewValues(b.dims[d])
	if !ok {
		return true
	}
	var keep Values = None(d, isWide(b.dims[d]))
	for _, n := range few {
		if !slices.ContainsFunc(b.lits, func(l Literal) bool { return l.IsMasked() && l.Dim == d && l.Decide(n) == l.Not }) {
			keep = Or(keep, like(b.dims[d], n))
		}
	}
	b.lits = slices.DeleteFunc(slices.Clone(b.lits), func(l Literal) bool { return l.IsMasked() && l.Dim == d })
	b.dims[d] = keep
	return !IsEmpty(keep)
}

// fewValues lists the values if they are at most maxSettle.
func fewValues(v Values) (list []Number, ok bool) {
	if v == nil {
		return nil, false
	}
	for lo, hi := range Runs(v) {
		if size := hi.Sub(lo); size.Hi != 0 || size.Lo >= maxSettle {
			return nil, false
		}
		for n := lo; !hi.Less(n); n = n.next() {
			if list = append(list, n); len(list) > maxSettle {
				return nil, false
			}
		}
	}
	return list, true
}

// isWide reports whether the values are numbers of 128 bits.
func isWide(v Values) bool {
	_, wide := v.(*runs[Number])
	return wide
}

// like is one value in the form of others.
func like(v Values, n Number) Values {
	switch v.(type) {
	case *bitmap:
		var b bitmap
		b.add(uint8(n.Lo))
		return &b
	case *runs[Number]:
		return &runs[Number]{[]run[Number]{{n, n}}}
	}
	return &runs[n32]{[]run[n32]{{n32(n.Lo), n32(n.Lo)}}}
}
