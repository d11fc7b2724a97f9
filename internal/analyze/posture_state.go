package analyze

import (
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// findNoLoopback finds that the host's packets to itself are dropped.
func findNoLoopback(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	if f := w.noLoopback(); f != nil {
		list = append(list, *f)
	}
	return list
}

func (w *world) noLoopback() *Finding {
	for _, chain := range [...]string{"INPUT", "OUTPUT"} {
		if w.s.allowsLoopback(chain) {
			return nil // somebody has thought of what the host may ask itself
		}
	}
	for _, way := range [...]struct{ chain, spec string }{{"INPUT", "-i lo -j ACCEPT"}, {"OUTPUT", "-o lo -j ACCEPT"}} {
		by, q, refused := w.refusesItself(way.chain)
		if !refused || !slices.ContainsFunc(w.s.rulesOf(way.chain), isAccept) {
			continue
		}
		return &Finding{
			Place: w.s.RefOf(by), Says: "no rule of " + way.chain + " lets the host's packets to itself through: programs on it cannot talk to each other",
			Example: w.example("is dropped", q, simulate.Drop, simulate.Reject),
			Fix: w.fix("lets the host talk to itself", func(after *world) bool {
				_, _, refused := after.refusesItself(way.chain)
				return !refused && w.s.sameFateWithout(after.s, "lo")
			}, "-I "+way.chain+" 1 "+way.spec),
		}
	}
	return nil
}

func isAccept(r *rule.Rule) bool { return r.Target == rule.Accept }

// allowsLoopback reports whether a chain has a rule that lets some packets of
// the host to itself through, but not all.
func (s *Subject) allowsLoopback(chain string) bool {
	return slices.ContainsFunc(s.rulesOf(chain), func(r *rule.Rule) bool {
		i := r.In
		if chain == "OUTPUT" {
			i = r.Out
		}
		some := !r.Src.IsAny() || !r.Dst.IsAny() || !r.Proto.IsAny() || len(r.Matches) > 0
		_, called := r.Target.(rule.Jump)
		return i.Name == "lo" && !i.Not && (isAccept(r) && some || called)
	})
}

// refusesItself reports whether a chain certainly drops what the host sends to
// itself, whatever the port.
func (w *world) refusesItself(chain string) (by simulate.Place, first *question.Question, yes bool) {
	for _, port := range w.free {
		for _, proto := range [...]uint8{packet.ProtoTCP, packet.ProtoUDP} {
			q := w.toItself()
			q.Packet.Transport.Dst = port
			if chain == "OUTPUT" {
				q.Way, q.Packet.In, q.Packet.Out = simulate.Out, "", "lo"
			}
			if q.Packet.Proto = proto; proto == packet.ProtoUDP {
				q.Packet.Known &^= packet.KnowFlags
				q.Packet.Transport.Flags = 0
			}
			at, refused := w.refuses(q)
			if !refused || at.Table != "filter" {
				return by, first, false
			}
			if first == nil {
				by, first = at, q
			}
		}
	}
	return by, first, true
}

// sameFateWithout is SameFate for the probes that do not use an interface.
func (s *Subject) sameFateWithout(after *Subject, name string) bool {
	probes := slices.DeleteFunc(slices.Clone(s.Probes()), func(p Probe) bool { return p.Packet.In == name || p.Packet.Out == name })
	return s.SameFate(after, probes)
}

// findNoEstablished finds that answers are dropped: those to the host's own
// connections, and those of its services.
func findNoEstablished(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	for _, find := range [...]func() *Finding{w.noAnswersIn, w.noAnswersOut} {
		if f := find(); f != nil {
			list = append(list, *f)
		}
	}
	return list
}

// answerPorts are ports whose answers a host needs: web, ssh, mail, names, time.
var answerPorts = [...]struct {
	proto string
	port  uint16
}{{"tcp", 443}, {"tcp", 80}, {"tcp", 22}, {"tcp", 25}, {"udp", 53}, {"udp", 123}}

// noAnswersIn finds that INPUT drops the answers to all connections that OUTPUT
// lets the host make.
func (w *world) noAnswersIn() *Finding {
	if w.s.shut("INPUT") {
		return nil
	}
	var by simulate.Place
	var first *question.Question
	for _, in := range w.outside {
		for _, x := range answerPorts {
			ask := w.ask("%s %v -> %v out %s", x.proto, netip.AddrPortFrom(w.own, question.FreePort), netip.AddrPortFrom(w.sources[0], x.port), in)
			if _, out := w.lets(ask); !out {
				continue
			}
			q := w.answer(x.proto, w.sources[0], x.port, in)
			at, refused := w.refuses(q)
			if !refused || at.Table != "filter" {
				return nil
			}
			if first == nil {
				by, first = at, q
			}
		}
	}
	if first == nil {
		return nil
	}
	return &Finding{
		Place: w.s.RefOf(by), Says: "answers to the host's own connections are dropped: it can look up no name and fetch no update",
		Example: w.example("is dropped", first, simulate.Drop, simulate.Reject),
		Fix:     w.letAnswers("INPUT", first),
	}
}

// letAnswers lets packets of known connections through a chain, and no others.
func (w *world) letAnswers(chain string, q *question.Question) *Fix {
	return w.fix("lets answers through", func(after *world) bool {
		known := func(p Probe) bool {
			s := p.Packet.Connection.State
			return s == packet.Established || s == packet.Related
		}
		c := *q
		_, lets := after.lets(&c)
		return lets && w.s.SameFate(after.s, slices.DeleteFunc(slices.Clone(w.s.Probes()), known))
	}, "-I "+chain+" 1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
}

// maxServed is how many services' answers are looked at.
const maxServed = 16

// noAnswersOut finds that OUTPUT drops the answers of all services that INPUT
// lets the world ask.
func (w *world) noAnswersOut() *Finding {
	var by simulate.Place
	var first *question.Question
	for _, port := range w.servedPorts() {
		out := w.outside[0]
		if _, in := w.lets(w.fresh("tcp", w.sources[0], port, out)); !in {
			continue
		}
		q := w.ask("tcp %v -> %v out %s state ESTABLISHED", netip.AddrPortFrom(w.own, port), netip.AddrPortFrom(w.sources[0], question.FreePort), out)
		at, refused := w.refuses(q)
		if !refused || at.Table != "filter" {
			return nil
		}
		if first == nil {
			by, first = at, q
		}
	}
	if first == nil || w.s.shut("INPUT") {
		return nil
	}
	return &Finding{
		Place: w.s.RefOf(by), Says: "the answers of the host's services are dropped: INPUT lets connections in to which OUTPUT lets nothing be said",
		Example: w.example("is dropped", first, simulate.Drop, simulate.Reject),
		Fix:     w.letAnswers("OUTPUT", first),
	}
}

// servedPorts are ports that rules of INPUT let in.
func (w *world) servedPorts() (ports []uint16) {
	for _, r := range w.s.rulesOf("INPUT") {
		for _, m := range r.Matches {
			x, ok := m.(ext.PortLister)
			if !ok || len(ports) >= maxServed || r.Target != rule.Accept {
				continue
			}
			_, dst := x.PortRanges()
			for _, p := range dst {
				if !slices.Contains(ports, p.From) {
					ports = append(ports, p.From)
				}
			}
		}
	}
	return ports
}

// findWideRelated finds that RELATED is let in without a condition where a
// helper of connection tracking makes connections related because the other
// side says so.
func findWideRelated(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	helpers := s.helpers()
	if len(helpers) == 0 {
		return nil
	}
	in := w.outside[0]
	name := s.at(helpers[0]).Target.(*ext.CT).Helper
	q := w.ask("tcp %v -> %v in %s state RELATED helper %s", netip.AddrPortFrom(w.sources[0], question.FreePort), netip.AddrPortFrom(w.own, w.free[2]), in, name)
	by, lets := w.lets(q)
	r := s.at(by)
	if !lets || r == nil || !isStateOnly(r) {
		return nil
	}
	f := Finding{
		Place: s.RefOf(by), Because: "connections are made related by",
		Says:    "lets in whatever the helper of " + name + " takes for a connection that belongs to another, to any port",
		Example: w.example("gets in", q, simulate.Accept),
	}
	for _, h := range helpers {
		f.Proof = append(f.Proof, s.RefOf(h))
	}
	f.Fix = w.narrowRelated(by, q, name)
	return append(list, f)
}

// narrowRelated lets related connections in only as errors and to the ports
// that clients use.
func (w *world) narrowRelated(by simulate.Place, q *question.Question, helper string) *Fix {
	icmp := "icmp"
	if w.s.Family == rule.IPv6 {
		icmp = "ipv6-icmp"
	}
	lines := []string{
		before(by, "-m conntrack --ctstate ESTABLISHED -j ACCEPT"),
		before(next(by, 1), "-p "+icmp+" -m conntrack --ctstate RELATED -j ACCEPT"),
		before(next(by, 2), "-p tcp -m helper --helper "+helper+" -m conntrack --ctstate RELATED -m tcp --dport 1024:65535 -j ACCEPT"),
	}
	ops := w.s.ops(lines...)
	ops = append(ops, w.s.ops(deleteNumber(next(by, 3)))...)
	return w.s.Fix("lets in errors, and connections of the helper to ports of clients", ops, func(after *Subject) bool {
		now := w.after(after)
		c := *q
		_, refused := now.refuses(&c)
		_, answers := now.lets(now.answer("tcp", w.sources[0], 443, w.outside[0]))
		return refused && answers
	})
}

// helpers are the rules that give connections a helper that opens ports because
// of what the other side says.
func (s *Subject) helpers() (list []simulate.Place) {
	t := s.Table("raw")
	if t == nil {
		return nil
	}
	for _, c := range t.Chains {
		for i, r := range c.Rules {
			if ct, ok := r.Target.(*ext.CT); ok && slices.Contains([]string{"ftp", "irc", "sip", "h323", "RAS", "Q.931", "pptp", "tftp", "amanda", "sane"}, ct.Helper) {
				list = append(list, simulate.Place{Table: "raw", Chain: c.Name, Rule: i + 1})
			}
		}
	}
	return list
}

// isStateOnly reports whether a rule lets packets in for their connection's
// state alone.
func isStateOnly(r *rule.Rule) bool {
	for _, m := range r.Matches {
		switch m.(type) {
		case *ext.Conntrack, *ext.Comment:
		default:
			return false
		}
	}
	return isAccept(r) && r.Src.IsAny() && r.Dst.IsAny() && r.Proto.IsAny() && len(r.Matches) > 0
}
