package ext

// AUDIT: iptables-extensions(8), "AUDIT".
// UAPI: linux/netfilter/xt_AUDIT.h, struct xt_audit_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Audit writes a record for auditd(8).
type Audit struct {
	Type uint8 // index of auditTypes; without effect since Linux 4.12
}

var audit = Def{
	Name: "AUDIT", Kind: Target, Families: Both,
	Summary: "write an audit record",
	Options: []Option{
		{Name: "type", Value: "TYPE", Required: true, Help: "accept, drop or reject"},
	},
	Revisions: []Revision{{Rev: 0, Size: 1}},
	New:       func(rule.Family) Ext { return &Audit{} },
}

func init() { register(&audit) }

// auditTypes are the types by XT_AUDIT_TYPE_*.
var auditTypes = [...]string{"accept", "drop", "reject"}

func (t *Audit) Name() string { return "AUDIT" }
func (t *Audit) Def() *Def    { return &audit }

func (t *Audit) Set(a *Arg) error {
	for i, name := range auditTypes {
		if strings.EqualFold(name, a.Value) {
			t.Type = uint8(i)
			return nil
		}
	}
	return a.Bad("accept, drop or reject")
}

func (t *Audit) Save(p *Printer) { p.OptionStr(false, "type", auditTypes[t.Type]) }
func (t *Audit) List(p *Printer) { p.Str(" AUDIT " + auditTypes[t.Type]) }

// Info writes struct xt_audit_info.
func (t *Audit) Info(w nft.Info, _ uint8, _ rule.Family) { w.U8(t.Type) }

// Read reads struct xt_audit_info.
func (t *Audit) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	n := r.U8()
	if int(n) >= len(auditTypes) {
		return nft.ErrMalformed
	}
	t.Type = n
	return nil
}
