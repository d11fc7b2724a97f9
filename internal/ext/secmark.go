package ext

// SECMARK: iptables-extensions(8), "SECMARK".
// UAPI: linux/netfilter/xt_SECMARK.h: revision 0 struct xt_secmark_target_info,
// revision 1 struct xt_secmark_target_info_v1. A kernel without SELinux refuses
// every rule with it, so it is proved by parse, print and bytes alone.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// SecMark gives the packet a security context.
type SecMark struct {
	Context string // at most 255 bytes
}

var secmark = Def{
	Name: "SECMARK", Kind: Target, Families: Both,
	Summary: "set the packet's security mark",
	Options: []Option{
		{Name: "selctx", Value: "CONTEXT", Required: true, Help: "SELinux security context"},
	},
	Revisions: []Revision{{Rev: 0, Size: 264}, {Rev: 1, Size: 264}},
	New:       func(rule.Family) Ext { return &SecMark{} },
}

func init() { register(&secmark) }

const (
	secmarkSELinux    = 1   // SECMARK_MODE_SEL
	secmarkContextLen = 256 // SECMARK_SECCTX_MAX
)

func (t *SecMark) Name() string { return "SECMARK" }
func (t *SecMark) Def() *Def    { return &secmark }

func (t *SecMark) Set(a *Arg) error {
	t.Context = a.cut(secmarkContextLen - 1)
	return nil
}

func (t *SecMark) Save(p *Printer) { p.OptionStr(false, "selctx", t.Context) }
func (t *SecMark) List(p *Printer) { p.Str(" SECMARK selctx " + t.Context) }

// Info writes the struct of the revision; the number of the context in it is
// the kernel's own.
func (t *SecMark) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.U8(secmarkSELinux)
	if rev == 0 {
		w.Host32(0)
	}
	w.String(t.Context, secmarkContextLen)
}

// Read reads the struct of the revision.
func (t *SecMark) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	mode := r.U8()
	if rev == 0 {
		r.Host32()
	}
	t.Context = r.String(secmarkContextLen)
	if mode != secmarkSELinux || len(t.Context) >= secmarkContextLen {
		return nft.ErrMalformed
	}
	return nil
}
