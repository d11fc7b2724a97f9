package judge

import (
	"encoding/binary"
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
)

// parse gives what the simulator is told of a packet's bytes: all that is in
// them.
func parse(b []byte) packet.Packet {
	p := packet.Packet{
		Bytes: b, Length: uint32(len(b)), Checksummed: true,
		Known: packet.KnowLength | packet.KnowTOS | packet.KnowTTL | packet.KnowFragment | packet.KnowMark | packet.KnowChecksum,
	}
	if b[0]>>4 == 4 {
		parse4(&p, b)
		return p
	}
	parse6(&p, b)
	return p
}

func parse4(p *packet.Packet, b []byte) {
	p.Family, p.TOS, p.TTL, p.Proto = rule.IPv4, b[1], b[8], b[9]
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	field := binary.BigEndian.Uint16(b[6:])
	p.FragmentID, p.FragmentAt = uint32(binary.BigEndian.Uint16(b[4:])), field&0x1fff
	p.MoreFollow, p.Fragment = field&0x2000 != 0, field&0x1fff != 0
	if !p.Fragment {
		parseTransport(p, b[int(b[0]&15)*4:])
	}
}

// parse6 follows the extension headers, though not behind the header of a second
// fragment. AH is one of them and the transport header too: -p sees no protocol
// behind it.
func parse6(p *packet.Packet, b []byte) {
	p.Family, p.TOS, p.TTL, p.Known = rule.IPv6, b[0]<<4|b[1]>>4, b[7], p.Known|packet.KnowExtensions
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	next, rest, transport := b[6], b[40:], []byte(nil)
	for {
		n := 0
		switch next {
		case 0, 43, 60:
			n = int(rest[1])*8 + 8
		case packet.ProtoAH:
			n = int(rest[1])*4 + 8
		case 44:
			n = 8
			field := binary.BigEndian.Uint16(rest[2:])
			p.FragmentID, p.FragmentAt = binary.BigEndian.Uint32(rest[4:]), field>>3
			p.MoreFollow, p.Fragment = field&1 != 0, field>>3 != 0
		}
		if n == 0 || n > len(rest) {
			break
		}
		if next == packet.ProtoAH && p.Proto == 0 {
			p.Proto, transport = next, rest
		}
		p.Extensions = append(p.Extensions, packet.Extension{Proto: next, Data: rest[:n]})
		next, rest = rest[0], rest[n:]
		if p.Fragment {
			break
		}
	}
	if p.Proto == 0 {
		p.Proto, transport = next, rest
	}
	if !p.Fragment {
		parseTransport(p, transport)
	}
}

func parseTransport(p *packet.Packet, b []byte) {
	t := &p.Transport
	switch p.Proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoDCCP, packet.ProtoSCTP, packet.ProtoUDPLite:
		if len(b) < 8 {
			return
		}
		t.Src, t.Dst, p.Known = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), p.Known|packet.KnowPorts
	}
	switch p.Proto {
	case packet.ProtoTCP:
		if len(b) < 20 {
			return
		}
		t.Flags, t.Options = b[13], tcpOptions(b[20:int(b[12]>>4)*4])
		p.Known |= packet.KnowFlags | packet.KnowTCPOptions
	case packet.ProtoICMP, packet.ProtoICMPv6:
		t.Type, t.Code, p.Known = b[0], b[1], p.Known|packet.KnowICMP
	case packet.ProtoESP:
		t.SPI, p.Known = binary.BigEndian.Uint32(b), p.Known|packet.KnowSPI
	case packet.ProtoAH:
		t.SPI, p.Known = binary.BigEndian.Uint32(b[4:]), p.Known|packet.KnowSPI
	case packet.ProtoSCTP:
		for rest := b[12:]; len(rest) >= 4; {
			t.Chunks = append(t.Chunks, rest[0])
			n := (int(binary.BigEndian.Uint16(rest[2:])) + 3) &^ 3
			if n < 4 || n > len(rest) {
				break
			}
			rest = rest[n:]
		}
	}
}

// tcpOptions are the options as the kernel's matches walk them: past the end
// of the list, and with the beginning of one that is cut off.
func tcpOptions(b []byte) (list []packet.TCPOption) {
	for len(b) > 0 {
		n := 1
		if b[0] > 1 && len(b) > 1 {
			n = min(max(2, int(b[1])), len(b))
		}
		o := packet.TCPOption{Kind: b[0]}
		if n > 2 {
			o.Data = b[2:n]
		}
		list, b = append(list, o), b[n:]
	}
	return list
}
