package ext

// CONNSECMARK: iptables-extensions(8), "CONNSECMARK".
// UAPI: linux/netfilter/xt_CONNSECMARK.h, struct xt_connsecmark_target_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ConnSecMark copies the security mark from the packet to its connection, or back.
type ConnSecMark struct {
	Restore bool // from the connection to the packet
}

var connsecmark = Def{
	Name: "CONNSECMARK", Kind: Target, Families: Both,
	Summary: "copy the security mark between packet and connection",
	Options: []Option{
		{Name: "save", Excludes: []string{"restore"}, Help: "copy the packet's security mark to the connection"},
		{Name: "restore", Help: "copy the connection's security mark to the packet"},
	},
	AnyOf:     []string{"save", "restore"},
	Revisions: []Revision{{Rev: 0, Size: 1}},
	New:       func(rule.Family) Ext { return &ConnSecMark{} },
}

func init() { register(&connsecmark) }

// Modes of struct xt_connsecmark_target_info: CONNSECMARK_*.
const (
	connsecmarkSave    = 1
	connsecmarkRestore = 2
)

func (t *ConnSecMark) Name() string { return "CONNSECMARK" }
func (t *ConnSecMark) Def() *Def    { return &connsecmark }

func (t *ConnSecMark) Set(a *Arg) error {
	t.Restore = a.Is("restore")
	return nil
}

func (t *ConnSecMark) word() string {
	if t.Restore {
		return "restore"
	}
	return "save"
}

func (t *ConnSecMark) Save(p *Printer) { p.Option(false, t.word()) }
func (t *ConnSecMark) List(p *Printer) { p.Str(" CONNSECMARK " + t.word()) }

// Info writes struct xt_connsecmark_target_info.
func (t *ConnSecMark) Info(w nft.Info, _ uint8, _ rule.Family) {
	if t.Restore {
		w.U8(connsecmarkRestore)
		return
	}
	w.U8(connsecmarkSave)
}

// Read reads struct xt_connsecmark_target_info.
func (t *ConnSecMark) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	mode := r.U8()
	if mode != connsecmarkSave && mode != connsecmarkRestore {
		return nft.ErrMalformed
	}
	t.Restore = mode == connsecmarkRestore
	return nil
}
