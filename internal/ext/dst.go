package ext

// dst: iptables-extensions(8), "dst".
// UAPI: linux/netfilter_ipv6/ip6t_opts.h, struct ip6t_opts, revision 0.

import "moat/internal/rule"

var dst = Def{
	Name: "dst", Kind: Match, Families: V6,
	Summary: "destination options header of IPv6",
	Options: []Option{
		{Name: "dst-len", Value: "BYTES", Not: true, Help: "length of the header in bytes"},
		{Name: "dst-opts", Value: "TYPE[:LENGTH][,...]", Help: "options by number, with the length of their data in bytes, 16 at most"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}},
	New:       func(rule.Family) Ext { return &IPv6Options{Dst: true} },
}

func init() { register(&dst) }
