package judge

import (
	"fmt"
	"strings"

	"moat/internal/rule"
)

// ruleset makes a random ruleset.
func (g *generator) ruleset() *ruleset {
	g.options, g.redirects = g.chance(40), g.chance(50)
	r := &ruleset{family: g.family, drops: map[[2]string]string{}}
	for _, table := range tableOrder {
		if table == "nat" && !g.tracked {
			continue
		}
		g.table(r, table)
	}
	return r
}

// table fills one table: built-in chains, and user-defined ones that only jump
// to later ones.
func (g *generator) table(r *ruleset, table string) {
	own := make([]string, 2+g.IntN(3))
	for i := range own {
		own[i] = fmt.Sprintf("%s-%d", table, i+1)
		r.chains = append(r.chains, [2]string{table, own[i]})
	}
	most := 7
	if table == "filter" {
		most = 14
	}
	for _, c := range rule.FindLayout(table).Chains {
		if table != "nat" && g.chance(12) {
			r.drops[[2]string{table, c.Hook.Chain()}] = "DROP"
		}
		for range g.IntN(most) {
			g.rule(r, table, c.Hook.Chain(), sameSide(table, c.Hook.Chain(), own))
		}
	}
	for i, name := range own {
		for range 1 + g.IntN(5) {
			g.rule(r, table, name, sameSide(table, name, own[i+1:]))
		}
	}
}

// sameSide gives those chains of a list that a chain may jump to: see doers.
func sameSide(table, chain string, chains []string) (list []string) {
	if table != "nat" {
		return chains
	}
	for _, c := range chains {
		if isDestination(c) == isDestination(chain) {
			list = append(list, c)
		}
	}
	return list
}

func isDestination(chain string) bool {
	return chain == "PREROUTING" || chain == "OUTPUT" || chain == "nat-1" || chain == "nat-3"
}

// rule adds one rule; chains are those that it may jump to.
func (g *generator) rule(r *ruleset, table, chain string, chains []string) {
	words := g.header(chain)
	proto := protocolOf(words)
	// Two conditions of one kind in a rule are not read back as they were written,
	// not by iptables 1.8.9 either.
	kinds := map[string]bool{"": true}
	for range pick(g, []int{0, 1, 1, 1, 2}) {
		kind, m := g.match(table, chain, proto)
		if !kinds[kind] {
			words, kinds[kind] = append(words, m), true
		}
	}
	words = append(words, g.target(table, chain, proto, chains))
	r.rules = append(r.rules, spec{table, chain, strings.Join(words, " ")})
}

// hook is the hook of a built-in chain; user-defined ones may be under any.
func hookOf(chain string) string {
	switch chain {
	case "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING":
		return chain
	}
	return ""
}

// header makes the conditions of iptables itself.
func (g *generator) header(chain string) (words []string) {
	if g.chance(25) {
		words = append(words, g.addressCondition("-s"))
	}
	if g.chance(25) {
		words = append(words, g.addressCondition("-d"))
	}
	hook := hookOf(chain)
	if g.chance(20) && hook != "OUTPUT" && hook != "POSTROUTING" {
		words = append(words, g.not()+"-i "+pick(g, interfaces[:]))
	}
	if g.chance(20) && (hook == "FORWARD" || hook == "OUTPUT" || hook == "POSTROUTING" || hook == "") {
		words = append(words, g.not()+"-o "+pick(g, interfaces[:]))
	}
	if g.chance(60) {
		words = append(words, "-p "+g.protocol())
	} else if g.chance(10) {
		words = append(words, "! -p "+g.protocol())
	}
	if !g.v6() && g.chance(4) {
		words = append(words, g.not()+"-f")
	}
	return words
}

var interfaces = [...]string{"eth0", "eth1", "wlan0", "eth+", "wlan+", "e+", "lo", "tun0", "eth10"}

func (g *generator) not() string {
	if g.chance(25) {
		return "! "
	}
	return ""
}

func (g *generator) protocol() string {
	icmp := "icmp"
	if g.v6() {
		icmp = "icmpv6"
	}
	return pick(g, []string{"tcp", "tcp", "tcp", "udp", "udp", icmp, icmp, "sctp", "dccp", "esp", "ah", "udplite", "ipcomp", "89"})
}

// protocolOf is the protocol that header has asked for; "" for any.
func protocolOf(words []string) string {
	for _, w := range words {
		if p, ok := strings.CutPrefix(w, "-p "); ok {
			return p
		}
	}
	return ""
}

// anyAddress is an address of packets.
func (g *generator) anyAddress() string {
	switch n := g.IntN(10); {
	case n < 5:
		return g.outside().String()
	case n < 9:
		return g.own().String()
	}
	return g.nowhere().String()
}

// addressCondition is a condition on an address: one, a prefix or an odd mask.
// The kernel refuses "! ADDRESS/0".
func (g *generator) addressCondition(option string) string {
	masks := []string{"", "", "/24", "/16", "/9", "/31", "/0", "/255.0.0.255", "/0.0.255.15"}
	if g.v6() {
		masks = []string{"", "", "/64", "/48", "/33", "/127", "/0", "/ffff:ffff:0:ff::f"}
	}
	mask, not := pick(g, masks), g.not()
	if mask == "/0" {
		not = ""
	}
	return not + option + " " + g.anyAddress() + mask
}
