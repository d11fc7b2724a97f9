package host

import (
	"net/netip"
	"sync"

	"moat/internal/packet"
	"moat/internal/rule"
)

// The tables of the default rules: RT_TABLE_* of linux/rtnetlink.h.
const (
	DefaultTable = 253
	MainTable    = 254
	LocalTable   = 255
)

// Facts are what a host knows. Fields are filled by Read, by New, or by hand,
// and do not change after the first question. A *Facts answers from several
// goroutines at once.
type Facts struct {
	Interfaces []Interface
	// Routes are those of all tables and both families, in any order.
	Routes []Route
	// Rules are those of policy routing; if a family has none here, the three
	// of a fresh kernel hold: local, main, default.
	Rules []Rule
	// Sets are the ipsets; SetsTold says that they are all there are, so that no
	// packet is in a set that is not among them.
	Sets     []*Set
	SetsTold bool

	once  sync.Once
	index index
}

var _ packet.Host = (*Facts)(nil)

// Interface is one network interface.
type Interface struct {
	Name     string
	Index    int
	Up       bool   // it is administratively up
	Loopback bool   // it is lo
	Kind     string // of virtual ones, "veth", "bridge", "vlan" …; "" for hardware and lo
	Master   string // the bridge, bond or VRF it belongs to; "" for none
	Group    uint32 // device group
	MAC      [6]byte
	// Addresses in the kernel's order.
	Addresses []Address
	// Groups are the multicast groups that the host has joined on it.
	Groups []netip.Addr

	// Settings of net.ipv4.conf and net.ipv6.conf, the "all" ones worked in.
	Forward4, Forward6 bool // packets that came in by it are forwarded
	RPFilter           int  // source validation of IPv4: 0 none, 1 strict, 2 loose
	SourceMark         bool // source validation of IPv4 looks at the packet's mark
	RouteLocalnet      bool // 127.0.0.0/8 is not refused on it
	AcceptLocal        bool // own IPv4 addresses are accepted as sources
	PreferTemporary    bool // of IPv6 addresses, temporary ones are taken for new connections
}

// Address is one address of an interface.
type Address struct {
	Prefix     netip.Prefix // the host's address, and the length of its network
	Peer       netip.Prefix // of a point-to-point link; not valid if there is none
	Broadcast  netip.Addr   // not valid if there is none
	Scope      uint8        // RT_SCOPE_*: 0 the world, 253 the link, 254 the host
	Secondary  bool         // IPv4: not the first of its network
	Temporary  bool         // IPv6: of privacy extensions
	Deprecated bool         // IPv6: not for new connections
	Tentative  bool         // IPv6: duplicate detection is not over, or failed
}

// Route is one route of one table.
type Route struct {
	Prefix netip.Prefix // masked
	Table  uint32
	Type   packet.AddressType // 0 is AddressUnicast
	Metric uint32
	TOS    uint8 // IPv4: only for packets with this type of service; 0 for all
	Hops   []Hop // several for a multipath route; none for a blackhole and its like
	// From is the source that the route is for (IPv6); not valid for all.
	From netip.Prefix
}

// Hop is one way of a route.
type Hop struct {
	Interface string
	Gateway   netip.Addr // not valid: the destination is on the link
	Dead      bool       // the link is down
}

// kind is the type, 0 read as unicast.
func (r *Route) kind() packet.AddressType {
	if r.Type == packet.AddressUnspec {
		return packet.AddressUnicast
	}
	return r.Type
}

// Interface finds an interface by its name; nil if there is none.
func (f *Facts) Interface(name string) *Interface {
	for i := range f.Interfaces {
		if f.Interfaces[i].Name == name {
			return &f.Interfaces[i]
		}
	}
	return nil
}

// Owns reports whether a is an address of this host.
func (f *Facts) Owns(a netip.Addr) bool {
	t, known := f.AddressType(a.WithZone(""), "")
	return known && t == packet.AddressLocal
}

// familyOf is the family of an address; IPv4 in IPv6 is IPv6.
func familyOf(a netip.Addr) rule.Family {
	if a.Is4() {
		return rule.IPv4
	}
	return rule.IPv6
}
