// Package packet is a packet as rules see it: a value with its headers, its
// interfaces, its connection and what the kernel has noted on it. It imports
// only the model and the standard library and does no I/O.
//
// A question about a packet is rarely complete. What is not known is marked as
// such (Known bits, nil pointers), and a match that needs it answers Unknown.
package packet

import (
	"net/netip"

	"moat/internal/rule"
)

// Answer is what a condition says of a packet: three values, since what a
// packet alone cannot decide is never guessed.
type Answer uint8

const (
	Unknown Answer = iota
	No
	Yes
)

// Of turns a decided condition into an Answer.
func Of(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Not inverts a decided answer; Unknown stays.
func (a Answer) Not() Answer {
	switch a {
	case Yes:
		return No
	case No:
		return Yes
	}
	return Unknown
}

// Invert inverts the answer if not is set.
func (a Answer) Invert(not bool) Answer {
	if not {
		return a.Not()
	}
	return a
}

// And is Yes when both are, No when one is, Unknown otherwise.
func (a Answer) And(b Answer) Answer {
	switch {
	case a == No || b == No:
		return No
	case a == Yes && b == Yes:
		return Yes
	}
	return Unknown
}

// Or is No when both are, Yes when one is, Unknown otherwise.
func (a Answer) Or(b Answer) Answer { return a.Not().And(b.Not()).Not() }

// String is "unknown", "no" or "yes".
func (a Answer) String() string { return [...]string{"unknown", "no", "yes"}[a%3] }

// Packet is one packet at one hook. The zero value of a field that has a Known
// bit or a pointer means "not told"; all others are what they say.
type Packet struct {
	Family  rule.Family
	Hook    rule.Hook
	In, Out string // interface names; "" at a hook where there is none
	// HiddenIn and HiddenOut say that there is such an interface, but not which:
	// In or Out is "" then and a condition on it is unknown.
	HiddenIn, HiddenOut bool
	Src, Dst            netip.Addr // not valid: not told
	Proto               uint8      // of the transport header, after IPv6 extension headers

	Fragment     bool   // a second or further fragment: it has no transport header
	MoreFollow   bool   // more fragments follow
	FragmentID   uint32 // known with KnowFragment
	FragmentAt   uint16 // offset in units of 8 bytes, known with KnowFragment
	TOS          uint8  // type of service or traffic class, both DSCP and ECN bits; with KnowTOS
	TTL          uint8  // time to live or hop limit; with KnowTTL
	Length       uint32 // bytes from the network header on; with KnowLength
	Known        Know
	Transport    Transport
	Template     Template    // what table raw has asked of connection tracking
	Extensions   []Extension // IPv6 extension headers in order; with KnowExtensions
	Connection   Connection
	Mark         uint32 // with KnowMark
	SrcMAC       [6]byte
	PacketType   PacketType
	Bytes        []byte // the packet from its network header on; nil: not told
	Host         Host   // what the host knows of addresses, routes and sets; nil: not told
	PhysIn       string // bridge port it came in by; with KnowPhysical
	PhysOut      string // bridge port it leaves by; with KnowPhysical
	Bridged      bool   // it is bridged, not routed; with KnowPhysical
	SocketUID    uint32 // of the local socket that sent it; with KnowOwner
	SocketGID    uint32 // with KnowOwner
	RouteRealm   uint32 // with KnowRealm
	InGroup      uint32 // device group of In; with KnowGroups
	OutGroup     uint32 // device group of Out; with KnowGroups
	CPU          uint32 // with KnowCPU
	Priority     uint32 // with KnowPriority
	Traced       bool   // TRACE was met
	Checksummed  bool   // its transport checksum is good; with KnowChecksum
	PolicyIPsec  bool   // it came or goes through IPsec; with KnowPolicy
	CgroupPath   string // with KnowCgroup
	ArrivedLocal bool   // it was made by this host
}

// Know says which of a Packet's fields were told.
type Know uint64

const (
	KnowFragment Know = 1 << iota
	KnowTOS
	KnowTTL
	KnowLength
	KnowExtensions
	KnowMark
	KnowMAC
	KnowPacketType
	KnowPhysical
	KnowOwner
	KnowRealm
	KnowGroups
	KnowCPU
	KnowPriority
	KnowChecksum
	KnowPolicy
	KnowCgroup
	KnowSrcPort     // Transport.Src
	KnowDstPort     // Transport.Dst
	KnowFlags       // Transport.Flags
	KnowICMP        // Transport.Type and Code
	KnowTCPOptions  // Transport.Options
	KnowSPI         // Transport.SPI of ESP and AH
	KnowState       // Connection.State
	KnowStatus      // Connection.Status
	KnowConnMark    // Connection.Mark
	KnowDirection   // Connection.Reply
	KnowOriginal    // Connection.Original
	KnowReplyTuple  // Connection.Reply's addresses, ReplyTuple
	KnowExpire      // Connection.Expire
	KnowConnLabels  // Connection.Labels
	KnowConnHelper  // Connection.Helper
	KnowConnCounter // Connection.Packets and Bytes
)

// KnowPorts is both ports.
const KnowPorts = KnowSrcPort | KnowDstPort

// Has reports whether all of k were told.
func (p *Packet) Has(k Know) bool { return p.Known&k == k }

// Transport is the transport header, as far as its protocol has the fields.
type Transport struct {
	Src, Dst   uint16 // ports, host order
	Flags      uint8  // TCP: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128
	Type, Code uint8  // ICMP and ICMPv6
	Options    []TCPOption
	SPI        uint32 // ESP and AH
	Chunks     []uint8
}

// TCPOption is one option of a TCP header.
type TCPOption struct {
	Kind uint8
	Data []byte // without kind and length
}

// Extension is one IPv6 extension header.
type Extension struct {
	Proto uint8  // 0 hop-by-hop, 43 routing, 44 fragment, 51 AH, 60 destination options
	Data  []byte // the whole header; nil: not told
}

// State is a connection's state for one packet, as iptables names it.
type State uint8

const (
	Invalid State = iota
	New
	Established
	Related
	Untracked
)

// String is the state's name.
func (s State) String() string {
	return [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"}[s%5]
}

// Status bits of a connection, IPS_* of linux/netfilter/nf_conntrack_common.h.
const (
	StatusExpected  = 1 << 0
	StatusSeenReply = 1 << 1
	StatusAssured   = 1 << 2
	StatusConfirmed = 1 << 3
	StatusSNAT      = 1 << 4
	StatusDNAT      = 1 << 5
)

// Tuple is one direction of a connection. In the place of ports the kernel has,
// for ICMP, the identifier and the type and code (0: not told), and nothing for
// protocols that it does not know.
type Tuple struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Proto            uint8
}

// Zones are where connection tracking looks a connection up, by the direction
// that the packet would have in it. The same addresses and ports in another zone
// are another connection.
type Zones struct{ Original, Reply uint16 }

// Template is what a rule of table raw (CT) asks of connection tracking for its
// look-up of the packet. The zero value is a packet of which none has.
type Template struct {
	Set      bool // a rule has asked; those after it are not heard
	Zone     uint16
	ZoneMark bool // the zone is the packet's mark at the look-up
	// Original and Reply say that the zone is for this direction only, and that 0
	// holds for the other. None or both: it is for both.
	Original, Reply bool
}

// Zones gives those in which the packet is looked up; known is false if that
// hangs on a mark that was not told.
func (p *Packet) Zones() (z Zones, known bool) {
	t := p.Template
	id := t.Zone
	if t.ZoneMark {
		if !p.Has(KnowMark) {
			return z, false
		}
		id = uint16(p.Mark)
	}
	if t.Original || !t.Reply {
		z.Original = id
	}
	if t.Reply || !t.Original {
		z.Reply = id
	}
	return z, true
}

// Connection is what connection tracking knows of the packet's connection.
type Connection struct {
	State      State
	Zones      Zones
	Status     uint32 // Status…
	Mark       uint32
	Reply      bool // the packet goes against the direction of the first
	Original   Tuple
	ReplyTuple Tuple
	Expire     uint32 // seconds left
	Labels     [16]byte
	Helper     string    // "" for none
	Packets    [2]uint64 // original and reply direction
	Bytes      [2]uint64
}

// PacketType is the link layer's idea of the receiver, PACKET_* of linux/if_packet.h.
type PacketType uint8

const (
	ToHost PacketType = iota
	ToBroadcast
	ToMulticast
	ToOther
)

// String is the type as iptables and questions name it: "unicast" …
func (t PacketType) String() string {
	return [...]string{"unicast", "broadcast", "multicast", "other"}[t%4]
}

// AddressType is what an address means to this host, the RTN_* of
// linux/rtnetlink.h under the names of iptables-extensions(8), "addrtype".
type AddressType uint8

// The types of addresses, and of routes.
const (
	AddressUnspec AddressType = iota
	AddressUnicast
	AddressLocal
	AddressBroadcast
	AddressAnycast
	AddressMulticast
	AddressBlackhole
	AddressUnreachable
	AddressProhibit
	AddressThrow
)

// IsLimitedBroadcast reports whether an address is 255.255.255.255, to which
// packets go to all on the link.
func IsLimitedBroadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// Host answers what only the machine can know. Each answer says if it is known.
type Host interface {
	// AddressType is the type of an address (RTN_*), seen from an interface if
	// dev is not empty.
	AddressType(a netip.Addr, dev string) (t AddressType, known bool)
	// ReversePath reports whether a packet from src that came in by dev would
	// be answered by the same interface (strict) or by any (loose).
	ReversePath(src netip.Addr, dev string, loose bool) (ok, known bool)
	// InSet reports whether a packet is in an ipset; dirs are "src" and "dst".
	InSet(set string, dirs []string, p *Packet) (in, known bool)
	// InterfaceAddress is the address of dev that REDIRECT and MASQUERADE take
	// for packets of a family to or from peer: IPv4's primary address, IPv6's
	// best one. It is not valid where dev has none.
	InterfaceAddress(dev string, f rule.Family, peer netip.Addr) (a netip.Addr, known bool)
	// Route says where the routing table sends p: to this host (local), or out
	// of an interface. A packet that has no route goes nowhere: both are empty.
	Route(p *Packet) (r Route, known bool)
}

// Route is the routing table's answer for one packet.
type Route struct {
	Local bool
	Out   string // interface; "" with Local, or when there is no route
	// OutGroup is the device group of Out.
	OutGroup uint32
}
