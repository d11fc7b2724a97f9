package analyze

import (
	"fmt"
	"slices"

	"moat/internal/change"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// late is a rule that blocks sources for which a rule before it, that names no
// source, has opened a door already.
type late struct {
	simulate.Place
	rollout *rollout
	visit   int32
	opener  int32 // visit of the first rule before it that accepts some of its packets
	nothing bool  // it blocks nothing at all
}

// lateBlocks are the blocks that come too late. To be one, a rule
//   - drops or rejects, and names sources that it is for (-s, not inverted),
//   - meets packets of new connections that a rule before it accepts, which
//     itself is for every source and not for the loopback interface,
//   - and blocks nothing else: it never matches, or changes nothing; or it is
//     for the sources only, stands under policy ACCEPT, and no rule behind it
//     accepts what it blocks, so that it can mean nothing but these sources.
//
// A rule that drops the rest of a network behind the doors that are open to it
// is none: without it, the rules behind it would let that rest in.
func (s *Subject) lateBlocks() []late {
	if s.lateDone {
		return s.late
	}
	s.lateDone = true
	pointless := map[simulate.Place]bool{}
	for _, p := range s.makesNoDifference() {
		pointless[p] = true
	}
	for _, f := range s.Rollouts() {
		if f.table != "filter" && f.table != "mangle" {
			continue
		}
		for i := range f.visits {
			v := &f.visits[i]
			if verdictSide(v.rule.Target) >= 0 || v.rule.Src.IsAny() || v.rule.Src.Not || f.seen[v.Place][0] != int32(i) {
				continue
			}
			if !pointless[v.Place] && !f.onlyNamesSources(int32(i)) {
				continue
			}
			known := slices.ContainsFunc(s.late, func(l late) bool { return l.Place == v.Place })
			if opener := f.opener(v); opener >= 0 && !known {
				s.late = append(s.late, late{v.Place, f, int32(i), opener, pointless[v.Place]})
			}
		}
	}
	return s.late
}

// onlyNamesSources reports whether a block is for sources only, under policy
// ACCEPT, with nothing behind it that accepts any of what it blocks.
func (f *rollout) onlyNamesSources(at int32) bool {
	v := &f.visits[at]
	r := v.rule
	if f.policy != rule.Accept.Name() || len(v.calls) > 0 || !r.Dst.IsAny() || !r.In.IsAny() || !r.Out.IsAny() || !r.Proto.IsAny() || len(r.Matches) > 0 && commentOf(r) == "" || len(r.Matches) > 1 {
		return false
	}
	for i := range v.boxes {
		for _, t := range f.index.Meeting(nil, &v.boxes[i]) {
			if f.owner[t] > at && verdictSide(f.visits[f.owner[t]].rule.Target) > 0 {
				return false
			}
		}
	}
	return true
}

// opener is the first visit before a block that accepts packets of new
// connections which the block is for, and names no source; -1 if there is none.
func (f *rollout) opener(v *visit) int32 {
	fresh := space.One(space.State, space.Num(packet.New))
	for i := range v.boxes {
		b, ok := v.boxes[i].With(space.State, fresh)
		if !ok {
			continue
		}
		for _, t := range f.earlier(&b, v.first) {
			o := &f.visits[f.owner[t]]
			if verdictSide(o.rule.Target) <= 0 || f.takes[t].Values(space.Src) != nil || o.rule.In.Name == "lo" && !o.rule.In.Not || o.rule.Out.Name == "lo" {
				continue
			}
			if both, meets := b.And(f.takes[t]); meets {
				if _, some := f.leftOf(&both, t); some {
					return f.owner[t]
				}
			}
		}
	}
	return -1
}

// isLate reports whether a rule is a block that comes too late, so that no other
// finding need tell of it.
func (s *Subject) isLate(p simulate.Place) bool {
	return slices.ContainsFunc(s.lateBlocks(), func(l late) bool { return l.Place == p })
}

// findLateBlocks finds blocks that stand behind the accepts they should precede.
func findLateBlocks(_ *Auditor, s *Subject) (list []Finding) {
	for _, l := range s.lateBlocks() {
		v, o := &l.rollout.visits[l.visit], &l.rollout.visits[l.opener]
		f := Finding{Place: s.RefOf(l.Place), Proof: []Ref{s.RefOf(o.Place)}, Because: "accepted before it, from every source, by", Severity: Error}
		f.Says = fmt.Sprintf("comes too late: it blocks nothing, and %s still gets in", addressText(v.rule.Src))
		if !l.nothing {
			f.Severity = Warning
			f.Says = fmt.Sprintf("comes too late: %s still gets in where a rule before it accepts", addressText(v.rule.Src))
		}
		if f.Example = s.lateExample(&l); f.Example == nil {
			continue
		}
		f.Fix = s.moveBefore(&l, f.Example)
		list = append(list, f)
	}
	return list
}

// lateExample is a packet that the block is for and the rule before it accepts.
func (s *Subject) lateExample(l *late) *Example {
	f := l.rollout
	v, o := &f.visits[l.visit], &f.visits[l.opener]
	for i := range v.boxes {
		for j := range o.boxes {
			b, meets := v.boxes[i].And(&o.boxes[j])
			if !meets {
				continue
			}
			if b, meets = b.With(space.State, space.One(space.State, space.Num(packet.New))); !meets {
				continue
			}
			left, some := f.usual(&b, o.first)
			if !some {
				continue
			}
			e := f.exampleOf(&left, "gets through", func(got simulate.Result) bool { return got.Verdict == simulate.Accept && accepted(got, o.Place) })
			if e != nil {
				return e
			}
		}
	}
	return nil
}

// accepted reports whether a rule is what accepted a packet in its chain.
func accepted(got simulate.Result, p simulate.Place) bool { return meets(got, p) }

// moveBefore puts the block before the first rule that lets its packets in,
// whatever their connection's state, but behind what is for the loopback interface.
func (s *Subject) moveBefore(l *late, e *Example) *Fix {
	f := l.rollout
	v := &f.visits[l.visit]
	to := f.firstDoor(v)
	if to == 0 || to >= l.Rule {
		return nil
	}
	ops := []change.Op{s.remove(l.Table, l.Chain, l.Rule), {Kind: change.Insert, Table: l.Table, Chain: l.Chain, Num: to, Rule: v.rule}}
	return s.Fix("moves it before what it should precede", ops, func(after *Subject) bool {
		return after.verdictOf(e.Text) != simulate.Accept && s.sameBeside(after, s.Model().RuleSet(l.Place))
	})
}

// firstDoor is the number of the first rule of the block's chain that accepts
// its packets, or that jumps to the chain where they are accepted; 0 if that
// is in a chain which calls the block's.
func (f *rollout) firstDoor(v *visit) int {
	for i := range v.boxes {
		for _, t := range f.earlier(&v.boxes[i], v.first) {
			o := &f.visits[f.owner[t]]
			if verdictSide(o.rule.Target) <= 0 || o.rule.In.Name == "lo" || o.rule.Out.Name == "lo" {
				continue
			}
			if o.Chain == v.Chain {
				return o.Rule
			}
			at := slices.IndexFunc(o.calls, func(c call) bool { return c.Chain == v.Chain })
			if at < 0 {
				return 0
			}
			return o.calls[at].Rule
		}
	}
	return 0
}

// sameBeside reports whether probes outside a set of packets meet the same fate after.
func (s *Subject) sameBeside(after *Subject, changed space.Set) bool {
	var probes []Probe
	for _, p := range s.Probes() {
		k := p.Packet
		if p.Way == simulate.In {
			k.Out = ""
		} else if p.Way == simulate.Out {
			k.In = ""
		}
		if at := space.PointOf(&k); !changed.Has(&at) {
			probes = append(probes, p)
		}
	}
	return s.SameFate(after, probes)
}

// addressText is an address condition as people write it.
func addressText(a rule.Address) string {
	n := a.PrefixLen()
	if n < 0 {
		return a.IP.String() + "/" + a.Mask.String()
	}
	if n == a.IP.BitLen() {
		return a.IP.String()
	}
	return fmt.Sprintf("%v/%d", a.IP, n)
}
