package host

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
)

// Action is what a rule of policy routing does: FR_ACT_* of linux/fib_rules.h.
type Action uint8

const (
	ToTable        Action = 1
	GotoRule       Action = 2
	Nop            Action = 3
	ActBlackhole   Action = 6
	ActUnreachable Action = 7
	ActProhibit    Action = 8
)

// Rule is one rule of policy routing, see ip-rule(8). Zero fields are no
// conditions.
type Rule struct {
	Family       rule.Family
	Priority     uint32
	Not          bool
	From, To     netip.Prefix
	In, Out      string // In is "lo" for packets that this host makes
	Mark, Mask   uint32 // a Mask of 0 is no condition
	TOS          uint8
	Proto        uint8
	Sport, Dport PortRange
	// Other says that there is a condition that no packet decides here, such as
	// the user or the VRF.
	Other  bool
	Action Action // 0 is ToTable
	Table  uint32
	Goto   uint32 // priority
	// Suppress is one more than the prefix length up to which routes of Table do
	// not count; 0 for none.
	Suppress int
}

// PortRange is a range of ports, both ends included; zero is none given.
type PortRange struct{ First, Last uint16 }

// defaultRules are those of a fresh namespace. IPv6 has no table default.
func defaultRules(f rule.Family) []Rule {
	rules := []Rule{
		{Family: f, Priority: 0, Table: LocalTable},
		{Family: f, Priority: 32766, Table: MainTable},
	}
	if f == rule.IPv4 {
		rules = append(rules, Rule{Family: f, Priority: 32767, Table: DefaultTable})
	}
	return rules
}

// question is one look-up of a route.
type question struct {
	dst, src     netip.Addr // src not valid: not told
	in           string     // "lo" for packets of this host
	hiddenIn     bool
	out          string // only routes out of this interface; "" for any
	mark         uint32
	markTold     bool
	tos          uint8
	tosTold      bool
	proto        uint8
	protoTold    bool
	sport, dport uint16
	portsTold    bool
}

// match says whether a rule is for the packet.
func (r *Rule) match(q *question) packet.Answer {
	a := packet.Yes
	if r.From.IsValid() && r.From.Bits() > 0 {
		a = a.And(within(r.From, q.src))
	}
	if r.To.IsValid() {
		a = a.And(within(r.To, q.dst))
	}
	if r.In != "" {
		a = a.And(told(!q.hiddenIn, r.In == q.in))
	}
	if r.Out != "" {
		a = a.And(packet.Of(r.Out == q.out))
	}
	if r.Mask != 0 {
		a = a.And(told(q.markTold, (q.mark^r.Mark)&r.Mask == 0))
	}
	if r.TOS != 0 {
		a = a.And(told(q.tosTold, q.tos&0x1c == r.TOS&0x1c))
	}
	if r.Proto != 0 {
		a = a.And(told(q.protoTold, q.proto == r.Proto))
	}
	if r.Sport != (PortRange{}) {
		a = a.And(told(q.portsTold, r.Sport.has(q.sport)))
	}
	if r.Dport != (PortRange{}) {
		a = a.And(told(q.portsTold, r.Dport.has(q.dport)))
	}
	if r.Other {
		a = a.And(packet.Unknown)
	}
	return a.Invert(r.Not)
}

func (p PortRange) has(port uint16) bool { return p.First <= port && port <= p.Last }

// told is a condition on what may not have been told.
func told(isTold, yes bool) packet.Answer {
	if !isTold {
		return packet.Unknown
	}
	return packet.Of(yes)
}

func within(p netip.Prefix, a netip.Addr) packet.Answer {
	return told(a.IsValid(), p.Contains(a))
}
