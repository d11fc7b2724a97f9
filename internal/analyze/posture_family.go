package analyze

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// protoPort is a port of a protocol.
type protoPort struct {
	proto string
	port  uint16
}

// String is "tcp 22".
func (p protoPort) String() string { return fmt.Sprintf("%s %d", p.proto, p.port) }

// findFamilyGaps compares what the world may open by IPv4 and by IPv6. A family
// that is shut on purpose, or that the host has no address of, is left alone.
func findFamilyGaps(a *Auditor) (list []Finding) {
	s4, s6 := a.Subject(rule.IPv4), a.Subject(rule.IPv6)
	if s4 == nil || s6 == nil {
		return nil
	}
	w4, w6 := a.world(s4), a.world(s6)
	ports := comparedPorts(s4, s6, w4)
	if hasAddresses(s6) {
		if f := gap(w6, w4, ports); f != nil {
			list = append(list, *f)
		}
	}
	if !s6.shut("INPUT") && hasAddresses(s6) {
		if f := gap(w4, w6, ports); f != nil {
			f.Severity = Note
			list = append(list, *f)
		}
	}
	return list
}

// hasAddresses reports whether the host has addresses of the family by which
// others can reach it; true if that is not told.
func hasAddresses(s *Subject) bool {
	facts, ok := s.host.(*host.Facts)
	if !ok {
		return true
	}
	for i := range facts.Interfaces {
		for _, a := range facts.Interfaces[i].Addresses {
			if ip := a.Prefix.Addr(); ip.Is6() == (s.Family == rule.IPv6) && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
				return true
			}
		}
	}
	return false
}

// maxCompared is how many ports are compared.
const maxCompared = 256

// comparedPorts are the ports that rules of either family let in, those that
// everybody knows, and one that no rule names, each once.
func comparedPorts(s4, s6 *Subject, w *world) (list []protoPort) {
	add := func(proto string, port uint16) {
		if p := (protoPort{proto, port}); len(list) < maxCompared && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	for _, free := range w.free[:2] {
		add("tcp", free)
		add("udp", free)
	}
	for _, port := range [...]uint16{22, 80, 443, 25} {
		add("tcp", port)
	}
	for _, s := range [...]*Subject{s6, s4} {
		for _, r := range s.rulesOf("INPUT") {
			for _, m := range r.Matches {
				if x, ok := m.(ext.PortLister); ok && r.Src.IsAny() && (r.Proto.Is(6) || r.Proto.Is(17)) {
					proto := "tcp"
					if r.Proto.Is(17) {
						proto = "udp"
					}
					_, dst := x.PortRanges()
					for _, p := range dst {
						add(proto, p.From)
					}
				}
			}
		}
	}
	return list
}

// gap finds what one family lets in and the other drops.
func gap(open, shut *world, ports []protoPort) *Finding {
	var differ []protoPort
	var first opened
	var other simulate.Place // by what the first is dropped
	every := true
	for i, p := range ports {
		door, is := open.open(p.proto, p.port)
		if !is {
			every = every && i >= 4
			continue
		}
		against, closed := shut.closed(p.proto, p.port)
		if !closed {
			every = every && i >= 4
			continue
		}
		if differ = append(differ, p); len(differ) == 1 {
			first, other = door, against.by
		}
	}
	if len(differ) == 0 {
		return nil
	}
	f := &Finding{
		Place: open.s.RefOf(first.by), Proof: []Ref{shut.s.RefOf(other)}, Because: shut.s.Family.Name() + " drops the same by",
		Example: open.example("gets in", first.q, simulate.Accept), subject: open.s,
	}
	what := portList(differ)
	if every {
		f.Severity, what = Error, "each port of which no rule speaks"
	}
	f.Says = fmt.Sprintf("%s lets the world in to what %s drops: %s", open.s.Family.Name(), shut.s.Family.Name(), what)
	switch {
	case every && isPolicy(first.by, "INPUT"):
		f.Fix = open.closePolicy()
	case open.s.Family == rule.IPv6:
		f.Fix = open.dropPorts(first.by, differ)
	default:
		f.Fix = shut.letPorts(other, differ)
	}
	return f
}

// maxNamed is how many ports a sentence names.
const maxNamed = 8

func portList(ports []protoPort) string {
	var words []string
	for _, p := range ports {
		if len(words) == maxNamed {
			words = append(words, fmt.Sprintf("%d more", len(ports)-maxNamed))
			break
		}
		words = append(words, p.String())
	}
	return andList(words)
}

// dropPorts drops what comes to ports before the rule that lets it in.
func (w *world) dropPorts(by simulate.Place, ports []protoPort) *Fix {
	if len(ports) > maxNamed {
		return nil
	}
	var lines []string
	for _, p := range ports {
		door, open := w.open(p.proto, p.port)
		if !open {
			return nil
		}
		chain := door.by
		if chain.Chain != by.Chain {
			return nil
		}
		lines = append(lines, before(by, strings.Join([]string{"! -i lo -p", p.proto, "-m", p.proto, "--dport", fmt.Sprint(p.port), "-m conntrack --ctstate NEW -j DROP"}, " ")))
	}
	return w.fix("drops by IPv6 what IPv4 drops", func(after *world) bool {
		for _, p := range ports {
			if _, open := after.open(p.proto, p.port); open {
				return false
			}
		}
		return true
	}, lines...)
}

// letPorts lets ports in before the rule or policy that drops what comes to them.
func (w *world) letPorts(by simulate.Place, ports []protoPort) *Fix {
	if len(ports) > maxNamed {
		return nil
	}
	var lines []string
	for _, p := range ports {
		lines = append(lines, before(by, fmt.Sprintf("-p %s -m %s --dport %d -m conntrack --ctstate NEW -j ACCEPT", p.proto, p.proto, p.port)))
	}
	return w.fix("if IPv6 is to serve the same", func(after *world) bool {
		return !slices.ContainsFunc(ports, func(p protoPort) bool { _, open := after.open(p.proto, p.port); return !open })
	}, lines...)
}
