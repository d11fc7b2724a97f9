package ext

// connlabel: iptables-extensions(8), "connlabel". Names of labels are those of
// /etc/xtables/connlabel.conf.
// UAPI: linux/netfilter/xt_connlabel.h, struct xt_connlabel_mtinfo, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// ConnLabel matches, or sets, a label of the packet's connection.
type ConnLabel struct {
	Label uint16 // 0 to 127; the kernel refuses others
	Not   bool
	Adds  bool // set the label where it is not
}

var connlabel = Def{
	Name: "connlabel", Kind: Match, Families: Both,
	Summary: "labels of the packet's connection",
	Options: []Option{
		{Name: "label", Value: "LABEL", Not: true, Required: true, Help: "the connection has the label, by number (0 to 127) or by name"},
		{Name: "set", Help: "set the label where it is not set"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &ConnLabel{} },
}

func init() { register(&connlabel) }

// xtConnLabelMaxBit is XT_CONNLABEL_MAXBIT.
const xtConnLabelMaxBit = 127

func (m *ConnLabel) Name() string { return "connlabel" }
func (m *ConnLabel) Def() *Def    { return &connlabel }

// Set takes the label's number modulo 65536, as 1.8.9; the kernel has the last word on it.
func (m *ConnLabel) Set(a *Arg) error {
	if a.Is("set") {
		m.Adds = true
		return nil
	}
	m.Not = a.Not
	if n, ok := ParseUint(a.Value); ok {
		m.Label = uint16(n)
		return nil
	}
	n, ok, err := a.Names.ConnLabel(a.Value)
	switch {
	case err != nil:
		return a.Errorf("%q is no number from 0 to %d, and names cannot be read: %v", a.Value, xtConnLabelMaxBit, err)
	case !ok || a.Value == "":
		return a.Errorf("takes a number from 0 to %d or a name of /etc/xtables/connlabel.conf, not %q", xtConnLabelMaxBit, a.Value)
	}
	m.Label = n
	return nil
}

func (m *ConnLabel) Save(p *Printer) {
	name := p.connLabelName(m.Label)
	p.Option(m.Not, "label")
	p.Str(` "`)
	if name != "" {
		p.Str(name)
	} else {
		p.Uint(uint64(m.Label))
	}
	p.Byte('"')
	if m.Adds {
		p.Option(false, "set")
	}
}

func (m *ConnLabel) List(p *Printer) {
	name := p.connLabelName(m.Label)
	p.Str(" connlabel ")
	if m.Not {
		p.Str("! ")
	}
	if name != "" && !p.Numeric {
		p.Byte('\'')
		p.Str(name)
		p.Byte('\'')
	} else {
		p.Uint(uint64(m.Label))
	}
	if m.Adds {
		p.Str(" set")
	}
}

// connLabelName gives a label's name, "" if it has none. As in 1.8.9 it is
// looked up, and a missing file warned of, even where numbers are asked for.
func (p *Printer) connLabelName(label uint16) string {
	if p.Names == nil {
		return ""
	}
	return p.Names.ConnLabelName(label)
}

// Options of struct xt_connlabel_mtinfo: XT_CONNLABEL_OP_*.
const (
	xtConnLabelInvert = 1
	xtConnLabelSet    = 2
)

// Info writes struct xt_connlabel_mtinfo.
func (m *ConnLabel) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host16(m.Label)
	w.Host16(flag[uint16](m.Not, xtConnLabelInvert) | flag[uint16](m.Adds, xtConnLabelSet))
}

// Read reads struct xt_connlabel_mtinfo.
func (m *ConnLabel) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Label = r.Host16()
	options := r.Host16()
	m.Not, m.Adds = options&xtConnLabelInvert != 0, options&xtConnLabelSet != 0
	if options&^(xtConnLabelInvert|xtConnLabelSet) != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// Match looks for the label. Where it is to be set and is not, whether that can
// be done decides, which no packet tells.
func (m *ConnLabel) Match(p *packet.Packet) packet.Answer {
	if none := untracked(p); none == packet.Yes {
		return packet.Of(m.Not)
	}
	if !p.Has(packet.KnowConnLabels) || m.Label > xtConnLabelMaxBit {
		return packet.Unknown
	}
	has := p.Connection.Labels[m.Label/8]>>(m.Label%8)&1 == 1
	if m.Adds && !has {
		return packet.Unknown
	}
	return packet.Of(has != m.Not)
}
