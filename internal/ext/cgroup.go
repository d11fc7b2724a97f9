package ext

// cgroup: iptables-extensions(8), "cgroup".
// UAPI: linux/netfilter/xt_cgroup.h, revisions 0, 1 and 2.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Cgroup matches the control group of the socket that a packet belongs to. One
// with both conditions, or with none, is refused by the kernel.
type Cgroup struct {
	HasPath, HasClass bool
	Path              string // of the v2 hierarchy, from its root
	NotPath           bool
	Class             uint32 // net_cls class of the v1 hierarchy
	NotClass          bool
}

var cgroup = Def{
	Name: "cgroup", Kind: Match, Families: Both,
	Summary: "control group of the packet's local socket",
	Options: []Option{
		{Name: "path", Value: "PATH", Not: true, Help: "control group (v2) of the socket, or one above it"},
		{Name: "cgroup", Value: "CLASSID", Not: true, Help: "net_cls class of the socket, cannot be used with --path"},
	},
	Revisions: []Revision{{Rev: 0, Size: 8}, {Rev: 1, Size: 4112}, {Rev: 2, Size: 528}},
	New:       func(rule.Family) Ext { return &Cgroup{} },
}

func init() { register(&cgroup) }

// Lengths of the path, the closing zero included: PATH_MAX of linux/limits.h in
// revision 1, XT_CGROUP_PATH_MAX since.
const (
	xtCgroupPathMax1 = 4096
	xtCgroupPathMax  = 512
)

func (m *Cgroup) Name() string { return "cgroup" }
func (m *Cgroup) Def() *Def    { return &cgroup }

func (m *Cgroup) Set(a *Arg) error {
	if a.Is("path") {
		m.HasPath, m.NotPath = true, a.Not
		m.Path = a.Value[:min(len(a.Value), xtCgroupPathMax-1)] // 1.8.9 cuts it off without a word
		return nil
	}
	n, err := a.Uint(0, 1<<32-1)
	m.HasClass, m.Class, m.NotClass = true, uint32(n), a.Not
	return err
}

func (m *Cgroup) Save(p *Printer) {
	if m.HasPath {
		p.OptionQuoted(m.NotPath, "path", m.Path)
	}
	if m.HasClass {
		p.OptionUint(m.NotClass, "cgroup", uint64(m.Class))
	}
}

func (m *Cgroup) List(p *Printer) {
	if m.HasPath {
		p.Str(" cgroup ")
		if m.NotPath {
			p.Str("! ")
		}
		p.Str(m.Path)
	}
	if m.HasClass {
		p.Str(" cgroup ")
		if m.NotClass {
			p.Str("! ")
		}
		p.Uint(uint64(m.Class))
	}
}

// Info writes struct xt_cgroup_info_v0, v1 or v2. In the last, path and class
// share their place; in the first there is no path.
func (m *Cgroup) Info(w nft.Info, rev uint8, _ rule.Family) {
	if rev == 0 {
		w.Host32(m.Class)
		w.Host32(flag[uint32](m.NotClass, 1))
		return
	}
	w.Bool(m.HasPath)
	w.Bool(m.HasClass)
	w.Bool(m.NotPath)
	w.Bool(m.NotClass)
	switch {
	case rev == 1:
		w.String(m.Path, xtCgroupPathMax1)
		w.Host32(m.Class)
	case m.HasClass:
		w.Host32(m.Class)
	default:
		w.String(m.Path, xtCgroupPathMax)
	}
}

// Read reads struct xt_cgroup_info_v0, v1 or v2.
func (m *Cgroup) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if rev == 0 {
		m.HasClass, m.Class, m.NotClass = true, r.Host32(), r.Host32() != 0
		return nil
	}
	m.HasPath, m.HasClass, m.NotPath, m.NotClass = r.Bool(), r.Bool(), r.Bool(), r.Bool()
	switch {
	case rev == 1:
		m.Path, m.Class = r.String(xtCgroupPathMax1), r.Host32()
	case m.HasClass:
		m.Class = r.Host32()
	default:
		m.Path = r.String(xtCgroupPathMax)
	}
	if m.HasPath == m.HasClass || m.NotPath && !m.HasPath || m.NotClass && !m.HasClass {
		return nft.ErrMalformed
	}
	if !m.HasPath {
		m.Path = ""
	}
	if !m.HasClass {
		m.Class = 0
	}
	return nil
}

// Match looks for the socket's group below the path. A packet without a local
// socket, whose group is "", never matches. The class is not told of packets.
func (m *Cgroup) Match(p *packet.Packet) packet.Answer {
	if !m.HasPath || !p.Has(packet.KnowCgroup) {
		return packet.Unknown
	}
	if p.CgroupPath == "" {
		return packet.No
	}
	above, group := strings.Trim(m.Path, "/")+"/", strings.Trim(p.CgroupPath, "/")+"/"
	return packet.Of((above == "/" || strings.HasPrefix(group, above)) != m.NotPath)
}
