package analyze

import (
	"fmt"
	"net/netip"
	"slices"

	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// needed is a type of ICMPv6 that IPv6 cannot live without.
type needed struct {
	number uint8
	name   string // as the rules have it
	why    string
	hops   bool // it comes from the same link, with hop limit 255
}

// neededICMPv6 are those of RFC 4890, 4.3.1 and 4.4.1, but for router
// advertisements: a host whose addresses are written down may do without.
var neededICMPv6 = [...]needed{
	{135, "neighbour-solicitation", "no neighbour can find the host", true},
	{136, "neighbour-advertisement", "the host can find no neighbour", true},
	{2, "packet-too-big", "connections hang on paths that take no large packets", false},
	{1, "destination-unreachable", "connections to what is not there wait for nothing", false},
	{3, "time-exceeded", "loops and fragments that are lost stay unknown", false},
	{4, "parameter-problem", "senders of what nobody understands never learn it", false},
}

// findNeededICMPv6 finds that INPUT drops ICMPv6 that IPv6 needs.
func findNeededICMPv6(a *Auditor, s *Subject) (list []Finding) {
	if s.Family != rule.IPv6 || s.shut("INPUT") {
		return nil
	}
	w := a.world(s)
	var missing []needed
	var first *question.Question
	var by simulate.Place
	for _, t := range neededICMPv6 {
		q := w.icmpv6(t)
		at, refused := w.refuses(q)
		if !refused {
			continue
		}
		if missing = append(missing, t); len(missing) == 1 {
			first, by = q, at
		}
	}
	if len(missing) == 0 {
		return nil
	}
	f := Finding{
		Severity: Warning, Place: s.RefOf(by), Example: w.example("is dropped", first, simulate.Drop, simulate.Reject),
		Fix: w.letICMPv6(missing),
	}
	var names []string
	for _, t := range missing {
		if names = append(names, t.name); t.number == 135 || t.number == 136 || t.number == 2 {
			f.Severity = Error
		}
	}
	are := " is"
	if len(names) > 1 {
		are = " are"
	}
	f.Says = "ICMPv6 " + andList(names) + are + " dropped: " + missing[0].why
	return append(list, f)
}

// icmpv6 is a packet of a type as it comes to the host: the state that
// connection tracking gives the type is the question's own default.
func (w *world) icmpv6(t needed) *question.Question {
	if t.hops {
		return w.neighbour(t.number, w.outside[0])
	}
	return w.ask("icmpv6 %v -> %v in %s type %d", w.sources[0], w.own, w.outside[0], t.number)
}

// neighbour is a neighbour's packet to the host: hop limit 255, link-local source.
func (w *world) neighbour(number uint8, in string) *question.Question {
	return w.ask("icmpv6 %v -> %v in %s type %d ttl 255", netip.MustParseAddr("fe80::21a:4aff:fe77:7"), w.own, in, number)
}

// letICMPv6 lets types in before all else.
func (w *world) letICMPv6(types []needed) *Fix {
	var lines []string
	for i, t := range types {
		hops := ""
		if t.hops {
			hops = "-m hl --hl-eq 255 "
		}
		lines = append(lines, fmt.Sprintf("-I INPUT %d -p ipv6-icmp -m icmp6 --icmpv6-type %d %s-j ACCEPT", i+1, t.number, hops))
	}
	return w.fix("lets in what IPv6 needs", func(after *world) bool {
		return !slices.ContainsFunc(types, func(t needed) bool { _, lets := after.lets(after.icmpv6(t)); return !lets })
	}, lines...)
}

// findDroppedErrors finds that IPv4's "fragmentation needed" is dropped where
// the connections get in that it is about: they hang on paths that take no
// large packets.
func findDroppedErrors(a *Auditor, s *Subject) (list []Finding) {
	if s.Family != rule.IPv4 || s.shut("INPUT") {
		return nil
	}
	w := a.world(s)
	in := w.outside[0]
	ask := func(w *world) *question.Question {
		return w.ask("icmp %v -> %v in %s type 3/4 state RELATED", w.sources[0], w.own, in)
	}
	q := ask(w)
	by, refused := w.refuses(q)
	if _, lets := w.lets(w.answer("tcp", w.sources[0], 443, in)); !refused || !lets {
		return nil
	}
	return append(list, Finding{
		Place: s.RefOf(by), Example: w.example("is dropped", q, simulate.Drop, simulate.Reject),
		Says: "ICMP fragmentation-needed is dropped: connections hang on paths that take no large packets",
		Fix: w.fix("lets in the errors of known connections", func(after *world) bool {
			_, lets := after.lets(ask(after))
			return lets
		}, before(by, "-p icmp -m icmp --icmp-type 3/4 -m conntrack --ctstate RELATED -j ACCEPT")),
	})
}
