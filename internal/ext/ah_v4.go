package ext

// ah for IPv4: iptables-extensions(8), "ah (IPv4-specific)".
// UAPI: linux/netfilter_ipv4/ipt_ah.h, struct ipt_ah, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// AH4 matches the security parameter index of IPv4's authentication header.
type AH4 struct {
	SPI NumberMatch
}

var ah4 = Def{
	Name: "ah", Kind: Match, Families: V4,
	Summary:   "security parameter index of the authentication header",
	Protocols: []uint16{51},
	Options: []Option{
		{Name: "ahspi", Value: "SPI[:SPI]", Not: true, Help: "security parameter index or range"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &AH4{SPI: anyNumber} },
}

func init() { register(&ah4) }

func (m *AH4) Name() string { return "ah" }
func (m *AH4) Def() *Def    { return &ah4 }

func (m *AH4) Set(a *Arg) error { return m.SPI.set(a) }

func (m *AH4) Save(p *Printer) { m.SPI.save(p, "ahspi") }

func (m *AH4) List(p *Printer) {
	p.Str(" ah ")
	m.SPI.list(p, "spi")
}

// Info writes struct ipt_ah. Without -p ah the kernel refuses it.
func (m *AH4) Info(w nft.Info, _ uint8, _ rule.Family) { m.SPI.infoNot(w) }

// Read reads struct ipt_ah.
func (m *AH4) Read(r *nft.InfoReader, _ uint8, _ rule.Family) (err error) {
	m.SPI, err = readNumbersNot(r)
	return err
}

// Match compares the index. A later fragment has none.
func (m *AH4) Match(p *packet.Packet) packet.Answer { return m.SPI.matchSPI(p) }
