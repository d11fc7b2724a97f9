package ext

// quota: iptables-extensions(8), "quota".
// UAPI: linux/netfilter/xt_quota.h, struct xt_quota_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Quota passes packets until a number of bytes is used up. What is left of it
// stands elsewhere in the kernel: the rule keeps its first value.
type Quota struct {
	Bytes uint64
	Not   bool // matches when the quota is used up
}

var quota = Def{
	Name: "quota", Kind: Match, Families: Both,
	Summary: "packets until a number of bytes has passed",
	Options: []Option{
		{Name: "quota", Value: "BYTES", Not: true, Required: true, Help: "the bytes that may pass"},
	},
	Revisions: []Revision{{Rev: 0, Size: 24}},
	New:       func(rule.Family) Ext { return &Quota{} },
}

func init() { register(&quota) }

func (m *Quota) Name() string { return "quota" }
func (m *Quota) Def() *Def    { return &quota }

func (m *Quota) Set(a *Arg) (err error) {
	m.Not = a.Not
	m.Bytes, err = a.Uint(0, 1<<64-1)
	return err
}

func (m *Quota) Save(p *Printer) { p.OptionUint(m.Not, "quota", m.Bytes) }

// List does not tell an inverted quota, as 1.8.9 does not.
func (m *Quota) List(p *Printer) {
	p.Str(" quota: ")
	p.Uint(m.Bytes)
	p.Str(" bytes")
}

// Info writes struct xt_quota_info without the kernel's pointer.
func (m *Quota) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(flag[uint32](m.Not, 1))
	w.Host64(m.Bytes)
}

// Read reads struct xt_quota_info.
func (m *Quota) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	flags := r.Host32()
	m.Bytes, m.Not = r.Host64(), flags == 1
	if flags > 1 {
		return nft.ErrMalformed
	}
	return nil
}
