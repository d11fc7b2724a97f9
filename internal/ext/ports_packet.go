package ext

import (
	"encoding/binary"

	"moat/internal/packet"
)

// hasPorts reports whether a protocol's header begins with two ports.
func hasPorts(proto uint8) bool {
	switch proto {
	case 6, 17, 33, 132, 136:
		return true
	}
	return false
}

// sourcePort is the first two bytes of the transport header, if they were told.
// A rule for every protocol but tcp (! -p tcp -m tcp --sport 5) looks at them
// in headers that have no ports too.
func sourcePort(p *packet.Packet) (port uint16, known bool) {
	if hasPorts(p.Proto) {
		return p.Transport.Src, p.Has(packet.KnowSrcPort)
	}
	return transportWord(p, 0)
}

// destinationPort is the third and fourth byte of the transport header, if told.
func destinationPort(p *packet.Packet) (port uint16, known bool) {
	if hasPorts(p.Proto) {
		return p.Transport.Dst, p.Has(packet.KnowDstPort)
	}
	return transportWord(p, 2)
}

// transportWord reads two bytes of the transport header from the packet's bytes.
func transportWord(p *packet.Packet, at int) (word uint16, known bool) {
	b := transportBytes(p)
	if len(b) < at+2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(b[at:]), true
}

// has reports whether a port is in the range, both ends included.
func (r Range) has(port uint16) bool { return port >= r.From && port <= r.To }

// has reports whether a port is in the run, both ends included.
func (r HostPorts) has(port uint16) bool { return port >= r.From && port <= r.To }

// matchPort answers a condition on a port; the range is asked even if it is full.
func (m PortMatch) matchPort(port uint16, known bool) packet.Answer {
	switch {
	case known:
		return packet.Of(m.has(port) != m.Not)
	case m.Range.Any():
		return packet.Of(!m.Not)
	case m.From > m.To:
		return packet.Of(m.Not)
	}
	return packet.Unknown
}

// matchPorts answers the conditions on both ports as xt matches do: each by itself.
func matchPorts(p *packet.Packet, src, dst PortMatch) packet.Answer {
	return src.matchPort(sourcePort(p)).And(dst.matchPort(destinationPort(p)))
}

// matchNativePorts answers what encodePorts writes: a full range is not asked
// for, even inverted, and two inverted single ports are met by a packet that
// differs in one of them.
func matchNativePorts(p *packet.Packet, src, dst PortMatch) packet.Answer {
	asked := !src.Range.Any() || !dst.Range.Any()
	if asked && p.Fragment { // the kernel finds no transport header
		return packet.No
	}
	if src.isSingle() && dst.isSingle() && src.Not && dst.Not {
		return src.matchPort(sourcePort(p)).Or(dst.matchPort(destinationPort(p)))
	}
	answer := packet.Yes
	if !src.Range.Any() {
		answer = src.matchPort(sourcePort(p))
	}
	if !dst.Range.Any() {
		answer = answer.And(dst.matchPort(destinationPort(p)))
	}
	return answer
}
