package ext

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
)

// PortMatch is a condition on one port of a packet: tcp, udp, sctp, dccp.
type PortMatch struct {
	Range
	Not bool
}

// anyPort is the condition that every port meets.
var anyPort = PortMatch{Range: Range{0, 65535}}

// isAny reports whether every packet meets it.
func (m PortMatch) isAny() bool { return m == anyPort }

// setPort takes one port option; proto names the protocol for /etc/services.
func (m *PortMatch) setPort(a *Arg, proto string) (err error) {
	m.Not = a.Not
	m.Range, err = a.PortRange(a.Value, proto)
	return err
}

// setLoose takes one port option as match udp does; see hostPorts.
func (m *PortMatch) setLoose(a *Arg) error {
	p, err := a.hostPorts()
	m.Not, m.Range = a.Not, Range(p)
	return err
}

// savePort prints a port option of the save format, or nothing for any port.
func (m PortMatch) savePort(p *Printer, name string) {
	if m.isAny() {
		return
	}
	p.Option(m.Not, name)
	p.Byte(' ')
	p.Uint(uint64(m.From))
	if m.From != m.To {
		p.Byte(':')
		p.Uint(uint64(m.To))
	}
}

// listPort prints " spt:…" or " spts:…" of the listing; name is "spt" or "dpt".
func (m PortMatch) listPort(p *Printer, name, proto string) {
	if m.isAny() {
		return
	}
	p.Byte(' ')
	p.Str(name)
	if m.From != m.To {
		p.Byte('s')
	}
	p.Byte(':')
	if m.Not {
		p.Byte('!')
	}
	p.Port(m.From, proto)
	if m.From != m.To {
		p.Byte(':')
		p.Port(m.To, proto)
	}
}

// Port prints a port by its service's name, or as a number with -n or without one.
func (p *Printer) Port(port uint16, proto string) {
	if !p.Numeric {
		if name := p.Names.ServiceName(port, proto); name != "" {
			p.Str(name)
			return
		}
	}
	p.Uint(uint64(port))
}

// encodePorts writes the conditions on both ports as iptables-nft 1.8.9 does.
// Two single ports are compared at once, even inverted: then the packet must
// differ in one of them, not in both. Port 0 counts as not single there.
func encodePorts(e *Encoder, src, dst PortMatch) {
	if src.isSingle() && dst.isSingle() && src.Not == dst.Not {
		e.ExprPayload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4)
		e.ExprCmp(cmpOp(src.Not), append(bePort(src.From), bePort(dst.From)...))
		return
	}
	src.encodePort(e, 0)
	dst.encodePort(e, 2)
}

func (m PortMatch) isSingle() bool { return m.From == m.To && m.From != 0 }

func bePort(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }

// encodePort writes the condition on the two bytes at offset of the transport
// header. The full range writes nothing, even inverted, as iptables-nft does.
func (m PortMatch) encodePort(e *Encoder, offset uint32) {
	if m.Range.Any() {
		return
	}
	e.ExprPayload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2)
	switch {
	case m.From == m.To:
		e.ExprCmp(cmpOp(m.Not), bePort(m.From))
	case m.From == 0 && m.Not:
		e.ExprCmp(nft.NFT_CMP_GT, bePort(m.To))
	case m.From == 0:
		e.ExprCmp(nft.NFT_CMP_LTE, bePort(m.To))
	default:
		e.ExprRange(cmpOp(m.Not), bePort(m.From), bePort(m.To))
	}
}

// cmpOp is "equal", or "not equal" when inverted.
func cmpOp(not bool) uint32 {
	if not {
		return nft.NFT_CMP_NEQ
	}
	return nft.NFT_CMP_EQ
}

// ranges gives the ports as PortRanges lists them.
func (m PortMatch) ranges() []Range {
	if m.Not || m.Range.Any() {
		return nil
	}
	return []Range{m.Range}
}

// nativePorts adds a term to the conditions of a rule's match on its ports; a
// term that does not fit what the match asks for, as the second of "-m tcp --dport
// 22 -m tcp --dport 80", is another match. false if the term is about no ports.
func nativePorts(d *Decoder, def *Def, t *nft.Term, of func(Ext) (src, dst *PortMatch)) bool {
	if x := d.NativeMatch(def); x != nil {
		if src, dst := of(x); addPortTerm(t, src, dst) {
			return true
		}
	}
	src, dst := anyPort, anyPort
	if !addPortTerm(t, &src, &dst) {
		return false
	}
	m, n := of(d.Another(def))
	*m, *n = src, dst
	return true
}

// addPortTerm adds a term to the conditions on both ports: a condition on one
// of them, or a comparison with both at once, as nft writes it. False if the
// term is neither, or says more than one range of ports can.
func addPortTerm(t *nft.Term, src, dst *PortMatch) bool {
	if l := &t.Load; l.IsPayload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4) && l.Mask == nil {
		if t.Kind != nft.TermCompare || t.Op > nft.NFT_CMP_NEQ || len(t.Value) != 4 || !src.isAny() || !dst.isAny() {
			return false
		}
		s, d := binary.BigEndian.Uint16(t.Value), binary.BigEndian.Uint16(t.Value[2:])
		not := t.Op == nft.NFT_CMP_NEQ
		*src, *dst = PortMatch{Range{s, s}, not}, PortMatch{Range{d, d}, not}
		return true
	}
	offset, port, ok := portTerm(t)
	switch {
	case !ok || offset == 1:
		return false
	case offset == 0:
		return src.narrow(port)
	}
	return dst.narrow(port)
}

// narrow adds a second condition on the same port, as nft writes both ends of a range.
func (m *PortMatch) narrow(n PortMatch) bool {
	if m.isAny() {
		*m = n
		return true
	}
	both := Range{max(m.From, n.From), min(m.To, n.To)}
	if m.Not || n.Not || both.From > both.To {
		return false
	}
	m.Range = both
	return true
}

// portTerm reads a term as a condition on a 16-bit port; false if it is none.
func portTerm(t *nft.Term) (offset uint32, m PortMatch, ok bool) {
	l := &t.Load
	if l.Kind != nft.LoadPayload || l.Base != nft.NFT_PAYLOAD_TRANSPORT_HEADER || l.Len != 2 || l.Offset > 2 ||
		l.Mask != nil || len(t.Value) != 2 {
		return 0, m, false
	}
	v := binary.BigEndian.Uint16(t.Value)
	switch {
	case t.Kind == nft.TermRange && len(t.To) == 2:
		return l.Offset, PortMatch{Range{v, binary.BigEndian.Uint16(t.To)}, t.Op == nft.NFT_CMP_NEQ}, true
	case t.Kind != nft.TermCompare:
		return 0, m, false
	}
	m, ok = comparedPort(t.Op, v)
	return l.Offset, m, ok
}

// comparedPort turns a comparison with one number into a range of ports.
func comparedPort(op uint32, v uint16) (PortMatch, bool) {
	switch {
	case op == nft.NFT_CMP_EQ || op == nft.NFT_CMP_NEQ:
		return PortMatch{Range{v, v}, op == nft.NFT_CMP_NEQ}, true
	case op == nft.NFT_CMP_LTE:
		return PortMatch{Range: Range{0, v}}, true
	case op == nft.NFT_CMP_GTE:
		return PortMatch{Range: Range{v, 65535}}, true
	case op == nft.NFT_CMP_LT && v > 0:
		return PortMatch{Range: Range{0, v - 1}}, true
	case op == nft.NFT_CMP_GT && v < 65535:
		return PortMatch{Range: Range{v + 1, 65535}}, true
	}
	return PortMatch{}, false
}

// portInfo writes source and destination ports as struct xt_tcp and xt_udp begin.
func portInfo(w nft.Info, src, dst PortMatch) {
	w.Host16(src.From)
	w.Host16(src.To)
	w.Host16(dst.From)
	w.Host16(dst.To)
}

// readPorts reads what portInfo writes.
func readPorts(r *nft.InfoReader) (src, dst PortMatch) {
	src.From, src.To = r.Host16(), r.Host16()
	dst.From, dst.To = r.Host16(), r.Host16()
	return src, dst
}

// flag gives bit if on.
func flag[T ~uint8 | ~uint16 | ~uint32 | ~uint64](on bool, bit T) T {
	if on {
		return bit
	}
	return 0
}
