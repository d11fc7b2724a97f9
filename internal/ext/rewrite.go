package ext

import (
	"bytes"
	"encoding/binary"

	"moat/internal/packet"
	"moat/internal/rule"
)

// rewriteBytes writes what was told of the packet's headers into its bytes, if
// those were told, with the checksums that belong to it. The old bytes stay as
// they are: they may be another packet's too.
func rewriteBytes(p *packet.Packet) {
	if len(p.Bytes) < 20 || p.Family == rule.IPv6 && len(p.Bytes) < 40 {
		p.Bytes = nil
		return
	}
	old := p.Bytes
	b := append([]byte(nil), old...)
	p.Bytes = b
	rewriteNetwork(p, b)
	transport := transportBytes(p)
	if packet.HasPorts(p.Proto) && p.Proto != 6 && bytes.Equal(addressBytes(p, old), addressBytes(p, b)) && samePorts(p, transport) {
		return
	}
	at := checksumOffset(p.Proto)
	whole := len(transport) >= 20 || p.Proto != 6 && len(transport) >= 4
	switch {
	case p.Fragment:
		return
	case p.Proto == 132 && len(transport) >= 12:
		rewriteTransport(p, transport)
		rewriteCRC(transport)
		return
	case !whole, packet.HasPorts(p.Proto) && at < 0:
		p.Bytes = nil // cut off, or with a checksum of another kind
		return
	}
	rewriteTransport(p, transport)
	if at < 0 || at+2 > len(transport) {
		return
	}
	mendChecksum(p, old, transport, at)
}

// samePorts reports whether the transport header has the packet's ports already.
func samePorts(p *packet.Packet, b []byte) bool {
	return len(b) >= 4 && (!p.Has(packet.KnowSrcPort) || binary.BigEndian.Uint16(b) == p.Transport.Src) &&
		(!p.Has(packet.KnowDstPort) || binary.BigEndian.Uint16(b[2:]) == p.Transport.Dst)
}

// mendChecksum corrects the sum at offset at of the transport header by what
// has changed since old, in ones' complement as RFC 1624 says.
func mendChecksum(p *packet.Packet, old, transport []byte, at int) {
	sum := binary.BigEndian.Uint16(transport[at:])
	if p.Proto == 17 && sum == 0 { // the sender made none
		return
	}
	head := min(len(transport), 20) &^ 1
	start := len(p.Bytes) - len(transport)
	gone := append([]byte(nil), addressBytes(p, old)...)
	gone = invert(append(gone, old[start:start+head]...))
	n := onesSum(^sum, gone)
	n = onesSum(n, addressBytes(p, p.Bytes))
	n = onesSum(n, transport[:head]) // the sum itself is in both, and no difference
	if sum = ^n; sum == 0 && p.Proto == 17 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(transport[at:], sum)
}

// rewriteCRC computes SCTP's checksum anew, as the kernel does (RFC 9260, appendix A).
func rewriteCRC(b []byte) {
	binary.LittleEndian.PutUint32(b[8:], 0)
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x)
		for range 8 {
			c = c>>1 ^ 0x82f63b78&-(c&1)
		}
	}
	binary.LittleEndian.PutUint32(b[8:], ^c)
}

// checksumOffset is where the transport header has its checksum of the kind
// that covers addresses; -1 if it has none.
func checksumOffset(proto uint8) int {
	switch proto {
	case 6:
		return 16
	case 17, 136:
		return 6
	case 58:
		return 2
	}
	return -1
}

// addressBytes are both addresses in a packet's bytes.
func addressBytes(p *packet.Packet, b []byte) []byte {
	if p.Family == rule.IPv6 {
		return b[8:40]
	}
	return b[12:20]
}

// rewriteNetwork writes the network header.
func rewriteNetwork(p *packet.Packet, b []byte) {
	addresses, ttl := addressBytes(p, b), &b[8]
	if p.Family == rule.IPv6 {
		ttl = &b[7]
	}
	half := len(addresses) / 2
	if p.Src.IsValid() {
		copy(addresses, p.Src.AsSlice())
	}
	if p.Dst.IsValid() {
		copy(addresses[half:], p.Dst.AsSlice())
	}
	if p.Has(packet.KnowTTL) {
		*ttl = p.TTL
	}
	if p.Family == rule.IPv6 {
		if p.Has(packet.KnowTOS) {
			b[0], b[1] = b[0]&0xf0|p.TOS>>4, b[1]&0x0f|p.TOS<<4
		}
		return
	}
	if p.Has(packet.KnowTOS) {
		b[1] = p.TOS
	}
	if n := int(b[0]&15) * 4; n >= 20 && n <= len(b) {
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], ^onesSum(0, b[:n]))
	}
}

// rewriteTransport writes ports and TCP's flags.
func rewriteTransport(p *packet.Packet, b []byte) {
	if !packet.HasPorts(p.Proto) {
		return
	}
	if p.Has(packet.KnowSrcPort) {
		binary.BigEndian.PutUint16(b, p.Transport.Src)
	}
	if p.Has(packet.KnowDstPort) {
		binary.BigEndian.PutUint16(b[2:], p.Transport.Dst)
	}
	if p.Proto == 6 && p.Has(packet.KnowFlags) {
		b[13] = p.Transport.Flags
	}
}

// rewritten notes a change of a header's field: the bytes follow if the field
// is known after it.
func rewritten(p *packet.Packet, field packet.Know) {
	if p.Bytes == nil {
		return
	}
	if !p.Has(field) {
		p.Bytes = nil
		return
	}
	rewriteBytes(p)
}
