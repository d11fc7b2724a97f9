package analyze

import (
	"math/rand/v2"
	"net/netip"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// Probe is a packet whose fate is compared before and after a change.
type Probe struct {
	Packet packet.Packet
	Way    simulate.Way
}

// probeCount is how many probes a ruleset gets: enough that each condition of a
// ruleset of usual size is met and missed by some.
const probeCount = 512

// Probes are packets that meet the ruleset's own conditions, or just miss them:
// each takes what a rule chosen by chance wants and the rest from other rules.
// Equal rulesets have equal probes.
func (s *Subject) Probes() []Probe {
	if s.probes == nil {
		m := newProber(s)
		for range probeCount {
			s.probes = append(s.probes, m.probe())
		}
	}
	return s.probes
}

// SameFate reports whether all probes meet the same end in both rulesets.
func (s *Subject) SameFate(after *Subject, probes []Probe) bool {
	one, other := s.Indexed().Walker(), after.Indexed().Walker()
	for i := range probes {
		p := &probes[i]
		p.Packet.Host = s.host
		before, _ := one.Decide(&p.Packet, p.Way)
		if now, _ := other.Decide(&p.Packet, p.Way); before != now {
			return false
		}
	}
	return true
}

// prober makes packets out of the conditions of a ruleset's rules.
type prober struct {
	*rand.Rand
	family     rule.Family
	rules      []*rule.Rule
	interfaces []string
}

func newProber(s *Subject) *prober {
	m := &prober{Rand: rand.New(rand.NewPCG(1, uint64(s.Family))), family: s.Family, interfaces: []string{"lo", "eth0", "eth1"}}
	for _, t := range s.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				m.rules = append(m.rules, r)
				for _, i := range [...]rule.Interface{r.In, r.Out} {
					if len(m.interfaces) < 64 && !i.IsAny() {
						m.interfaces = append(m.interfaces, interfaceName(i.Name))
					}
				}
			}
		}
	}
	return m
}

// interfaceName is a name that a condition means: "eth+" means "eth7".
func interfaceName(name string) string {
	if n := len(name) - 1; n >= 0 && name[n] == '+' {
		return name[:n] + "7"
	}
	return name
}

// probe makes one packet.
func (m *prober) probe() Probe {
	states := [...]packet.State{packet.New, packet.New, packet.New, packet.Established, packet.Related, packet.Invalid, packet.Untracked}
	protos := [...]uint8{6, 6, 17, 17, 1, 47}
	p := Probe{Way: simulate.Way(m.IntN(3)), Packet: packet.Packet{
		Family: m.family, Src: m.anyAddress(), Dst: m.anyAddress(), Proto: protos[m.IntN(len(protos))],
		In: m.interfaces[m.IntN(len(m.interfaces))], Out: m.interfaces[m.IntN(len(m.interfaces))],
		Known: packet.KnowFragment | packet.KnowPorts | packet.KnowFlags | packet.KnowState | packet.KnowMark | packet.KnowLength | packet.KnowTTL | packet.KnowTOS,
		TTL:   64, Length: 60, Transport: packet.Transport{Src: uint16(1 + m.IntN(65535)), Dst: uint16(1 + m.IntN(1024)), Flags: 2},
	}}
	k := &p.Packet
	k.Connection.State = states[m.IntN(len(states))]
	if m.family == rule.IPv6 {
		k.Known |= packet.KnowExtensions
		if k.Proto == 1 {
			k.Proto = 58
		}
	}
	for range 1 + m.IntN(3) {
		if len(m.rules) > 0 {
			m.meet(k, m.rules[m.IntN(len(m.rules))])
		}
	}
	m.header(k)
	return p
}

// header makes the transport header one of the protocol.
func (m *prober) header(k *packet.Packet) {
	switch k.Proto {
	case 6:
		if k.Connection.State == packet.Established {
			k.Transport.Flags = 16
		}
	case 17, 132, 136, 33:
	case 1, 58:
		types := [...]uint8{8, 0, 3, 128, 133, 135, 136}
		k.Transport = packet.Transport{Type: types[m.IntN(len(types))]}
		k.Known = k.Known&^(packet.KnowPorts|packet.KnowFlags) | packet.KnowICMP
	default:
		k.Transport = packet.Transport{}
		k.Known &^= packet.KnowPorts | packet.KnowFlags
	}
}

// meet gives the packet what a rule's conditions want, most of it.
func (m *prober) meet(k *packet.Packet, r *rule.Rule) {
	if !r.Src.IsAny() {
		k.Src = m.address(r.Src)
	}
	if !r.Dst.IsAny() {
		k.Dst = m.address(r.Dst)
	}
	if !r.In.IsAny() && !r.In.Not {
		k.In = interfaceName(r.In.Name)
	}
	if !r.Out.IsAny() && !r.Out.Not {
		k.Out = interfaceName(r.Out.Name)
	}
	if !r.Proto.IsAny() && !r.Proto.Not && r.Proto.Number < 256 {
		k.Proto = uint8(r.Proto.Number)
	}
	for _, x := range r.Matches {
		if x, ok := x.(ext.PortLister); ok {
			src, dst := x.PortRanges()
			k.Transport.Src, k.Transport.Dst = m.port(src, k.Transport.Src), m.port(dst, k.Transport.Dst)
		}
	}
}

// port is a port of the ranges, one of their ends mostly.
func (m *prober) port(ranges []ext.Range, otherwise uint16) uint16 {
	if len(ranges) == 0 {
		return otherwise
	}
	r := ranges[m.IntN(len(ranges))]
	switch m.IntN(4) {
	case 0:
		return r.To
	case 1:
		return r.From + uint16(m.IntN(int(r.To-r.From)+1))
	case 2:
		return r.To + uint16(m.IntN(2)) // one too many
	}
	return r.From
}

// anyAddress is an address that some rule means, or one that none need mean.
func (m *prober) anyAddress() netip.Addr {
	if len(m.rules) > 0 && m.IntN(2) == 0 {
		r := m.rules[m.IntN(len(m.rules))]
		for _, a := range [...]rule.Address{r.Src, r.Dst} {
			if !a.IsAny() {
				return m.address(a)
			}
		}
	}
	if m.family == rule.IPv6 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(m.IntN(256))})
	}
	return netip.AddrFrom4([4]byte{byte(1 + m.IntN(223)), byte(m.IntN(256)), byte(m.IntN(256)), byte(m.IntN(256))})
}

// address is one that a condition is about, whether it is inverted or not.
func (m *prober) address(a rule.Address) netip.Addr {
	b, mask := a.IP.AsSlice(), a.Mask.AsSlice()
	last := m.IntN(3)
	for i := range b {
		switch last {
		case 0:
			b[i] |= ^mask[i]
		case 1:
			b[i] |= byte(m.IntN(256)) &^ mask[i]
		}
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}
