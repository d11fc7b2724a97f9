package ext

// nfacct: iptables-extensions(8), "nfacct".
// UAPI: linux/netfilter/xt_nfacct.h, struct xt_nfacct_match_info, revision 0,
// and xt_nfacct_match_info_v1, revision 1, which differ in the alignment of the
// kernel's pointer only.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// NFAcct counts packets on an accounting object of nfacct(8). It matches until
// the object's quota, if it has one, is used up.
type NFAcct struct {
	Object string // name of the object, up to 31 bytes
}

// nfacctNameMax is NFACCT_NAME_MAX, the closing zero included.
const nfacctNameMax = 32

var nfacct = Def{
	Name: "nfacct", Kind: Match, Families: Both,
	Summary: "count on an accounting object of nfacct(8)",
	Options: []Option{
		{Name: "nfacct-name", Value: "NAME", Required: true, Help: "the accounting object"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}, {Rev: 1, Size: 40}},
	New:       func(rule.Family) Ext { return &NFAcct{} },
}

func init() { register(&nfacct) }

func (m *NFAcct) Name() string { return "nfacct" }
func (m *NFAcct) Def() *Def    { return &nfacct }

func (m *NFAcct) Set(a *Arg) error {
	if a.Value == "" {
		return a.Errorf("takes a name of at least one character")
	}
	m.Object = a.Value[:min(len(a.Value), nfacctNameMax-1)] // 1.8.9 cuts it off without a word
	return nil
}

// Save prints two blanks before the name, as 1.8.9 does.
func (m *NFAcct) Save(p *Printer) {
	p.Str(" --nfacct-name  ")
	p.Quoted(m.Object)
}

func (m *NFAcct) List(p *Printer) {
	p.Str(" nfacct-name  ")
	p.Quoted(m.Object)
}

// Info writes struct xt_nfacct_match_info without the kernel's pointer.
func (m *NFAcct) Info(w nft.Info, _ uint8, _ rule.Family) { w.String(m.Object, nfacctNameMax) }

// Read reads struct xt_nfacct_match_info.
func (m *NFAcct) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	if m.Object = r.String(nfacctNameMax); m.Object == "" || len(m.Object) == nfacctNameMax {
		return nft.ErrMalformed
	}
	return nil
}
