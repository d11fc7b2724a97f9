package ext

// TOS (the target): iptables-extensions(8), "TOS".
// UAPI: linux/netfilter/xt_DSCP.h, struct xt_tos_target_info, revision 1.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TOSTarget changes the type of service: to it without the bits of Mask, XOR Value.
type TOSTarget struct {
	Value, Mask uint8
}

// tosActions are the options that each say all of a TOSTarget.
var tosActions = []string{"set-tos", "and-tos", "or-tos", "xor-tos"}

var tosTarget = Def{
	Name: "TOS", Kind: Target, Families: Both,
	Summary: "change the packet's type of service",
	Options: []Option{
		{Name: "set-tos", Value: "VALUE[/MASK]|NAME", Excludes: tosActions[1:], Help: "clear the bits of MASK (default all; 0x3f for a name), then XOR with VALUE"},
		{Name: "and-tos", Value: "BITS", Excludes: tosActions[2:], Help: "AND with BITS"},
		{Name: "or-tos", Value: "BITS", Excludes: tosActions[3:], Help: "OR with BITS"},
		{Name: "xor-tos", Value: "BITS", Help: "XOR with BITS"},
	},
	AnyOf:     tosActions,
	Revisions: []Revision{{Rev: 1, Size: 2}},
	New:       func(rule.Family) Ext { return &TOSTarget{} },
	HelpText:  func(rule.Family) string { return tosHelp() },
}

func init() { register(&tosTarget) }

func (t *TOSTarget) Name() string { return "TOS" }
func (t *TOSTarget) Def() *Def    { return &tosTarget }

func (t *TOSTarget) Set(a *Arg) (err error) {
	if a.Is("set-tos") {
		t.Value, t.Mask, err = a.tos(0xff)
		return err
	}
	n, err := a.Uint(0, 255)
	bits := uint8(n)
	switch {
	case a.Is("and-tos"):
		t.Value, t.Mask = 0, ^bits
	case a.Is("or-tos"):
		t.Value, t.Mask = bits, bits
	case a.Is("xor-tos"):
		t.Value, t.Mask = bits, 0
	}
	return err
}

func (t *TOSTarget) Save(p *Printer) {
	p.Option(false, "set-tos")
	t.valueMask(p)
}

func (t *TOSTarget) valueMask(p *Printer) {
	p.Byte(' ')
	p.hex2(t.Value)
	p.Byte('/')
	p.hex2(t.Mask)
}

// List prints the simplest words, or with -n always value and mask. Where the
// name of a value stands, 1.8.9 misplaces a blank.
func (t *TOSTarget) List(p *Printer) {
	name := t.symbol()
	switch {
	case p.Numeric:
		p.Str(" TOS set")
		t.valueMask(p)
	case name != "":
		p.Str("  TOS set")
		p.Str(name)
	case t.Value == 0:
		p.Str(" TOS and ")
		p.hex2(^t.Mask)
	case t.Value == t.Mask:
		p.Str(" TOS or ")
		p.hex2(t.Value)
	case t.Mask == 0:
		p.Str(" TOS xor ")
		p.hex2(t.Value)
	default:
		p.Str(" TOS set")
		t.valueMask(p)
	}
}

// symbol is the name that stands for value and mask; "" if there is none.
func (t *TOSTarget) symbol() string {
	if t.Mask != tosSymbolMask {
		return ""
	}
	for _, s := range tosSymbols {
		if s.value == t.Value {
			return s.name
		}
	}
	return ""
}

// Info writes struct xt_tos_target_info.
func (t *TOSTarget) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(t.Value)
	w.U8(t.Mask)
}

// Read reads struct xt_tos_target_info.
func (t *TOSTarget) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Value, t.Mask = r.U8(), r.U8()
	return nil
}

// Mutate changes the type of service; it is known after that if it was before,
// or if no old bit is left.
func (t *TOSTarget) Mutate(p *packet.Packet) {
	p.TOS = p.TOS&^t.Mask ^ t.Value
	p.Known |= flag(t.Mask == 0xff, packet.KnowTOS)
	rewritten(p, packet.KnowTOS)
}
