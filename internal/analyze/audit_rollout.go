package analyze

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// A rollout is a built-in chain with all chains that it calls, rolled out: every
// rule as often as packets can come to it. Each visit of a rule has the packets
// for which it would match, as they are when they enter the built-in chain,
// whatever the rules before it take; so the first taking visit that has a packet
// decides it. What a rule gets is never written down as a set, which may be
// huge, but asked for: a packet that gets to it, or the proof that none does.
type rollout struct {
	s      *Subject
	table  string
	base   *rule.Chain
	hook   space.Box // the packets that there are
	visits []visit
	// takes are the boxes of all visits that end a packet's way in the chain,
	// in the order of the walk, and owner is each one's visit.
	takes []*space.Box
	owner []int32
	index *space.Index
	// alike are the takes again, by fate: those that accept, those that drop,
	// and the rest.
	alike [3]takeGroup
	// effects are the visits that do something beside deciding: log, change,
	// count, or remember.
	effects     []int32
	effectBoxes []*space.Box // of the effects, without atoms
	effectOwner []int32      // each one's visit
	effectIndex *space.Index
	policy      string
	seen        map[simulate.Place][]int32
	random      *rand.Rand
}

// visit is one coming of packets to a rule.
type visit struct {
	simulate.Place
	rule  *rule.Rule
	boxes []space.Box
	// fate is what becomes of a packet, in words that are equal for equal fates:
	// "ACCEPT", "REJECT --reject-with tcp-reset"; "" if it goes on.
	fate  string
	first int32  // of takes: how many are before this visit's own
	calls []call // the jumps that lead here, the outermost first
	// cover are takes that have all packets of the visit, once reaches found none.
	cover []int32
}

// call is a jump that a packet followed.
type call struct {
	simulate.Place
	visit int32
}

// maxVisits bounds a rollout: chains that call each other twice at each level grow
// without bound. No audit is made of a built-in chain beyond it.
const maxVisits = 1 << 17

// Rollouts gives the rollout of each built-in chain; chains that are too large are left out.
func (s *Subject) Rollouts() []*rollout {
	if s.rollouts == nil {
		s.rollouts = []*rollout{}
		for _, t := range s.Tables {
			for _, c := range t.Chains {
				if c.Base != nil && c.Base.Hook <= rule.Postrouting {
					f := newRollout(s, t, c)
					if f == nil {
						s.warnings = append(s.warnings, fmt.Sprintf("%s: chain %s of table %s calls others so often that %d rules are passed; no findings are sought among them",
							s.Family.Program(), c.Name, t.Name, maxVisits))
						continue
					}
					s.rollouts = append(s.rollouts, f)
				}
			}
		}
	}
	return s.rollouts
}

// newRollout rolls a built-in chain out; nil if that grows too large.
func newRollout(s *Subject, t *rule.Table, c *rule.Chain) *rollout {
	f := &rollout{
		s: s, table: t.Name, base: c, hook: s.hookBox(c.Base), policy: c.Base.Policy.Name(),
		seen: map[simulate.Place][]int32{}, random: rand.New(rand.NewPCG(2, uint64(c.Base.Hook))),
	}
	r := roller{rollout: f, chain: s.Model().chain(t.Name, c.Name)}
	if !r.roll([]space.Box{f.hook}) {
		return nil
	}
	f.index = space.NewIndex(f.takes)
	for t := range f.takes {
		g := &f.alike[groupOf(f.fateOf(int32(t)))]
		g.boxes, g.takes = append(g.boxes, f.takes[t]), append(g.takes, int32(t))
	}
	for i := range f.alike {
		f.alike[i].index = space.NewIndex(f.alike[i].boxes)
	}
	for _, at := range f.effects {
		for _, b := range f.visits[at].boxes {
			b = b.WithoutLiterals()
			f.effectBoxes, f.effectOwner = append(f.effectBoxes, &b), append(f.effectOwner, at)
		}
	}
	f.effectIndex = space.NewIndex(f.effectBoxes)
	return f
}

// takeGroup is takes of like fates.
type takeGroup struct {
	boxes []*space.Box
	takes []int32 // the number of each
	index *space.Index
}

// The groups of takes.
const (
	accepting = iota
	dropping
	ending // otherwise
)

// groupOf is the group of takes with a fate.
func groupOf(fate string) int {
	switch fate {
	case rule.Accept.Name():
		return accepting
	case rule.Drop.Name():
		return dropping
	}
	return ending
}

// meeting gives the takes of a group that meet a box, in order.
func (g *takeGroup) meeting(b *space.Box) []int32 {
	list := g.index.Meeting(nil, b)
	for i, at := range list {
		list[i] = g.takes[at]
	}
	return list
}

// hookBox is the packets that there are at a hook. What is for the host, and all
// that is tracked, was put together from its fragments before.
func (s *Subject) hookBox(b *rule.Base) space.Box {
	none, some := space.Names(""), space.Complement(space.In, space.Names(""))
	in, out := some, none
	switch b.Hook {
	case rule.Forward:
		out = some
	case rule.Output:
		in, out = none, some
	case rule.Postrouting:
		in, out = nil, some
	}
	var box space.Box
	box, _ = box.With(space.In, in)
	box, _ = box.With(space.Out, out)
	if b.Type == "nat" { // others were translated with their connection's first
		states := space.Bytes(space.State, func(x uint8) bool { return packet.State(x) == packet.New || packet.State(x) == packet.Related })
		box, _ = box.With(space.State, states)
	}
	if b.Hook == rule.Input && s.Family == rule.IPv4 || tracks(s.Ruleset) {
		box, _ = box.With(space.Fragment, justOne(space.Fragment, 0))
	}
	return box
}

// roller rolls one chain out; of a called one, a copy does.
type roller struct {
	rollout *rollout
	chain   *modelChain
	calls   []call
	// left are packets that returned from this call of the chain.
	left []*space.Box
	// changed are the dimensions that rules have changed, and changes is how
	// often: conditions on them are asked of a packet that is not known.
	changed uint32
	changes int
}

// roll adds the visits of the chain's rules for packets of guard; false if
// they are too many.
func (r *roller) roll(guard []space.Box) bool {
	for i := range r.chain.rules {
		m := &r.chain.rules[i]
		f := r.rollout
		if len(f.visits) >= maxVisits {
			return false
		}
		at := int32(len(f.visits))
		v := visit{
			Place: simulate.Place{Table: f.table, Chain: r.chain.name, Rule: i + 1}, rule: m.rule,
			boxes: r.packets(guard, m), fate: m.fateText(f.s.Family), first: int32(len(f.takes)), calls: r.calls,
		}
		f.visits = append(f.visits, v)
		f.seen[v.Place] = append(f.seen[v.Place], at)
		if m.hasEffect() {
			f.effects = append(f.effects, at)
		}
		if !r.follow(m, &v, at) {
			return false
		}
	}
	return true
}

// follow does what a rule's target does to the rolling.
func (r *roller) follow(m *modelRule, v *visit, at int32) bool {
	f := r.rollout
	boxes := f.visits[at].boxes
	switch {
	case v.fate != "":
		for i := range boxes {
			f.takes, f.owner = append(f.takes, &boxes[i]), append(f.owner, at)
		}
	case m.action == jumps || m.action == goesTo:
		if len(boxes) > 0 && len(r.calls) < maxCalls {
			to := roller{rollout: f, chain: m.to, changed: r.changed, changes: r.changes}
			to.calls = append(slices.Clone(r.calls), call{v.Place, at})
			if !to.roll(boxes) {
				return false
			}
			r.changed, r.changes = to.changed, to.changes
		}
	case m.action == targets:
		r.changed |= changedBy(m.rule.Target)
		r.changes++
	}
	if m.action == returns || m.action == goesTo {
		for i := range boxes {
			r.left = append(r.left, &boxes[i])
		}
	}
	return true
}

// maxCalls is how deep calls are followed: the kernel allows 16.
const maxCalls = 32

// packets are those of guard that match a rule and have not left the chain.
func (r *roller) packets(guard []space.Box, m *modelRule) []space.Box {
	var out []space.Box
	conditions := m.set.Boxes()
	for i := range conditions {
		b, ok := r.asked(conditions[i])
		for j := range guard {
			if !ok {
				break
			}
			one, meets := guard[j].And(&b)
			switch {
			case !meets:
			case len(r.left) > 0:
				one.Subtract(r.left, func(b space.Box) bool { out = append(out, b); return true })
			default:
				out = append(out, one)
			}
		}
	}
	return out
}

// asked is a rule's condition as one on packets that enter the built-in chain: what was
// changed meanwhile is an atom, and so is what is drawn anew at each visit.
func (r *roller) asked(b space.Box) (space.Box, bool) {
	if b.Uses()&r.changed == 0 && !b.HasLiterals() {
		return b, true
	}
	out, ok := b.WithoutLiterals(), true
	for d := range space.NumDims {
		if v := b.Values(d); v != nil && r.changed>>d&1 != 0 {
			out, _ = out.Replace(d, nil)
			atom := space.Atom{Text: d.String() + space.Key(v) + " after change " + strconv.Itoa(r.changes)}
			out, ok = out.WithLiteral(space.Literal{Atom: atom})
		}
	}
	for _, l := range b.Literals() {
		switch {
		case l.Drawn:
			l.Text += " at visit " + strconv.Itoa(len(r.rollout.visits))
		case r.changes > 0 && (!l.IsMasked() || r.changed>>l.Dim&1 != 0):
			l.Atom = space.Atom{Text: l.Text + " after change " + strconv.Itoa(r.changes)}
		}
		if out, ok = out.WithLiteral(l); !ok {
			return out, false
		}
	}
	return out, ok
}

// changedBy are the dimensions that a target may change, as bits.
func changedBy(t rule.Target) uint32 {
	switch t := t.(type) {
	case *ext.Mark, *ext.TProxy, *ext.HMark:
		return 1 << space.Mark
	case *ext.ConnMarkTarget:
		return 1<<space.Mark | 1<<space.ConnMark
	case *ext.TOSTarget, *ext.DSCPTarget:
		return 1 << space.TOS
	case *ext.ECNTarget:
		return 1<<space.TOS | 1<<space.Flags
	case *ext.TTLTarget:
		return 1 << space.TTL
	case *ext.SetTarget:
		if !t.MapMark {
			return 0
		}
		return 1 << space.Mark
	case *ext.Checksum, *ext.Classify, *ext.Trace, *ext.TCPMSS, *ext.TCPOptStrip:
		return 0
	case *ext.CT:
		return 1<<space.State | 1<<space.Status | 1<<space.Dir | 1<<space.ConnMark
	}
	return 1<<space.NumDims - 1
}

// fateText is what becomes of packets at the rule, "" if they go on.
func (m *modelRule) fateText(f rule.Family) string {
	switch {
	case m.rule.Foreign:
		return ""
	case m.action == accepts || m.action == drops || m.action == queues:
		return m.rule.Target.Name()
	case m.action == targets && m.fate != ext.GoesOn:
		p := ext.Printer{Family: f, Rule: m.rule}
		if x, ok := m.rule.Target.(ext.Ext); ok {
			x.Save(&p)
		}
		return m.rule.Target.Name() + string(p.B)
	}
	return ""
}

// hasEffect reports whether the rule does something that no verdict tells: it
// logs, changes or counts, or one of its matches remembers what it saw.
func (m *modelRule) hasEffect() bool {
	if m.rule.Foreign || m.rule.Target == nil || m.action == targets && m.fate == ext.GoesOn || m.action == counts {
		return true
	}
	return slices.ContainsFunc(m.rule.Matches, remembers)
}

// remembers reports whether a match changes by being asked.
func remembers(m rule.Match) bool {
	switch m.(type) {
	case *ext.Recent, *ext.Statistic:
		return true
	}
	_, decided := m.(ext.Matcher)
	return !decided
}

// pointBox is a box of one point, whatever its atoms are.
func pointBox(p *space.Point, f rule.Family) space.Box {
	var b space.Box
	for d := range space.NumDims {
		v := space.Values(nil)
		if d == space.Src || d == space.Dst {
			a := space.AddrOf(p.At[d], f)
			v = space.Addrs(a, a)
		} else {
			v = space.One(d, p.At[d])
		}
		b, _ = b.Replace(d, v)
	}
	return b
}

// fateOf is the fate of what take number i takes; of none, the policy.
func (f *rollout) fateOf(i int32) string {
	if i < 0 {
		return f.policy
	}
	return f.visits[f.owner[i]].fate
}

// earlier are the takes before take number below that meet a box.
func (f *rollout) earlier(b *space.Box, below int32) []int32 {
	list := f.index.Meeting(nil, b)
	return list[:sort.Search(len(list), func(i int) bool { return list[i] >= below })]
}

// boxesOf are the boxes of takes.
func (f *rollout) boxesOf(takes []int32) []*space.Box {
	list := make([]*space.Box, len(takes))
	for i, t := range takes {
		list[i] = f.takes[t]
	}
	return list
}
