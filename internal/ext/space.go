package ext

import (
	"bytes"
	"strconv"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// Spacer is a match that can say which packets it lets through: exactly those
// for which Match answers Yes when all is told that the dimensions of package
// space know. What no dimension holds is an atom.
type Spacer interface {
	// Space is the set of packets that meet the condition, in a rule for a
	// protocol that the match is for.
	Space(f rule.Family) space.Set
}

// RuleSpace is the set of packets that meet all conditions of a rule. A match
// that says nothing of its space is an atom, keyed by its saved text; one that no
// packet decides also by occurrence, the number of matches with that text before
// it in the ruleset: two of them need not answer alike.
func RuleSpace(r *rule.Rule, f rule.Family, occurrence func(text string) int) space.Set {
	s := headerSpace(r, f)
	for _, m := range r.Matches {
		var one space.Set
		if x, ok := m.(Spacer); ok && (!r.Proto.Not || r.Proto.IsAny()) {
			one = x.Space(f)
		} else {
			one = opaque(m, r, f, occurrence)
		}
		s = s.And(one)
	}
	if r.Foreign {
		text := "a rule of nftables that iptables cannot express #" + strconv.Itoa(occurrence("foreign"))
		l := space.Literal{Atom: space.Atom{Text: text, Drawn: true}}
		s = s.And(literals(l))
	}
	return s
}

// opaque is the atom for a match whose space is not known.
func opaque(m rule.Match, r *rule.Rule, f rule.Family, occurrence func(text string) int) space.Set {
	x, ok := m.(Ext)
	if !ok {
		return literals(space.Literal{Atom: space.Atom{Text: m.Name()}})
	}
	l := atomOf(x, r, f)
	_, decided := m.(Matcher)
	switch x := m.(type) {
	case *Recent, *Statistic: // the same for every packet, if it is certain
		if a := x.(Matcher).Match(&packet.Packet{}); a != packet.Unknown {
			return everyOr(a == packet.Yes)
		}
		decided = false
	}
	if !decided {
		l.Text += " #" + strconv.Itoa(occurrence(l.Text))
		l.Drawn = true
	}
	return literals(l)
}

// atomOf is a match as a literal: its text, and its sign if it has one
// condition, which is inverted.
func atomOf(x Ext, r *rule.Rule, f rule.Family) (l space.Literal) {
	p := Printer{Family: f, Rule: r}
	x.Save(&p)
	if inverted := []byte(" ! --"); bytes.HasPrefix(p.B, inverted) && bytes.Count(p.B, []byte(" --")) == 1 {
		l.Not = true
		p.B = append([]byte(" --"), p.B[len(inverted):]...)
	}
	l.Text = "-m " + x.Name() + string(p.B)
	return l
}

// literals is the set of packets for which all of some literals hold.
func literals(list ...space.Literal) space.Set {
	var b space.Box
	for _, l := range list {
		var ok bool
		if b, ok = b.WithLiteral(l); !ok {
			return space.Set{}
		}
	}
	return space.Of(b)
}

// within is the set of packets with certain values in a dimension.
func within(d space.Dim, v space.Values) space.Set {
	b, ok := space.Box{}.With(d, v)
	if !ok {
		return space.Set{}
	}
	return space.Of(b)
}

// withinNot is within, or the packets with other values.
func withinNot(d space.Dim, v space.Values, not bool) space.Set {
	if not {
		v = space.Complement(d, v)
	}
	return within(d, v)
}

// spanSpace is the packets whose value is from lo to hi, or is not.
func spanSpace[T ~uint8 | ~uint16 | ~uint32](d space.Dim, lo, hi T, not bool) space.Set {
	return withinNot(d, space.Span(d, space.Num(lo), space.Num(hi)), not)
}

// everyOr is every packet, or none.
func everyOr(yes bool) space.Set {
	if yes {
		return space.All()
	}
	return space.Set{}
}

// headerSpace is the rule's own conditions: what stands before the first -m.
func headerSpace(r *rule.Rule, f rule.Family) space.Set {
	s := addressSpace(space.Src, r.Src, f).And(addressSpace(space.Dst, r.Dst, f)).
		And(interfaceSpace(space.In, r.In)).And(interfaceSpace(space.Out, r.Out))
	if !r.Proto.IsAny() {
		if r.Proto.Number > 255 {
			return everyOr(r.Proto.Not).And(s)
		}
		s = s.And(spanSpace(space.Proto, r.Proto.Number, r.Proto.Number, r.Proto.Not))
	}
	if r.Fragment != rule.AnyFragment {
		s = s.And(spanSpace[uint8](space.Fragment, 1, 1, r.Fragment == rule.NotAFragment))
	}
	return s
}

func addressSpace(d space.Dim, a rule.Address, f rule.Family) space.Set {
	if a.IsAny() {
		return space.All()
	}
	if a.PrefixLen() == 0 {
		return everyOr(!a.Not)
	}
	return space.Where(d, space.AddrNumber(a.IP), space.AddrNumber(a.Mask), f == rule.IPv6, a.Not)
}

func interfaceSpace(d space.Dim, i rule.Interface) space.Set {
	switch {
	case i.IsAny():
		return space.All()
	case i.Name == "+":
		return space.Set{}
	}
	return withinNot(d, space.Names(i.Name), i.Not)
}

// notAFragment is the packets that have a transport header.
func notAFragment() space.Set { return spanSpace[uint8](space.Fragment, 0, 0, false) }

// portSpace is what matchPort lets through.
func (m PortMatch) portSpace(d space.Dim) space.Set { return spanSpace(d, m.From, m.To, m.Not) }

// nativePortSpace is what matchNativePorts lets through. Of a later fragment
// the ports' dimensions are what it has in their place.
func nativePortSpace(src, dst PortMatch) space.Set {
	s := space.All()
	if src.isSingle() && dst.isSingle() && src.Not && dst.Not {
		return s.And(src.portSpace(space.SPort).Or(dst.portSpace(space.DPort)))
	}
	if !src.Range.Any() {
		s = s.And(src.portSpace(space.SPort))
	}
	if !dst.Range.Any() {
		s = s.And(dst.portSpace(space.DPort))
	}
	return s
}

// connected is the packets that have a connection.
func connected() space.Set {
	return within(space.State, space.Bytes(space.State, func(x uint8) bool {
		return packet.State(x) != packet.Invalid && packet.State(x) != packet.Untracked
	}))
}
