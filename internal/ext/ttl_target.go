package ext

// TTL and HL (the targets): iptables-extensions(8), "TTL" and "HL".
// UAPI: linux/netfilter_ipv4/ipt_TTL.h, struct ipt_TTL_info, and
// linux/netfilter_ipv6/ip6t_HL.h, struct ip6t_HL_info, both revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TTLMode is how TTL and HL change the field: IPT_TTL_* and IP6T_HL_*.
type TTLMode uint8

// The modes of TTL and HL.
const (
	TTLSet TTLMode = iota
	TTLInc
	TTLDec
)

// TTLTarget changes the time to live, or IPv6's hop limit.
type TTLTarget struct {
	V6    bool // HL
	Mode  TTLMode
	Value uint8
}

var ttlTarget = Def{
	Name: "TTL", Kind: Target, Families: V4,
	Summary: "change the time to live",
	Options: []Option{
		{Name: "ttl-set", Value: "NUMBER", Excludes: []string{"ttl-dec", "ttl-inc"}, Help: "set the time to live (0-255)"},
		{Name: "ttl-dec", Value: "NUMBER", Excludes: []string{"ttl-inc"}, Help: "lower the time to live (1-255)"},
		{Name: "ttl-inc", Value: "NUMBER", Help: "raise the time to live (1-255)"},
	},
	AnyOf:     []string{"ttl-set", "ttl-dec", "ttl-inc"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &TTLTarget{} },
}

var hlTarget = Def{
	Name: "HL", Kind: Target, Families: V6,
	Summary: "change the hop limit",
	Options: []Option{
		{Name: "hl-set", Value: "NUMBER", Excludes: []string{"hl-dec", "hl-inc"}, Help: "set the hop limit (0-255)"},
		{Name: "hl-dec", Value: "NUMBER", Excludes: []string{"hl-inc"}, Help: "lower the hop limit (1-255)"},
		{Name: "hl-inc", Value: "NUMBER", Help: "raise the hop limit (1-255)"},
	},
	AnyOf:     []string{"hl-set", "hl-dec", "hl-inc"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &TTLTarget{V6: true} },
}

func init() {
	register(&ttlTarget)
	register(&hlTarget)
}

func (t *TTLTarget) Name() string { return t.Def().Name }

func (t *TTLTarget) Def() *Def {
	if t.V6 {
		return &hlTarget
	}
	return &ttlTarget
}

func (t *TTLTarget) Set(a *Arg) error {
	least := uint64(1)
	switch a.Option.Name[strings.IndexByte(a.Option.Name, '-')+1:] {
	case "set":
		t.Mode, least = TTLSet, 0
	case "dec":
		t.Mode = TTLDec
	case "inc":
		t.Mode = TTLInc
	}
	n, err := a.Uint(least, 255)
	t.Value = uint8(n)
	return err
}

func (t *TTLTarget) Save(p *Printer) {
	name := "ttl"
	if t.V6 {
		name = "hl"
	}
	p.Option(false, name)
	p.Str([...]string{TTLSet: "-set ", TTLInc: "-inc ", TTLDec: "-dec "}[t.Mode])
	p.Uint(uint64(t.Value))
}

func (t *TTLTarget) List(p *Printer) {
	p.Byte(' ')
	p.Str(t.Name())
	p.Str([...]string{TTLSet: " set to ", TTLInc: " increment by ", TTLDec: " decrement by "}[t.Mode])
	p.Uint(uint64(t.Value))
}

// Info writes struct ipt_TTL_info or ip6t_HL_info.
func (t *TTLTarget) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(uint8(t.Mode))
	w.U8(t.Value)
}

// Read reads struct ipt_TTL_info or ip6t_HL_info.
func (t *TTLTarget) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Mode, t.Value = TTLMode(r.U8()), r.U8()
	if t.Mode > TTLDec {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate changes the field, which stays within 0 and 255.
func (t *TTLTarget) Mutate(p *packet.Packet) {
	switch t.Mode {
	case TTLSet:
		p.TTL = t.Value
		p.Known |= packet.KnowTTL
	case TTLInc:
		p.TTL += min(t.Value, 255-p.TTL)
	case TTLDec:
		p.TTL -= min(t.Value, p.TTL)
	}
	rewritten(p, packet.KnowTTL)
}
