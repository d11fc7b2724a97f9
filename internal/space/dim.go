package space

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"moat/internal/rule"
)

// Dim is one thing that a packet has and that conditions look at.
type Dim uint8

// The dimensions. Their order is the order in which boxes are printed and in
// which ties between dimensions are broken.
const (
	Proto    Dim = iota // protocol number of the transport header
	In                  // interface it came in by, as Name numbers them; 0 where there is none
	Out                 // interface it goes out by
	Src                 // source address
	Dst                 // destination address
	SPort               // source port of the transport header
	DPort               // destination port
	ICMP                // type<<8 | code of ICMP and ICMPv6
	Flags               // TCP flag byte
	State               // packet.State
	Status              // the six low bits of the connection's status, packet.Status…
	Dir                 // 0 in the direction of the connection's first packet, 1 against it
	Mark                // the packet's mark
	ConnMark            // the connection's mark
	Fragment            // 0 whole or first fragment, 1 a later one
	TTL                 // time to live or hop limit
	TOS                 // type of service or traffic class, all eight bits
	Length              // bytes from the network header on
	PktType             // packet.PacketType
	NumDims
)

// dims describes each dimension: its name, its greatest value, and whether its
// values are kept as a bitmap. Addresses are 32 or 128 bits wide by family, so
// their greatest value is that of the number type that holds them.
var dims = [NumDims]struct {
	name   string
	max    uint64
	bitmap bool
}{
	Proto: {"protocol", 255, true}, In: {"in-interface", 0, false}, Out: {"out-interface", 0, false},
	Src: {"source", 0, false}, Dst: {"destination", 0, false},
	SPort: {"source-port", 65535, false}, DPort: {"destination-port", 65535, false}, ICMP: {"icmp-type", 65535, false},
	Flags: {"tcp-flags", 255, true}, State: {"state", 4, true}, Status: {"status", 63, true}, Dir: {"direction", 1, true},
	Mark: {"mark", 1<<32 - 1, false}, ConnMark: {"connmark", 1<<32 - 1, false}, Fragment: {"fragment", 1, true},
	TTL: {"ttl", 255, true}, TOS: {"tos", 255, true}, Length: {"length", 65535, false}, PktType: {"pkttype", 7, true},
}

// String is the dimension's name, as iptables names the option if there is one.
func (d Dim) String() string { return dims[d].name }

// isName reports whether the values are interface names.
func (d Dim) isName() bool { return d == In || d == Out }

// isAddr reports whether the values are addresses.
func (d Dim) isAddr() bool { return d == Src || d == Dst }

// NameNumber is an interface name as a number: its bytes, the first the most
// significant of 15, filled up with zeros. So names that begin alike lie side
// by side, and "" is 0. Bytes after the 15th are left out, as in the kernel.
func NameNumber(name string) Number {
	var b [16]byte
	copy(b[1:], name)
	return Number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// NameOf is the interface name that a number stands for.
func NameOf(n Number) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.Hi)
	binary.BigEndian.PutUint64(b[8:], n.Lo)
	end := len(b)
	for end > 1 && b[end-1] == 0 {
		end--
	}
	return string(b[1:end])
}

// withoutFill is the name up to the bytes 255 that fill up the last name of
// those that begin alike.
func withoutFill(name string) string {
	for strings.HasSuffix(name, "\xff") {
		name = name[:len(name)-1]
	}
	return name
}

// AddrNumber is an address as a number, the first byte the most significant.
func AddrNumber(a netip.Addr) Number {
	if a.Is4() {
		b := a.As4()
		return Number{Lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// AddrOf is the address of a family that a number stands for.
func AddrOf(n Number, f rule.Family) netip.Addr {
	var b [16]byte
	if f == rule.IPv4 {
		binary.BigEndian.PutUint32(b[:4], uint32(n.Lo))
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	binary.BigEndian.PutUint64(b[:8], n.Hi)
	binary.BigEndian.PutUint64(b[8:], n.Lo)
	return netip.AddrFrom16(b)
}
