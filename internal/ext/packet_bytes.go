package ext

import (
	"moat/internal/packet"
	"moat/internal/rule"
)

// transportBytes gives the packet from its transport header on; nil if the
// packet's bytes were not told or end before it. Of a second or further
// fragment they are no header.
func transportBytes(p *packet.Packet) []byte {
	if len(p.Bytes) < 20 {
		return nil
	}
	if p.Family == rule.IPv6 {
		return ipv6Payload(p.Bytes, p.Proto)
	}
	if n := int(p.Bytes[0]&15) * 4; n >= 20 && n < len(p.Bytes) {
		return p.Bytes[n:]
	}
	return nil
}

// laterFragment gives what matches that do not ask for fragments take for the
// transport header of a second or further one: in IPv4 what stands in its place,
// in IPv6 the packet from its beginning (Linux 6.18, by counters).
func laterFragment(p *packet.Packet) []byte {
	if p.Family == rule.IPv6 {
		return p.Bytes
	}
	return transportBytes(p)
}

// Numbers of IPv6 headers, as in the Next Header field.
const (
	headerHop      = 0
	headerRouting  = 43
	headerFragment = 44
	headerESP      = 50
	headerAH       = 51
	headerNone     = 59
	headerDst      = 60
)

// ipv6Payload walks the extension headers of b to the header of protocol proto.
func ipv6Payload(b []byte, proto uint8) []byte {
	if len(b) < 40 {
		return nil
	}
	next, at := b[6], 40
	for next != proto {
		if at+8 > len(b) {
			return nil
		}
		n := 8 + int(b[at+1])*8
		switch next {
		case headerHop, headerRouting, headerDst:
		case headerFragment:
			n = 8
		case headerAH:
			n = (int(b[at+1]) + 2) * 4
		default:
			return nil
		}
		next, at = b[at], at+n
	}
	if at >= len(b) {
		return nil
	}
	return b[at:]
}

// extensionHeader gives the first IPv6 extension header of a kind. Without one,
// or when the headers were not told, it is nil and the answer says which.
func extensionHeader(p *packet.Packet, kind uint8) (*packet.Extension, packet.Answer) {
	for i := range p.Extensions {
		if p.Extensions[i].Proto == kind {
			return &p.Extensions[i], packet.Yes
		}
	}
	if p.Has(packet.KnowExtensions) {
		return nil, packet.No
	}
	return nil, packet.Unknown
}

// untracked says whether connection tracking knows nothing of the packet:
// states INVALID and UNTRACKED, in which the kernel has no connection to look at.
func untracked(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowState) {
		return packet.Unknown
	}
	s := p.Connection.State
	return packet.Of(s == packet.Invalid || s == packet.Untracked)
}
