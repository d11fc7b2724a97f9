package analyze

import (
	"maps"
	"slices"
	"strings"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/simulate"
	"moat/internal/space"
)

// DiffExample is a packet that has another fate under the new rules. Both
// simulations of what the text says have been looked at.
type DiffExample struct {
	Text string // in the language of moat explain
	// Old and New are what decides the packet under the old rules and the new
	// ones; the zero Ref where a match decides that the packet does not tell.
	Old, New Ref
	// Possible says that the fates hang on matches that no packet decides and no
	// assumption could: they are among those that both simulations find possible.
	Possible bool
}

// change makes a Change of the packets with a key.
func (d *Diff) change(c *differ, key changeKey) Change {
	out := Change{Way: c.way, Old: key.old, New: key.new, Doubtful: key.doubtful, Packets: space.Disjoint(c.found[key])}
	out.Parts, out.More = parts(out.Packets, c.within(out.Packets))
	sortParts(out.Parts)
	tried := 0
	for i := range out.Parts {
		within := space.Of(out.Parts[i]).And(c.real) // the beginning of a connection first
		for _, b := range within.Boxes() {
			if tried++; tried > maxTried {
				return out
			}
			if out.Example = d.example(&out, &b); out.Example != nil {
				return out
			}
		}
	}
	return out
}

// within is the packets that there can be, as far as a description need tell: it
// need not say that packets which are passed on have a hop left.
func (c *differ) within(s space.Set) space.Set {
	last, _ := space.Box{}.With(space.TTL, space.Span(space.TTL, space.Number{}, space.Num(1)))
	if s.Meets(space.Of(last)) {
		return c.real
	}
	return c.real.Minus(space.Of(last))
}

// maxTried is in how many boxes of a change an example is looked for.
const maxTried = 32

// example gives a packet of a box that both simulations confirm; nil if there is none.
func (d *Diff) example(c *Change, b *space.Box) *DiffExample {
	p, doubts, ok := Witness(*b, d.Old.Family)
	if !ok {
		return d.fragment(c, b)
	}
	q := &question.Question{Packet: p, Way: c.Way, WayTold: true, Fixed: answersOf(doubts)}
	if e := d.confirmed(c, q, false); e != nil {
		return d.shorter(c, q, e)
	}
	if len(doubts) == 0 {
		return nil
	}
	q.Fixed = nil
	return d.confirmed(c, q, true)
}

// fragment gives a later fragment as an example: what it has in the place of
// ports no question tells, so that its fates are possible ones.
func (d *Diff) fragment(c *Change, b *space.Box) *DiffExample {
	one, ok := b.With(space.Fragment, justOne(space.Fragment, 1))
	if !ok {
		return nil
	}
	for _, dim := range [...]space.Dim{space.SPort, space.DPort, space.Flags} {
		one, _ = one.Replace(dim, nil)
	}
	p, _, ok := Witness(one, d.Old.Family)
	if !ok {
		return nil
	}
	return d.confirmed(c, &question.Question{Packet: p, Way: c.Way, WayTold: true}, true)
}

// answersOf are answers for matches that make a box's doubts come true, by the
// match's name; nil if two doubts want different ones of the same match.
func answersOf(doubts []space.Literal) map[string]packet.Answer {
	fixed := map[string]packet.Answer{}
	for _, l := range doubts {
		name, ok := strings.CutPrefix(l.Text, "-m ")
		name, _, _ = strings.Cut(name, " ")
		answer := packet.Of(!l.Not)
		if !ok || fixed[name] != packet.Unknown && fixed[name] != answer {
			return nil
		}
		fixed[name] = answer
	}
	return fixed
}

// confirmed reads a question as a person would write it, and asks both
// simulations. possible: it is enough that the fates are among those possible.
func (d *Diff) confirmed(c *Change, q *question.Question, possible bool) *DiffExample {
	words := q.String()
	read, err := question.Parse(words, question.Options{Family: d.Old.Family})
	if err != nil {
		return nil
	}
	e := &DiffExample{Text: words, Possible: possible}
	var left [2]packet.Packet
	for i, s := range [...]*Subject{d.Old, d.New} {
		want := [...]simulate.Verdict{c.Old.Verdict, c.New.Verdict}[i]
		got := s.Firewall().Walk(read.Packet, simulate.Options{Way: read.Way, Fixed: read.Fixed, NoTrace: true, Ends: true})
		left[i] = got.Packet
		switch {
		case possible && !canEnd(&got, want), !possible && got.Verdict != want:
			return nil
		case got.Verdict != simulate.Unknown:
			*[...]*Ref{&e.Old, &e.New}[i] = s.RefOf(got.By)
		}
	}
	if c.Old.Verdict == simulate.Accept && c.New.Verdict == simulate.Accept && !possible && sameLeft(&left[0], &left[1]) {
		return nil
	}
	return e
}

func canEnd(r *simulate.Result, v simulate.Verdict) bool {
	for _, e := range r.Ends {
		if e.Verdict == v || e.Verdict == simulate.Unknown {
			return true
		}
	}
	return false
}

// sameLeft reports whether two packets left alike in what makes an outcome.
func sameLeft(a, b *packet.Packet) bool {
	return a.Src == b.Src && a.Dst == b.Dst && a.Transport.Src == b.Transport.Src && a.Transport.Dst == b.Transport.Dst &&
		a.Known == b.Known && a.Mark == b.Mark && a.Connection.Mark == b.Connection.Mark && a.TOS == b.TOS && a.TTL == b.TTL &&
		a.Connection.State == b.Connection.State && a.HiddenOut == b.HiddenOut
}

// shorter leaves out of a question's text what no rule needs to be told.
func (d *Diff) shorter(c *Change, q *question.Question, e *DiffExample) *DiffExample {
	for _, k := range [...]packet.Know{
		packet.KnowTTL, packet.KnowTOS, packet.KnowLength, packet.KnowPacketType, packet.KnowStatus, packet.KnowDirection, packet.KnowConnMark,
	} {
		without := *q
		without.Packet.Known &^= k
		if shorter := d.confirmed(c, &without, false); shorter != nil {
			*q, e = without, shorter
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Fixed)) {
		without := *q
		without.Fixed = maps.Clone(q.Fixed)
		delete(without.Fixed, name)
		if shorter := d.confirmed(c, &without, false); shorter != nil {
			*q, e = without, shorter
		}
	}
	return e
}
