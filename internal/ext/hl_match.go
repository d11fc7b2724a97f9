package ext

// hl: iptables-extensions(8), "hl".
// UAPI: linux/netfilter_ipv6/ip6t_hl.h, struct ip6t_hl_info, revision 0.

import "moat/internal/rule"

var hl = Def{
	Name: "hl", Kind: Match, Families: V6,
	Summary: "hop limit in the IPv6 header",
	Options: []Option{
		{Name: "hl-eq", Aliases: []string{"hl"}, Value: "NUMBER", Not: true, Excludes: []string{"hl-lt", "hl-gt"}, Help: "hop limit is NUMBER, 0 to 255"},
		{Name: "hl-lt", Value: "NUMBER", Excludes: []string{"hl-eq", "hl-gt"}, Help: "hop limit is less than NUMBER"},
		{Name: "hl-gt", Value: "NUMBER", Excludes: []string{"hl-eq", "hl-lt"}, Help: "hop limit is greater than NUMBER"},
	},
	AnyOf:     []string{"hl-eq", "hl-lt", "hl-gt"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &HopLimit{V6: true} },
}

func init() {
	hl.Native = hopLimitNative
	register(&hl)
}
