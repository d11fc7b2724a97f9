package question

import (
	"encoding/binary"
	"slices"

	"moat/internal/packet"
	"moat/internal/rule"
)

// defaultTTL is what most hosts begin with.
const defaultTTL = 64

// build makes the packet's bytes. A payload thereby tells the whole packet:
// what else was not told gets the value of an ordinary packet (TTL 64, TOS 0,
// no options) and counts as told, and what a question cannot tell (sequence
// numbers, identification, window) is as a plain packet has it.
func (p *parser) build(payload []byte) error {
	k := &p.packet
	w := p.seen["payload"]
	switch {
	case slices.Contains([]uint8{
		packet.ProtoUDPLite, packet.ProtoSCTP, packet.ProtoDCCP, packet.ProtoESP, packet.ProtoAH,
	}, k.Proto):
		return w.errorf("bytes are made for tcp, udp, icmp, icmpv6 and protocols without a header that rules read")
	case packet.HasPorts(k.Proto) && !k.Has(packet.KnowDstPort):
		return w.errorf("bytes need the destination port")
	case packet.IsICMP(k.Proto) && !k.Has(packet.KnowICMP):
		return w.errorf("bytes need the ICMP type")
	case k.Proto == packet.ProtoTCP && !k.Has(packet.KnowFlags):
		return w.errorf("bytes need the TCP flags")
	case len(k.Extensions) > 0 || p.has("option"):
		return w.errorf("bytes are made without IPv6 extension headers, and of TCP options with MSS only")
	}
	if !k.Has(packet.KnowTTL) {
		k.TTL = defaultTTL
	}
	k.Known |= packet.KnowTTL | packet.KnowTOS
	if k.Proto == packet.ProtoTCP {
		k.Known |= packet.KnowTCPOptions
	}
	segment := transport(k, payload)
	n := uint32(len(segment) + networkHeader(k.Family))
	switch {
	case n > 65535:
		return w.errorf("a packet with these bytes would be longer than 65535")
	case k.Has(packet.KnowLength) && k.Length != n:
		return p.seen["len"].errorf("with this payload the packet has %d bytes", n)
	}
	k.Length = n
	k.Known |= packet.KnowLength
	k.Bytes = append(network(k, len(segment)), segment...)
	return nil
}

func networkHeader(f rule.Family) int {
	if f == rule.IPv6 {
		return 40
	}
	return 20
}

// network is the header of IPv4 (RFC 791) or IPv6 (RFC 8200).
func network(k *packet.Packet, segment int) []byte {
	if k.Family == rule.IPv6 {
		b := []byte{0x60 | k.TOS>>4, k.TOS << 4, 0, 0, byte(segment >> 8), byte(segment), k.Proto, k.TTL}
		return append(append(b, k.Src.AsSlice()...), k.Dst.AsSlice()...)
	}
	b := []byte{0x45, k.TOS, 0, 0, 0, 0, 0, 0, k.TTL, k.Proto, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+segment))
	b = append(append(b, k.Src.AsSlice()...), k.Dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return b
}

// transport is the transport header with what follows it.
func transport(k *packet.Packet, payload []byte) []byte {
	t := &k.Transport
	var b []byte
	at := -1 // of the checksum
	switch k.Proto {
	case packet.ProtoTCP:
		b, at = tcpHeader(t), 16
	case packet.ProtoUDP:
		b, at = make([]byte, 8), 6
		binary.BigEndian.PutUint16(b, t.Src)
		binary.BigEndian.PutUint16(b[2:], t.Dst)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	case packet.ProtoICMP, packet.ProtoICMPv6:
		b, at = []byte{t.Type, t.Code, 0, 0, 0, 0, 0, 0}, 2
	}
	b = append(b, payload...)
	if at < 0 {
		return b
	}
	covered := b
	if k.Proto != packet.ProtoICMP {
		covered = append(pseudoHeader(k, len(b)), b...)
	}
	sum := checksum(covered)
	if sum == 0 && k.Proto == packet.ProtoUDP {
		sum = 0xffff // 0 would mean that there is none
	}
	binary.BigEndian.PutUint16(b[at:], sum)
	return b
}

// tcpHeader is a TCP header (RFC 9293) with at most the option MSS.
func tcpHeader(t *packet.Transport) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, t.Src)
	binary.BigEndian.PutUint16(b[2:], t.Dst)
	b[12], b[13] = 5<<4, t.Flags
	binary.BigEndian.PutUint16(b[14:], 64240) // window
	for _, o := range t.Options {
		b = append(append(b, o.Kind, byte(2+len(o.Data))), o.Data...)
		b[12] += 1 << 4
	}
	return b
}

// pseudoHeader is what checksums of TCP, UDP and ICMPv6 cover besides.
func pseudoHeader(k *packet.Packet, n int) []byte {
	b := append(k.Src.AsSlice(), k.Dst.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return binary.BigEndian.AppendUint32(b, uint32(k.Proto))
}

// checksum is the internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i%2))
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
