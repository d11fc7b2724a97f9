package ext

// NOTRACK: iptables-extensions(8), "NOTRACK": CT --notrack under another name.
// UAPI: linux/netfilter/xt_CT.h, revisions 1 and 2 of CT with
// XT_CT_NOTRACK_ALIAS; the kernel's own target NOTRACK is revision 0, without a struct.

import "moat/internal/rule"

var notrack = Def{
	Name: "NOTRACK", Kernel: "CT", Kind: Target, Families: Both,
	Summary:   "do not track the packet's connection",
	Revisions: []Revision{{Rev: 0, Size: 0, Kernel: "NOTRACK"}, {Rev: 1, Size: 72}, {Rev: 2, Size: 72}},
	New:       func(rule.Family) Ext { return &CT{NoTrack: true, Alias: true} },
}

func init() { register(&notrack) }

// ColumnName is what listings show of a target in its column: the kernel's
// name of an extension, which for NOTRACK is CT.
func ColumnName(t rule.Target) string {
	if x, ok := t.(Ext); ok && x.Def().Kernel != "" {
		return x.Def().Kernel
	}
	return t.Name()
}
