package load

import (
	"fmt"

	"moat/internal/rule"
)

// maxNested is how many user-defined chains deep nf_tables lets a packet go
// from a built-in chain: jumps and gotos count alike, and a 16th is refused
// with "Too many links" (found by restoring chains of 14 to 18).
const maxNested = 15

// checkJumps refuses what the kernel would: a jump to a chain that is not
// there or is built in, and jumps in a circle, or too deep, that a packet can
// get into. A circle that no built-in chain leads to is taken, as the kernel
// takes it.
func checkJumps(r *Rules) error {
	for _, t := range r.Tables {
		w := jumpWalk{rules: r, table: t, chains: map[string]*rule.Chain{}, depth: map[*rule.Chain]int{}}
		for _, c := range t.Chains {
			w.chains[c.Name] = c
		}
		for _, c := range t.Chains {
			if err := w.targets(c); err != nil {
				return err
			}
		}
		for _, c := range t.Chains {
			if c.Base == nil {
				continue
			}
			if err := w.enter(c, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// jumpWalk follows the jumps of one table.
type jumpWalk struct {
	rules  *Rules
	table  *rule.Table
	chains map[string]*rule.Chain
	path   []*rule.Chain       // from the built-in chain
	depth  map[*rule.Chain]int // the deepest that a chain was entered at, plus one
}

func (w *jumpWalk) fail(r *rule.Rule, format string, args ...any) error {
	return &Error{Source: w.rules.Source, Line: w.rules.Line(r), Msg: fmt.Sprintf(format, args...)}
}

// targets checks that what the rules of a chain jump to is there.
func (w *jumpWalk) targets(c *rule.Chain) error {
	for _, r := range c.Rules {
		j, ok := r.Target.(rule.Jump)
		if !ok {
			continue
		}
		to := w.chains[j.Chain]
		switch {
		case to == nil:
			return w.fail(r, "there is no chain %s in table %s for this rule of chain %s to jump to", j.Chain, w.table.Name, c.Name)
		case to.Base != nil:
			return w.fail(r, "chain %s is built in, so that no rule can jump to it", j.Chain)
		}
	}
	return nil
}

// enter follows the jumps of a chain that stands depth chains below a built-in
// one. A chain that was followed from as deep before leads to nothing new.
func (w *jumpWalk) enter(c *rule.Chain, depth int) error {
	if w.depth[c] > depth {
		return nil
	}
	w.depth[c] = depth + 1
	w.path = append(w.path, c)
	for _, r := range c.Rules {
		j, ok := r.Target.(rule.Jump)
		if !ok {
			continue
		}
		to := w.chains[j.Chain]
		for i, p := range w.path {
			if p == to {
				return w.fail(r, "jumps in a circle: %s", circle(w.path[i:], to))
			}
		}
		if depth == maxNested {
			return w.fail(r, "chain %s is the %dth that chains are nested deep below %s; the kernel takes %d",
				to.Name, depth+1, w.path[0].Name, maxNested)
		}
		if err := w.enter(to, depth+1); err != nil {
			return err
		}
	}
	w.path = w.path[:len(w.path)-1]
	return nil
}

// circle is "A -> B -> A".
func circle(path []*rule.Chain, back *rule.Chain) string {
	s := ""
	for _, c := range path {
		s += c.Name + " -> "
	}
	return s + back.Name
}
