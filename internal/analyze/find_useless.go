package analyze

import (
	"slices"

	"moat/internal/change"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// useless is a rule without which every packet meets the same fate.
type useless struct {
	simulate.Place
	rule    *rule.Rule
	rollout *rollout
	visits  []int32
	// followers are the visits that give its packets the same fate, and policy
	// says that the chain's policy gives it to some.
	followers []int32
	policy    bool
}

// uselessRules are the rules that change nothing: each of them alone, and all of
// them together with the dead ones. They are looked for from the last rule to
// the first, so that of rules that can stand in for each other one stays.
func (s *Subject) uselessRules() []useless {
	if s.uselessDone {
		return s.useless
	}
	s.uselessDone = true
	gone := map[simulate.Place]bool{}
	for _, d := range s.deadRules() {
		gone[d.Place] = true
	}
	for _, f := range s.Rollouts() {
		w := absence{rollout: f, others: gone, turns: f.deadTurns(gone)}
		for at := len(f.visits) - 1; at >= 0; at-- {
			v := &f.visits[at]
			if v.fate == "" || gone[v.Place] || f.isEffect(int32(at)) || f.seen[v.Place][0] != int32(at) || len(f.seen[v.Place]) > maxAbsent || !s.onlyIn(f, v.Place) {
				continue
			}
			if u, is := w.useless(v.Place); is {
				gone[v.Place] = true
				s.useless = append(s.useless, u)
			}
		}
	}
	return s.useless
}

// maxAbsent is at how many places of a rollout a rule is asked whether it
// matters: each of them has to be compared with all others.
const maxAbsent = 128

// onlyIn reports whether a rule's packets come from one built-in chain only.
func (s *Subject) onlyIn(f *rollout, p simulate.Place) bool {
	for _, g := range s.Rollouts() {
		if g != f && g.table == f.table && len(g.seen[p]) > 0 {
			return false
		}
	}
	return true
}

func (f *rollout) isEffect(at int32) bool {
	_, is := slices.BinarySearch(f.effects, at)
	return is
}

// absence asks what packets would meet without a rule.
type absence struct {
	*rollout
	others map[simulate.Place]bool // rules that were found to change nothing
	gone   map[simulate.Place]bool // those of them that are not there now
	turns  []int32                 // visits of dead jumps and returns
	// opponents are takes that showed of other rules that they matter: they
	// often do so of the next.
	opponents []int32
	found     useless
}

// maxOpponents is how many takes are tried before all are looked at.
const maxOpponents = 24

// useless reports whether the rule at a place changes nothing at any of its
// visits: neither while the other rules that do not are still there, nor when
// they are gone. A dead rule may come to life, and a useless one get packets
// that it was not asked about, when the rule before it goes.
func (w *absence) useless(p simulate.Place) (useless, bool) {
	visits := w.seen[p]
	w.found = useless{Place: p, rule: w.visits[visits[0]].rule, rollout: w.rollout, visits: visits}
	both := [...]map[simulate.Place]bool{{}, w.others}
	for _, w.gone = range both {
		for _, at := range visits {
			if w.matters(at) {
				return useless{}, false
			}
		}
	}
	for _, w.gone = range both {
		w.found.policy = false // the last look stays
		for _, at := range visits {
			v := &w.visits[at]
			for i := range v.boxes {
				if !w.same(at, &v.boxes[i]) {
					return useless{}, false
				}
			}
		}
	}
	for _, at := range visits {
		for i := range w.visits[at].boxes {
			w.follow(at, &w.visits[at].boxes[i])
		}
	}
	slices.Sort(w.found.followers)
	w.found.followers = slices.Compact(w.found.followers)
	return w.found, true
}

// deadTurns are the visits of rules among some that send packets elsewhere, by
// jumps or returns. The rollout is made with them in it.
func (f *rollout) deadTurns(places map[simulate.Place]bool) (list []int32) {
	for i := range f.visits {
		v := &f.visits[i]
		_, jumps := v.rule.Target.(rule.Jump)
		if places[v.Place] && (jumps || v.rule.Target == rule.Target(rule.Return)) {
			list = append(list, int32(i))
		}
	}
	return list
}

// turned reports whether any packet of a box would be sent elsewhere behind a
// visit by a dead rule, so that it is not known what it meets when that is gone.
func (w *absence) turned(at int32, b *space.Box) bool {
	for _, t := range w.turns {
		for i := range w.visits[t].boxes {
			if t > at && w.visits[t].boxes[i].Meets(b) {
				return true
			}
		}
	}
	return false
}

// matters tries some of a visit's packets, and takes that showed it of other
// rules; true if a packet is found that would meet another fate.
func (w *absence) matters(at int32) bool {
	v := &w.visits[at]
	for range min(len(v.boxes)*reachTries, reachTries) {
		p := w.point()
		if !v.boxes[w.random.IntN(len(v.boxes))].Sample(&p, w.random) || w.index.First(&p, int(v.first)) >= 0 {
			continue
		}
		if t := w.next(&p, v.first); w.fateOf(t) != v.fate {
			if t >= 0 {
				w.remember(t)
			}
			return true
		}
	}
	for n, t := range w.opponents {
		if t < v.first || w.isAway(t) || w.fateOf(t) == v.fate {
			continue
		}
		for i := range v.boxes {
			b, meets := v.boxes[i].And(w.takes[t])
			if !meets {
				continue
			}
			p := w.point()
			if b.Sample(&p, w.random) && w.index.First(&p, int(v.first)) < 0 && w.next(&p, v.first) == t {
				copy(w.opponents[1:n+1], w.opponents[:n])
				w.opponents[0] = t
				return true
			}
		}
	}
	return false
}

// next is the take that has a point from number from on, without the rule that
// is looked at and what is gone.
func (w *absence) next(p *space.Point, from int32) int32 {
	b := pointBox(p, w.s.Family)
	for _, t := range w.index.Meeting(nil, &b) {
		if t >= from && !w.isAway(t) && w.takes[t].Has(p) {
			return t
		}
	}
	return -1
}

// same reports whether all packets of a box of a visit meet its fate behind it
// too, and nothing that logs or counts before that: of each take with another
// fate, of each effect, and of a policy with another fate, that they get none.
func (w *absence) same(at int32, b *space.Box) bool {
	if w.turned(at, b) {
		return false
	}
	v := &w.visits[at]
	for group := range w.alike {
		if group == groupOf(v.fate) && group != ending {
			continue
		}
		for _, t := range w.alike[group].meeting(b) {
			if w.owner[t] > at && !w.isAway(t) && w.fateOf(t) != v.fate && w.gets(at, b, w.takes[t], t) {
				w.remember(t)
				return false
			}
		}
	}
	for _, i := range w.effectIndex.Meeting(nil, b) {
		e := w.effectOwner[i]
		if e > at && !w.gone[w.visits[e].Place] && w.gets(at, b, w.effectBoxes[i], w.visits[e].first) {
			return false
		}
	}
	toPolicy := w.gets(at, b, &space.Box{}, int32(len(w.takes)))
	if toPolicy && w.policy != v.fate {
		return false
	}
	w.found.policy = w.found.policy || toPolicy
	return true
}

// gets reports whether any packet of both boxes passes all takes before number
// below when the rule of a visit and what is gone are not there.
func (w *absence) gets(at int32, b, other *space.Box, below int32) bool {
	both, meets := b.And(other)
	if !meets {
		return false
	}
	if p := w.point(); both.Sample(&p, w.random) && w.passes(at, &p, below) {
		return true
	}
	cover, ok := w.chase(&both, func(p *space.Point) int32 {
		t := int32(w.index.First(p, int(below)))
		if t >= 0 && w.isAway(t) {
			t = w.next(p, t+1)
		}
		if t >= below {
			t = -1
		}
		return t
	})
	if ok {
		return len(cover) > 0 && cover[len(cover)-1] < 0
	}
	var takes []*space.Box
	for _, t := range w.earlier(&both, below) {
		if !w.isAway(t) {
			takes = append(takes, w.takes[t])
		}
	}
	return !both.Subtract(takes, func(space.Box) bool { return false })
}

// isAway reports whether a take is that of the rule that is looked at, or of
// one that is gone.
func (w *absence) isAway(take int32) bool {
	place := w.visits[w.owner[take]].Place
	return place == w.found.Place || w.gone[place]
}

// passes is gets for one packet.
func (w *absence) passes(at int32, p *space.Point, below int32) bool {
	first := w.visits[at].first
	if w.index.First(p, int(first)) >= 0 {
		return false
	}
	t := w.next(p, first)
	return t < 0 || t >= below
}

// maxFollowers is how many rules a proof of uselessness names, and maxFollow
// how many are asked whether they belong to it.
const (
	maxFollowers = 32
	maxFollow    = 64
)

// follow notes which takes behind a visit give packets of a box its fate.
func (w *absence) follow(at int32, b *space.Box) {
	fate := w.visits[at].fate
	asked := 0
	for _, t := range w.alike[groupOf(fate)].meeting(b) {
		if w.owner[t] <= at || w.isAway(t) || w.fateOf(t) != fate {
			continue
		}
		if asked++; asked > maxFollow || len(w.found.followers) >= maxFollowers {
			return
		}
		both, meets := b.And(w.takes[t])
		if !meets {
			continue
		}
		for range 4 {
			if p := w.point(); both.Sample(&p, w.random) && w.index.First(&p, int(w.visits[at].first)) < 0 && w.next(&p, w.visits[at].first) == t {
				w.found.followers = append(w.found.followers, w.owner[t])
				break
			}
		}
	}
}

func (w *absence) remember(t int32) {
	w.opponents = append([]int32{t}, w.opponents...)
	w.opponents = w.opponents[:min(len(w.opponents), maxOpponents)]
}

// findUseless finds rules whose packets meet the same fate without them.
func findUseless(a *Auditor, s *Subject) (list []Finding) {
	for i := range s.uselessRules() {
		u := &s.useless[i]
		if s.isLate(u.Place) || a.isForClosing(s, u) {
			continue
		}
		f := Finding{Place: s.RefOf(u.Place), Proof: s.proof(u.rollout, u.followers), Because: "its packets go on to"}
		fate := u.rollout.visits[u.visits[0]].fate
		f.Says = "changes nothing: what follows does the same with its packets (" + fate + ")"
		if u.policy {
			f.Proof = append(f.Proof, s.Ref(u.Table, u.rollout.base.Name, 0))
			if len(u.followers) == 0 {
				f.Says = "changes nothing: the policy does the same with its packets (" + fate + ")"
			}
		}
		f.Example = s.uselessExample(u)
		if f.Fix = s.removal(u.Place); f.Fix != nil {
			list = append(list, f)
		}
	}
	return list
}

// isForClosing reports whether a rule accepts what an open policy of INPUT would
// accept too. It is needed as soon as the policy is closed, which is what another
// finding asks for: who did both would lock out what the rule is for.
func (a *Auditor) isForClosing(s *Subject, u *useless) bool {
	if !u.policy || u.Table != "filter" || u.rollout.base.Name != "INPUT" || u.rollout.visits[u.visits[0]].fate != rule.Accept.Name() {
		return false
	}
	_, open := a.world(s).openPolicy()
	return open
}

// uselessExample is a packet that the rule decides, and whose fate is the same
// without it.
func (s *Subject) uselessExample(u *useless) *Example {
	const says = "the same without the rule"
	holds := func(got simulate.Result) bool { return meets(got, u.Place) && got.Verdict != simulate.Unknown }
	for _, at := range u.visits {
		v := &u.rollout.visits[at]
		for i := range v.boxes {
			if e := u.rollout.exampleOf(&v.boxes[i], says, holds); e != nil {
				return e
			}
			if left, some := u.rollout.usual(&v.boxes[i], v.first); some {
				if e := u.rollout.exampleOf(&left, says, holds); e != nil {
					return e
				}
			}
		}
	}
	return nil
}

// removal is the fix that removes a dead or useless rule; nil if a packet is
// found that would meet another fate then.
func (s *Subject) removal(p simulate.Place) *Fix {
	if s.removable == nil {
		s.removable = map[simulate.Place]bool{}
		s.tryRemoval(s.makesNoDifference())
	}
	if !s.removable[p] {
		return nil
	}
	op := s.remove(p.Table, p.Chain, p.Rule)
	return &Fix{Ops: []change.Op{op}, Commands: []string{s.command(&op)}, Says: "removes the rule"}
}

// makesNoDifference are all dead and useless rules.
func (s *Subject) makesNoDifference() (list []simulate.Place) {
	for i := range s.deadRules() {
		list = append(list, s.dead[i].Place)
	}
	for i := range s.uselessRules() {
		list = append(list, s.useless[i].Place)
	}
	return list
}

// tryRemoval removes rules on a copy, all at once, and compares the fates of
// probes and of packets that meet these rules. If one differs, halves are tried.
func (s *Subject) tryRemoval(list []simulate.Place) {
	if len(list) == 0 {
		return
	}
	var ops []change.Op
	for _, p := range list {
		ops = append(ops, change.Op{Kind: change.DeleteNum, Table: p.Table, Chain: p.Chain, Num: p.Rule})
	}
	slices.SortFunc(ops, func(a, b change.Op) int { return b.Num - a.Num }) // numbers before stay
	after := s.after(ops)
	switch {
	case after != nil && s.SameFate(after, s.Probes()) && s.SameFate(after, s.probesOf(list)):
		for _, p := range list {
			s.removable[p] = true
		}
	case len(list) > 1:
		s.tryRemoval(list[:len(list)/2])
		s.tryRemoval(list[len(list)/2:])
	}
}

// probesOf are packets that meet the conditions of rules.
func (s *Subject) probesOf(list []simulate.Place) (probes []Probe) {
	for _, place := range list {
		for _, f := range s.Rollouts() {
			if f.table != place.Table {
				continue
			}
			for _, at := range f.seen[place] {
				boxes := f.visits[at].boxes
				for range min(len(boxes), 3) {
					p := f.point()
					if !boxes[f.random.IntN(len(boxes))].Sample(&p, f.random) {
						continue
					}
					if q, ok := asQuestion(&p, s.Family, f.base.Base.Hook); ok {
						probes = append(probes, Probe{q.Packet, q.Way})
					}
				}
			}
		}
	}
	return probes
}
