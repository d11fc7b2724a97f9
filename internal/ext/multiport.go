package ext

// multiport: iptables-extensions(8), "multiport".
// UAPI: linux/netfilter/xt_multiport.h, struct xt_multiport_v1, revision 1. The
// header's revision 0 has been out of the kernel for long.

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// xtMultiPorts is XT_MULTI_PORTS: the ports of a rule; a range counts as two.
const xtMultiPorts = 15

// Multiport matches up to 15 ports or ranges of ports.
type Multiport struct {
	Side  uint8 // which port: an index of multiportSides
	Ports []Range
	Not   bool
}

// multiportSides are the options by enum xt_multiport_flags.
var multiportSides = [...]string{"sports", "dports", "ports"}

var multiport = Def{
	Name: "multiport", Kind: Match, Families: Both,
	Summary: "lists of ports",
	Options: []Option{
		{
			Name: "source-ports", Aliases: []string{"sports"}, Value: "PORT[,PORT:PORT,...]", Not: true,
			Excludes: []string{"destination-ports", "ports"}, Help: "source ports, 15 at most",
		},
		{
			Name: "destination-ports", Aliases: []string{"dports"}, Value: "PORT[,PORT:PORT,...]", Not: true,
			Excludes: []string{"source-ports", "ports"}, Help: "destination ports, 15 at most",
		},
		{
			Name: "ports", Value: "PORT[,PORT:PORT,...]", Not: true,
			Excludes: []string{"source-ports", "destination-ports"}, Help: "source or destination ports, 15 at most",
		},
	},
	AnyOf:     []string{"source-ports", "destination-ports", "ports"},
	Revisions: []Revision{{Rev: 1, Size: 48}},
	New:       func(rule.Family) Ext { return &Multiport{} },
}

func init() { register(&multiport) }

// Sides says whether it looks at the source port, and whether at the destination port.
func (m *Multiport) Sides() [2]bool {
	return [...][2]bool{{true, false}, {false, true}, {true, true}}[m.Side%3]
}

func (m *Multiport) Name() string { return "multiport" }
func (m *Multiport) Def() *Def    { return &multiport }

// Set looks at the protocol at once: as in 1.8.9, -p must stand before the ports.
func (m *Multiport) Set(a *Arg) error {
	proto, err := multiportProtocol(a.Rule.Proto, a)
	if err != nil {
		return err
	}
	m.Side, m.Not = 2, a.Not
	switch a.Option.Name {
	case "source-ports":
		m.Side = 0
	case "destination-ports":
		m.Side = 1
	}
	m.Ports = m.Ports[:0]
	places := 0
	for word := range strings.SplitSeq(a.Value, ",") {
		r, isRange, err := a.strictPortRange(word, proto)
		if err != nil {
			return err
		}
		if places++; isRange {
			places++
		}
		if places > xtMultiPorts {
			return a.Errorf("takes at most %d ports (a range counts as two)", xtMultiPorts)
		}
		m.Ports = append(m.Ports, r)
	}
	return nil
}

// multiportProtocol is the name of the rule's protocol if it has ports.
func multiportProtocol(p rule.Protocol, a *Arg) (string, error) {
	name := portProtocol(p.Number)
	if name == "" || p.Not {
		return "", a.Errorf("needs '-p tcp', '-p udp', '-p udplite', '-p sctp' or '-p dccp' before it")
	}
	return name, nil
}

// portProtocol is the name of a protocol with ports; "" for others.
func portProtocol(number uint16) string {
	switch number {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 33:
		return "dccp"
	case 132:
		return "sctp"
	case 136:
		return "udplite"
	}
	return ""
}

// strictPortRange reads PORT or FROM:TO, where TO is greater than FROM.
func (a *Arg) strictPortRange(s, proto string) (r Range, isRange bool, err error) {
	from, to, isRange := strings.Cut(s, ":")
	if r.From, err = a.Port(from, proto); err != nil {
		return r, isRange, err
	}
	r.To = r.From
	if !isRange {
		return r, false, nil
	}
	if r.To, err = a.Port(to, proto); err == nil && r.To <= r.From {
		err = a.Errorf("%s: a range must end after it begins", s)
	}
	return r, true, err
}

// Check holds for rules that got their protocol changed after the ports.
func (m *Multiport) Check(c *Context) error {
	if c.Rule.Proto.Not || portProtocol(c.Rule.Proto.Number) == "" {
		return Errorf(m, "only works with TCP, UDP, UDPLITE, SCTP and DCCP")
	}
	return nil
}

func (m *Multiport) Save(p *Printer) {
	p.Option(m.Not, multiportSides[m.Side])
	p.Byte(' ')
	m.list(p, true, "")
}

func (m *Multiport) List(p *Printer) {
	p.Str(" multiport ")
	p.Str(multiportSides[m.Side])
	p.Byte(' ')
	if m.Not {
		p.Str(" !")
	}
	proto := ""
	if p.Rule != nil {
		proto = portProtocol(p.Rule.Proto.Number)
	}
	m.list(p, p.Numeric, proto)
}

// list prints the ports with commas.
func (m *Multiport) list(p *Printer, numeric bool, proto string) {
	for i, r := range m.Ports {
		if i > 0 {
			p.Byte(',')
		}
		p.portOrName(r.From, proto, numeric)
		if r.To != r.From {
			p.Byte(':')
			p.portOrName(r.To, proto, numeric)
		}
	}
}

// portOrName prints a port as a number if numeric, and as Port does otherwise.
func (p *Printer) portOrName(port uint16, proto string, numeric bool) {
	if numeric {
		p.Uint(uint64(port))
		return
	}
	p.Port(port, proto)
}

// Info writes struct xt_multiport_v1: a range is two ports, the first with its flag set.
func (m *Multiport) Info(w nft.Info, _ uint8, _ rule.Family) {
	var ports [xtMultiPorts]uint16
	var more [xtMultiPorts]uint8
	n := 0
	for _, r := range m.Ports {
		if r.From != r.To && n+1 < len(ports) {
			ports[n], more[n] = r.From, 1
			n++
		}
		if n < len(ports) {
			ports[n] = r.To
			n++
		}
	}
	w.U8(m.Side)
	w.U8(uint8(n))
	for _, p := range ports {
		w.Host16(p)
	}
	w.Bytes(more[:])
	w.Bool(m.Not)
}

// Read reads struct xt_multiport_v1.
func (m *Multiport) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	var ports [xtMultiPorts]uint16
	m.Side = r.U8()
	n := int(r.U8())
	for i := range ports {
		ports[i] = r.Host16()
	}
	more := r.Bytes(xtMultiPorts)
	m.Not = r.Bool()
	if more == nil || int(m.Side) >= len(multiportSides) || n > len(ports) || n == 0 {
		return nft.ErrMalformed
	}
	for i := 0; i < n; i++ {
		one := Range{ports[i], ports[i]}
		if more[i] != 0 {
			if i++; i >= n || ports[i] <= one.From { // iptables has no words for it
				return nft.ErrMalformed
			}
			one.To = ports[i]
		}
		m.Ports = append(m.Ports, one)
	}
	return nil
}

// Equal compares the ports one by one.
func (m *Multiport) Equal(other Ext) bool {
	o, ok := other.(*Multiport)
	return ok && m.Side == o.Side && m.Not == o.Not && slices.Equal(m.Ports, o.Ports)
}

// PortRanges lists the ports of one side; either side's are no list.
func (m *Multiport) PortRanges() (src, dst []Range) {
	switch {
	case m.Not:
	case multiportSides[m.Side] == "sports":
		return m.Ports, nil
	case multiportSides[m.Side] == "dports":
		return nil, m.Ports
	}
	return nil, nil
}

// Match looks for the packet's ports in the list. A later fragment has none and
// does not match, even inverted.
func (m *Multiport) Match(p *packet.Packet) packet.Answer {
	if p.Fragment || !packet.HasPorts(p.Proto) {
		return packet.No
	}
	src, dst := packet.No, packet.No
	if m.Side != 1 {
		src = m.matchPort(sourcePort(p))
	}
	if m.Side != 0 {
		dst = m.matchPort(destinationPort(p))
	}
	return src.Or(dst).Invert(m.Not)
}

// matchPort looks for one port.
func (m *Multiport) matchPort(port uint16, known bool) packet.Answer {
	if !known {
		return packet.Unknown
	}
	for _, r := range m.Ports {
		if r.has(port) {
			return packet.Yes
		}
	}
	return packet.No
}

// Space is what Match lets through.
func (m *Multiport) Space(rule.Family) space.Set {
	either := space.Set{}
	for i, d := range [...]space.Dim{space.SPort, space.DPort} {
		if int(m.Side) == 1-i {
			continue
		}
		ports := space.None(d, false)
		for _, r := range m.Ports {
			ports = space.Or(ports, space.Span(d, space.Num(r.From), space.Num(r.To)))
		}
		either = either.Or(within(d, ports))
	}
	if m.Not {
		either = either.Not()
	}
	protocols := within(space.Proto, space.Bytes(space.Proto, packet.HasPorts))
	return either.And(protocols).And(notAFragment())
}
