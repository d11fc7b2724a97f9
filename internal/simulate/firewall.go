package simulate

import (
	"cmp"
	"slices"

	"moat/internal/ext"
	"moat/internal/rule"
)

// Firewall is a ruleset made ready for walks. It may be used by several
// goroutines; the ruleset must not change meanwhile.
type Firewall struct {
	Family rule.Family
	hooks  [rule.Postrouting + 1][]station // in the order of their priorities
	tables map[string]map[string]*chain
	// indexed says that rules which certainly do not match are skipped unseen.
	indexed bool
}

// station is what a packet passes at a hook: a built-in chain, or one of the
// steps that the kernel takes between them.
type station struct {
	priority int32
	kind     stationKind
	chain    *chain // nil for trackStation, and for a natStation without rules
}

type stationKind uint8

const (
	chainStation stationKind = iota
	trackStation             // connection tracking looks the packet's connection up
	natStation               // the connection is translated, by rules if it is new
)

// Priorities of the kernel's own steps, NF_IP_PRI_* of linux/netfilter_ipv4.h.
const (
	priorityTrack  = -200
	priorityNATDst = -100
	priorityNATSrc = 100
)

// chain is a chain whose rules are ready to be matched.
type chain struct {
	table string
	name  string
	base  *rule.Base // nil for a user-defined chain
	lines []line
	index *index // nil: the rules are looked at one by one
	idle  bool   // a packet that goes in comes back as it was, whatever matches
}

// line is a rule with what the walk asks it for taken apart.
type line struct {
	rule     *rule.Rule
	src, dst masked
	matches  []condition
	action   action
	to       *chain // of a jump; nil if there is no such chain
	mutator  ext.Mutator
	fate     ext.Fate
}

// condition is an extension match; one that no packet decides has no matcher.
type condition struct {
	name    string
	matcher ext.Matcher
}

// action is what a line's target does to the walk.
type action uint8

const (
	actCount action = iota // no target, or one that goes on and changes nothing
	actAccept
	actDrop
	actQueue
	actReturn
	actJump
	actGoto
	actExt // a target extension that ends the walk or changes the packet
)

// New prepares a ruleset. Rules are looked at one by one, and every one that a
// packet meets is in its trace.
func New(rs *rule.Ruleset) *Firewall { return prepare(rs, false, nil) }

// NewIndexed prepares a ruleset for many packets: rules that cannot match are
// skipped by an index and are in no trace. Verdict, deciding rule and all else
// are those of New.
func NewIndexed(rs *rule.Ruleset) *Firewall { return prepare(rs, true, nil) }

// Again is NewIndexed for a ruleset that was made of f's by a change: chains with
// the same rules keep their index, which is most of the work.
func (f *Firewall) Again(rs *rule.Ruleset) *Firewall { return prepare(rs, true, f) }

func prepare(rs *rule.Ruleset, indexed bool, old *Firewall) *Firewall {
	f := &Firewall{Family: rs.Family, tables: map[string]map[string]*chain{}, indexed: indexed}
	for _, t := range rs.Tables {
		chains := map[string]*chain{}
		for _, c := range t.Chains {
			chains[c.Name] = &chain{table: t.Name, name: c.Name, base: c.Base}
		}
		for _, c := range t.Chains {
			chains[c.Name].prepare(c.Rules, chains)
			if indexed {
				chains[c.Name].makeIndex(old)
			}
		}
		findIdle(chains)
		f.tables[t.Name] = chains
		for _, c := range t.Chains {
			f.station(chains[c.Name])
		}
	}
	f.addSteps()
	return f
}

// station puts a built-in chain to its hook.
func (f *Firewall) station(c *chain) {
	if c.base == nil || c.base.Hook > rule.Postrouting {
		return
	}
	s := station{priority: c.base.Priority, chain: c}
	if c.base.Type == "nat" {
		s.kind = natStation
	}
	f.hooks[c.base.Hook] = append(f.hooks[c.base.Hook], s)
}

// addSteps adds connection tracking, and the translation of known connections
// where no chain has nat rules, and sorts the hooks.
func (f *Firewall) addSteps() {
	nat := map[rule.Hook]int32{
		rule.Prerouting: priorityNATDst, rule.Output: priorityNATDst, rule.Input: priorityNATSrc, rule.Postrouting: priorityNATSrc,
	}
	for h := range f.hooks {
		hook := rule.Hook(h)
		if hook == rule.Prerouting || hook == rule.Output {
			f.hooks[h] = append(f.hooks[h], station{priority: priorityTrack, kind: trackStation})
		}
		if p, ok := nat[hook]; ok && !slices.ContainsFunc(f.hooks[h], func(s station) bool { return s.kind == natStation }) {
			f.hooks[h] = append(f.hooks[h], station{priority: p, kind: natStation})
		}
		slices.SortStableFunc(f.hooks[h], func(a, b station) int { return cmp.Compare(a.priority, b.priority) })
	}
}

// makeIndex takes the index of an older firewall's chain with the same rules, or
// makes one. An index knows rules by their numbers only.
func (c *chain) makeIndex(old *Firewall) {
	if old != nil && old.indexed {
		was := old.tables[c.table][c.name]
		if was != nil && slices.EqualFunc(c.lines, was.lines, func(a, b line) bool { return a.rule == b.rule }) {
			c.index = was.index
			return
		}
	}
	c.index = newIndex(c.lines)
}

func (c *chain) prepare(rules []*rule.Rule, chains map[string]*chain) {
	c.lines = make([]line, len(rules))
	for i, r := range rules {
		c.lines[i] = lineOf(r, chains)
	}
}

// lineOf takes a rule apart; chains are those that it may jump to.
func lineOf(r *rule.Rule, chains map[string]*chain) line {
	l := line{rule: r, src: maskedOf(r.Src), dst: maskedOf(r.Dst)}
	for _, m := range r.Matches {
		x, _ := m.(ext.Matcher)
		l.matches = append(l.matches, condition{name: m.Name(), matcher: x})
	}
	if r.Foreign { // it asks for more than its fields say
		l.matches = append(l.matches, condition{name: "nf_tables"})
	}
	l.target(r.Target, chains)
	return l
}

// target takes a rule's target apart.
func (l *line) target(t rule.Target, chains map[string]*chain) {
	switch t := t.(type) {
	case nil:
	case rule.Verdict:
		l.action = [...]action{actAccept, actDrop, actQueue, actReturn}[t&3]
	case rule.Jump:
		l.action, l.to = actJump, chains[t.Chain]
		if t.Goto {
			l.action = actGoto
		}
	default:
		l.mutator, _ = t.(ext.Mutator)
		if e, ok := t.(ext.Ender); ok {
			l.fate = e.Fate()
		}
		if l.mutator != nil || l.fate != ext.GoesOn {
			l.action = actExt
		}
	}
}

// changes reports whether a rule that matches can make a difference to the
// packet or its way; one that only counts or logs cannot.
func (l *line) changes() bool {
	return l.action != actCount && (l.action != actJump || l.to != nil && !l.to.idle)
}

// findIdle marks the chains in which nothing happens to a packet.
func findIdle(chains map[string]*chain) {
	for found := true; found; {
		found = false
		for _, c := range chains {
			if c.idle || c.base != nil {
				continue
			}
			c.idle = !slices.ContainsFunc(c.lines, func(l line) bool { return l.changes() && l.action != actReturn })
			found = found || c.idle
		}
	}
}
