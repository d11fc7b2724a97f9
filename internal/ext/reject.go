package ext

// REJECT: iptables-extensions(8), "REJECT".
// UAPI: linux/netfilter_ipv4/ipt_REJECT.h, struct ipt_reject_info, and
// linux/netfilter_ipv6/ip6t_REJECT.h, struct ip6t_reject_info; revision 0.

import (
	"fmt"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Reject answers the packet with an error. The kernel allows it only in table
// filter (and in no hook before or after it), and a TCP reset only with -p tcp.
type Reject struct {
	With uint8 // enum ipt_reject_with, or for IPv6 enum ip6t_reject_with
}

var reject = Def{
	Name: "REJECT", Kind: Target, Families: Both,
	Summary: "answer with an error",
	Options: []Option{
		{Name: "reject-with", Value: "TYPE", Help: "what to answer (default: port unreachable)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       newReject,
	HelpText:  rejectHelp,
}

func init() { register(&reject) }

func newReject(f rule.Family) Ext {
	if f == rule.IPv6 {
		return &Reject{With: 4}
	}
	return &Reject{With: 3}
}

// rejectType is an answer: its name, a shorter one, what it says.
type rejectType struct {
	name, alias string
	with        uint8
	help        string
}

// rejectTypes are the answers in the order in which names are looked for.
var rejectTypes = [...]rejectType{
	{"icmp-net-unreachable", "net-unreach", 0, "ICMP network unreachable"},
	{"icmp-host-unreachable", "host-unreach", 1, "ICMP host unreachable"},
	{"icmp-proto-unreachable", "proto-unreach", 2, "ICMP protocol unreachable"},
	{"icmp-port-unreachable", "port-unreach", 3, "ICMP port unreachable (default)"},
	{"icmp-net-prohibited", "net-prohib", 5, "ICMP network prohibited"},
	{"icmp-host-prohibited", "host-prohib", 6, "ICMP host prohibited"},
	{"tcp-reset", "tcp-rst", 7, "TCP RST packet"},
	{"icmp-admin-prohibited", "admin-prohib", 8, "ICMP administratively prohibited"},
}

// reject6Types are those of IPv6.
var reject6Types = [...]rejectType{
	{"icmp6-no-route", "no-route", 0, "ICMPv6 no route"},
	{"icmp6-adm-prohibited", "adm-prohibited", 1, "ICMPv6 administratively prohibited"},
	{"icmp6-addr-unreachable", "addr-unreach", 3, "ICMPv6 address unreachable"},
	{"icmp6-port-unreachable", "port-unreach", 4, "ICMPv6 port unreachable (default)"},
	{"tcp-reset", "tcp-reset", 6, "TCP RST packet"},
	{"icmp6-policy-fail", "policy-fail", 7, "ICMPv6 policy fail"},
	{"icmp6-reject-route", "reject-route", 8, "ICMPv6 reject route"},
}

// rejectTypesOf are the answers of a family.
func rejectTypesOf(f rule.Family) []rejectType {
	if f == rule.IPv6 {
		return reject6Types[:]
	}
	return rejectTypes[:]
}

func (t *Reject) Name() string { return "REJECT" }
func (t *Reject) Def() *Def    { return &reject }

// Set takes the beginning of a name, in any case: the first that fits is meant.
func (t *Reject) Set(a *Arg) error {
	for _, r := range rejectTypesOf(a.Family) {
		if hasPrefixFold(r.name, a.Value) || hasPrefixFold(r.alias, a.Value) {
			t.With = r.with
			return nil
		}
	}
	return a.Errorf("knows %s, not %q", rejectNames(a.Family), a.Value)
}

func rejectNames(f rule.Family) string {
	var names []string
	for _, r := range rejectTypesOf(f) {
		names = append(names, r.name)
	}
	return strings.Join(names, ", ")
}

func rejectHelp(f rule.Family) string {
	var b strings.Builder
	b.WriteString("Valid reject types:\n")
	for _, r := range rejectTypesOf(f) {
		fmt.Fprintf(&b, "    %-25s\t%s\n    %-25s\talias\n", r.name, r.help, r.alias)
	}
	return b.String()
}

func (t *Reject) Save(p *Printer) { p.OptionStr(false, "reject-with", t.typeName(p.Family)) }

func (t *Reject) List(p *Printer) {
	p.Str(" reject-with ")
	p.Str(t.typeName(p.Family))
}

// typeName is the full name of the answer; "" if iptables has none for it.
func (t *Reject) typeName(f rule.Family) string {
	for _, r := range rejectTypesOf(f) {
		if r.with == t.With {
			return r.name
		}
	}
	return ""
}

// Info writes struct ipt_reject_info or ip6t_reject_info: one enum.
func (t *Reject) Info(w nft.Info, _ uint8, _ rule.Family) { w.Host32(uint32(t.With)) }

// Read reads struct ipt_reject_info or ip6t_reject_info.
func (t *Reject) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	with := r.Host32()
	t.With = uint8(with)
	if with > 255 || t.typeName(f) == "" {
		return nft.ErrMalformed
	}
	return nil
}

// Fate of the packet is to end here, and its sender is told.
func (t *Reject) Fate() Fate { return Rejects }
