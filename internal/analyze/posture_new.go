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

// findNeedlessNew finds rules that let new connections in without need: those
// that are written for answers and take whatever comes from a port, and those
// that take everything. That TCP packets without SYN can be NEW is not told: it
// is so nearly everywhere, and they meet no connection.
func findNeedlessNew(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	if f := w.everythingNew(); f != nil {
		list = append(list, *f)
	}
	t := s.Table("filter")
	if t == nil {
		return list
	}
	reached := s.rulesOf("INPUT")
	for _, c := range t.Chains {
		for i, r := range c.Rules {
			if f := w.anyAnswer(simulate.Place{Table: "filter", Chain: c.Name, Rule: i + 1}, r); f != nil && slices.Contains(reached, r) {
				list = append(list, *f)
			}
		}
	}
	return list
}

// everythingNew finds the rule that lets any new connection in.
func (w *world) everythingNew() *Finding {
	door, open := w.anyPort()
	r := w.s.at(door.by)
	if !open || r == nil || door.by.Table != "filter" {
		return nil
	}
	f := &Finding{
		Severity: Error, Place: w.s.RefOf(door.by), Says: "lets any new connection in, to each port",
		Example: w.example("gets in", door.q, simulate.Accept),
	}
	if ct := stateOf(r); ct != nil && ct.State&stateNew != 0 && ct.State&stateEstablished != 0 {
		f.Says = "is for answers, but with NEW among its states it lets any new connection in, to each port"
		without, narrower := *r, *ct
		narrower.State &^= stateNew
		without.Matches = slices.Clone(r.Matches)
		for i, m := range r.Matches {
			if m == rule.Match(ct) {
				without.Matches[i] = &narrower
			}
		}
		f.Fix = w.replace("lets answers through, and no new connection", door, &without)
	}
	return f
}

// Bits of the states in match conntrack: XT_CONNTRACK_STATE_* of
// linux/netfilter/xt_conntrack.h.
const (
	stateEstablished = 1 << 1
	stateNew         = 1 << 3
)

// stateOf is the match by which a rule asks for states and nothing else of a
// connection; nil if it does not.
func stateOf(r *rule.Rule) *ext.Conntrack {
	for _, m := range r.Matches {
		if ct, ok := m.(*ext.Conntrack); ok && ct.Not == 0 && ct.State != 0 {
			return ct
		}
	}
	return nil
}

// replace puts another rule in the place of one that lets a new packet in: the
// packet must be dropped then, and answers on its way must still get in.
func (w *world) replace(says string, door opened, r *rule.Rule) *Fix {
	op := w.s.replaceOp(door.by, r)
	answers := *door.q
	answers.Packet.Connection.State = packet.Established
	if answers.Packet.Proto == packet.ProtoTCP {
		answers.Packet.Transport.Flags = 16
	}
	return w.s.Fix(says, op, func(after *Subject) bool {
		now, new, old := w.after(after), *door.q, answers
		new.Packet.Host, old.Packet.Host = w.s.host, w.s.host
		_, refused := now.refuses(&new)
		_, lets := now.lets(&old)
		return refused && lets
	})
}

// anyAnswer looks at a rule that lets in what comes from a port, whatever it
// goes to. It is one of the findings only if with the connection's state in it
// the rule would keep new connections out.
func (w *world) anyAnswer(at simulate.Place, r *rule.Rule) *Finding {
	from, ok := answerPort(r)
	if !ok || !isAccept(r) || !r.Src.IsAny() || stateOf(r) != nil {
		return nil
	}
	in := w.outside[0]
	if !r.In.IsAny() && !r.In.Not {
		if in = interfaceName(r.In.Name); in == "lo" || isInner(in) {
			return nil
		}
	}
	proto := "tcp"
	if r.Proto.Is(packet.ProtoUDP) {
		proto = "udp"
	}
	door, open := w.openBy(func(src netip.Addr) *question.Question {
		q := w.fresh(proto, src, w.free[1], in)
		q.Packet.Transport.Src = from
		return q
	})
	if !open || door.by != at {
		return nil
	}
	f := &Finding{
		Place: w.s.RefOf(at), Example: w.example("gets in", door.q, simulate.Accept),
		Says: fmt.Sprintf("is for answers from port %d, but lets any new connection in that comes from there: who connects chooses his port", from),
	}
	narrower := *r
	state := w.s.ops("-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")[0].Rule.Matches
	narrower.Matches = append(slices.Clone(r.Matches), state...)
	if f.Fix = w.replace("lets the answers through, and no new connection", door, &narrower); f.Fix == nil {
		return nil // another rule lets the same in, and is told of where it stands
	}
	return f
}

// answerPort is a source port that a rule asks for, if it asks for one and takes
// nearly every destination port.
func answerPort(r *rule.Rule) (from uint16, ok bool) {
	if !r.Proto.Is(packet.ProtoTCP) && !r.Proto.Is(packet.ProtoUDP) {
		return 0, false
	}
	for _, m := range r.Matches {
		x, lists := m.(ext.PortLister)
		if !lists {
			continue
		}
		src, dst := x.PortRanges()
		if len(src) > 0 && src[0].To-src[0].From < narrow {
			from, ok = src[0].From, true
		}
		if len(dst) > 0 && !slices.ContainsFunc(dst, func(d ext.Range) bool { return d.To-d.From >= 3*narrow }) {
			return 0, false
		}
	}
	return from, ok
}
