package ext

// esp: iptables-extensions(8), "esp".
// UAPI: linux/netfilter/xt_esp.h, struct xt_esp, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// ESP matches the security parameter index of IPsec's encapsulating header.
type ESP struct {
	SPI NumberMatch
}

var esp = Def{
	Name: "esp", Kind: Match, Families: Both,
	Summary:   "security parameter index of the ESP header",
	Protocols: []uint16{50},
	Options: []Option{
		{Name: "espspi", Value: "SPI[:SPI]", Not: true, Help: "security parameter index or range"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &ESP{SPI: anyNumber} },
}

func init() { register(&esp) }

func (m *ESP) Name() string { return "esp" }
func (m *ESP) Def() *Def    { return &esp }

func (m *ESP) Set(a *Arg) error { return m.SPI.set(a) }

func (m *ESP) Save(p *Printer) { m.SPI.save(p, "espspi") }

func (m *ESP) List(p *Printer) {
	p.Str(" esp")
	m.SPI.list(p, " spi")
}

// Info writes struct xt_esp. Without -p esp the kernel refuses it.
func (m *ESP) Info(w nft.Info, _ uint8, _ rule.Family) { m.SPI.infoNot(w) }

// Read reads struct xt_esp.
func (m *ESP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) (err error) {
	m.SPI, err = readNumbersNot(r)
	return err
}

// Match compares the index. A later fragment has none.
func (m *ESP) Match(p *packet.Packet) packet.Answer { return m.SPI.matchSPI(p) }
