package analyze

import (
	"cmp"
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// Model is a ruleset with the set of packets that each rule matches worked out.
// It does not change and may be used by several goroutines; the ruleset must not
// change meanwhile.
type Model struct {
	Family rule.Family
	Rules  *rule.Ruleset
	tables map[string]map[string]*modelChain
	hooks  [rule.Postrouting + 1][]station
}

// station is what packets pass at a hook: a built-in chain, or connection tracking.
type station struct {
	priority int32
	nat      bool        // the chain is for packets whose connection is to be translated
	chain    *modelChain // nil for connection tracking
}

// priorityTrack is where connection tracking looks at packets: NF_IP_PRI_CONNTRACK
// of linux/netfilter_ipv4.h.
const priorityTrack = -200

// modelChain is a chain with its rules' sets.
type modelChain struct {
	table, name string
	base        *rule.Base
	rules       []modelRule
	// boxes are those of all rules' sets, in the order of the rules, and owner
	// is each one's rule.
	boxes []*space.Box
	owner []int32
	index *space.Index
}

// modelRule is a rule with its set.
type modelRule struct {
	rule   *rule.Rule
	set    space.Set
	action action
	to     *modelChain // of a jump; nil if there is no such chain
	fate   ext.Fate
	// number is by which atoms name the rule: its own, from 1, or in a model
	// that is compared with another that of its like there.
	number int
}

// action is what a rule's target does to packets.
type action uint8

const (
	counts action = iota // nothing that any rule or verdict can tell
	accepts
	drops
	queues
	returns
	jumps
	goesTo
	targets // a target extension that ends the way or changes the packet
)

// NewModel works out the sets of a ruleset's rules.
func NewModel(rs *rule.Ruleset) *Model { return newModel(rs, &naming{}) }

func newModel(rs *rule.Ruleset, names *naming) *Model {
	m := &Model{Family: rs.Family, Rules: rs, tables: map[string]map[string]*modelChain{}}
	for _, t := range rs.Tables {
		chains := map[string]*modelChain{}
		for _, c := range t.Chains {
			chains[c.Name] = &modelChain{table: t.Name, name: c.Name, base: c.Base}
		}
		for _, c := range t.Chains {
			mc := chains[c.Name]
			if mc.rules != nil { // a second chain of the name is none
				continue
			}
			mc.prepare(c.Rules, chains, rs.Family, names)
			if c.Base != nil && c.Base.Hook <= rule.Postrouting {
				m.hooks[c.Base.Hook] = append(m.hooks[c.Base.Hook], station{c.Base.Priority, c.Base.Type == "nat", mc})
			}
		}
		m.tables[t.Name] = chains
	}
	for h := range m.hooks {
		if hook := rule.Hook(h); hook == rule.Prerouting || hook == rule.Output {
			m.hooks[h] = append(m.hooks[h], station{priority: priorityTrack})
		}
		slices.SortStableFunc(m.hooks[h], func(a, b station) int { return cmp.Compare(a.priority, b.priority) })
	}
	return m
}

func (c *modelChain) prepare(rules []*rule.Rule, chains map[string]*modelChain, f rule.Family, names *naming) {
	c.rules = make([]modelRule, len(rules))
	for i, r := range rules {
		m := &c.rules[i]
		m.rule, m.number = r, names.number(r, i+1)
		m.set = ext.RuleSpace(r, f, names.occurrence(r))
		m.target(r.Target, chains)
		boxes := m.set.Boxes()
		for j := range boxes {
			c.boxes, c.owner = append(c.boxes, &boxes[j]), append(c.owner, int32(i))
		}
	}
	c.index = space.NewIndex(c.boxes)
}

// target says what the rule's target does.
func (m *modelRule) target(t rule.Target, chains map[string]*modelChain) {
	switch t := t.(type) {
	case nil:
	case rule.Verdict:
		m.action = [...]action{accepts, drops, queues, returns}[t&3]
	case rule.Jump:
		m.action, m.to = jumps, chains[t.Chain]
		if t.Goto {
			m.action = goesTo
		}
		if m.to == nil {
			m.action = counts
		}
	default:
		if e, ok := t.(ext.Ender); ok {
			m.fate = e.Fate()
		}
		if _, changes := t.(ext.Mutator); changes || m.fate != ext.GoesOn {
			m.action = targets
		}
	}
}

// chain finds a chain; nil if there is none.
func (m *Model) chain(table, name string) *modelChain { return m.tables[table][name] }

// RuleSet is the packets that meet the conditions of a rule (numbered from 1),
// as they are when they come to it; empty if there is no such rule.
func (m *Model) RuleSet(p simulate.Place) space.Set {
	c := m.chain(p.Table, p.Chain)
	if c == nil || p.Rule < 1 || p.Rule > len(c.rules) {
		return space.Set{}
	}
	return c.rules[p.Rule-1].set
}

// Arriving is every packet that can begin a way: its interfaces are those the
// way has, its mark is 0, and a new connection has neither mark nor status. One
// that is to be passed on has a hop left and was meant for this host's link address.
func Arriving(w simulate.Way) space.Set {
	b := space.Box{}
	put := func(d space.Dim, v space.Values) { b, _ = b.With(d, v) }
	name, none := space.Complement(space.In, space.Names("")), space.One(space.In, space.Number{})
	in, out := name, none
	switch w {
	case simulate.Through:
		out = name
		put(space.TTL, space.Span(space.TTL, space.Num(2), space.Num(255)))
		put(space.PktType, space.One(space.PktType, space.Num(packet.ToHost)))
	case simulate.Out:
		in, out = none, name
	}
	put(space.In, in)
	put(space.Out, out)
	put(space.Mark, space.One(space.Mark, space.Number{}))
	tracked := space.Complement(space.State, space.One(space.State, space.Num(packet.Untracked)))
	put(space.State, tracked)
	fresh := newConnection(b)
	old, _ := b.With(space.State, space.Complement(space.State, space.One(space.State, space.Num(packet.New))))
	return space.Union(fresh, old)
}

// Fresh is the packets of Arriving that begin a connection.
func Fresh(w simulate.Way) space.Set { return space.Of(newConnection(Arriving(w).Boxes()[0])) }

// newConnection cuts a box down to first packets.
func newConnection(b space.Box) space.Box {
	for _, d := range [...]space.Dim{space.ConnMark, space.Status, space.Dir} {
		b, _ = b.Replace(d, space.One(d, space.Number{}))
	}
	b, _ = b.Replace(space.State, space.One(space.State, space.Num(packet.New)))
	return b
}
