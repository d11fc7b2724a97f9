package analyze

import (
	"fmt"
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// published is a port that Docker sends on to a container, or another rule to
// an inside host, and that the world can open.
type published struct {
	protoPort
	to   uint16         // port of the container or inside host
	dst  netip.Addr     // address of this host to which it is sent
	at   simulate.Place // of the rule that sends it on
	door opened
}

// findPublished finds ports that Docker publishes to the world though INPUT
// drops what comes to them: they go by FORWARD and never see INPUT.
func findPublished(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	all := w.published()
	if len(all) == 0 {
		return nil
	}
	bare := w.after(s.withoutNAT())
	ports := slices.DeleteFunc(all, func(p published) bool { _, closed := bare.closed(p.proto, p.port); return !closed })
	if len(ports) == 0 {
		return nil
	}
	f := Finding{
		Place: s.RefOf(ports[0].at), Because: "they are sent on and let through by",
		Example: w.example("gets through", ports[0].door.q, simulate.Accept), Fix: w.unpublish(ports),
	}
	var names []protoPort
	for _, p := range ports {
		names = append(names, p.protoPort)
		for _, place := range [...]simulate.Place{p.at, p.door.by} {
			if ref := s.RefOf(place); !slices.Contains(f.Proof, ref) {
				f.Proof = append(f.Proof, ref)
			}
		}
	}
	f.Says = "Docker publishes " + portList(names) + " to the world past INPUT, which drops what comes to them"
	return append(list, f)
}

// findPublishedServices finds databases and the like in containers whose ports
// Docker publishes to the world, and on inside hosts to which other rules send.
func findPublishedServices(w *world) (list []Finding) {
	for _, p := range append(w.published(), w.sentInside()...) {
		row, where := sensitiveAt(p.proto, p.to), "an inside host"
		if p.at.Chain == dockerChain {
			row, where = sensitiveAt(p.proto, p.port), "a container"
		}
		if row == nil {
			continue
		}
		list = append(list, Finding{
			Place: w.s.RefOf(p.at), Proof: []Ref{w.s.RefOf(p.at), w.s.RefOf(p.door.by)}, Because: "it is sent on and let through by",
			Says:    "opens " + row.name + fmt.Sprintf(" (%s) of %s to the world", p.protoPort, where),
			Example: w.example("gets through", p.door.q, simulate.Accept), Fix: w.unpublish([]published{p}),
		})
	}
	return list
}

// withoutNAT is the ruleset without table nat.
func (s *Subject) withoutNAT() *Subject {
	rs := *s.Ruleset
	rs.Tables = slices.DeleteFunc(slices.Clone(rs.Tables), func(t *rule.Table) bool { return t.Name == "nat" })
	return &Subject{Ruleset: &rs, Source: s.Source, host: s.host, interfaces: s.interfaces}
}

// dockerChain is where Docker keeps its published ports, in table nat.
const dockerChain = "DOCKER"

// published are the ports that rules of a chain DOCKER send on from the world to
// containers, and that rules let through.
func (w *world) published() (list []published) {
	t := w.s.Table("nat")
	if t == nil || t.Chain(dockerChain) == nil {
		return nil
	}
	bridges := slices.DeleteFunc(w.s.interfaceNames(), func(name string) bool { return !isInner(name) })
	for _, p := range w.destinations(t.Chain(dockerChain)) {
		if p.dst != w.own {
			continue
		}
		var ok bool
		if p.door, ok = w.reaches(p, bridges); ok {
			list = append(list, p)
		}
	}
	return list
}

// unnamedInside stands for an interface of which no rule tells.
const unnamedInside = "lan0"

// sentInside are the ports that other rules than Docker's send on from the world
// to inside hosts, and that rules let through.
func (w *world) sentInside() (list []published) {
	t := w.s.Table("nat")
	if t == nil {
		return nil
	}
	inside := slices.DeleteFunc(append(w.s.interfaceNames(), unnamedInside), func(name string) bool {
		return name == "lo" || slices.Contains(w.outside, name)
	})
	for _, c := range t.Chains {
		if c.Name == dockerChain {
			continue
		}
		for _, p := range w.destinations(c) {
			if sensitiveAt(p.proto, p.to) == nil {
				continue
			}
			var ok bool
			if p.door, ok = w.reaches(p, inside); ok {
				list = append(list, p)
			}
		}
	}
	return list
}

// destinations are the ports that a chain's rules send on to one host, for any
// address of this host or for one that the world knows.
func (w *world) destinations(c *rule.Chain) (list []published) {
	for i, r := range c.Rules {
		dnat, ok := r.Target.(*ext.DNAT)
		proto := map[uint16]string{packet.ProtoTCP: "tcp", packet.ProtoUDP: "udp"}[r.Proto.Number]
		dst := w.own
		if !r.Dst.IsAny() {
			if dst = r.Dst.IP; r.Dst.Not || r.Dst.PrefixLen() != dst.BitLen() || dst.IsPrivate() || dst.IsLoopback() {
				continue
			}
		}
		if !ok || proto == "" || r.Proto.Not {
			continue
		}
		for _, m := range r.Matches {
			x, lists := m.(ext.PortLister)
			if !lists {
				continue
			}
			_, ports := x.PortRanges()
			for _, p := range ports {
				to := p.From
				if dnat.HasPorts {
					to = dnat.Ports.From
				}
				at := simulate.Place{Table: "nat", Chain: c.Name, Rule: i + 1}
				list = append(list, published{protoPort: protoPort{proto, p.From}, to: to, dst: dst, at: at})
			}
		}
	}
	return list
}

// maxInside is by how many interfaces a container or inside host is looked for.
const maxInside = 16

// reaches gives the door of a published port, if the world gets through by one
// of the interfaces inside: the rule that sends it on must be the one that the
// packet meets.
func (w *world) reaches(p published, inside []string) (door opened, yes bool) {
	for _, out := range inside[:min(len(inside), maxInside)] {
		for _, in := range w.outside {
			door, yes = w.openBy(func(src netip.Addr) *question.Question {
				q := w.ask("%s %v -> %v in %s out %s", p.proto, netip.AddrPortFrom(w.sources[0], question.FreePort), netip.AddrPortFrom(p.dst, 9), in, out)
				q.Packet.Src, q.Packet.Transport.Dst = src, p.port
				if w.s.host == nil { // the host's own address is a local one
					q.Fixed = map[string]packet.Answer{"addrtype": packet.Yes}
				}
				return q
			})
			if yes && w.sentOn(door, p.at) {
				return door, true
			}
		}
	}
	return door, false
}

// sentOn reports whether a door's packet is sent on by a rule, and is let through by a rule.
func (w *world) sentOn(d opened, at simulate.Place) bool {
	r := w.s.Firewall().Walk(d.q.Packet, simulate.Options{Way: d.q.Way, Fixed: d.q.Fixed})
	return meets(r, at) && r.Verdict == simulate.Accept && !asksOtherTypes(r.Trace)
}

// unpublish drops what the world sends to published ports, where Docker leaves
// room for it.
func (w *world) unpublish(ports []published) *Fix {
	chain, in := "FORWARD", ""
	if t := w.s.Table("filter"); t != nil && t.Chain("DOCKER-USER") != nil {
		chain = "DOCKER-USER"
	}
	if w.told && len(w.outside) == 1 {
		in = "-i " + w.outside[0] + " "
	}
	var lines []string
	for _, p := range ports {
		lines = append(lines, fmt.Sprintf("-I %s 1 %s-p %s -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -j DROP", chain, in, p.proto, p.port))
	}
	says := "keeps the world out"
	if ports[0].at.Chain == dockerChain {
		says += fmt.Sprintf("; or publish as 127.0.0.1:%d:…", ports[0].port)
	}
	return w.fix(says, func(after *world) bool {
		for _, p := range ports {
			q := *p.door.q
			if v, _ := after.fate(&q); v == simulate.Accept || v == simulate.Unknown {
				return false
			}
		}
		others := slices.DeleteFunc(slices.Clone(w.s.Probes()), func(p Probe) bool {
			old := p.Packet.Connection.State != packet.New // of which the first packet is not told
			return old || slices.ContainsFunc(ports, func(x published) bool { return p.Packet.Transport.Dst == x.port })
		})
		return w.s.SameFate(after.s, others)
	}, lines...)
}
