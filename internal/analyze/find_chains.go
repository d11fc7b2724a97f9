package analyze

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/change"
	"moat/internal/rule"
)

// jump is a rule that sends packets to a user-defined chain.
type jump struct {
	from   *rule.Chain
	number int // of the rule, from 1
	to     *rule.Chain
}

// jumpsOf lists the jumps of a table.
func jumpsOf(t *rule.Table) (list []jump) {
	chains := map[string]*rule.Chain{}
	for _, c := range t.Chains {
		chains[c.Name] = c
	}
	for _, c := range t.Chains {
		for i, r := range c.Rules {
			if j, ok := r.Target.(rule.Jump); ok && chains[j.Chain] != nil {
				list = append(list, jump{c, i + 1, chains[j.Chain]})
			}
		}
	}
	return list
}

// reachedChains are the chains that jumps lead to from a built-in chain, and
// the built-in chains.
func reachedChains(t *rule.Table, jumps []jump) map[*rule.Chain]bool {
	from := map[*rule.Chain][]*rule.Chain{}
	for _, j := range jumps {
		from[j.from] = append(from[j.from], j.to)
	}
	reached := map[*rule.Chain]bool{}
	var enter func(*rule.Chain)
	enter = func(c *rule.Chain) {
		if reached[c] {
			return
		}
		reached[c] = true
		for _, to := range from[c] {
			enter(to)
		}
	}
	for _, c := range t.Chains {
		if c.Base != nil {
			enter(c)
		}
	}
	return reached
}

// findUnreachedChains finds user-defined chains to which nothing leads. Programs
// make them by the dozen, so those of a table are one finding.
func findUnreachedChains(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		jumps := jumpsOf(t)
		reached := reachedChains(t, jumps)
		var lost []*rule.Chain
		for _, c := range t.Chains {
			if !reached[c] {
				lost = append(lost, c)
			}
		}
		if len(lost) == 0 {
			continue
		}
		f := Finding{Place: s.chainsPlace(t, lost), Says: "no rule jumps to this chain"}
		callers := s.jumpsTo(t, lost, jumps)
		switch {
		case len(lost) > 1:
			f.Says = fmt.Sprintf("nothing leads to %d chains: %s", len(lost), chainNames(lost))
		case len(callers) > 0:
			f.Says = "only rules of this chain jump to it"
		}
		f.Because = "they are"
		for _, c := range lost {
			f.Proof = append(f.Proof, s.Ref(t.Name, c.Name, 0))
		}
		if len(callers) > 0 {
			f.Because, f.Proof = "rules jump there only from chains to which nothing leads", callers
		}
		f.Fix = s.removeChains(t, lost)
		list = append(list, f)
	}
	return list
}

// chainsPlace is the place of a finding about chains: the chain, or of several the table.
func (s *Subject) chainsPlace(t *rule.Table, chains []*rule.Chain) Ref {
	if len(chains) == 1 {
		return s.Ref(t.Name, chains[0].Name, 0)
	}
	return s.Ref(t.Name, "", 0)
}

// chainNames lists chains.
func chainNames(chains []*rule.Chain) string {
	names := make([]string, len(chains))
	for i, c := range chains {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// jumpsTo are the rules that jump to one of some chains.
func (s *Subject) jumpsTo(t *rule.Table, chains []*rule.Chain, jumps []jump) (refs []Ref) {
	for _, j := range jumps {
		if slices.Contains(chains, j.to) {
			refs = append(refs, s.Ref(t.Name, j.from.Name, j.number))
		}
	}
	return refs
}

// removeChains removes chains that nothing else leads to.
func (s *Subject) removeChains(t *rule.Table, gone []*rule.Chain) *Fix {
	var ops []change.Op
	for _, g := range gone {
		if len(g.Rules) > 0 {
			ops = append(ops, change.Op{Kind: change.Flush, Table: t.Name, Chain: g.Name})
		}
	}
	for _, g := range gone {
		ops = append(ops, change.Op{Kind: change.DeleteChain, Table: t.Name, Chain: g.Name})
	}
	return s.Fix("removes "+plural(len(gone), "the chain", "the chains"), ops, func(after *Subject) bool {
		return !slices.ContainsFunc(gone, func(c *rule.Chain) bool { return after.Table(t.Name).Chain(c.Name) != nil }) && s.SameFate(after, s.Probes())
	})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// findEmptyChains finds chains without rules to which rules jump, of a table as
// one finding.
func findEmptyChains(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		jumps := jumpsOf(t)
		reached := reachedChains(t, jumps)
		var empty []*rule.Chain
		for _, c := range t.Chains {
			if c.Base == nil && len(c.Rules) == 0 && reached[c] && !isGoneTo(c, jumps) {
				empty = append(empty, c)
			}
		}
		if len(empty) == 0 {
			continue
		}
		f := Finding{Place: s.chainsPlace(t, empty), Because: "called by", Proof: s.jumpsTo(t, empty, jumps)}
		f.Says = "the chain is empty: packets that jump to it come back as they were"
		if len(empty) > 1 {
			f.Says = fmt.Sprintf("%d chains that rules jump to are empty: %s", len(empty), chainNames(empty))
		}
		f.Fix = s.removeEmpty(t, empty, jumps)
		list = append(list, f)
	}
	return list
}

// isGoneTo reports whether a rule goes to the chain by -g, from which packets do
// not come back to the next rule, so that it makes a difference.
func isGoneTo(c *rule.Chain, jumps []jump) bool {
	return slices.ContainsFunc(jumps, func(j jump) bool { return j.to == c && j.from.Rules[j.number-1].Target.(rule.Jump).Goto })
}

// removeEmpty removes chains without rules, and the jumps to them: those of a
// chain from its end, so that the numbers before stay.
func (s *Subject) removeEmpty(t *rule.Table, empty []*rule.Chain, jumps []jump) *Fix {
	var ops []change.Op
	for _, j := range slices.Backward(jumps) {
		if slices.Contains(empty, j.to) {
			ops = append(ops, change.Op{Kind: change.DeleteNum, Table: t.Name, Chain: j.from.Name, Num: j.number})
		}
	}
	for _, c := range empty {
		ops = append(ops, change.Op{Kind: change.DeleteChain, Table: t.Name, Chain: c.Name})
	}
	return s.Fix("removes "+plural(len(empty), "the chain and the jumps to it", "the chains and the jumps to them"), ops, func(after *Subject) bool {
		return !slices.ContainsFunc(empty, func(c *rule.Chain) bool { return after.Table(t.Name).Chain(c.Name) != nil }) && s.SameFate(after, s.Probes())
	})
}

// findLoops finds circles of jumps. The kernel takes a circle only as long as
// nothing leads to it.
func findLoops(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		l := loops{jumps: map[*rule.Chain][]jump{}, done: map[*rule.Chain]bool{}}
		for _, j := range jumpsOf(t) {
			l.jumps[j.from] = append(l.jumps[j.from], j)
		}
		for _, c := range t.Chains {
			l.follow(c)
		}
		for _, circle := range l.found {
			last := circle[len(circle)-1]
			f := Finding{
				Place: s.Ref(t.Name, last.from.Name, last.number), Because: "the circle is",
				Says: fmt.Sprintf("jumps in a circle through %d chains; the kernel will refuse a rule that leads there", len(circle)),
			}
			for _, j := range circle {
				f.Proof = append(f.Proof, s.Ref(t.Name, j.from.Name, j.number))
			}
			f.Fix = s.Fix("breaks the circle", []change.Op{s.remove(t.Name, last.from.Name, last.number)},
				func(after *Subject) bool { return s.SameFate(after, s.Probes()) })
			list = append(list, f)
		}
	}
	return list
}

// loops looks for circles of jumps from one chain after the other.
type loops struct {
	jumps map[*rule.Chain][]jump
	done  map[*rule.Chain]bool
	path  []jump
	found [][]jump
}

// follow goes all ways on from a chain; each chain is left once, so that each
// jump that closes a circle is found once.
func (l *loops) follow(c *rule.Chain) {
	if l.done[c] {
		return
	}
	l.done[c] = true
	for _, j := range l.jumps[c] {
		l.path = append(l.path, j)
		if at := slices.IndexFunc(l.path, func(p jump) bool { return p.from == j.to }); at >= 0 {
			l.found = append(l.found, slices.Clone(l.path[at:]))
		} else {
			l.follow(j.to)
		}
		l.path = l.path[:len(l.path)-1]
	}
}
