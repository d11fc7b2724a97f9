package ext

// icmp6: iptables-extensions(8), "icmp6 (IPv6-specific)".
// UAPI: linux/netfilter_ipv6/ip6_tables.h, struct ip6t_icmp, revision 0.

import (
	"moat/internal/rule"
)

var icmp6 = Def{
	Name: "icmp6", Aliases: []string{"icmpv6"}, Kind: Match, Families: V6,
	Summary:   "ICMPv6 type and code",
	Protocols: []uint16{58},
	Options: []Option{
		{Name: "icmpv6-type", Value: "TYPE[/CODE]", Not: true, Required: true, Help: "type by name, number, or number and code"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &ICMP{V6: true, CodeTo: 255} },
	Native:    icmp6Native,
	HelpText:  func(rule.Family) string { return icmpHelp("Valid ICMPv6 Types:\n", icmp6Names) },
}

func init() { register(&icmp6) }

// icmp6Names are the types and codes that have a name, in the order in which they are listed.
var icmp6Names = []icmpName{
	{"destination-unreachable", "", 1, 0, 255},
	{"no-route", "", 1, 0, 0},
	{"communication-prohibited", "", 1, 1, 1},
	{"beyond-scope", "", 1, 2, 2},
	{"address-unreachable", "", 1, 3, 3},
	{"port-unreachable", "", 1, 4, 4},
	{"failed-policy", "", 1, 5, 5},
	{"reject-route", "", 1, 6, 6},
	{"packet-too-big", "", 2, 0, 255},
	{"time-exceeded", "ttl-exceeded", 3, 0, 255},
	{"ttl-zero-during-transit", "", 3, 0, 0},
	{"ttl-zero-during-reassembly", "", 3, 1, 1},
	{"parameter-problem", "", 4, 0, 255},
	{"bad-header", "", 4, 0, 0},
	{"unknown-header-type", "", 4, 1, 1},
	{"unknown-option", "", 4, 2, 2},
	{"echo-request", "ping", 128, 0, 255},
	{"echo-reply", "pong", 129, 0, 255},
	{"router-solicitation", "", 133, 0, 255},
	{"router-advertisement", "", 134, 0, 255},
	{"neighbour-solicitation", "neighbor-solicitation", 135, 0, 255},
	{"neighbour-advertisement", "neighbor-advertisement", 136, 0, 255},
	{"redirect", "", 137, 0, 255},
}
