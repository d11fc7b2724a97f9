package ext

// tos (the match): iptables-extensions(8), "tos".
// UAPI: linux/netfilter/xt_dscp.h, struct xt_tos_match_info, revision 1.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// TOSMatch matches the type of service or IPv6's traffic class: tos AND Mask equals Value.
type TOSMatch struct {
	Value, Mask uint8
	Not         bool
}

var tosMatch = Def{
	Name: "tos", Kind: Match, Families: Both,
	Summary: "type of service, or IPv6's priority",
	Options: []Option{
		{Name: "tos", Value: "VALUE[/MASK]", Not: true, Required: true, Help: "the field, ANDed with MASK, is VALUE; or a name, which means mask 0x3f"},
	},
	Revisions: []Revision{{Rev: 1, Size: 3}},
	New:       func(rule.Family) Ext { return &TOSMatch{} },
	HelpText:  func(rule.Family) string { return tosHelp() },
}

func init() { register(&tosMatch) }

// tosSymbols are the names of iptables-extensions(8), "TOS", with their values.
var tosSymbols = [...]struct {
	name  string
	value uint8
}{
	{"Minimize-Delay", 0x10}, {"Maximize-Throughput", 0x08}, {"Maximize-Reliability", 0x04},
	{"Minimize-Cost", 0x02}, {"Normal-Service", 0x00},
}

// tosSymbolMask is the mask that a name means: all bits but those of ECN.
const tosSymbolMask = 0x3f

// tosHelp lists the names.
func tosHelp() string {
	var p Printer
	p.Str("Names of values:\n")
	for _, s := range tosSymbols {
		p.Str("                                ")
		p.hex2(s.value)
		p.Byte(' ')
		p.Str(s.name)
		p.Byte('\n')
	}
	return string(p.B)
}

// tos reads VALUE, VALUE/MASK or a name, written out in any case.
func (a *Arg) tos(defaultMask uint8) (value, mask uint8, err error) {
	for _, s := range tosSymbols {
		if strings.EqualFold(s.name, a.Value) {
			return s.value, tosSymbolMask, nil
		}
	}
	number, maskText, has := strings.Cut(a.Value, "/")
	n, ok := ParseUint(number)
	k := uint64(defaultMask)
	if ok && has {
		k, ok = ParseUint(maskText)
	}
	if !ok || n > 255 || k > 255 {
		return 0, 0, a.Bad("VALUE or VALUE/MASK, 0 to 255 each, or one of the names shown by -m tos -h")
	}
	return uint8(n), uint8(k), nil
}

func (m *TOSMatch) Name() string { return "tos" }
func (m *TOSMatch) Def() *Def    { return &tosMatch }

func (m *TOSMatch) Set(a *Arg) (err error) {
	m.Not = a.Not
	m.Value, m.Mask, err = a.tos(0xff)
	return err
}

func (m *TOSMatch) Save(p *Printer) {
	p.Option(m.Not, "tos")
	p.Byte(' ')
	m.valueMask(p)
}

func (m *TOSMatch) valueMask(p *Printer) {
	p.hex2(m.Value)
	p.Byte('/')
	p.hex2(m.Mask)
}

func (m *TOSMatch) List(p *Printer) {
	p.Str(" tos match")
	p.notMark(m.Not)
	if !p.Numeric && m.Mask == tosSymbolMask {
		for _, s := range tosSymbols {
			if s.value == m.Value {
				p.Byte(' ')
				p.Str(s.name)
				return
			}
		}
	}
	m.valueMask(p)
}

// Info writes struct xt_tos_match_info.
func (m *TOSMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Mask)
	w.U8(m.Value)
	w.Bool(m.Not)
}

// Read reads struct xt_tos_match_info.
func (m *TOSMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Mask, m.Value, m.Not = r.U8(), r.U8(), r.Bool()
	return nil
}

// Match compares the field.
func (m *TOSMatch) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowTOS) {
		return packet.Unknown
	}
	return packet.Of((p.TOS&m.Mask == m.Value) != m.Not)
}

// Space is what Match lets through.
func (m *TOSMatch) Space(rule.Family) space.Set {
	return within(space.TOS, space.Bytes(space.TOS, func(x uint8) bool { return (x&m.Mask == m.Value) != m.Not }))
}
