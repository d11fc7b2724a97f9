package judge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maker makes the condition of one extension.
type maker struct {
	name    string
	proto   string // protocols with which it can be written, as words; "" for all
	hooks   string // built-in chains in which the kernel takes it, as words; "" for all
	family  int    // 4 or 6; 0 for both
	tables  string // as words; "" for all
	whole   bool   // not for fragments of IPv6
	bytes   bool   // it looks at bytes
	tracked bool   // it asks for the connection
	make    func(*generator) string
}

// fits reports whether the maker can be used in a rule. A user-defined chain
// may be entered from any hook, so that it takes what all hooks take.
func (m *maker) fits(g *generator, table, chain, proto string) bool {
	return (m.tables == "" || slices.Contains(strings.Fields(m.tables), table)) &&
		(m.proto == "" || slices.Contains(strings.Fields(m.proto), proto)) &&
		(m.hooks == "" || slices.Contains(strings.Fields(m.hooks), chain)) &&
		(m.family == 0 || m.family == 6 == g.v6()) && (!m.tracked || g.tracked) && (!m.bytes || !g.options) && (!m.whole || !g.v6() || g.tracked)
}

// match makes a condition of an extension that fits the table, chain and
// protocol. Half of them are of the protocol, if it has some.
func (g *generator) match(table, chain, proto string) (name, text string) {
	if table == "raw" && g.chance(10) {
		return "", "" // fewer: what it does to connections reaches far
	}
	var fit, special []*maker
	for i := range makers {
		m := &makers[i]
		if !m.fits(g, table, chain, proto) || table == "raw" && m.tracked && g.chance(50) {
			continue
		}
		fit = append(fit, m)
		if m.proto != "" {
			special = append(special, m)
		}
	}
	if len(special) > 0 && g.chance(50) {
		fit = special
	}
	m := pick(g, fit)
	return m.name, m.make(g)
}

// makers are all extensions of matches that a packet decides.
var makers = [...]maker{
	{name: "tcp", proto: "tcp", make: (*generator).matchTCP},
	{name: "tcp", proto: "tcp", make: (*generator).matchTCP},
	{name: "udp", proto: "udp", make: func(g *generator) string { return "-m udp " + g.portOptions() }},
	{name: "multiport", proto: "tcp udp sctp dccp udplite", make: (*generator).matchMultiport},
	{name: "sctp", proto: "sctp", make: (*generator).matchSCTP},
	{name: "dccp", proto: "dccp", make: (*generator).matchDCCP},
	{name: "icmp", proto: "icmp", make: (*generator).matchICMP},
	{name: "icmp6", proto: "icmpv6", make: (*generator).matchICMP},
	// Of a later IPv6 fragment the kernel takes the network header for TCP's, and
	// drops the packet where that makes no sense.
	{name: "tcpmss", proto: "tcp", whole: true, make: func(g *generator) string {
		return fmt.Sprintf("-m tcpmss %s--mss %s", g.not(), g.span(536, 1460, 1000, 0))
	}},
	{name: "esp", proto: "esp", make: func(g *generator) string { return "-m esp " + g.not() + "--espspi " + g.span(0, 1, 256, 500, 70000) }},
	{name: "ah", proto: "ah", family: 4, make: func(g *generator) string { return "-m ah " + g.not() + "--ahspi " + g.span(0, 1, 256, 500, 70000) }},
	{name: "ipcomp", proto: "ipcomp", make: func(g *generator) string { return "-m ipcomp " + g.not() + "--ipcompspi " + g.span(0, 1, 2, 3) }},
	{name: "ecn", proto: "tcp", make: func(g *generator) string {
		return "-m ecn " + g.not() + pick(g, []string{"--ecn-tcp-cwr", "--ecn-tcp-ece"})
	}},
	{name: "ecn", make: func(g *generator) string { return fmt.Sprintf("-m ecn %s--ecn-ip-ect %d", g.not(), g.IntN(4)) }},
	{name: "dscp", make: func(g *generator) string {
		return fmt.Sprintf("-m dscp %s--dscp %d", g.not(), pick(g, tosValues[:])>>2)
	}},
	{name: "tos", make: func(g *generator) string {
		return fmt.Sprintf("-m tos %s--tos %#x/%#x", g.not(), pick(g, tosValues[:]), pick(g, []int{0xff, 0x3f, 0xfc, 0x1e}))
	}},
	{name: "mark", make: func(g *generator) string { return "-m mark " + g.not() + "--mark " + g.markMask() }},
	{name: "length", make: func(g *generator) string {
		return "-m length " + g.not() + "--length " + g.span(20, 40, 44, 48, 60, 64, 80, 100, 1000)
	}},
	{name: "ttl", family: 4, make: func(g *generator) string { return "-m ttl " + g.hops("ttl") }},
	{name: "hl", family: 6, make: func(g *generator) string { return "-m hl " + g.hops("hl") }},
	{name: "iprange", make: (*generator).matchIPRange},
	{name: "addrtype", make: (*generator).matchAddrType},
	{name: "addrtype", hooks: "PREROUTING INPUT", make: func(g *generator) string { return g.matchAddrType() + " --limit-iface-in" }},
	{name: "addrtype", hooks: "POSTROUTING OUTPUT", make: func(g *generator) string { return g.matchAddrType() + " --limit-iface-out" }},
	{name: "pkttype", hooks: "PREROUTING INPUT FORWARD", make: func(g *generator) string {
		return "-m pkttype " + g.not() + "--pkt-type " + pick(g, []string{"unicast", "broadcast", "multicast"})
	}},
	{name: "mac", hooks: "PREROUTING INPUT FORWARD", make: func(g *generator) string { return "-m mac " + g.not() + "--mac-source " + pick(g, macs[:]) }},
	{name: "rpfilter", tables: "raw mangle", hooks: "PREROUTING", make: func(g *generator) string {
		return "-m rpfilter" + g.some(" --loose", 40) + g.some(" --invert", 40) + g.some(" --accept-local", 30)
	}},
	// Never in user-defined chains: the kernel does not look from where these are
	// entered, and Linux 6.18 stops in devgroup_mt (oops) where the hook has no
	// such interface.
	{name: "devgroup", hooks: "PREROUTING INPUT FORWARD", make: func(g *generator) string { return "-m devgroup " + g.not() + "--src-group " + g.group() }},
	{name: "devgroup", hooks: "FORWARD OUTPUT POSTROUTING", make: func(g *generator) string { return "-m devgroup " + g.not() + "--dst-group " + g.group() }},
	{name: "owner", hooks: "OUTPUT", make: func(g *generator) string {
		owners := []string{"--uid-owner 0", "--gid-owner 0", "--uid-owner 1000", "--uid-owner 0-5"}
		if g.oneUser {
			owners = owners[:2]
		}
		return "-m owner " + g.not() + pick(g, owners)
	}},
	{name: "policy", hooks: "PREROUTING INPUT FORWARD", make: func(g *generator) string { return "-m policy --dir in --pol " + pick(g, []string{"none", "ipsec"}) }},
	{name: "physdev", make: func(g *generator) string { return "-m physdev " + g.not() + "--physdev-is-in" }},
	{name: "comment", make: func(*generator) string { return `-m comment --comment "any packet"` }},
	{name: "set", make: (*generator).matchSet},
	{name: "u32", bytes: true, make: (*generator).matchU32},
	{name: "string", bytes: true, make: (*generator).matchString},
	{name: "bpf", bytes: true, make: (*generator).matchBPF},
	{name: "state", tracked: true, make: func(g *generator) string { return "-m state " + g.not() + "--state " + g.stateList(false) }},
	{name: "conntrack", tracked: true, make: (*generator).matchConntrack},
	{name: "conntrack", tracked: true, make: (*generator).matchConntrack},
	{name: "connmark", tracked: true, make: func(g *generator) string { return "-m connmark " + g.not() + "--mark " + g.markMask() }},
	{name: "connlabel", tracked: true, make: func(g *generator) string { return "-m connlabel " + g.not() + "--label 5" }},
	{name: "helper", tracked: true, make: func(g *generator) string { return "-m helper " + g.not() + "--helper ftp" }},
	{name: "ipv6header", family: 6, make: func(g *generator) string {
		return "-m ipv6header " + g.some("--soft ", 50) + g.not() + "--header " + g.list([]string{"hop", "dst", "route", "frag", "auth", "esp", "none", "prot"})
	}},
	{name: "frag", family: 6, make: (*generator).matchFrag},
	{name: "hbh", family: 6, make: func(g *generator) string { return "-m hbh " + g.headerOptions("hbh") }},
	{name: "dst", family: 6, make: func(g *generator) string { return "-m dst " + g.headerOptions("dst") }},
	{name: "rt", family: 6, make: (*generator).matchRT},
	{name: "ah", family: 6, make: func(g *generator) string {
		return "-m ah " + g.not() + "--ahspi " + g.span(0, 1, 256, 500, 70000) + g.some(" --ahlen 24", 30) + g.some(" --ahres", 20)
	}},
	{name: "eui64", family: 6, hooks: "PREROUTING INPUT FORWARD", make: func(*generator) string { return "-m eui64" }},
}

// some gives s in n of 100 cases.
func (g *generator) some(s string, n int) string {
	if g.chance(n) {
		return s
	}
	return ""
}

// list gives one to three different words.
func (g *generator) list(words []string) string {
	var out []string
	for range 1 + g.IntN(3) {
		if w := pick(g, words); !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return strings.Join(out, ",")
}

// span gives a number of a list, or a range between two of them.
func (g *generator) span(list ...int) string {
	a, b := pick(g, list), pick(g, list)
	if g.chance(40) || a == b {
		return fmt.Sprint(a)
	}
	return fmt.Sprintf("%d:%d", min(a, b), max(a, b))
}

func (g *generator) markMask() string {
	if g.chance(50) {
		return fmt.Sprintf("%#x", pick(g, marks[:]))
	}
	return fmt.Sprintf("%#x/%#x", pick(g, marks[:]), pick(g, marks[:]))
}

func (g *generator) hops(name string) string {
	return fmt.Sprintf("--%s-%s %d", name, pick(g, []string{"eq", "lt", "gt"}), pick(g, []int{1, 2, 3, 32, 33, 63, 64, 128}))
}

// portSpan gives a port or a range.
func (g *generator) portSpan() string {
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("%d:", g.port())
	case 1:
		return fmt.Sprintf(":%d", g.port())
	}
	return g.span(22, 53, 80, 443, 1024, 5000, 8080, 33333, 65535)
}

// portOptions gives --sport, --dport or both.
func (g *generator) portOptions() string {
	switch g.IntN(3) {
	case 0:
		return g.not() + "--sport " + g.portSpan()
	case 1:
		return g.not() + "--sport " + g.portSpan() + " " + g.not() + "--dport " + g.portSpan()
	}
	return g.not() + "--dport " + g.portSpan()
}

func (g *generator) matchTCP() string {
	flags := []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ALL", "NONE"}
	switch g.IntN(6) {
	case 0:
		return "-m tcp " + g.not() + "--syn"
	case 1:
		return "-m tcp " + g.not() + "--tcp-flags " + g.list(flags) + " " + g.list(flags)
	case 2:
		return fmt.Sprintf("-m tcp %s--tcp-option %d", g.not(), pick(g, []int{2, 3, 4, 5, 8, 30}))
	}
	return "-m tcp " + g.portOptions()
}

func (g *generator) matchMultiport() string {
	var parts []string
	for range 1 + g.IntN(4) {
		parts = append(parts, g.span(22, 53, 80, 443, 1024, 5000, 8080, 33333, 65535))
	}
	return "-m multiport " + g.not() + pick(g, []string{"--sports ", "--dports ", "--ports "}) + strings.Join(parts, ",")
}

func (g *generator) matchSCTP() string {
	if g.chance(50) {
		return "-m sctp " + g.portOptions()
	}
	chunks := g.list([]string{"DATA", "INIT", "SACK", "HEARTBEAT", "DATA:Be", "DATA:U"})
	if strings.Count(chunks, "DATA") > 1 {
		chunks = "DATA:B"
	}
	return "-m sctp " + g.not() + "--chunk-types " + pick(g, []string{"all ", "any ", "only "}) + chunks
}

func (g *generator) matchDCCP() string {
	switch g.IntN(3) {
	case 0:
		return "-m dccp " + g.portOptions()
	case 1:
		return "-m dccp " + g.not() + "--dccp-types " + g.list([]string{"REQUEST", "RESPONSE", "DATA", "ACK", "RESET", "INVALID"})
	}
	return fmt.Sprintf("-m dccp %s--dccp-option %d", g.not(), pick(g, []int{1, 2, 32, 33}))
}

func (g *generator) matchICMP() string {
	if g.v6() {
		return "-m icmp6 " + g.not() + "--icmpv6-type " + pick(g, []string{
			"echo-request", "echo-reply", "1", "1/0", "packet-too-big", "128/1", "neighbour-solicitation", "135", "parameter-problem", "ttl-exceeded",
		})
	}
	return "-m icmp " + g.not() + "--icmp-type " + pick(g, []string{
		"echo-request", "echo-reply", "any", "3", "3/1", "8/0", "8/2", "redirect", "time-exceeded", "ttl-zero-during-transit", "13",
	})
}

func addrLess(a, b string) bool { return netip.MustParseAddr(a).Less(netip.MustParseAddr(b)) }

func (g *generator) matchIPRange() string {
	a, b := g.anyAddress(), g.anyAddress()
	if addrLess(b, a) {
		a, b = b, a
	}
	return "-m iprange " + g.not() + pick(g, []string{"--src-range ", "--dst-range "}) + a + "-" + b
}

func (g *generator) matchAddrType() string {
	types := []string{"LOCAL", "UNICAST", "MULTICAST", "UNREACHABLE"}
	if !g.v6() {
		types = []string{"LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE"}
	}
	return "-m addrtype " + g.not() + pick(g, []string{"--src-type ", "--dst-type "}) + g.list(types)
}

func (g *generator) group() string { return pick(g, []string{"0", "1", "2", "0x2/0x2"}) }

func (g *generator) matchSet() string {
	switch g.IntN(3) {
	case 0:
		return "-m set " + g.not() + "--match-set hosts " + pick(g, []string{"src", "dst"})
	case 1:
		return "-m set " + g.not() + "--match-set nets " + pick(g, []string{"src", "dst"})
	}
	return "-m set " + g.not() + "--match-set services " + pick(g, []string{"src,src", "src,dst", "dst,dst"})
}
