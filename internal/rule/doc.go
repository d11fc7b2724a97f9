// Package rule is the model in which every part of Moat meets: families,
// tables, chains, rules, counters. It is pure data: it does no I/O, holds no
// kernel bytes and knows no extension by name. A function that takes these
// values can be tested without root.
package rule

// Family is an address family, numbered as NFPROTO_* in linux/netfilter.h.
type Family uint8

// The families that iptables and ip6tables speak for.
const (
	IPv4 Family = 2
	IPv6 Family = 10
)

// String is "ip" or "ip6", the names nf_tables uses for the families.
func (f Family) String() string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip"
}

// Name is "IPv4" or "IPv6", for people.
func (f Family) Name() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Program is the name of the family's program, "iptables" or "ip6tables".
func (f Family) Program() string {
	if f == IPv6 {
		return "ip6tables"
	}
	return "iptables"
}

// AddrLen is the length of an address of the family in bytes: 4 or 16.
func (f Family) AddrLen() int {
	if f == IPv6 {
		return 16
	}
	return 4
}

// Counters are what a rule or a chain's policy has seen so far.
type Counters struct {
	Packets uint64
	Bytes   uint64
}
