package ext

// DSCP (the target): iptables-extensions(8), "DSCP".
// UAPI: linux/netfilter/xt_DSCP.h, struct xt_DSCP_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// DSCPTarget sets the upper six bits of the type of service.
type DSCPTarget struct {
	Value uint8 // 0 to 63
}

var dscpTarget = Def{
	Name: "DSCP", Kind: Target, Families: Both,
	Summary: "set the packet's differentiated services code point",
	Options: []Option{
		{Name: "set-dscp", Value: "NUMBER", Excludes: []string{"set-dscp-class"}, Help: "code point 0 to 63"},
		{Name: "set-dscp-class", Value: "NAME", Help: "class BE, EF, CS0 to CS7 or AF11 to AF43"},
	},
	AnyOf:     []string{"set-dscp", "set-dscp-class"},
	Revisions: []Revision{{Rev: 0, Size: 1}},
	New:       func(rule.Family) Ext { return &DSCPTarget{} },
}

func init() { register(&dscpTarget) }

func (t *DSCPTarget) Name() string { return "DSCP" }
func (t *DSCPTarget) Def() *Def    { return &dscpTarget }

func (t *DSCPTarget) Set(a *Arg) (err error) {
	if a.Is("set-dscp-class") {
		t.Value, err = a.dscpClass()
		return err
	}
	n, err := a.Uint(0, xtDSCPMax)
	t.Value = uint8(n)
	return err
}

func (t *DSCPTarget) Save(p *Printer) {
	p.Option(false, "set-dscp")
	p.Byte(' ')
	p.hex2(t.Value)
}

func (t *DSCPTarget) List(p *Printer) {
	p.Str(" DSCP set ")
	p.hex2(t.Value)
}

// Info writes struct xt_DSCP_info.
func (t *DSCPTarget) Info(w nft.Info, _ uint8, _ rule.Family) { w.U8(t.Value) }

// Read reads struct xt_DSCP_info.
func (t *DSCPTarget) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	if t.Value = r.U8(); t.Value > xtDSCPMax {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate sets the code point and leaves the two bits of ECN.
func (t *DSCPTarget) Mutate(p *packet.Packet) {
	p.TOS = p.TOS&3 | t.Value<<2
	rewritten(p, packet.KnowTOS)
}
