package ext

// cpu: iptables-extensions(8), "cpu".
// UAPI: linux/netfilter/xt_cpu.h, struct xt_cpu_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// CPU matches the processor that handles the packet.
type CPU struct {
	Number uint32
	Not    bool
}

var cpu = Def{
	Name: "cpu", Kind: Match, Families: Both,
	Summary: "processor that handles the packet",
	Options: []Option{
		{Name: "cpu", Value: "NUMBER", Not: true, Required: true, Help: "number of the processor, from 0"},
	},
	Revisions: []Revision{{Rev: 0, Size: 8}},
	New:       func(rule.Family) Ext { return &CPU{} },
}

func init() { register(&cpu) }

func (m *CPU) Name() string { return "cpu" }
func (m *CPU) Def() *Def    { return &cpu }

func (m *CPU) Set(a *Arg) error {
	n, err := a.Uint(0, 1<<32-1)
	m.Number, m.Not = uint32(n), a.Not
	return err
}

func (m *CPU) Save(p *Printer) { p.OptionUint(m.Not, "cpu", uint64(m.Number)) }

func (m *CPU) List(p *Printer) {
	p.Str(" cpu ")
	if m.Not {
		p.Str("! ")
	}
	p.Uint(uint64(m.Number))
}

// Info writes struct xt_cpu_info.
func (m *CPU) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.Number)
	w.Host32(flag[uint32](m.Not, 1))
}

// Read reads struct xt_cpu_info.
func (m *CPU) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Number = r.Host32()
	inv := r.Host32()
	m.Not = inv != 0
	if inv > 1 {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares the processor.
func (m *CPU) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowCPU) {
		return packet.Unknown
	}
	return packet.Of((p.CPU == m.Number) != m.Not)
}
