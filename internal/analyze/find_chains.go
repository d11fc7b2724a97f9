package analyze

import (
	"fmt"
	"slices"

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

// findUnreachedChains finds user-defined chains to which nothing leads.
func findUnreachedChains(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		jumps := jumpsOf(t)
		reached := reachedChains(t, jumps)
		for _, c := range t.Chains {
			if reached[c] {
				continue
			}
			f := Finding{
				Place: s.Ref(t.Name, c.Name, 0), Says: "no rule jumps to this chain",
				Proof: []Ref{s.Ref(t.Name, c.Name, 0)},
			}
			for _, j := range jumps {
				if j.to == c && j.from != c {
					if len(f.Proof) == 1 && f.Proof[0].Rule == 0 {
						f.Proof = nil
					}
					f.Says, f.Because = "only chains jump here to which nothing leads", "nothing leads to"
					f.Proof = append(f.Proof, s.Ref(t.Name, j.from.Name, j.number))
				}
			}
			f.Fix = s.removeChain(t, c, jumps)
			list = append(list, f)
		}
	}
	return list
}

// removeChain removes a chain that nothing leads to, with the chains that jump to it.
func (s *Subject) removeChain(t *rule.Table, c *rule.Chain, jumps []jump) *Fix {
	gone := []*rule.Chain{c}
	for i := 0; i < len(gone); i++ {
		for _, j := range jumps {
			if j.to == gone[i] && !slices.Contains(gone, j.from) {
				gone = append(gone, j.from)
			}
		}
	}
	var ops []change.Op
	for _, g := range gone {
		if len(g.Rules) > 0 {
			ops = append(ops, change.Op{Kind: change.Flush, Table: t.Name, Chain: g.Name})
		}
	}
	for _, g := range gone {
		ops = append(ops, change.Op{Kind: change.DeleteChain, Table: t.Name, Chain: g.Name})
	}
	return s.Fix("removes the chain", ops, func(after *Subject) bool {
		return after.Table(t.Name).Chain(c.Name) == nil && s.SameFate(after, s.Probes())
	})
}

// findEmptyChains finds chains without rules to which rules jump.
func findEmptyChains(_ *Auditor, s *Subject) (list []Finding) {
	for _, t := range s.Tables {
		jumps := jumpsOf(t)
		reached := reachedChains(t, jumps)
		for _, c := range t.Chains {
			if c.Base != nil || len(c.Rules) > 0 || !reached[c] {
				continue
			}
			f := Finding{Place: s.Ref(t.Name, c.Name, 0), Says: "the chain is empty: packets that jump here come back as they were", Because: "it is called by"}
			goes := false // a goto does not come back to the rule behind it
			for _, j := range jumps {
				if j.to == c {
					f.Proof = append(f.Proof, s.Ref(t.Name, j.from.Name, j.number))
					goes = goes || j.from.Rules[j.number-1].Target.(rule.Jump).Goto
				}
			}
			if goes {
				f.Says = "the chain is empty"
			} else {
				f.Fix = s.removeEmpty(t, c, jumps)
			}
			list = append(list, f)
		}
	}
	return list
}

// removeEmpty removes a chain without rules, and the jumps to it: those of a
// chain from its end, so that the numbers before stay.
func (s *Subject) removeEmpty(t *rule.Table, c *rule.Chain, jumps []jump) *Fix {
	var ops []change.Op
	for _, j := range slices.Backward(jumps) {
		if j.to == c {
			ops = append(ops, change.Op{Kind: change.DeleteNum, Table: t.Name, Chain: j.from.Name, Num: j.number})
		}
	}
	ops = append(ops, change.Op{Kind: change.DeleteChain, Table: t.Name, Chain: c.Name})
	return s.Fix("removes the chain and the jumps to it", ops, func(after *Subject) bool {
		return after.Table(t.Name).Chain(c.Name) == nil && s.SameFate(after, s.Probes())
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
