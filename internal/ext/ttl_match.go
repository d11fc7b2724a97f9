package ext

// ttl: iptables-extensions(8), "ttl".
// UAPI: linux/netfilter_ipv4/ipt_ttl.h, struct ipt_ttl_info, revision 0.

import "moat/internal/rule"

var ttl = Def{
	Name: "ttl", Kind: Match, Families: V4,
	Summary: "time to live in the IPv4 header",
	Options: []Option{
		{Name: "ttl-eq", Aliases: []string{"ttl"}, Value: "NUMBER", Not: true, Excludes: []string{"ttl-lt", "ttl-gt"}, Help: "time to live is NUMBER, 0 to 255"},
		{Name: "ttl-lt", Value: "NUMBER", Excludes: []string{"ttl-eq", "ttl-gt"}, Help: "time to live is less than NUMBER"},
		{Name: "ttl-gt", Value: "NUMBER", Excludes: []string{"ttl-eq", "ttl-lt"}, Help: "time to live is greater than NUMBER"},
	},
	AnyOf:     []string{"ttl-eq", "ttl-lt", "ttl-gt"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &HopLimit{} },
}

func init() {
	ttl.Native = hopLimitNative
	register(&ttl)
}
