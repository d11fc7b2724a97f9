package ext

// udp: iptables-extensions(8), "udp".
// UAPI: linux/netfilter/xt_tcpudp.h, struct xt_udp, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// UDP matches ports of UDP packets.
type UDP struct {
	Src, Dst PortMatch
}

var udp = Def{
	Name: "udp", Kind: Match, Families: Both,
	Summary:   "UDP ports",
	Protocols: []uint16{17},
	Options: []Option{
		{Name: "source-port", Aliases: []string{"sport"}, Value: "PORT[:PORT]", Not: true, Help: "source port or range"},
		{Name: "destination-port", Aliases: []string{"dport"}, Value: "PORT[:PORT]", Not: true, Help: "destination port or range"},
	},
	Revisions: []Revision{{Rev: 0, Size: 10}},
	New:       func(rule.Family) Ext { return &UDP{Src: anyPort, Dst: anyPort} },
	Native:    udpNative,
}

func init() { register(&udp) }

func (m *UDP) Name() string { return "udp" }
func (m *UDP) Def() *Def    { return &udp }

func (m *UDP) Set(a *Arg) error {
	if a.Is("source-port") {
		return m.Src.setLoose(a)
	}
	return m.Dst.setLoose(a)
}

// Check asks for -p udp: the kernel would read the wrong header otherwise.
func (m *UDP) Check(c *Context) error {
	if c.Rule.Proto.Number != 17 {
		return Errorf(m, "needs '-p udp'")
	}
	return nil
}

func (m *UDP) Save(p *Printer) {
	m.Src.savePort(p, "sport")
	m.Dst.savePort(p, "dport")
}

func (m *UDP) List(p *Printer) {
	p.Str(" udp")
	m.Src.listPort(p, "spt", "udp")
	m.Dst.listPort(p, "dpt", "udp")
}

// Inversion bits of struct xt_udp: XT_UDP_INV_*.
const (
	xtUDPInvSrc = 1
	xtUDPInvDst = 2
)

// Info writes struct xt_udp.
func (m *UDP) Info(w nft.Info, _ uint8, _ rule.Family) {
	portInfo(w, m.Src, m.Dst)
	w.U8(flag[uint8](m.Src.Not, xtUDPInvSrc) | flag[uint8](m.Dst.Not, xtUDPInvDst))
	w.Align(2)
}

// Read reads struct xt_udp.
func (m *UDP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Src, m.Dst = readPorts(r)
	inv := r.U8()
	m.Src.Not, m.Dst.Not = inv&xtUDPInvSrc != 0, inv&xtUDPInvDst != 0
	return nil
}

// Encode writes ports natively; a match without any needs the xt form.
func (m *UDP) Encode(e *Encoder) bool {
	if *m == (UDP{anyPort, anyPort}) {
		return false
	}
	encodePorts(e, m.Src, m.Dst)
	return true
}

// udpNative reads conditions on ports of a rule for protocol 17.
func udpNative(d *Decoder, def *Def, t *nft.Term) bool {
	if d.Rule.Proto.Number != 17 {
		return false
	}
	return nativePorts(d, def, t, func(x Ext) (src, dst *PortMatch) { m := x.(*UDP); return &m.Src, &m.Dst })
}

// PortRanges lists the ports that are asked for.
func (m *UDP) PortRanges() (src, dst []Range) { return m.Src.ranges(), m.Dst.ranges() }

// Match decides by the form that Encode chooses. The match without ports is the
// xt one, which wants UDP and its header.
func (m *UDP) Match(p *packet.Packet) packet.Answer {
	if *m == (UDP{anyPort, anyPort}) {
		return packet.Of(p.Proto == 17 && !p.Fragment)
	}
	return matchNativePorts(p, m.Src, m.Dst)
}

// Space is what Match lets through.
func (m *UDP) Space(rule.Family) space.Set {
	if *m == (UDP{anyPort, anyPort}) {
		return spanSpace[uint8](space.Proto, 17, 17, false).And(notAFragment())
	}
	return nativePortSpace(m.Src, m.Dst)
}
