package ext

// ipcomp: iptables-extensions(8), "ipcomp".
// UAPI: linux/netfilter/xt_ipcomp.h, struct xt_ipcomp, revision 0.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// IPComp matches the compression parameter index of IPComp, RFC 3173.
type IPComp struct {
	CPI      NumberMatch // without any option it is 0, not all
	Reserved bool        // ask for a reserved field of zero, which the kernel has never looked at
}

var ipcomp = Def{
	Name: "ipcomp", Kind: Match, Families: Both,
	Summary:   "compression parameter index of the IPComp header",
	Protocols: []uint16{108},
	Options: []Option{
		{Name: "ipcompspi", Value: "CPI[:CPI]", Not: true, Help: "compression parameter index or range (default 0)"},
		{Name: "compres", Help: "the reserved field is zero (the kernel does not look)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &IPComp{} },
}

func init() { register(&ipcomp) }

func (m *IPComp) Name() string { return "ipcomp" }
func (m *IPComp) Def() *Def    { return &ipcomp }

func (m *IPComp) Set(a *Arg) error {
	if a.Is("compres") {
		m.Reserved = true
		return nil
	}
	return m.CPI.set(a)
}

func (m *IPComp) Save(p *Printer) {
	m.CPI.save(p, "ipcompspi")
	if m.Reserved {
		p.Option(false, "compres")
	}
}

func (m *IPComp) List(p *Printer) {
	p.Str(" comp ")
	m.CPI.list(p, "spi")
	if m.Reserved {
		p.Str(" reserved")
	}
}

// Info writes struct xt_ipcomp. Without -p ipcomp the kernel refuses it.
func (m *IPComp) Info(w nft.Info, _ uint8, _ rule.Family) {
	m.CPI.infoNot(w)
	w.Bool(m.Reserved)
}

// Read reads struct xt_ipcomp.
func (m *IPComp) Read(r *nft.InfoReader, _ uint8, _ rule.Family) (err error) {
	m.CPI, err = readNumbersNot(r)
	m.Reserved = r.Bool()
	return err
}

// Match compares the index. A later fragment has none.
func (m *IPComp) Match(p *packet.Packet) packet.Answer {
	if p.Fragment {
		return packet.No
	}
	b := transportBytes(p)
	if len(b) < 4 {
		return packet.Unknown
	}
	return packet.Of(m.CPI.has(uint32(binary.BigEndian.Uint16(b[2:]))))
}
