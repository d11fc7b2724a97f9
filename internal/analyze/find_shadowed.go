package analyze

import (
	"slices"

	"moat/internal/ext"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// dead is a rule that never matches.
type dead struct {
	simulate.Place
	rule    *rule.Rule
	rollout *rollout
	visits  []int32 // all of them
	takers  []int32 // visits that take its packets; none if it has no packets at all
}

// deadRules are the rules to which no packet comes that they match, by place.
// Rules of a chain to which no packet comes at all are left out: the jumps to
// it are among them.
func (s *Subject) deadRules() []dead {
	if s.deadDone {
		return s.dead
	}
	s.deadDone = true
	alive := map[simulate.Place]bool{}
	for _, f := range s.Rollouts() {
		for i := range f.visits {
			if v := &f.visits[i]; !alive[v.Place] {
				alive[v.Place] = f.reaches(v)
			}
		}
	}
	done := map[simulate.Place]bool{}
	for _, f := range s.Rollouts() {
		for i := range f.visits {
			v := &f.visits[i]
			if alive[v.Place] || done[v.Place] || len(v.calls) > 0 && !s.entered(f, v, alive) {
				continue
			}
			done[v.Place] = true
			s.dead = append(s.dead, s.deadAt(f, v))
		}
	}
	return s.dead
}

// entered reports whether any jump to a visit's chain is one that packets follow.
func (s *Subject) entered(f *rollout, v *visit, alive map[simulate.Place]bool) bool {
	for _, g := range s.Rollouts() {
		if g.table != f.table {
			continue
		}
		for _, at := range g.seen[v.Place] {
			calls := g.visits[at].calls
			if !slices.ContainsFunc(calls, func(c call) bool { return !alive[c.Place] }) {
				return true
			}
		}
	}
	return false
}

// deadAt collects what proves that a rule never matches, at all its visits in
// all built-in chains of the table.
func (s *Subject) deadAt(f *rollout, v *visit) dead {
	d := dead{Place: v.Place, rule: v.rule, rollout: f}
	for _, g := range s.Rollouts() {
		if g.table != f.table {
			continue
		}
		for _, at := range g.seen[v.Place] {
			takers := g.takers(&g.visits[at])
			if g == f {
				d.visits = append(d.visits, at)
			}
			if len(takers) > 0 && (len(d.takers) == 0 || g == f) {
				d.rollout = g
				d.takers = append(d.takers, takers...)
			}
		}
	}
	for _, at := range d.rollout.seen[v.Place] {
		d.takers = append(d.takers, d.rollout.leavers(at)...)
	}
	slices.Sort(d.takers)
	d.takers = slices.Compact(d.takers)
	return d
}

// leavers are the visits before one, in the same call of its chain, at which
// packets that the rule would match leave the chain: by RETURN, or by a goto.
func (f *rollout) leavers(at int32) (list []int32) {
	v := &f.visits[at]
	set := f.s.Model().RuleSet(v.Place)
	for i := at - 1; i >= 0; i-- {
		o := &f.visits[i]
		if !slices.Equal(o.calls, v.calls) {
			continue // in a chain that was called meanwhile, or in another call
		}
		j, jumps := o.rule.Target.(rule.Jump)
		if o.rule.Target != rule.Target(rule.Return) && (!jumps || !j.Goto) {
			continue
		}
		for k := range o.boxes {
			if set.Meets(space.Of(o.boxes[k])) {
				list = append(list, i)
				break
			}
		}
	}
	return list
}

// proof are the takers' rules.
func (s *Subject) proof(f *rollout, visits []int32) (refs []Ref) {
	var before simulate.Place
	for _, at := range visits {
		if p := f.visits[at].Place; p != before {
			refs = append(refs, s.RefOf(p))
			before = p
		}
	}
	return refs
}

// findShadowed finds rules that never match because rules before them take all
// of their packets.
func findShadowed(_ *Auditor, s *Subject) (list []Finding) {
	for i := range s.deadRules() {
		d := &s.dead[i]
		if len(d.takers) == 0 || s.contradicted(d) >= 0 || s.isLate(d.Place) {
			continue
		}
		f := Finding{Place: s.RefOf(d.Place), Proof: s.proof(d.rollout, d.takers), Says: "never matches: the rule before it takes all of its packets"}
		if len(f.Proof) > 1 {
			f.Says = "never matches: rules before it take all of its packets together"
		}
		if same := s.sameAs(d); same > 0 {
			f.Says = "never matches: an equal rule stands before it"
		}
		if isNet := isLast(d.rule) && d.Rule == len(s.Table(d.Table).Chain(d.Chain).Rules); isNet {
			f.Severity = Note // it stands below all others for the case that one is changed
		}
		if s.fatesOf(d) == d.rollout.visits[d.rollout.seen[d.Place][0]].fate {
			f.Severity, f.Says = Note, f.Says+", and does the same"
		}
		f.Example = s.deadExample(d)
		if f.Fix = s.removal(d.Place); f.Fix != nil && f.Severity != Note {
			f.Fix.Says = "removes the rule (if it is right and those before it are not, it belongs before them)"
		}
		list = append(list, f)
	}
	return list
}

// sameAs is the number of an equal rule before it in its chain, 0 if there is none.
func (s *Subject) sameAs(d *dead) int {
	for _, at := range d.takers {
		v := &d.rollout.visits[at]
		if v.Chain == d.Chain && !v.rule.Foreign && ext.EqualRules(v.rule, d.rule) {
			return v.Rule
		}
	}
	return 0
}

// fatesOf is the fate that all takers have; "" if they differ.
func (s *Subject) fatesOf(d *dead) string {
	fate := d.rollout.visits[d.takers[0]].fate
	for _, at := range d.takers {
		if d.rollout.visits[at].fate != fate {
			return ""
		}
	}
	return fate
}

// deadExample is a packet that meets the rule's conditions and is decided by
// another rule before it gets there.
func (s *Subject) deadExample(d *dead) *Example {
	f := d.rollout
	for _, at := range f.seen[d.Place] {
		for i := range f.visits[at].boxes {
			e := f.exampleOf(&f.visits[at].boxes[i], "it meets the rule's conditions", func(got simulate.Result) bool {
				return got.Verdict != simulate.Unknown && !meets(got, d.Place) && slices.ContainsFunc(d.takers, func(t int32) bool { return meets(got, f.visits[t].Place) })
			})
			if e != nil {
				return e
			}
		}
	}
	return nil
}

// findImpossible finds rules for packets that there are not: their conditions
// exclude each other, or those of the jumps that lead to them, or the hook's.
func findImpossible(_ *Auditor, s *Subject) (list []Finding) {
	for i := range s.deadRules() {
		d := &s.dead[i]
		if len(d.takers) > 0 {
			continue
		}
		f := Finding{Place: s.RefOf(d.Place), Proof: []Ref{s.RefOf(d.Place)}}
		v := &d.rollout.visits[d.visits[0]]
		switch {
		case s.Model().RuleSet(d.Place).IsEmpty():
			f.Says = "never matches: no packet meets all of its conditions"
		case s.lacks(d) != "":
			f.Says = "never matches: " + s.lacks(d)
			if d.rule.Fragment == rule.OnlyFragments {
				f.Severity = Note // an old habit that hides nothing
			}
		case len(v.calls) == 0:
			f.Says = "never matches: chain " + d.rollout.base.Name + " has no such packets"
		default:
			f.Says, f.Because = "never matches: packets that come here do not meet its conditions", "they come by"
			f.Proof = s.callers(d)
		}
		f.Fix = s.removal(d.Place)
		list = append(list, f)
	}
	return list
}

// lacks says what a built-in chain's packets do not have that a rule asks for;
// "" if it asks for nothing of the kind.
func (s *Subject) lacks(d *dead) string {
	b := &d.rollout.hook
	set, chain := s.Model().RuleSet(d.Place), d.rollout.base.Name
	for _, x := range [...]struct {
		dim  space.Dim
		text string
	}{
		{space.Out, "packets in " + chain + " have no outgoing interface yet"},
		{space.In, "packets in " + chain + " have no incoming interface"},
		{space.Fragment, "packets come to " + chain + " whole, put together from their fragments"},
		{space.State, "table nat sees the first packet of a connection only"},
	} {
		v := b.Values(x.dim)
		if v == nil {
			continue
		}
		if one, _ := (space.Box{}).With(x.dim, v); !set.Meets(space.Of(one)) {
			return x.text
		}
	}
	return ""
}

// callers are the jumps that lead to a dead rule's chain.
func (s *Subject) callers(d *dead) (refs []Ref) {
	var seen []simulate.Place
	for _, g := range s.Rollouts() {
		if g.table != d.Table {
			continue
		}
		for _, at := range g.seen[d.Place] {
			calls := g.visits[at].calls
			if len(calls) > 0 && !slices.Contains(seen, calls[len(calls)-1].Place) {
				seen = append(seen, calls[len(calls)-1].Place)
				refs = append(refs, s.RefOf(calls[len(calls)-1].Place))
			}
		}
	}
	return refs
}

// contradicted is the visit of an earlier rule of the same chain that has the
// same conditions as a dead rule and the opposite verdict; -1 if there is none.
func (s *Subject) contradicted(d *dead) int32 {
	own := verdictSide(d.rule.Target)
	if own == 0 {
		return -1
	}
	for _, at := range d.takers {
		v := &d.rollout.visits[at]
		if v.Chain == d.Chain && verdictSide(v.rule.Target) == -own && s.wholes(v.Place).Equal(s.wholes(d.Place)) {
			return at
		}
	}
	return -1
}

// wholes is what a rule matches, without later fragments, which some matches
// read as if they had ports.
func (s *Subject) wholes(p simulate.Place) space.Set {
	whole, _ := (space.Box{}).With(space.Fragment, space.One(space.Fragment, space.Number{}))
	return s.Model().RuleSet(p).And(space.Of(whole))
}

// verdictSide is 1 for a target that lets packets through, -1 for one that
// does not, 0 for others.
func verdictSide(t rule.Target) int {
	if v, ok := t.(rule.Verdict); ok {
		return [...]int{rule.Accept: 1, rule.Drop: -1, rule.Queue: 0, rule.Return: 0}[v&3]
	}
	if e, ok := t.(ext.Ender); ok && (e.Fate() == ext.Rejects || e.Fate() == ext.Drops) {
		return -1
	}
	return 0
}

// findContradictions finds rules with the conditions of a rule before them and
// the opposite verdict.
func findContradictions(_ *Auditor, s *Subject) (list []Finding) {
	for i := range s.deadRules() {
		d := &s.dead[i]
		if len(d.takers) == 0 || s.isLate(d.Place) {
			continue
		}
		at := s.contradicted(d)
		if at < 0 {
			continue
		}
		other := s.RefOf(d.rollout.visits[at].Place)
		list = append(list, Finding{
			Place: s.RefOf(d.Place), Proof: []Ref{other}, Example: s.deadExample(d), Fix: s.removal(d.Place),
			Says: "never matches: a rule before it has the same conditions and the opposite verdict",
		})
	}
	return list
}
