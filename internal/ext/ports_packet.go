package ext

import (
	"encoding/binary"

	"moat/internal/packet"
)

// sourcePort is what a native match finds as source port, if it was told: the
// first two bytes behind the network header. They need not be a port. A rule for
// every protocol but tcp (! -p tcp -m tcp --sport 5) looks at headers that have
// none, and Linux 6.18 looks at what a later fragment has in that place: it counts
// the second fragment of a UDP packet full of "x" by --dport 30840.
func sourcePort(p *packet.Packet) (port uint16, known bool) {
	if packet.HasPorts(p.Proto) && !p.Fragment {
		return p.Transport.Src, p.Has(packet.KnowSrcPort)
	}
	return transportWord(p, 0)
}

// destinationPort is the same of the third and fourth byte.
func destinationPort(p *packet.Packet) (port uint16, known bool) {
	if packet.HasPorts(p.Proto) && !p.Fragment {
		return p.Transport.Dst, p.Has(packet.KnowDstPort)
	}
	return transportWord(p, 2)
}

// transportWord reads two bytes behind the network header from the packet's bytes.
func transportWord(p *packet.Packet, at int) (word uint16, known bool) {
	b := nativeTransport(p)
	if len(b) < at+2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(b[at:]), true
}

// nativeTransport gives the bytes that native matches take for the transport
// header, of a later fragment too; nil if they were not told.
func nativeTransport(p *packet.Packet) []byte {
	if p.Fragment {
		return laterFragment(p)
	}
	return transportBytes(p)
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
	answer := packet.Yes
	switch {
	case src.Range.Any() && dst.Range.Any():
		return packet.Yes
	case src.isSingle() && dst.isSingle() && src.Not && dst.Not:
		answer = src.matchPort(sourcePort(p)).Or(dst.matchPort(destinationPort(p)))
	default:
		if !src.Range.Any() {
			answer = src.matchPort(sourcePort(p))
		}
		if !dst.Range.Any() {
			answer = answer.And(dst.matchPort(destinationPort(p)))
		}
	}
	return ofFragment(p, answer)
}

// ofFragment is what becomes of a native match's answer to a later fragment
// whose bytes were not told: it may be too short to have those that are asked for.
func ofFragment(p *packet.Packet, answer packet.Answer) packet.Answer {
	if answer == packet.Yes && p.Fragment && nativeTransport(p) == nil {
		return packet.Unknown
	}
	return answer
}
