package ext

// icmp: iptables-extensions(8), "icmp (IPv4-specific)".
// UAPI: linux/netfilter_ipv4/ip_tables.h, struct ipt_icmp, revision 0.

import (
	"moat/internal/rule"
)

var icmp = Def{
	Name: "icmp", Kind: Match, Families: V4,
	Summary:   "ICMP type and code",
	Protocols: []uint16{1},
	Options: []Option{
		{Name: "icmp-type", Value: "TYPE[/CODE]", Not: true, Required: true, Help: "type by name, number, or number and code"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &ICMP{Type: 255, CodeTo: 255} },
	Native:    icmpNative,
	HelpText:  func(rule.Family) string { return icmpHelp("Valid ICMP Types:\n", icmpNames) },
}

func init() { register(&icmp) }

// icmpNames are the types and codes that have a name, in the order in which they are listed.
var icmpNames = []icmpName{
	{"any", "", 255, 0, 255},
	{"echo-reply", "pong", 0, 0, 255},
	{"destination-unreachable", "", 3, 0, 255},
	{"network-unreachable", "", 3, 0, 0},
	{"host-unreachable", "", 3, 1, 1},
	{"protocol-unreachable", "", 3, 2, 2},
	{"port-unreachable", "", 3, 3, 3},
	{"fragmentation-needed", "", 3, 4, 4},
	{"source-route-failed", "", 3, 5, 5},
	{"network-unknown", "", 3, 6, 6},
	{"host-unknown", "", 3, 7, 7},
	{"network-prohibited", "", 3, 9, 9},
	{"host-prohibited", "", 3, 10, 10},
	{"TOS-network-unreachable", "", 3, 11, 11},
	{"TOS-host-unreachable", "", 3, 12, 12},
	{"communication-prohibited", "", 3, 13, 13},
	{"host-precedence-violation", "", 3, 14, 14},
	{"precedence-cutoff", "", 3, 15, 15},
	{"source-quench", "", 4, 0, 255},
	{"redirect", "", 5, 0, 255},
	{"network-redirect", "", 5, 0, 0},
	{"host-redirect", "", 5, 1, 1},
	{"TOS-network-redirect", "", 5, 2, 2},
	{"TOS-host-redirect", "", 5, 3, 3},
	{"echo-request", "ping", 8, 0, 255},
	{"router-advertisement", "", 9, 0, 255},
	{"router-solicitation", "", 10, 0, 255},
	{"time-exceeded", "ttl-exceeded", 11, 0, 255},
	{"ttl-zero-during-transit", "", 11, 0, 0},
	{"ttl-zero-during-reassembly", "", 11, 1, 1},
	{"parameter-problem", "", 12, 0, 255},
	{"ip-header-bad", "", 12, 0, 0},
	{"required-option-missing", "", 12, 1, 1},
	{"timestamp-request", "", 13, 0, 255},
	{"timestamp-reply", "", 14, 0, 255},
	{"address-mask-request", "", 17, 0, 255},
	{"address-mask-reply", "", 18, 0, 255},
}
