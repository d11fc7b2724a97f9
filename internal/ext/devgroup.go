package ext

// devgroup: iptables-extensions(8), "devgroup". Names of groups are those of
// /etc/iproute2/group.
// UAPI: linux/netfilter/xt_devgroup.h, struct xt_devgroup_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// DevGroup matches the groups of the packet's interfaces.
type DevGroup struct {
	Src, Dst GroupMatch
}

// GroupMatch is a condition on one interface: its group, ANDed with Mask, is Group.
type GroupMatch struct {
	Given       bool
	Group, Mask uint32
	Not         bool
}

var devgroup = Def{
	Name: "devgroup", Kind: Match, Families: Both,
	Summary: "groups of the packet's interfaces",
	Options: []Option{
		{Name: "src-group", Value: "GROUP[/MASK]", Not: true, Help: "group of the incoming interface, by number or name"},
		{Name: "dst-group", Value: "GROUP[/MASK]", Not: true, Help: "group of the outgoing interface, by number or name"},
	},
	AnyOf:     []string{"src-group", "dst-group"},
	Revisions: []Revision{{Rev: 0, Size: 20}},
	New:       func(rule.Family) Ext { return &DevGroup{} },
}

func init() { register(&devgroup) }

func (m *DevGroup) Name() string { return "devgroup" }
func (m *DevGroup) Def() *Def    { return &devgroup }

func (m *DevGroup) Set(a *Arg) (err error) {
	g := GroupMatch{Given: true, Not: a.Not, Mask: 1<<32 - 1}
	number, _, _ := strings.Cut(a.Value, "/")
	if n, ok := ParseUint(number); ok && n <= 1<<32-1 {
		g.Group, g.Mask, err = a.UintMask()
	} else if g.Group, ok = a.Names.DeviceGroup(a.Value); !ok {
		err = a.Errorf("takes a number or a name of /etc/iproute2/group, not %q", a.Value)
	}
	if a.Is("src-group") {
		m.Src = g
	} else {
		m.Dst = g
	}
	return err
}

func (m *DevGroup) Save(p *Printer) {
	m.Src.print(p, " --src-group ", true)
	m.Dst.print(p, " --dst-group ", true)
}

func (m *DevGroup) List(p *Printer) {
	m.Src.print(p, " src-group ", !p.Numeric)
	m.Dst.print(p, " dst-group ", !p.Numeric)
}

// print prints a condition that was given, the group by its name if it has one and may.
func (g *GroupMatch) print(p *Printer, before string, byName bool) {
	if !g.Given {
		return
	}
	if g.Not {
		p.Str(" !")
	}
	p.Str(before)
	if byName && p.Names != nil && g.Mask == 1<<32-1 {
		if name := p.Names.DeviceGroupName(g.Group); name != "" {
			p.Str(name)
			return
		}
	}
	p.valueMask(g.Group, g.Mask)
}

// Flags of struct xt_devgroup_info: XT_DEVGROUP_*.
const (
	xtDevGroupSrc    = 1
	xtDevGroupNotSrc = 2
	xtDevGroupDst    = 4
	xtDevGroupNotDst = 8
	xtDevGroupAll    = 15
)

// Info writes struct xt_devgroup_info. The kernel refuses a group of an
// interface that the chain does not have.
func (m *DevGroup) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(flag[uint32](m.Src.Given, xtDevGroupSrc) | flag[uint32](m.Src.Not, xtDevGroupNotSrc) |
		flag[uint32](m.Dst.Given, xtDevGroupDst) | flag[uint32](m.Dst.Not, xtDevGroupNotDst))
	for _, g := range [...]GroupMatch{m.Src, m.Dst} {
		w.Host32(g.Group)
		w.Host32(g.Mask)
	}
}

// Read reads struct xt_devgroup_info.
func (m *DevGroup) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	flags := r.Host32()
	m.Src = GroupMatch{flags&xtDevGroupSrc != 0, r.Host32(), r.Host32(), flags&xtDevGroupNotSrc != 0}
	m.Dst = GroupMatch{flags&xtDevGroupDst != 0, r.Host32(), r.Host32(), flags&xtDevGroupNotDst != 0}
	for _, g := range [...]*GroupMatch{&m.Src, &m.Dst} {
		if g.Not && !g.Given {
			return nft.ErrMalformed
		}
		if !g.Given {
			*g = GroupMatch{}
		}
	}
	if flags&^xtDevGroupAll != 0 || !m.Src.Given && !m.Dst.Given {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares the groups.
func (m *DevGroup) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowGroups) {
		return packet.Unknown
	}
	return packet.Of(m.Src.has(p.InGroup) && m.Dst.has(p.OutGroup))
}

// has reports whether a group meets the condition, if there is one.
func (g *GroupMatch) has(group uint32) bool {
	return !g.Given || ((group^g.Group)&g.Mask == 0) != g.Not
}
