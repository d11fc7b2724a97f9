package guard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// ports is a run of ports, both ends included.
type ports struct{ first, last uint16 }

func (r ports) has(port uint16) bool { return r.first <= port && port <= r.last }

// common is how many ports two runs have in common.
func (r ports) common(other ports) int {
	return max(0, int(min(r.last, other.last))-int(max(r.first, other.first))+1)
}

// clientPorts are those that a program without privileges may send from. Which one
// a new connection gets is its system's choice.
var clientPorts = ports{1024, 65535}

// usualPorts are the runs that systems choose from: Linux, where
// net.ipv4.ip_local_port_range is 32768 60999, and those that keep to RFC 6335,
// section 6, as Windows, macOS and the BSDs do.
var usualPorts = [...]ports{{32768, 60999}, {49152, 65535}}

// unusual are the ports below, of which a client that is seen to use one may use
// others: an address translator between gave it that.
var unusual = ports{1024, 32767}

// A change is refused if it takes more than one in fewLost ports out of a run that
// the client's system chooses from. What it takes less is a warning, and nothing at
// all if it is not one in hardlyLost: a block of the ports of some worm, which
// costs one login in thousands its first try.
const (
	fewLost    = 10
	hardlyLost = 100
)

// Runs of client ports that are tried for one party, and for one of many.
const (
	maxRuns     = 6
	maxRunsEach = 3
	manyParties = 4
	maxOwn      = 64 // for one rule of a change
)

// portRule is a rule that may look at the client's port: when the client sends, or
// when it is answered.
type portRule struct {
	rule    *rule.Rule
	in, out bool
}

// portRules are the rules that may tell a client's ports apart: first those of the
// change.
func portRules(s *change.Script, rulesets ...*rule.Ruleset) (list []portRule) {
	add := func(x portRule) {
		x.in = x.in && asksPort(x.rule, true)
		x.out = x.out && asksPort(x.rule, false)
		if x.in || x.out {
			list = append(list, x)
		}
	}
	for i := range s.Ops {
		if s.Ops[i].Rule != nil {
			add(portRuleOf(&s.Ops[i]))
		}
	}
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				in, out := true, true
				if c.Base != nil {
					in, out = sides(c.Base.Hook)
				}
				for _, r := range c.Rules {
					add(portRule{r, in, out})
				}
			}
		}
	}
	return list
}

// portRuleOf is an operation's rule.
func portRuleOf(op *change.Op) portRule {
	x := portRule{op.Rule, true, true}
	if hook, ok := hookOf(op); ok {
		x.in, x.out = sides(hook)
	}
	return x
}

// asksPort reports whether a rule looks at a port that may be the client's.
func asksPort(r *rule.Rule, src bool) bool {
	return slices.ContainsFunc(r.Matches, func(m rule.Match) bool {
		s, ok := m.(*ext.SetMatch)
		return ok && slices.Contains(s.Dirs, src)
	}) || namedPorts(nil, r, src) != nil
}

// sides says whether a client's packets pass a hook, and whether answers do.
func sides(h rule.Hook) (in, out bool) {
	return h == rule.Prerouting || h == rule.Input, h == rule.Output || h == rule.Postrouting
}

// namedPorts are the runs of ports from clientPorts that a rule asks for as the
// source, or as the destination, of a packet; nil if it does not ask, or for no
// such port. Without facts sets are not looked into.
func namedPorts(f *facts, r *rule.Rule, src bool) (list []ports) {
	add := func(first, last uint16) {
		if (first > clientPorts.first || last >= clientPorts.first && last < clientPorts.last) && first <= last {
			list = append(list, ports{first, last})
		}
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case *ext.TCP:
			p := side(m.Src, m.Dst, src)
			add(p.From, p.To)
		case *ext.UDP:
			p := side(m.Src, m.Dst, src)
			add(p.From, p.To)
		case *ext.Multiport:
			if sides := m.Sides(); !side(sides[0], sides[1], src) {
				continue
			}
			for _, p := range m.Ports {
				add(p.From, p.To)
			}
		case *ext.Conntrack: // as the client has sent, and as it is answered
			add(m.Port[0].From, m.Port[0].To)
			add(m.Port[3].From, m.Port[3].To)
		case *ext.SetMatch:
			for _, p := range f.portsIn(m.SetName, m.Dirs, src) {
				add(p.First, p.Last)
			}
		}
	}
	return list
}

func side[T any](source, destination T, src bool) T {
	if src {
		return source
	}
	return destination
}

// portsIn are the ports in a set.
func (f *facts) portsIn(set string, sources []bool, src bool) []host.PortRange {
	if f == nil || !slices.Contains(sources, src) {
		return nil
	}
	if r, ok := f.real(); ok {
		return r.PortsIn(set, sources, src)
	}
	return nil
}

// runsOf cuts clientPorts where rules tell ports of the party apart, into as many
// runs as are tried: at usual ports first, and at those that the first rules name.
func (p *party) runsOf(rules []portRule, most int) []ports {
	var usual, others []int
	cut := func(at int) { // a run begins there
		list := &others
		if at > int(usualPorts[0].first) {
			list = &usual
		}
		if at > int(clientPorts.first) && at <= int(clientPorts.last) && !slices.Contains(*list, at) && len(*list) < most {
			*list = append(*list, at)
		}
	}
	for i := range rules {
		if len(usual) >= most-1 {
			break
		}
		r := &rules[i]
		var named []ports
		if r.in && matchesAny(r.rule, p.anyPort[0]) {
			named = namedPorts(p.facts, r.rule, true)
		}
		if r.out && matchesAny(r.rule, p.anyPort[1]) {
			named = append(named, namedPorts(p.facts, r.rule, false)...)
		}
		for _, n := range named {
			cut(int(n.first))
			cut(int(n.last) + 1)
		}
	}
	cuts := append(usual, others...)
	return runsAt(cuts[:min(len(cuts), most-1)])
}

func matchesAny(r *rule.Rule, list []packet.Packet) bool {
	for i := range list {
		if simulate.Match(r, &list[i]) != packet.No {
			return true
		}
	}
	return false
}

// runsAt cuts clientPorts.
func runsAt(cuts []int) (list []ports) {
	slices.Sort(cuts)
	first := clientPorts.first
	for _, at := range cuts {
		list = append(list, ports{first, uint16(at - 1)})
		first = uint16(at)
	}
	return append(list, ports{first, clientPorts.last})
}

// sample is the port that is tried of a run: a usual one if it has any, since not
// every bound may have been cut at.
func (r ports) sample() uint16 {
	for _, port := range [...]uint16{question.FreePort, usualPorts[0].first} {
		if r.has(port) {
			return port
		}
	}
	return r.first
}

// rangesOf are the runs of ports that the client's system may choose from.
func (p *party) rangesOf() []ports {
	list := usualPorts[:]
	if unusual.has(p.From.Port()) {
		return append([]ports{unusual}, list...)
	}
	return list
}

// misses reports whether more than one in so many ports that the client's system
// chooses from is among those that are lost.
func (p *party) misses(oneIn int, lost []ports) bool {
	for _, usual := range p.rangesOf() {
		n := 0
		for _, r := range lost {
			n += r.common(usual)
		}
		if n*oneIn > int(usual.last-usual.first)+1 {
			return true
		}
	}
	return false
}

// tells reports whether a rule takes some of the party's ports and not others,
// since it does not take the one that is tried first.
func (p *party) tells(x portRule) bool {
	if !asksPort(x.rule, true) && !asksPort(x.rule, false) {
		return false
	}
	for _, r := range p.runsOf([]portRule{x}, maxOwn) {
		for i, list := range p.anyPort {
			for _, o := range list {
				if i == 0 {
					o.Transport.Src = r.sample()
				} else {
					o.Transport.Dst = r.sample()
				}
				o.Known |= packet.KnowPorts
				if (i == 0 && x.in || i == 1 && x.out) && simulate.Match(x.rule, &o) != packet.No {
					return true
				}
			}
		}
	}
	return false
}

// merged is runs in order, those that touch as one.
func merged(list []ports) (runs []ports) {
	slices.SortFunc(list, func(a, b ports) int { return cmp.Compare(a.first, b.first) })
	for _, r := range list {
		if n := len(runs); n > 0 && int(r.first) <= int(runs[n-1].last)+1 {
			runs[n-1].last = max(runs[n-1].last, r.last)
			continue
		}
		runs = append(runs, r)
	}
	return runs
}

// portText is runs in words: "40000-49999, 60000".
func portText(runs []ports) string {
	var words []string
	for _, r := range runs {
		if r.first == r.last {
			words = append(words, fmt.Sprint(r.first))
		} else {
			words = append(words, fmt.Sprintf("%d-%d", r.first, r.last))
		}
	}
	return strings.Join(words, ", ")
}

// sortOut takes from what is lost the new connections from few of the client's
// ports, since those from others get in, and drops those from hardly any. It notes from which ports the rest are lost, if
// not from all.
func sortOut(lost []outcome) (much, few []outcome) {
	for i := range lost {
		o := lost[i]
		if o.run == nil {
			much = append(much, o)
			continue
		}
		var all, same []ports
		for j := range lost {
			if x := &lost[j]; x.party == o.party && x.run != nil {
				all = append(all, *x.run)
				if x.isOut() == o.isOut() {
					same = append(same, *x.run)
				}
			}
		}
		if runs := merged(same); len(runs) > 1 || runs[0] != clientPorts {
			o.from = portText(runs)
		}
		switch all = merged(all); {
		case o.party.misses(fewLost, all):
			much = append(much, o)
		case o.party.misses(hardlyLost, all):
			o.few = true
			few = append(few, o)
		}
	}
	return much, few
}
