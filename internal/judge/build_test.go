package judge

import (
	"encoding/binary"
	"net/netip"

	"moat/internal/packet"
)

// extension is an IPv6 extension header to be built: its kind, and all but its
// first byte.
type extension struct {
	kind uint8
	rest []byte
}

// draft is a packet to be built.
type draft struct {
	src, dst   netip.Addr
	proto      uint8
	tos, ttl   uint8
	number     int    // IPv4: identification; IPv6: flow label
	flags      uint16 // IPv4: the three flags and the offset
	options    []byte // IPv4: a multiple of 4 bytes
	extensions []extension
	body       []byte // from the transport header on; its checksum is filled in
	badSum     bool   // the transport checksum is to be wrong
}

// bytes gives the packet from its network header on.
func (d *draft) bytes() []byte {
	body := append([]byte(nil), d.body...)
	if d.firstPart() {
		d.sum(body)
	}
	if d.src.Is4() {
		return append(d.header4(len(body)), body...)
	}
	return append(d.header6(len(body)), body...)
}

// firstPart reports whether the body begins with a transport header.
func (d *draft) firstPart() bool {
	for _, x := range d.extensions {
		if x.kind == 44 && binary.BigEndian.Uint16(x.rest[1:])&^7 != 0 {
			return false
		}
	}
	return d.flags&0x1fff == 0
}

func (d *draft) header4(body int) []byte {
	b := make([]byte, 20, 20+len(d.options)+body)
	b = append(b, d.options...)
	b[0], b[1] = 4<<4|uint8(len(b)/4), d.tos
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+body))
	binary.BigEndian.PutUint16(b[4:], uint16(d.number))
	binary.BigEndian.PutUint16(b[6:], d.flags)
	b[8], b[9] = d.ttl, d.proto
	copy(b[12:], d.src.AsSlice())
	copy(b[16:], d.dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return b
}

func (d *draft) header6(body int) []byte {
	b := make([]byte, 40)
	binary.BigEndian.PutUint32(b, 6<<28|uint32(d.tos)<<20|uint32(d.number))
	b[6], b[7] = d.proto, d.ttl
	copy(b[8:], d.src.AsSlice())
	copy(b[24:], d.dst.AsSlice())
	next := 6 // where the number of the next header goes
	for _, x := range d.extensions {
		b[next] = x.kind
		next = len(b)
		b = append(append(b, d.proto), x.rest...)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40+body))
	return b
}

// sumAt is where a protocol's checksum stands; 0: it has none that is looked at.
func sumAt(proto uint8, length int) int {
	at := 0
	switch proto {
	case packet.ProtoICMP, packet.ProtoICMPv6:
		at = 2
	case packet.ProtoTCP:
		at = 16
	case packet.ProtoUDP, packet.ProtoUDPLite, packet.ProtoDCCP:
		at = 6
	}
	if at+2 > length {
		return 0
	}
	return at
}

// sum fills the checksum in.
func (d *draft) sum(body []byte) {
	if d.proto == packet.ProtoSCTP && len(body) >= 12 {
		binary.LittleEndian.PutUint32(body[8:], 0)
		c := crc32c(body)
		if d.badSum {
			c++
		}
		binary.LittleEndian.PutUint32(body[8:], c)
		return
	}
	at := sumAt(d.proto, len(body))
	if at == 0 {
		return
	}
	binary.BigEndian.PutUint16(body[at:], 0)
	var pseudo uint32
	if d.proto != packet.ProtoICMP {
		pseudo = uint32(d.proto) + uint32(len(body)) + words(d.src.AsSlice()) + words(d.dst.AsSlice())
	}
	c := checksum(pseudo, body)
	if d.badSum {
		c ^= 0x5555
	}
	if c == 0 && d.proto != packet.ProtoTCP && d.proto != packet.ProtoICMP && d.proto != packet.ProtoICMPv6 {
		c = 0xffff // zero would mean none
	}
	binary.BigEndian.PutUint16(body[at:], c)
}

func words(b []byte) (sum uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// checksum gives the Internet checksum (RFC 1071) of b, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	sum += words(b)
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// crc32c is SCTP's checksum (RFC 9260, appendix A).
func crc32c(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x)
		for range 8 {
			c = c>>1 ^ 0x82f63b78&-(c&1)
		}
	}
	return ^c
}

// tcpBody is a TCP header with options (a multiple of 4 bytes) and data.
func tcpBody(sport, dport uint16, flags uint8, options, data []byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], 1000)
	if flags&0x10 != 0 {
		binary.BigEndian.PutUint32(b[8:], 2000)
	}
	b[12], b[13] = uint8(20+len(options))/4<<4, flags
	binary.BigEndian.PutUint16(b[14:], 4096)
	return append(append(b, options...), data...)
}

// portsBody is a header that begins with ports and, at 4, a length: UDP's, and UDP-Lite's.
func portsBody(sport, dport uint16, data []byte) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return append(b, data...)
}

// icmpBody is an ICMP or ICMPv6 header of a type, with what follows its checksum.
func icmpBody(typ, code uint8, rest ...byte) []byte { return append([]byte{typ, code, 0, 0}, rest...) }

// sctpBody is an SCTP header with chunks.
func sctpBody(sport, dport uint16, tag uint32, chunks []byte) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], tag)
	return append(b, chunks...)
}

// sctpChunk is one chunk, padded.
func sctpChunk(typ, flags uint8, value []byte) []byte {
	b := []byte{typ, flags, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(4+len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// dccpBody is a DCCP header of a type with long sequence numbers (RFC 4340,
// section 5.1) and options in whole words.
func dccpBody(sport, dport uint16, typ uint8, options []byte) []byte {
	n := 16 // generic header
	switch typ {
	case 0: // REQUEST: service code
		n += 4
	case 1: // RESPONSE: acknowledgement and service code
		n += 12
	case 2: // DATA
	default:
		n += 8
	}
	if typ == 7 { // RESET: code and data
		n += 4
	}
	b := make([]byte, n)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	b[4], b[8] = uint8(n+len(options))/4, typ<<1|1
	b[15] = 7
	return append(b, options...)
}

// withNumber gives a packet another number.
func withNumber(b []byte, number int) []byte {
	b = append([]byte(nil), b...)
	if b[0]>>4 == 6 {
		binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)&^0xfffff|uint32(number))
		return b
	}
	binary.BigEndian.PutUint16(b[4:], uint16(number))
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b[:int(b[0]&15)*4]))
	return b
}
