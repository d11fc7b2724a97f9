package analyze

import (
	"fmt"
	"math/bits"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// A class of packets is kept as they came in. What rules have changed since is
// a current: how a condition on the packet as it is now is one on the packet as
// it came.

// current is what packets are now; the zero current is as they came. It is
// changed by copies only.
type current struct {
	changed uint32 // bit d: dims[d] says what it is now
	dims    [space.NumDims]*value
	// since tells atoms about the packet's content apart from the same ones
	// before it was changed.
	since string
	// path tells atoms that are drawn anew apart by how their rule was reached.
	path string
}

// value is what a dimension is now.
type value struct {
	kind valueKind
	// known, with ofKnown: the values it may have, of which a constant is the
	// usual case.
	known space.Values
	// of, with bytewise and masked, is the dimension as it came whose value
	// this one is made of.
	of space.Dim
	// table gives the byte now for each byte that was.
	table [256]uint8
	// what was, without the bits of clear, XOR flip.
	clear, flip space.Number
	wide        bool // masked IPv6 addresses
}

type valueKind uint8

const (
	ofKnown valueKind = iota
	bytewise
	masked
)

// with gives c with another value in a dimension.
func (c *current) with(d space.Dim, v *value) *current {
	n := *c
	n.dims[d], n.changed = v, n.changed|1<<d
	return &n
}

// without gives c with a dimension as it came.
func (c *current) without(d space.Dim) *current {
	n := *c
	n.dims[d], n.changed = nil, n.changed&^(1<<d)
	return &n
}

// constant is a value known to be n.
func constant(d space.Dim, n space.Number, f rule.Family) *value {
	if d == space.Src || d == space.Dst {
		a := space.AddrOf(n, f)
		return &value{known: space.Addrs(a, a)}
	}
	return &value{known: space.One(d, n)}
}

// anything is a value of which nothing is known.
func anything(d space.Dim, f rule.Family) *value {
	return &value{known: space.Complement(d, space.None(d, f == rule.IPv6))}
}

// before turns a box of packets as they are now into the packets as they came
// that are in it now; none if no packet is. What cannot be decided is an atom.
func (c *current) before(b *space.Box) []space.Box {
	if b.Uses()&c.changed == 0 && (!b.HasLiterals() || c.since == "" && c.path == "" && c.changed&markBits == 0) {
		return []space.Box{*b}
	}
	same, ok := b.WithoutLiterals(), true
	for used := b.Uses() & c.changed; used != 0; used &= used - 1 {
		same, _ = same.Replace(space.Dim(bits.TrailingZeros32(used)), nil)
	}
	out := space.Of(same)
	for used := b.Uses() & c.changed; used != 0 && ok; used &= used - 1 {
		d := space.Dim(bits.TrailingZeros32(used))
		out = out.And(c.dims[d].before(d, b.Values(d), c.since))
		ok = !out.IsEmpty()
	}
	for _, l := range b.Literals() {
		out = out.And(c.literal(l))
	}
	return out.Boxes()
}

// markBits are the dimensions that masked comparisons are about.
const markBits = 1<<space.Mark | 1<<space.ConnMark | 1<<space.Src | 1<<space.Dst

// before is the packets as they came whose value now is in want.
func (v *value) before(d space.Dim, want space.Values, since string) space.Set {
	switch v.kind {
	case bytewise:
		return boxOf(v.of, space.Bytes(v.of, func(x uint8) bool { return space.Has(want, space.Num(v.table[x])) }))
	case masked:
		keep := v.clear.Not()
		if n, single := space.Single(want); single {
			return v.equals(n, keep, false)
		}
		if n, single := space.Single(space.Complement(d, want)); single {
			return v.equals(n, keep, true)
		}
		if values, ok := v.imageOf(keep); ok && !space.Meets(values, want) {
			return space.Set{}
		}
	default:
		switch {
		case space.Covers(want, v.known):
			return space.All()
		case !space.Meets(want, v.known):
			return space.Set{}
		}
	}
	return doubt("--"+d.String()+space.Key(want)+since, false)
}

// equals is the packets whose value now is n, or is not.
func (v *value) equals(n, keep space.Number, not bool) space.Set {
	was := space.Number{Hi: n.Hi ^ v.flip.Hi, Lo: n.Lo ^ v.flip.Lo}
	if was.And(v.clear) != (space.Number{}) && v.limit(was.And(v.clear)) != (space.Number{}) {
		return everyIf(not)
	}
	return space.Where(v.of, v.limit(was), v.limit(keep), v.wide, not)
}

// limit leaves out bits that the value has not.
func (v *value) limit(n space.Number) space.Number {
	if v.wide {
		return n
	}
	return space.Number{Lo: n.Lo & (1<<32 - 1)}
}

// imageOf is the values that can be now, if few intervals hold them.
func (v *value) imageOf(keep space.Number) (space.Values, bool) {
	fixed := space.Number{Hi: v.flip.Hi &^ keep.Hi, Lo: v.flip.Lo &^ keep.Lo}
	return space.Masked(v.of, v.limit(fixed), v.limit(v.clear), v.wide)
}

// literal is the packets as they came for which a literal holds now.
func (c *current) literal(l space.Literal) space.Set {
	if !l.IsMasked() {
		text := l.Text + c.since
		if l.Drawn {
			text = l.Text + c.path
		}
		l.Text = text
		b, _ := space.Box{}.WithLiteral(l)
		return space.Of(b)
	}
	v := c.dims[l.Dim]
	switch {
	case v == nil:
		return space.Where(l.Dim, l.Value, l.Mask, false, l.Not)
	case v.kind == masked:
		mask, flipped := l.Mask.And(v.clear.Not()), space.Number{Hi: l.Value.Hi ^ v.flip.Hi&l.Mask.Hi, Lo: l.Value.Lo ^ v.flip.Lo&l.Mask.Lo}
		if flipped.And(v.clear) != (space.Number{}) {
			return everyIf(l.Not)
		}
		return space.Where(v.of, flipped, mask, v.wide, l.Not)
	}
	if n, single := space.Single(v.known); single {
		return everyIf(l.Decide(n) != l.Not)
	}
	return doubt(l.Text+c.since, l.Not)
}

// doubt is the packets for which a condition of a text holds, or does not.
func doubt(text string, not bool) space.Set {
	b, _ := space.Box{}.WithLiteral(space.Literal{Atom: space.Atom{Text: text}, Not: not})
	return space.Of(b)
}

func everyIf(yes bool) space.Set {
	if yes {
		return space.All()
	}
	return space.Set{}
}

// boxOf is the packets with certain values in a dimension.
func boxOf(d space.Dim, v space.Values) space.Set {
	b, ok := space.Box{}.With(d, v)
	if !ok {
		return space.Set{}
	}
	return space.Of(b)
}

// now is a box that holds packets as they are now, for those that came as in b.
func (c *current) now(b space.Box) space.Box {
	b = b.WithoutLiterals()
	for changed := c.changed; changed != 0; changed &= changed - 1 {
		d := space.Dim(bits.TrailingZeros32(changed))
		var v space.Values
		if c.dims[d].kind == ofKnown {
			v = c.dims[d].known
		}
		b, _ = b.Replace(d, v)
	}
	return b
}

// changedBy marks atoms asked from now on as those of a changed packet.
func (c *current) changedBy(where string) *current {
	n := *c
	n.since = " after " + where
	return &n
}

// bytesNow gives c with a byte of a dimension changed by f.
func (c *current) bytesNow(d space.Dim, f func(uint8) uint8) *current {
	n := &value{kind: bytewise, of: d}
	old := c.dims[d]
	switch {
	case old != nil && old.kind == bytewise:
		n.of = old.of
	case old != nil: // one of several values
		one, single := space.Single(old.known)
		if single {
			return c.with(d, &value{known: space.One(d, space.Num(f(uint8(one.Lo))))})
		}
		into := map[uint8]bool{}
		for lo, hi := range space.Runs(old.known) {
			for x := lo.Lo; x <= hi.Lo; x++ {
				into[f(uint8(x))] = true
			}
		}
		return c.with(d, &value{known: space.Bytes(d, func(x uint8) bool { return into[x] })})
	}
	for x := range n.table {
		was := uint8(x)
		if old != nil {
			was = old.table[x]
		}
		n.table[x] = f(was)
	}
	return c.with(d, n)
}

// isState reports what is known of packets' states now: the packets as they
// came that are now in a state for which is answers yes.
func (c *current) isState(is func(packet.State) bool) space.Set {
	want := space.Bytes(space.State, func(x uint8) bool { return is(packet.State(x)) })
	return nowIn(c, space.State, want)
}

// placeText names rule n (from 0) in atoms about packets that it changed or sent here.
func (c *modelChain) placeText(n int) string {
	return fmt.Sprintf("%s %s %d", c.table, c.name, c.rules[n].number)
}
