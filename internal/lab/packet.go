package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// IP protocol numbers of the packets that are built and read here.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// TCP flags of Packet.Flags (RFC 9293, section 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Packet is an IP packet to be sent with any addresses, or one that was seen.
// Src and Dst are of one family. Ports are those of TCP and UDP only.
type Packet struct {
	Src, Dst netip.AddrPort
	Proto    uint8
	TTL      uint8 // hop limit; zero sends 64
	TOS      uint8 // traffic class
	ID       uint16
	DF, MF   bool   // IPv4: don't fragment, more fragments
	FragOff  uint16 // IPv4: fragment offset in bytes, a multiple of 8

	Flags    uint8  // TCP: FIN, SYN …
	Seq, Ack uint32 // TCP
	Type     uint8  // ICMP
	Code     uint8  // ICMP
	Payload  []byte // what follows the transport header; of later fragments and other protocols, all
}

// String gives "udp 192.0.2.1:5 > 198.51.100.2:53".
func (p Packet) String() string {
	switch p.Proto {
	case ProtoTCP:
		return fmt.Sprintf("tcp %v > %v flags %#02x", p.Src, p.Dst, p.Flags)
	case ProtoUDP:
		return fmt.Sprintf("udp %v > %v", p.Src, p.Dst)
	case ProtoICMP, ProtoICMPv6:
		return fmt.Sprintf("icmp %v > %v type %d code %d", p.Src.Addr(), p.Dst.Addr(), p.Type, p.Code)
	}
	return fmt.Sprintf("protocol %d %v > %v", p.Proto, p.Src.Addr(), p.Dst.Addr())
}

// Bytes gives the packet as it goes on the wire, from the IP header on, with
// right checksums.
func (p Packet) Bytes() ([]byte, error) {
	src, dst := p.Src.Addr(), p.Dst.Addr()
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() {
		return nil, fmt.Errorf("packet %v > %v: want two addresses of one family", src, dst)
	}
	if p.FragOff%8 != 0 {
		return nil, fmt.Errorf("fragment offset %d: want a multiple of 8", p.FragOff)
	}
	body := p.transport()
	if len(body) > 0xffff-40 {
		return nil, errors.New("packet longer than 64 KiB")
	}
	if src.Is4() {
		return append(p.header4(len(body)), body...), nil
	}
	return append(p.header6(len(body)), body...), nil
}

func (p Packet) ttl() uint8 {
	if p.TTL == 0 {
		return 64
	}
	return p.TTL
}

func (p Packet) header4(body int) []byte {
	b := make([]byte, 20)
	b[0], b[1] = 4<<4|5, p.TOS
	binary.BigEndian.PutUint16(b[2:], uint16(20+body))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	frag := p.FragOff / 8
	if p.DF {
		frag |= 0x4000
	}
	if p.MF {
		frag |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], frag)
	b[8], b[9] = p.ttl(), p.Proto
	copy(b[12:], p.Src.Addr().AsSlice())
	copy(b[16:], p.Dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return b
}

func (p Packet) header6(body int) []byte {
	b := make([]byte, 40)
	binary.BigEndian.PutUint32(b, 6<<28|uint32(p.TOS)<<20)
	binary.BigEndian.PutUint16(b[4:], uint16(body))
	b[6], b[7] = p.Proto, p.ttl()
	copy(b[8:], p.Src.Addr().AsSlice())
	copy(b[24:], p.Dst.Addr().AsSlice())
	return b
}

// transport gives the transport header and the payload.
func (p Packet) transport() []byte {
	if p.FragOff > 0 {
		return p.Payload
	}
	var b []byte
	sum := 0 // offset of the checksum
	switch p.Proto {
	case ProtoTCP:
		b, sum = make([]byte, 20), 16
		binary.BigEndian.PutUint32(b[4:], p.Seq)
		binary.BigEndian.PutUint32(b[8:], p.Ack)
		b[12], b[13] = 5<<4, p.Flags
		binary.BigEndian.PutUint16(b[14:], 65535)
	case ProtoUDP:
		b, sum = make([]byte, 8), 6
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(p.Payload)))
	case ProtoICMP, ProtoICMPv6:
		b, sum = []byte{p.Type, p.Code, 0, 0}, 2
	default:
		return p.Payload
	}
	if p.Proto == ProtoTCP || p.Proto == ProtoUDP {
		binary.BigEndian.PutUint16(b, p.Src.Port())
		binary.BigEndian.PutUint16(b[2:], p.Dst.Port())
	}
	b = append(b, p.Payload...)
	c := checksum(p.pseudoHeader(len(b)), b)
	if c == 0 && p.Proto == ProtoUDP {
		c = 0xffff // zero would mean "no checksum"
	}
	binary.BigEndian.PutUint16(b[sum:], c)
	return b
}

// pseudoHeader gives the sum that the transport checksum begins with; ICMP
// over IPv4 has none.
func (p Packet) pseudoHeader(length int) uint32 {
	if p.Proto == ProtoICMP {
		return 0
	}
	sum := uint32(p.Proto) + uint32(length)
	for _, a := range [][]byte{p.Src.Addr().AsSlice(), p.Dst.Addr().AsSlice()} {
		for i := 0; i < len(a); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(a[i:]))
		}
	}
	return sum
}

// checksum gives the Internet checksum (RFC 1071) of b, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// ParsePacket reads a packet from its IP header on. It does not follow IPv6
// extension headers and does not look at checksums, which the kernel leaves
// unfinished on veth links.
func ParsePacket(b []byte) (Packet, error) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return parse4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		p := Packet{TOS: b[0]<<4 | b[1]>>4, Proto: b[6], TTL: b[7]}
		n := min(40+int(binary.BigEndian.Uint16(b[4:])), len(b))
		src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		p.parseTransport(src, dst, b[40:n])
		return p, nil
	}
	return Packet{}, fmt.Errorf("not an IP packet: %d bytes", len(b))
}

func parse4(b []byte) (Packet, error) {
	header, n := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || n < header || n > len(b) {
		return Packet{}, fmt.Errorf("IPv4 packet with header length %d, length %d in %d bytes", header, n, len(b))
	}
	frag := binary.BigEndian.Uint16(b[6:])
	p := Packet{
		TOS: b[1], ID: binary.BigEndian.Uint16(b[4:]), DF: frag&0x4000 != 0, MF: frag&0x2000 != 0,
		FragOff: frag & 0x1fff * 8, TTL: b[8], Proto: b[9],
	}
	p.parseTransport(netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[header:n])
	return p, nil
}

// parseTransport fills in addresses, ports and the fields of the protocol.
func (p *Packet) parseTransport(src, dst netip.Addr, b []byte) {
	var sport, dport uint16
	p.Payload = b
	switch {
	case p.FragOff > 0:
	case p.Proto == ProtoTCP && len(b) >= 20:
		sport, dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.Seq, p.Ack, p.Flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
		p.Payload = b[min(max(int(b[12]>>4)*4, 20), len(b)):]
	case p.Proto == ProtoUDP && len(b) >= 8:
		sport, dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.Payload = b[8:]
	case (p.Proto == ProtoICMP || p.Proto == ProtoICMPv6) && len(b) >= 4:
		p.Type, p.Code, p.Payload = b[0], b[1], b[4:]
	}
	p.Src, p.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
}
