package simulate

import (
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// masked is a rule.Address ready to be compared.
type masked struct {
	ip, mask space.Number
	any, not bool
}

func maskedOf(a rule.Address) masked {
	if a.IsAny() {
		return masked{any: true}
	}
	return masked{ip: space.AddrNumber(a.IP), mask: space.AddrNumber(a.Mask), not: a.Not}
}

// match says whether a packet's address, told or not, meets the condition.
func (m *masked) match(a space.Number, told bool) packet.Answer {
	switch {
	case m.any:
		return packet.Yes
	case !told && m.mask == (space.Number{}): // "! 0.0.0.0/0" and its like need no address
		return packet.Of(!m.not)
	case !told:
		return packet.Unknown
	}
	return packet.Of((a.And(m.mask) == m.ip) != m.not)
}

// matchInterface says whether an interface meets a condition. hidden: there is
// one, but which was not told.
func matchInterface(i rule.Interface, name string, hidden bool) packet.Answer {
	if i.IsAny() {
		return packet.Yes
	}
	if hidden {
		if i.Name == "+" {
			return packet.Of(!i.Not)
		}
		return packet.Unknown
	}
	n := len(i.Name) - 1
	if i.Name[n] == '+' {
		return packet.Of((len(name) >= n && name[:n] == i.Name[:n]) != i.Not)
	}
	return packet.Of((name == i.Name) != i.Not)
}

func matchProtocol(c rule.Protocol, proto uint8) bool {
	return c.IsAny() || (c.Number == uint16(proto)) != c.Not
}

func matchFragment(c rule.Fragment, p *packet.Packet) packet.Answer {
	switch {
	case c == rule.AnyFragment:
		return packet.Yes
	case !p.Has(packet.KnowFragment):
		return packet.Unknown
	}
	return packet.Of(p.Fragment == (c == rule.OnlyFragments))
}

// match says whether the packet meets all conditions of a rule, and if that is
// unknown, on which condition it hangs first.
func (l *line) match(s *state, known map[string]packet.Answer) (a packet.Answer, doubt string) {
	r, p := l.rule, &s.p
	if !matchProtocol(r.Proto, p.Proto) {
		return packet.No, ""
	}
	a = packet.Yes
	for i := range 5 + len(l.matches) {
		var one packet.Answer
		switch i {
		case 0:
			one = l.src.match(s.src, p.Src.IsValid())
		case 1:
			one = l.dst.match(s.dst, p.Dst.IsValid())
		case 2:
			one = matchInterface(r.In, p.In, p.HiddenIn)
		case 3:
			one = matchInterface(r.Out, p.Out, p.HiddenOut)
		case 4:
			one = matchFragment(r.Fragment, p)
		default:
			one = l.matches[i-5].match(p, known)
		}
		if one == packet.No {
			return packet.No, ""
		}
		if one == packet.Unknown && a == packet.Yes {
			a, doubt = packet.Unknown, l.conditionName(i)
		}
	}
	return a, doubt
}

// conditionName names the condition that match asks as number i.
func (l *line) conditionName(i int) string {
	if i < 5 {
		return [...]string{"source", "destination", "in-interface", "out-interface", "fragment"}[i]
	}
	return l.matches[i-5].name
}

func (c *condition) match(p *packet.Packet, known map[string]packet.Answer) packet.Answer {
	a := packet.Unknown
	if c.matcher != nil {
		a = c.matcher.Match(p)
	}
	if a == packet.Unknown && known != nil {
		a = known[c.name]
	}
	return a
}

// Match says whether a packet, at the hook that it names and with the interfaces
// that it has there, meets all conditions of a rule.
func Match(r *rule.Rule, p *packet.Packet) packet.Answer {
	l := lineOf(r, nil)
	s := state{p: *p}
	s.readAddresses()
	answer, _ := l.match(&s, nil)
	return answer
}

// Changes reports whether a rule that matches can make a difference to a packet
// or to its way; one that only counts or logs cannot.
func Changes(r *rule.Rule) bool {
	l := lineOf(r, nil)
	return l.action != actCount
}
