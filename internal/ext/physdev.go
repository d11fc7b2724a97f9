package ext

// physdev: iptables-extensions(8), "physdev".
// UAPI: linux/netfilter/xt_physdev.h, struct xt_physdev_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// PhysDev matches the ports of a bridge that the packet passes.
type PhysDev struct {
	Given, Not uint8  // xtPhysDev… bits
	In, Out    string // names of bridge ports; "eth+" is every name that begins so
}

// The conditions: XT_PHYSDEV_OP_* of the header.
const (
	xtPhysDevIn      = 1 << 0
	xtPhysDevOut     = 1 << 1
	xtPhysDevBridged = 1 << 2
	xtPhysDevIsIn    = 1 << 3
	xtPhysDevIsOut   = 1 << 4
	xtPhysDevAll     = 1<<5 - 1
)

var physDev = Def{
	Name: "physdev", Kind: Match, Families: Both,
	Summary: "ports of a bridge that the packet passes",
	Options: []Option{
		{Name: "physdev-in", Value: "NAME[+]", Not: true, Help: "bridge port that the packet came in by"},
		{Name: "physdev-out", Value: "NAME[+]", Not: true, Help: "bridge port that the packet leaves by"},
		{Name: "physdev-is-in", Not: true, Help: "the packet came in by a bridge port"},
		{Name: "physdev-is-out", Not: true, Help: "the packet leaves by a bridge port"},
		{Name: "physdev-is-bridged", Not: true, Help: "the packet is bridged, not routed"},
	},
	AnyOf:     []string{"physdev-in", "physdev-out", "physdev-is-in", "physdev-is-out", "physdev-is-bridged"},
	Revisions: []Revision{{Rev: 0, Size: 66}},
	New:       func(rule.Family) Ext { return &PhysDev{} },
}

func init() { register(&physDev) }

// physDevParts are the conditions in the order in which they are printed.
var physDevParts = [...]struct {
	name string
	bit  uint8
}{
	{"physdev-is-in", xtPhysDevIsIn}, {"physdev-in", xtPhysDevIn}, {"physdev-is-out", xtPhysDevIsOut},
	{"physdev-out", xtPhysDevOut}, {"physdev-is-bridged", xtPhysDevBridged},
}

func (m *PhysDev) Name() string { return "physdev" }
func (m *PhysDev) Def() *Def    { return &physDev }

func (m *PhysDev) Set(a *Arg) (err error) {
	for _, part := range physDevParts {
		if a.Is(part.name) {
			m.Given |= part.bit
			m.Not |= flag(a.Not, part.bit)
		}
	}
	switch a.Option.Name {
	case "physdev-in":
		m.In, err = a.portName()
	case "physdev-out":
		m.Out, err = a.portName()
	}
	return err
}

// physDevNameSize is IFNAMSIZ of linux/if.h.
const physDevNameSize = 16

// portName reads the name of an interface.
func (a *Arg) portName() (string, error) {
	if len(a.Value) >= physDevNameSize {
		return "", a.Errorf("takes a name of at most %d characters, not %q", physDevNameSize-1, a.Value)
	}
	if strings.ContainsAny(a.Value, "/ ") {
		a.Warnf("Warning: weird character in interface `%s' ('/' and ' ' are not allowed by the kernel).", a.Value)
	}
	return a.Value, nil
}

// Save prints the conditions in the order of 1.8.9.
func (m *PhysDev) Save(p *Printer) {
	for _, part := range physDevParts {
		if m.Given&part.bit == 0 {
			continue
		}
		p.Option(m.Not&part.bit != 0, part.name)
		switch part.bit {
		case xtPhysDevIn:
			p.Byte(' ')
			p.word(m.In)
		case xtPhysDevOut:
			p.Byte(' ')
			p.word(m.Out)
		}
	}
}

// word prints a name as it is, or quoted where it could not be read again: 1.8.9
// never quotes names.
func (p *Printer) word(s string) {
	if s == "" || strings.ContainsAny(s, " \t\n\"") {
		p.Quoted(s)
		return
	}
	p.Str(s)
}

func (m *PhysDev) List(p *Printer) {
	p.Str(" PHYSDEV match")
	m.Save(p)
}

// Info writes struct xt_physdev_info.
func (m *PhysDev) Info(w nft.Info, _ uint8, _ rule.Family) {
	nameAndMask(w, m.In)
	nameAndMask(w, m.Out)
	w.U8(m.Not)
	w.U8(m.Given)
}

// nameAndMask writes a name and a mask of ones over the bytes that count: all
// of them and the closing zero, or those before a "+".
func nameAndMask(w nft.Info, name string) {
	w.String(name, physDevNameSize)
	n := len(name) + 1
	switch {
	case name == "":
		n = 0
	case name[len(name)-1] == '+':
		n = len(name) - 1
	}
	n = min(n, physDevNameSize)
	for range n {
		w.U8(0xff)
	}
	w.Zero(physDevNameSize - n)
}

// Read reads struct xt_physdev_info; the masks follow from the names.
func (m *PhysDev) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.In = r.String(physDevNameSize)
	r.Skip(physDevNameSize)
	m.Out = r.String(physDevNameSize)
	r.Skip(physDevNameSize)
	m.Not, m.Given = r.U8(), r.U8()
	if m.Given&^xtPhysDevAll != 0 || m.Not&^m.Given != 0 {
		return nft.ErrMalformed
	}
	if m.Given&xtPhysDevIn == 0 {
		m.In = ""
	}
	if m.Given&xtPhysDevOut == 0 {
		m.Out = ""
	}
	return nil
}

// Match decides for a packet whose way through a bridge was told. As in the
// kernel, no bridge port at all is a port of no name.
func (m *PhysDev) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowPhysical) {
		return packet.Unknown
	}
	for _, part := range physDevParts {
		var is bool
		switch part.bit {
		case xtPhysDevIsIn:
			is = p.PhysIn != ""
		case xtPhysDevIsOut:
			is = p.PhysOut != ""
		case xtPhysDevBridged:
			is = p.Bridged
		case xtPhysDevIn:
			is = p.PhysIn != "" && nameMatches(m.In, p.PhysIn)
		case xtPhysDevOut:
			is = p.PhysOut != "" && nameMatches(m.Out, p.PhysOut)
		}
		if m.Given&part.bit != 0 && is == (m.Not&part.bit != 0) {
			return packet.No
		}
	}
	return packet.Yes
}

// nameMatches compares an interface's name with a pattern that may end in "+".
func nameMatches(pattern, name string) bool {
	if prefix, has := strings.CutSuffix(pattern, "+"); has {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == "" || pattern == name
}
