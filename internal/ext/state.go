package ext

// state: iptables-extensions(8), "state": conntrack's --ctstate by an older
// name. It is written as conntrack with XT_CONNTRACK_STATE_ALIAS set.
// UAPI: linux/netfilter/xt_conntrack.h, and xt_state.h (struct xt_state_info,
// revision 0 of the kernel's "state"), which is only read.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

var state = Def{
	Name: "state", Kernel: "conntrack", Kind: Match, Families: Both,
	Summary: "the state of the packet's connection",
	Options: []Option{
		{Name: "state", Value: "STATE[,...]", Not: true, Required: true, Help: "INVALID, ESTABLISHED, NEW, RELATED or UNTRACKED"},
	},
	Revisions: []Revision{
		{Rev: 0, Size: 4, Kernel: "state", ReadOnly: true},
		{Rev: 1, Size: 152}, {Rev: 2, Size: 156}, {Rev: 3, Size: 164},
	},
	New: func(rule.Family) Ext { return &Conntrack{Given: xtConntrackStateAlias} },
}

func init() { register(&state) }

// oldStateUntracked is XT_STATE_UNTRACKED of xt_state.h.
const oldStateUntracked = 1 << 6

// readState reads struct xt_state_info.
func (m *Conntrack) readState(r *nft.InfoReader) error {
	set := r.Host32()
	m.Given = xtConntrackState | xtConntrackStateAlias
	m.State = uint16(set & (xtStateInvalid | xtStateEstablished | xtStateRelated | xtStateNew))
	if set&oldStateUntracked != 0 {
		m.State |= xtStateUntracked
	}
	return nil
}
