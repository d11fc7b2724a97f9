package ext

// dscp (the match): iptables-extensions(8), "dscp".
// UAPI: linux/netfilter/xt_dscp.h, struct xt_dscp_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// DSCPMatch matches the upper six bits of the type of service.
type DSCPMatch struct {
	Value uint8 // 0 to 63
	Not   bool
}

var dscpMatch = Def{
	Name: "dscp", Kind: Match, Families: Both,
	Summary: "differentiated services code point of the packet",
	Options: []Option{
		{Name: "dscp", Value: "NUMBER", Not: true, Excludes: []string{"dscp-class"}, Help: "code point 0 to 63"},
		{Name: "dscp-class", Value: "NAME", Not: true, Excludes: []string{"dscp"}, Help: "class BE, EF, CS0 to CS7 or AF11 to AF43"},
	},
	AnyOf:     []string{"dscp", "dscp-class"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &DSCPMatch{} },
}

func init() { register(&dscpMatch) }

// xtDSCPMax is XT_DSCP_MAX.
const xtDSCPMax = 63

// dscpClass reads the name of a class, in any case: RFC 2474, 2597 and 3246.
func (a *Arg) dscpClass() (uint8, error) {
	switch name := strings.ToUpper(a.Value); {
	case name == "BE":
		return 0, nil
	case name == "EF":
		return 46, nil
	case len(name) == 3 && strings.HasPrefix(name, "CS") && name[2] >= '0' && name[2] <= '7':
		return (name[2] - '0') << 3, nil
	case len(name) == 4 && strings.HasPrefix(name, "AF") && name[2] >= '1' && name[2] <= '4' && name[3] >= '1' && name[3] <= '3':
		return (name[2]-'0')<<3 | (name[3]-'0')<<1, nil
	}
	return 0, a.Bad("BE, EF, CS0 to CS7 or AF11 to AF43")
}

func (m *DSCPMatch) Name() string { return "dscp" }
func (m *DSCPMatch) Def() *Def    { return &dscpMatch }

func (m *DSCPMatch) Set(a *Arg) (err error) {
	m.Not = a.Not
	if a.Is("dscp-class") {
		m.Value, err = a.dscpClass()
		return err
	}
	n, err := a.Uint(0, xtDSCPMax)
	m.Value = uint8(n)
	return err
}

func (m *DSCPMatch) Save(p *Printer) {
	p.Option(m.Not, "dscp")
	p.Byte(' ')
	p.hex2(m.Value)
}

func (m *DSCPMatch) List(p *Printer) {
	p.Str(" DSCP match ")
	p.notMark(m.Not)
	p.hex2(m.Value)
}

// hex2 prints a byte as C's 0x%02x.
func (p *Printer) hex2(b uint8) {
	const digits = "0123456789abcdef"
	p.Str("0x")
	p.Byte(digits[b>>4])
	p.Byte(digits[b&15])
}

// Info writes struct xt_dscp_info.
func (m *DSCPMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Value)
	w.Bool(m.Not)
}

// Read reads struct xt_dscp_info.
func (m *DSCPMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Value, m.Not = r.U8(), r.Bool()
	if m.Value > xtDSCPMax {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares the code point.
func (m *DSCPMatch) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowTOS) {
		return packet.Unknown
	}
	return packet.Of((p.TOS>>2 == m.Value) != m.Not)
}

// Space is what Match lets through.
func (m *DSCPMatch) Space(rule.Family) space.Set {
	return within(space.TOS, space.Bytes(space.TOS, func(x uint8) bool { return (x>>2 == m.Value) != m.Not }))
}
