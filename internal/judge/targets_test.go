package judge

import (
	"fmt"
	"slices"
	"strings"
)

// doer makes a target.
type doer struct {
	tables    string // as words
	redirects bool   // it redirects
	options   bool   // it changes TCP's options
	hooks     string // built-in chains that take it; "" for all, and user-defined ones
	proto     string // "" for all
	family    int    // 4 or 6; 0 for both
	tracked   bool
	make      func(*generator) string
}

func (d *doer) fits(g *generator, table, chain, proto string) bool {
	return slices.Contains(strings.Fields(d.tables), table) && (d.hooks == "" || slices.Contains(strings.Fields(d.hooks), chain)) &&
		(d.proto == "" || slices.Contains(strings.Fields(d.proto), proto)) && (d.family == 0 || d.family == 6 == g.v6()) && (!d.tracked || g.tracked) && (!d.options || g.options && g.tracked) && (!d.redirects || g.redirects)
}

// target makes what a rule does; chains are those that it may jump to.
func (g *generator) target(table, chain, proto string, chains []string) string {
	if len(chains) > 0 && g.chance(25) {
		return pick(g, []string{"-j ", "-j ", "-g "}) + pick(g, chains)
	}
	var fit, special []*doer
	for i := range doers {
		if d := &doers[i]; d.fits(g, table, chain, proto) {
			fit = append(fit, d)
			if d.proto != "" {
				special = append(special, d)
			}
		}
	}
	if len(special) > 0 && g.chance(60) {
		fit = special
	}
	if len(fit) > 0 && g.chance(55) {
		return pick(g, fit).make(g)
	}
	switch n := g.IntN(100); {
	case n < 30:
		return "-j ACCEPT"
	case n < 40 && table != "nat":
		return "-j DROP"
	case n < 65:
		return "-j RETURN"
	case n < 75:
		return "-j NFLOG --nflog-group 7"
	}
	return ""
}

func fixed(s string) func(*generator) string { return func(*generator) string { return s } }

// portProtocols are those whose ports iptables translates. DCCP is left out:
// Linux 6.18 does not track it and leaves its ports alone, others do.
const portProtocols = "tcp udp sctp"

// doers are all targets that a packet decides. User-defined chains of table nat
// stand for one side each: the first and third are entered from PREROUTING and
// OUTPUT only, the others from INPUT and POSTROUTING.
var doers = [...]doer{
	{tables: "filter", make: (*generator).reject},
	{tables: "raw", tracked: true, make: func(g *generator) string {
		return pick(g, []string{"-j NOTRACK", "-j CT --notrack", "-j CT --ctevents new"})
	}},
	{tables: "mangle", make: (*generator).setMark},
	{tables: "mangle", make: (*generator).setMark},
	{tables: "mangle", tracked: true, make: (*generator).setConnMark},
	{tables: "mangle", tracked: true, make: (*generator).setConnMark},
	{tables: "mangle", make: func(g *generator) string {
		return fmt.Sprintf("-j TOS --set-tos %#x/%#x", pick(g, tosValues[:]), pick(g, []int{0xff, 0x3f, 0xfc, 3}))
	}},
	{tables: "mangle", make: func(g *generator) string { return fmt.Sprintf("-j DSCP --set-dscp %d", pick(g, tosValues[:])>>2) }},
	{tables: "mangle", family: 4, make: func(g *generator) string {
		return "-j TTL " + pick(g, []string{"--ttl-set 33", "--ttl-set 64", "--ttl-inc 1", "--ttl-inc 200", "--ttl-dec 1"})
	}},
	{tables: "mangle", family: 6, make: func(g *generator) string {
		return "-j HL " + pick(g, []string{"--hl-set 33", "--hl-set 64", "--hl-inc 1", "--hl-inc 200", "--hl-dec 1"})
	}},
	{tables: "mangle", hooks: "FORWARD OUTPUT POSTROUTING", make: fixed("-j CLASSIFY --set-class 1:2")},
	{tables: "mangle", proto: "tcp", options: true, make: func(g *generator) string {
		return "-j TCPOPTSTRIP --strip-options " + pick(g, []string{"mss", "wscale,sack-permitted", "timestamp", "2,30"})
	}},
	{tables: "mangle", proto: "tcp", family: 4, options: true, make: fixed("-j ECN --ecn-tcp-remove")},
	{tables: "mangle", hooks: "FORWARD OUTPUT POSTROUTING", proto: "tcp", options: true, make: func(g *generator) string {
		return fmt.Sprintf("-m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss %d", pick(g, []int{500, 1000, 1400, 9000}))
	}},
	{tables: "nat", hooks: "PREROUTING OUTPUT nat-1 nat-3", make: (*generator).dnat},
	{tables: "nat", hooks: "PREROUTING OUTPUT nat-1 nat-3", proto: portProtocols, make: (*generator).dnatPort},
	{tables: "nat", hooks: "PREROUTING OUTPUT nat-1 nat-3", redirects: true, make: fixed("-j REDIRECT")},
	{tables: "nat", hooks: "PREROUTING OUTPUT nat-1 nat-3", proto: portProtocols, redirects: true, make: func(g *generator) string {
		return fmt.Sprintf("-j REDIRECT --to-ports %d", g.port())
	}},
	{tables: "nat", hooks: "POSTROUTING INPUT nat-2 nat-4", make: (*generator).snat},
	{tables: "nat", hooks: "POSTROUTING INPUT nat-2 nat-4", proto: portProtocols, make: (*generator).snatPort},
	{tables: "nat", hooks: "POSTROUTING", make: fixed("-j MASQUERADE")},
	{tables: "nat", hooks: "POSTROUTING", proto: "tcp udp", make: func(g *generator) string {
		return fmt.Sprintf("-j MASQUERADE --to-ports %d", g.port())
	}},
	{tables: "nat", hooks: "PREROUTING OUTPUT POSTROUTING INPUT", make: (*generator).netmap},
}

func (g *generator) reject() string {
	if g.v6() {
		return pick(g, []string{"-j REJECT", "-j REJECT --reject-with icmp6-adm-prohibited"})
	}
	return pick(g, []string{"-j REJECT", "-j REJECT --reject-with icmp-host-prohibited"})
}

func (g *generator) setMark() string {
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("-j MARK --and-mark %#x", pick(g, marks[:]))
	case 1:
		return fmt.Sprintf("-j MARK --or-mark %#x", pick(g, marks[:]))
	case 2:
		return fmt.Sprintf("-j MARK --xor-mark %#x", pick(g, marks[:]))
	case 3:
		return "-j MARK --set-mark " + g.markMask()
	}
	return "-j MARK --set-xmark " + g.markMask()
}

func (g *generator) setConnMark() string {
	switch g.IntN(5) {
	case 0:
		return "-j CONNMARK --save-mark"
	case 1:
		return "-j CONNMARK --restore-mark"
	case 2:
		return fmt.Sprintf("-j CONNMARK --save-mark --nfmask %#x --ctmask %#x", pick(g, marks[:]), pick(g, marks[:]))
	case 3:
		return fmt.Sprintf("-j CONNMARK --restore-mark --nfmask %#x --ctmask %#x", pick(g, marks[:]), pick(g, marks[:]))
	}
	return "-j CONNMARK --set-xmark " + g.markMask()
}

func (g *generator) newDestination() string {
	if g.chance(50) {
		return g.own().String()
	}
	return g.outside().String()
}

func (g *generator) dnat() string { return "-j DNAT --to-destination " + g.newDestination() }

// withPort writes an address with a port.
func (g *generator) withPort(a string) string {
	if g.v6() {
		a = "[" + a + "]"
	}
	return fmt.Sprintf("%s:%d", a, g.port())
}

func (g *generator) dnatPort() string {
	if g.chance(20) {
		return fmt.Sprintf("-j DNAT --to-destination :%d", g.port())
	}
	return "-j DNAT --to-destination " + g.withPort(g.newDestination())
}

func (g *generator) snat() string     { return "-j SNAT --to-source " + g.newDestination() }
func (g *generator) snatPort() string { return "-j SNAT --to-source " + g.withPort(g.newDestination()) }

func (g *generator) netmap() string {
	if g.v6() {
		return "-j NETMAP --to " + pick(g, []string{"2001:db8:51::/64", "2001:db8:2::/112"})
	}
	return "-j NETMAP --to " + pick(g, []string{"198.51.100.0/24", "192.0.2.0/28", "10.1.0.0/16"})
}
