package ext

// eui64: iptables-extensions(8), "eui64". It has no options and no struct: the
// kernel takes an int that nothing reads.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// EUI64 matches IPv6 sources whose lower half is made from the sender's Ethernet address.
type EUI64 struct{}

var eui64 = Def{
	Name: "eui64", Kind: Match, Families: V6,
	Summary:   "source address made from the sender's Ethernet address",
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &EUI64{} },
}

func init() { register(&eui64) }

func (m *EUI64) Name() string { return "eui64" }
func (m *EUI64) Def() *Def    { return &eui64 }

// Set is never called: there are no options.
func (m *EUI64) Set(a *Arg) error { return a.Errorf("is not known") }

// Save prints nothing.
func (m *EUI64) Save(*Printer) {}

// List prints nothing.
func (m *EUI64) List(*Printer) {}

// Info writes the int, 0.
func (m *EUI64) Info(w nft.Info, _ uint8, _ rule.Family) { w.Host32(0) }

// Read takes whatever stands there.
func (m *EUI64) Read(*nft.InfoReader, uint8, rule.Family) error { return nil }

// Match makes the address from the Ethernet address as RFC 4291, appendix A, says.
func (m *EUI64) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowMAC) || !p.Src.Is6() {
		return packet.Unknown
	}
	a, mac := p.Src.As16(), p.SrcMAC
	made := [8]byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
	return packet.Of([8]byte(a[8:]) == made)
}
