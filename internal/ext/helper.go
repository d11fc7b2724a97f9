package ext

// helper: iptables-extensions(8), "helper".
// UAPI: linux/netfilter/xt_helper.h, struct xt_helper_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// xtHelperLen is the length of the name, the closing zero included.
const xtHelperLen = 30

// Helper matches packets of connections that a connection tracking helper expected.
type Helper struct {
	Helper string // at most 29 bytes; "" for any helper
	Not    bool
}

var helper = Def{
	Name: "helper", Kind: Match, Families: Both,
	Summary: "packets that belong to a conntrack helper, such as ftp",
	Options: []Option{
		{Name: "helper", Value: "NAME", Not: true, Required: true, Help: "name of the helper, ftp or ftp-2121 for another port; \"\" for any"},
	},
	Revisions: []Revision{{Rev: 0, Size: 36}},
	New:       func(rule.Family) Ext { return &Helper{} },
}

func init() { register(&helper) }

func (m *Helper) Name() string { return "helper" }
func (m *Helper) Def() *Def    { return &helper }

func (m *Helper) Set(a *Arg) error {
	m.Not = a.Not
	m.Helper = a.Value[:min(len(a.Value), xtHelperLen-1)] // 1.8.9 cuts it off without a word
	return nil
}

func (m *Helper) Save(p *Printer) { p.OptionQuoted(m.Not, "helper", m.Helper) }

func (m *Helper) List(p *Printer) {
	p.Str(" helper match ")
	if m.Not {
		p.Str("! ")
	}
	p.Byte('"')
	p.Str(m.Helper)
	p.Byte('"')
}

// Info writes struct xt_helper_info.
func (m *Helper) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(flag[uint32](m.Not, 1))
	w.String(m.Helper, xtHelperLen)
}

// Read reads struct xt_helper_info.
func (m *Helper) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Not = r.Host32() != 0
	m.Helper = r.String(xtHelperLen)
	return nil
}

// Match compares names: the kernel takes a rule's name that begins with the
// helper's. Without a connection or a helper only the inverted match is met.
func (m *Helper) Match(p *packet.Packet) packet.Answer {
	if none := untracked(p); none == packet.Yes {
		return packet.Of(m.Not)
	}
	if !p.Has(packet.KnowConnHelper) {
		return packet.Unknown
	}
	name := p.Connection.Helper
	return packet.Of((name != "" && (m.Helper == "" || strings.HasPrefix(m.Helper, name))) != m.Not)
}
