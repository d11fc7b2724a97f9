package host

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"moat/internal/packet"
	"moat/internal/rule"
)

// Set is one ipset with its content, see ipset(8).
type Set struct {
	Name   string
	Type   string      // "hash:net,port"
	Family rule.Family // 0 for a set of any family
	// Netmask is the prefix length to which hash:ip and its like cut addresses; 0
	// for all bits. Bitmask, if valid, is what they are ANDed with instead.
	Netmask  int
	Bitmask  netip.Addr
	MarkMask uint32 // hash:ip,mark: 0 for all bits
	Elements []Element
	// Undecided says that the set has something that this package does not know.
	Undecided bool

	once  sync.Once
	index setIndex
}

// Element is one member. Which fields count depends on the set's type; the
// parts of the type's name stand here in their order.
type Element struct {
	Net, Net2 netip.Prefix // an address is a prefix of full length
	Proto     uint8
	Port      uint16 // ICMP: type<<8 | code
	Mark      uint32
	MAC       [6]byte
	HasMAC    bool   // bitmap:ip,mac: false for an element that takes any
	Interface string // hash:net,iface
	Wildcard  bool   // Interface is a beginning of names
	Physdev   bool   // Interface is a bridge port
	Member    string // list:set
	NoMatch   bool
}

// setIndex finds elements by everything but interface and MAC.
type setIndex struct {
	parts    []string
	elements map[key][]*Element
	sizes    [][2]int // prefix lengths of Net and Net2 that there are, longest first
}

// key is what of an element is looked up at once.
type key struct {
	net, net2 netip.Prefix
	proto     uint8
	port      uint16
	mark      uint32
}

// maxListDepth bounds lists in lists: the kernel takes none.
const maxListDepth = 4

// InSet looks a packet up as match set does: with as many of dirs as the set
// has dimensions; with fewer, or in a set of the other family, no packet is
// in. Elements marked nomatch are exceptions. Counters and timeouts are not
// looked at: what was there when the set was read counts.
func (f *Facts) InSet(name string, dirs []string, p *packet.Packet) (in, known bool) {
	a := f.inSet(name, dirs, p, 0)
	return a == packet.Yes, a != packet.Unknown
}

func (f *Facts) inSet(name string, dirs []string, p *packet.Packet, depth int) packet.Answer {
	s := f.indexed().sets[name]
	switch {
	case s == nil, s.Undecided, depth == maxListDepth:
		return packet.Unknown // a set that is not here cannot be asked for by a rule
	case s.Family != 0 && s.Family != p.Family:
		return packet.No
	}
	x := s.indexed()
	if s.Type == "list:set" {
		return f.inList(s, dirs, p, depth)
	}
	if len(dirs) < len(x.parts) {
		return packet.No
	}
	return x.find(s, dirs, p)
}

// inList asks the members in order. The kernel passes over a member that has
// more dimensions than the rule gives.
func (f *Facts) inList(s *Set, dirs []string, p *packet.Packet, depth int) packet.Answer {
	a := packet.No
	for i := range s.Elements {
		a = a.Or(f.inSet(s.Elements[i].Member, dirs, p, depth+1))
	}
	return a
}

// parts splits "hash:ip,port,net" into what each dimension is.
func (s *Set) parts() []string {
	_, list, _ := strings.Cut(s.Type, ":")
	return strings.Split(list, ",")
}

func (s *Set) indexed() *setIndex {
	s.once.Do(func() {
		x := &s.index
		x.parts = s.parts()
		x.elements = make(map[key][]*Element, len(s.Elements))
		seen := map[[2]int]bool{}
		for i := range s.Elements {
			e := &s.Elements[i]
			k := key{e.Net, e.Net2, e.Proto, e.Port, e.Mark}
			x.elements[k] = append(x.elements[k], e)
			if size := [2]int{e.Net.Bits(), e.Net2.Bits()}; !seen[size] {
				seen[size] = true
				x.sizes = append(x.sizes, size)
			}
		}
		sortSizes(x.sizes)
	})
	return &s.index
}

// sortSizes puts long prefixes in front, those of the first network first.
func sortSizes(sizes [][2]int) {
	slices.SortFunc(sizes, func(a, b [2]int) int { return cmp.Or(b[0]-a[0], b[1]-a[1]) })
}

// PortsIn gives the runs of ports that stand in a set where a rule looks up a
// packet's source port, or its destination port, in order. sources says of each
// of the rule's dimensions whether it is the packet's source.
func (f *Facts) PortsIn(name string, sources []bool, src bool) (runs []PortRange) {
	var ports []uint16
	f.eachSet(name, 0, func(s *Set) {
		for i, part := range s.indexed().parts {
			if part != "port" || i >= len(sources) || sources[i] != src {
				continue
			}
			for j := range s.Elements {
				ports = append(ports, s.Elements[j].Port)
			}
		}
	})
	slices.Sort(ports)
	for _, port := range ports {
		if n := len(runs); n > 0 && uint32(port) <= uint32(runs[n-1].Last)+1 {
			runs[n-1].Last = port
			continue
		}
		runs = append(runs, PortRange{port, port})
	}
	return runs
}

// eachSet gives a set, or those that a list of sets names.
func (f *Facts) eachSet(name string, depth int, each func(*Set)) {
	s := f.indexed().sets[name]
	switch {
	case s == nil || depth == maxListDepth:
	case s.Type != "list:set":
		each(s)
	default:
		for i := range s.Elements {
			f.eachSet(s.Elements[i].Member, depth+1, each)
		}
	}
}
