package ext

// comment: iptables-extensions(8), "comment".
// UAPI: linux/netfilter/xt_comment.h, struct xt_comment_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// xtMaxCommentLen is XT_MAX_COMMENT_LEN, the closing zero included.
const xtMaxCommentLen = 256

// Comment is a remark; every packet matches it.
type Comment struct {
	Text string // at most 255 bytes
}

var comment = Def{
	Name: "comment", Kind: Match, Families: Both,
	Summary: "a remark on the rule",
	Options: []Option{
		{Name: "comment", Value: "TEXT", Required: true, Help: "the remark, up to 255 characters"},
	},
	Revisions: []Revision{{Rev: 0, Size: xtMaxCommentLen}},
	New:       func(rule.Family) Ext { return &Comment{} },
}

func init() { register(&comment) }

func (m *Comment) Name() string { return "comment" }
func (m *Comment) Def() *Def    { return &comment }

func (m *Comment) Set(a *Arg) error {
	m.Text = a.Value[:min(len(a.Value), xtMaxCommentLen-1)] // 1.8.9 cuts it off without a word
	return nil
}

func (m *Comment) Save(p *Printer) { p.OptionQuoted(false, "comment", m.Text) }

func (m *Comment) List(p *Printer) {
	p.Str(" /* ")
	p.Str(m.Text)
	p.Str(" */")
}

// Info writes struct xt_comment_info.
func (m *Comment) Info(w nft.Info, _ uint8, _ rule.Family) { w.String(m.Text, xtMaxCommentLen) }

// Read reads struct xt_comment_info.
func (m *Comment) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Text = r.String(xtMaxCommentLen)
	return nil
}

// Match is met by every packet.
func (m *Comment) Match(*packet.Packet) packet.Answer { return packet.Yes }

// Space is every packet.
func (m *Comment) Space(rule.Family) space.Set { return space.All() }
