package ext

import (
	"net/netip"

	"moat/internal/packet"
)

// Match asks what connection tracking knows. Without a connection (INVALID and
// UNTRACKED, and every packet in table raw) the state alone decides, whatever
// else is asked, and a match that does not ask for the state is not met, even
// inverted: Linux 6.18 counts an INVALID packet by --ctstate INVALID --ctproto 99,
// and neither by --ctproto 17 nor by ! --ctproto 17.
func (m *Conntrack) Match(p *packet.Packet) packet.Answer {
	hasState := m.Given&xtConntrackState != 0
	state := packet.Yes
	if hasState {
		if state = m.matchState(p).Invert(m.Not&xtConntrackState != 0); state == packet.No {
			return packet.No
		}
	}
	switch untracked(p) {
	case packet.Yes:
		return state.And(packet.Of(hasState))
	case packet.No:
		return state.And(m.matchConnection(p))
	}
	rest := m.matchConnection(p)
	if rest != packet.Of(hasState) { // with and without a connection the answers differ
		rest = packet.Unknown
	}
	return state.And(rest)
}

// matchState looks for the packet's state among those asked for. A connection
// has SNAT and DNAT beside its own.
func (m *Conntrack) matchState(p *packet.Packet) packet.Answer {
	const states = xtStateInvalid | xtStateEstablished | xtStateRelated | xtStateNew | xtStateUntracked
	const translated = xtStateSNAT | xtStateDNAT
	known := p.Has(packet.KnowState)
	switch {
	case m.State&states == states, known && m.State&stateBit(p.Connection.State) != 0:
		return packet.Yes
	case m.State&translated == 0:
		if !known && m.State != 0 {
			return packet.Unknown
		}
		return packet.No
	case untracked(p) == packet.Yes:
		return packet.No
	case !p.Has(packet.KnowStatus):
		return packet.Unknown
	}
	if m.State&xtStateSNAT != 0 && p.Connection.Status&packet.StatusSNAT != 0 ||
		m.State&xtStateDNAT != 0 && p.Connection.Status&packet.StatusDNAT != 0 {
		return packet.Yes
	}
	if !known && m.State&states != 0 {
		return packet.Unknown
	}
	return packet.No
}

// stateBit is the bit of a state in Conntrack.State.
func stateBit(s packet.State) uint16 {
	switch s {
	case packet.New:
		return xtStateNew
	case packet.Established:
		return xtStateEstablished
	case packet.Related:
		return xtStateRelated
	case packet.Untracked:
		return xtStateUntracked
	}
	return xtStateInvalid
}

// matchConnection answers all conditions but the state, of a packet that has a
// connection.
func (m *Conntrack) matchConnection(p *packet.Packet) packet.Answer {
	if m.Given&^(xtConntrackState|xtConntrackStateAlias) == 0 {
		return packet.Yes
	}
	c := &p.Connection
	answer := packet.Yes
	ask := func(bit uint16, known, is bool) {
		if m.Given&bit == 0 {
			return
		}
		one := packet.Unknown
		if known {
			one = packet.Of(is != (m.Not&bit != 0))
		}
		answer = answer.And(one)
	}
	original, reply := p.Has(packet.KnowOriginal), p.Has(packet.KnowReplyTuple)
	ask(xtConntrackDirection, p.Has(packet.KnowDirection), !c.Reply)
	proto, knownProto := connectionProto(p)
	ask(xtConntrackProto, knownProto, uint16(proto) == m.Proto)
	addrs := [...]netip.Addr{c.Original.Src, c.Original.Dst, c.ReplyTuple.Src, c.ReplyTuple.Dst}
	ports := [...]uint16{c.Original.SrcPort, c.Original.DstPort, c.ReplyTuple.SrcPort, c.ReplyTuple.DstPort}
	for i, a := range addrs {
		told := original
		if i > 1 {
			told = reply
		}
		ask(xtConntrackOrigSrc<<i, told && a.IsValid(), m.Addr[i].has(a))
		ask(xtConntrackOrigPort<<i, told && tuplesHavePorts(c), m.Port[i].has(ports[i]))
	}
	// NONE has no bit: alone it is never met, and inverted always (Linux 6.18).
	ask(xtConntrackStatus, p.Has(packet.KnowStatus) || m.Status == 0, uint32(m.Status)&c.Status != 0)
	ask(xtConntrackExpires, p.Has(packet.KnowExpire), c.Expire >= m.Expires[0] && c.Expire <= m.Expires[1])
	return answer
}

// tuplesHavePorts reports whether what the kernel has in the ports' place was
// told: nothing for protocols that it does not know, an identifier, type and
// code for ICMP, whose Original.DstPort is never 0. GRE's keys are in no Tuple,
// and of DCCP only some kernels know the ports (Linux 6.18 does not).
func tuplesHavePorts(c *packet.Connection) bool {
	switch c.Original.Proto {
	case 1, 58:
		return c.Original.DstPort != 0
	}
	return c.Original.Proto != packet.ProtoGRE && c.Original.Proto != packet.ProtoDCCP
}

// NewTuples gives both directions of the connection that a packet begins, as the
// kernel notes them; false if addresses or ports were not told. With ICMP
// SrcPort is the identifier and DstPort type and code, or both 0 if the
// packet's bytes were not told.
func NewTuples(p *packet.Packet) (original, reply packet.Tuple, known bool) {
	if !p.Src.IsValid() || !p.Dst.IsValid() || packet.HasPorts(p.Proto) && !p.Has(packet.KnowPorts) {
		return original, reply, false
	}
	original = packet.Tuple{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	reply = packet.Tuple{Src: p.Dst, Dst: p.Src, Proto: p.Proto}
	if packet.HasPorts(p.Proto) {
		original.SrcPort, original.DstPort = p.Transport.Src, p.Transport.Dst
		reply.SrcPort, reply.DstPort = p.Transport.Dst, p.Transport.Src
	}
	if b := transportBytes(p); packet.IsICMP(p.Proto) && len(b) >= 6 {
		id, code := uint16(b[4])<<8|uint16(b[5]), uint16(b[1])
		original.SrcPort, original.DstPort = id, uint16(b[0])<<8|code
		reply.SrcPort, reply.DstPort = id, uint16(replyType(p.Proto, b[0]))<<8|code
	}
	return original, reply, true
}

// replyType is the type of the answer to an ICMP request.
func replyType(proto, request uint8) uint8 {
	if proto == 1 && request == 8 {
		return 0
	}
	return request + 1
}

// connectionProto is the protocol of the packet's connection: the packet's own,
// unless it is an ICMP error, which belongs to the connection that it is about.
func connectionProto(p *packet.Packet) (proto uint8, known bool) {
	switch {
	case p.Has(packet.KnowOriginal):
		return p.Connection.Original.Proto, true
	case !packet.IsICMP(p.Proto):
		return p.Proto, true
	}
	s := p.Connection.State
	return p.Proto, p.Has(packet.KnowState) && (s == packet.New || s == packet.Established)
}

// has compares an address under the mask.
func (m *AddrMask) has(a netip.Addr) bool {
	if !m.Mask.IsValid() {
		return a == m.IP
	}
	x, ip, mask := a.As16(), m.IP.As16(), m.Mask.As16()
	if a.Is4() { // As16 of IPv4 begins with the same twelve bytes
		mask = [16]byte{12: mask[12], 13: mask[13], 14: mask[14], 15: mask[15]}
	}
	for i := range mask {
		if (x[i]^ip[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}
