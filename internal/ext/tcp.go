package ext

// tcp: iptables-extensions(8), "tcp".
// UAPI: linux/netfilter/xt_tcpudp.h, struct xt_tcp, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// TCP matches ports, flags and one option of TCP packets.
type TCP struct {
	Src, Dst   PortMatch
	Mask, Comp uint8 // of the flags in Mask, exactly those in Comp are on
	NotFlags   bool
	Option     uint8 // TCP option number; 0 means none asked for
	NotOption  bool
}

var tcp = Def{
	Name: "tcp", Kind: Match, Families: Both,
	Summary:   "TCP ports, flags and options",
	Protocols: []uint16{6},
	Options: []Option{
		{Name: "source-port", Aliases: []string{"sport"}, Value: "PORT[:PORT]", Not: true, Help: "source port or range"},
		{Name: "destination-port", Aliases: []string{"dport"}, Value: "PORT[:PORT]", Not: true, Help: "destination port or range"},
		{Name: "syn", Not: true, Excludes: []string{"tcp-flags"}, Help: "SYN set, ACK, RST and FIN not: --tcp-flags SYN,RST,ACK,FIN SYN"},
		{Name: "tcp-flags", Value: "MASK COMP", Not: true, Help: "of the flags in MASK (SYN,ACK,FIN,RST,URG,PSH,ALL,NONE), exactly COMP are set"},
		{Name: "tcp-option", Value: "NUMBER", Not: true, Help: "TCP option NUMBER is present"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &TCP{Src: anyPort, Dst: anyPort} },
	Native:    tcpNative,
}

func init() { register(&tcp) }

// tcpFlags are the names of the flag bits, in the order in which they are printed.
var tcpFlags = [...]struct {
	name string
	bit  uint8
}{{"FIN", 1}, {"SYN", 2}, {"RST", 4}, {"PSH", 8}, {"ACK", 16}, {"URG", 32}, {"ALL", 63}, {"NONE", 0}}

func (m *TCP) Name() string { return "tcp" }
func (m *TCP) Def() *Def    { return &tcp }

func (m *TCP) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "source-port":
		return m.Src.setPort(a, "tcp")
	case "destination-port":
		return m.Dst.setPort(a, "tcp")
	case "syn":
		m.Mask, m.Comp, m.NotFlags = 0x17, 0x02, a.Not
	case "tcp-flags":
		m.NotFlags = a.Not
		if m.Mask, err = parseTCPFlags(a, a.Value); err == nil {
			m.Comp, err = parseTCPFlags(a, a.Second)
		}
	case "tcp-option":
		n, err := a.Uint(1, 255)
		m.Option, m.NotOption = uint8(n), a.Not
		return err
	}
	return err
}

// parseTCPFlags reads a comma list of flag names, in which names may be missing.
func parseTCPFlags(a *Arg, s string) (bits uint8, err error) {
next:
	for name := range strings.SplitSeq(s, ",") {
		for _, f := range tcpFlags {
			if strings.EqualFold(f.name, name) {
				bits |= f.bit
				continue next
			}
		}
		if name == "" {
			continue
		}
		return 0, a.Errorf("knows the flags SYN, ACK, FIN, RST, URG, PSH, ALL and NONE, not %q", name)
	}
	return bits, nil
}

// Check asks for -p tcp: the kernel would read the wrong header otherwise.
func (m *TCP) Check(c *Context) error {
	if c.Rule.Proto.Number != 6 {
		return Errorf(m, "needs '-p tcp'")
	}
	return nil
}

func (m *TCP) Save(p *Printer) {
	m.Src.savePort(p, "sport")
	m.Dst.savePort(p, "dport")
	if m.Option != 0 || m.NotOption {
		p.OptionUint(m.NotOption, "tcp-option", uint64(m.Option))
	}
	if m.Mask != 0 || m.NotFlags {
		p.Option(m.NotFlags, "tcp-flags")
		p.Byte(' ')
		p.tcpFlags(m.Mask)
		p.Byte(' ')
		p.tcpFlags(m.Comp)
	}
}

// tcpFlags prints flag names with commas, NONE for no flag.
func (p *Printer) tcpFlags(bits uint8) {
	if bits == 0 {
		p.Str("NONE")
		return
	}
	comma := false
	for _, f := range tcpFlags[:6] {
		if bits&f.bit == 0 {
			continue
		}
		if comma {
			p.Byte(',')
		}
		p.Str(f.name)
		comma = true
	}
}

func (m *TCP) List(p *Printer) {
	p.Str(" tcp")
	m.Src.listPort(p, "spt", "tcp")
	m.Dst.listPort(p, "dpt", "tcp")
	if m.Option != 0 || m.NotOption {
		p.Str(" option=")
		if m.NotOption {
			p.Byte('!')
		}
		p.Uint(uint64(m.Option))
	}
	if m.Mask != 0 || m.NotFlags {
		m.listFlags(p)
	}
}

func (m *TCP) listFlags(p *Printer) {
	p.Str(" flags:")
	if m.NotFlags {
		p.Byte('!')
	}
	if !p.Numeric {
		p.tcpFlags(m.Mask)
		p.Byte('/')
		p.tcpFlags(m.Comp)
		return
	}
	p.hexByte(m.Mask)
	p.Byte('/')
	p.hexByte(m.Comp)
}

// hexByte prints a byte as C's 0x%02X.
func (p *Printer) hexByte(b uint8) {
	const digits = "0123456789ABCDEF"
	p.Str("0x")
	p.Byte(digits[b>>4])
	p.Byte(digits[b&15])
}

// Inversion bits of struct xt_tcp: XT_TCP_INV_*.
const (
	xtTCPInvSrc    = 1
	xtTCPInvDst    = 2
	xtTCPInvFlags  = 4
	xtTCPInvOption = 8
)

// Info writes struct xt_tcp.
func (m *TCP) Info(w nft.Info, _ uint8, _ rule.Family) {
	portInfo(w, m.Src, m.Dst)
	w.U8(m.Option)
	w.U8(m.Mask)
	w.U8(m.Comp)
	w.U8(flag[uint8](m.Src.Not, xtTCPInvSrc) | flag[uint8](m.Dst.Not, xtTCPInvDst) |
		flag[uint8](m.NotFlags, xtTCPInvFlags) | flag[uint8](m.NotOption, xtTCPInvOption))
}

// Read reads struct xt_tcp.
func (m *TCP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Src, m.Dst = readPorts(r)
	m.Option, m.Mask, m.Comp = r.U8(), r.U8(), r.U8()
	inv := r.U8()
	m.Src.Not, m.Dst.Not = inv&xtTCPInvSrc != 0, inv&xtTCPInvDst != 0
	m.NotFlags, m.NotOption = inv&xtTCPInvFlags != 0, inv&xtTCPInvOption != 0
	return nil
}

// isNative reports whether nf_tables expressions say all of the match.
func (m *TCP) isNative() bool {
	return m.Option == 0 && !m.NotOption && *m != (TCP{Src: anyPort, Dst: anyPort})
}

// Encode writes flags and ports natively, flags first as iptables-nft 1.8.9
// does; a TCP option, or a match without any condition, needs the xt form.
func (m *TCP) Encode(e *Encoder) bool {
	if !m.isNative() {
		return false
	}
	if m.Mask != 0 { // flags that look at nothing leave no expression, even inverted
		e.ExprPayload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1)
		e.ExprBitwise([]byte{m.Mask})
		e.ExprCmp(cmpOp(m.NotFlags), []byte{m.Comp})
	}
	encodePorts(e, m.Src, m.Dst)
	return true
}

// tcpNative reads conditions on ports and flags of a rule for protocol 6.
func tcpNative(d *Decoder, def *Def, t *nft.Term) bool {
	if d.Rule.Proto.Number != 6 {
		return false
	}
	if nativePorts(d, def, t, func(x Ext) (src, dst *PortMatch) { m := x.(*TCP); return &m.Src, &m.Dst }) {
		return true
	}
	if t.Kind != nft.TermCompare || t.Op > nft.NFT_CMP_NEQ || len(t.Value) != 1 ||
		!t.Load.IsPayload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1) {
		return false
	}
	m := d.Match(def).(*TCP)
	if m.Mask != 0 {
		m = d.Another(def).(*TCP)
	}
	m.Mask, m.Comp, m.NotFlags = 0xff, t.Value[0], t.Op == nft.NFT_CMP_NEQ
	if len(t.Load.Mask) == 1 {
		m.Mask = t.Load.Mask[0]
	}
	return true
}

// PortRanges lists the ports that are asked for.
func (m *TCP) PortRanges() (src, dst []Range) { return m.Src.ranges(), m.Dst.ranges() }

// Match decides by the form that Encode chooses. They differ: the xt form wants
// TCP and its header, asks for full ranges and empty flags too, and each port
// by itself.
func (m *TCP) Match(p *packet.Packet) packet.Answer {
	if !m.isNative() {
		if p.Proto == 6 && p.Fragment && p.FragmentAt == 1 && p.Has(packet.KnowFragment) {
			return packet.Unknown // the kernel drops one that begins within the header
		}
		if p.Proto != 6 || p.Fragment {
			return packet.No
		}
		return matchPorts(p, m.Src, m.Dst).And(m.matchFlags(p)).And(m.matchOption(p))
	}
	answer := matchNativePorts(p, m.Src, m.Dst)
	if m.Mask != 0 {
		answer = answer.And(ofFragment(p, m.matchFlags(p)))
	}
	return answer
}

// matchFlags compares the byte of the flags, all eight of them.
func (m *TCP) matchFlags(p *packet.Packet) packet.Answer {
	const at = 13 // in the header
	flags, known := p.Transport.Flags, p.Has(packet.KnowFlags)
	if p.Proto != 6 || p.Fragment { // see sourcePort
		b := nativeTransport(p)
		if known = len(b) > at; known {
			flags = b[at]
		}
	}
	switch {
	case m.Comp&^m.Mask != 0: // never equal
		return packet.Of(m.NotFlags)
	case !known && m.Mask != 0:
		return packet.Unknown
	}
	return packet.Of((flags&m.Mask == m.Comp) != m.NotFlags)
}

// matchOption looks for the option; number 0 is not asked for, even inverted.
func (m *TCP) matchOption(p *packet.Packet) packet.Answer {
	switch {
	case m.Option == 0:
		return packet.Yes
	case !p.Has(packet.KnowTCPOptions):
		return packet.Unknown
	}
	for i := range p.Transport.Options {
		if p.Transport.Options[i].Kind == m.Option {
			return packet.Of(!m.NotOption)
		}
	}
	return packet.Of(m.NotOption)
}

// Space is what Match lets through; the TCP option is an atom.
func (m *TCP) Space(f rule.Family) space.Set {
	if m.isNative() {
		s := nativePortSpace(m.Src, m.Dst)
		if m.Mask != 0 {
			s = s.And(m.flagSpace())
		}
		return s
	}
	s := spanSpace[uint8](space.Proto, 6, 6, false).And(notAFragment()).And(m.flagSpace())
	s = s.And(m.Src.portSpace(space.SPort)).And(m.Dst.portSpace(space.DPort))
	if m.Option == 0 {
		return s
	}
	return s.And(literals(atomOf(&TCP{Src: anyPort, Dst: anyPort, Option: m.Option, NotOption: m.NotOption}, nil, f)))
}

func (m *TCP) flagSpace() space.Set {
	return within(space.Flags, space.Bytes(space.Flags, func(x uint8) bool { return (x&m.Mask == m.Comp) != m.NotFlags }))
}
