package rule

import "net/netip"

// Rule is one line of a chain: conditions, and what happens to a packet that
// meets them all. The zero Rule matches every packet and does nothing but count.
type Rule struct {
	Src, Dst Address
	In, Out  Interface
	Proto    Protocol
	Fragment Fragment
	Matches  []Match // in the order they were written, which is the order of evaluation
	Target   Target  // nil: the rule only counts
	Counters Counters

	// Handle is the kernel's name for the rule; 0 before the kernel has it.
	Handle uint64
	// Foreign is set for a rule that iptables cannot express: what it says is
	// only partly in the fields above and must never be written back.
	Foreign bool
}

// Address is a source or destination: packets whose address, ANDed with Mask,
// is IP. The zero Address is any. IP has no bits outside Mask.
type Address struct {
	IP   netip.Addr
	Mask netip.Addr // same family as IP; any bit pattern
	Not  bool
}

// IsAny reports whether no condition was given. "! 0.0.0.0/0" is not any.
func (a Address) IsAny() bool { return !a.IP.IsValid() }

// PrefixLen is the length of the mask if it is a prefix, and -1 if it has holes.
func (a Address) PrefixLen() int {
	if !a.Mask.IsValid() {
		return 0
	}
	n, ended := 0, false
	for _, b := range a.Mask.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			set := b>>bit&1 == 1
			switch {
			case set && ended:
				return -1
			case set:
				n++
			default:
				ended = true
			}
		}
	}
	return n
}

// LastAddr is the highest address of a network.
func LastAddr(n netip.Prefix) netip.Addr {
	b := n.Addr().AsSlice()
	for i := range b {
		b[i] |= 0xff >> min(8, max(0, n.Bits()-8*i))
	}
	a, _ := netip.AddrFromSlice(b) // as long as an address: it was one
	return a
}

// Interface is an interface name; a trailing '+' stands for any ending. The
// zero Interface is any. At most 15 bytes (IFNAMSIZ less its zero).
type Interface struct {
	Name string
	Not  bool
}

// IsAny reports whether every interface meets the condition: none was given, or "+".
func (i Interface) IsAny() bool { return i.Name == "" || i.Name == "+" && !i.Not }

// Protocol is an IP protocol number, as in the IPv4 header, or for IPv6 the
// header after the extension headers. The zero Protocol is any.
type Protocol struct {
	Number uint16
	Not    bool
}

// IsAny reports whether no condition was given.
func (p Protocol) IsAny() bool { return p.Number == 0 }

// Is reports whether the rule can only match packets of protocol number n.
func (p Protocol) Is(n uint16) bool { return p.Number == n && !p.Not }

// Fragment is the condition of IPv4's -f.
type Fragment uint8

const (
	AnyFragment   Fragment = iota // no condition
	OnlyFragments                 // -f: second and further fragments
	NotAFragment                  // ! -f: whole packets and first fragments
)

// Match is a condition added by an extension: what "-m NAME" and its options
// say. The concrete types are in package ext.
type Match interface {
	// Name is the extension's name as the save format writes it after "-m".
	Name() string
}

// Target is what happens to a packet that meets the conditions: a Verdict, a
// Jump, or a target extension of package ext.
type Target interface {
	// Name is what the save format writes after "-j" or "-g".
	Name() string
}

// Verdict is one of the targets that are built into iptables.
type Verdict uint8

// The built-in targets, and the policies a built-in chain can have (the first two).
const (
	Accept Verdict = iota
	Drop
	Queue
	Return
)

// Name is the verdict as it is written after -j.
func (v Verdict) Name() string { return [...]string{"ACCEPT", "DROP", "QUEUE", "RETURN"}[v&3] }

// ParseVerdict finds a built-in target by its name.
func ParseVerdict(name string) (v Verdict, ok bool) {
	switch name {
	case "ACCEPT":
		return Accept, true
	case "DROP":
		return Drop, true
	case "QUEUE":
		return Queue, true
	case "RETURN":
		return Return, true
	}
	return 0, false
}

// Jump sends the packet through a user-defined chain.
type Jump struct {
	Chain string
	Goto  bool // -g: RETURN there goes back to where this chain was called from
}

// Name is the chain's name.
func (j Jump) Name() string { return j.Chain }
