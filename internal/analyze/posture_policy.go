package analyze

import (
	"fmt"
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// findOpenPolicies finds policies ACCEPT with nothing behind them: connections to
// ports of which no rule speaks get in, and nothing but the policy decides it.
func findOpenPolicies(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	if door, open := w.openPolicy(); open {
		f := Finding{
			Place: s.Ref("filter", "INPUT", 0), Says: "any new connection that no rule speaks of gets in by the policy",
			Example: w.example("gets in", door.q, simulate.Accept), Fix: w.closePolicy(),
		}
		if s.Table("filter") == nil {
			f.Says = "there are no rules of table filter: every new connection gets in"
		}
		if !hasAddresses(s) {
			f.Severity = Note
			f.Says += "; only neighbours can make one, the host has no other address"
		}
		list = append(list, f)
	}
	if f := w.openForward(); f != nil {
		list = append(list, *f)
	}
	return list
}

// openPolicy reports whether connections get in by INPUT's policy.
func (w *world) openPolicy() (door opened, open bool) {
	door, open = w.anyPort()
	return door, open && isPolicy(door.by, "INPUT")
}

// anyPort reports whether connections to ports that no rule names get in from
// the world, TCP's and UDP's, all by the same rule or policy.
func (w *world) anyPort() (door opened, open bool) {
	for _, proto := range [...]string{"tcp", "udp"} {
		for _, port := range w.free {
			one, is := w.open(proto, port)
			if !is || open && one.by != door.by {
				return door, false
			}
			if !open {
				door, open = one, true
			}
		}
	}
	return door, open
}

// sshPort is what stays open when a policy is closed, so that nobody locks
// himself out.
const sshPort = 22

// closePolicy closes INPUT's policy and lets in before what a host cannot do
// without, as far as no rule does.
func (w *world) closePolicy() *Fix {
	var lines []string
	need := func(q *question.Question, spec string) {
		if by, lets := w.lets(q); !lets || isPolicy(by, "INPUT") {
			lines = append(lines, "-A INPUT "+spec)
		}
	}
	in := w.outside[0]
	need(w.toItself(), "-i lo -j ACCEPT")
	need(w.answer("tcp", w.sources[0], 443, in), "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	if w.s.Family == rule.IPv6 {
		need(w.neighbour(135, in), "-p ipv6-icmp -j ACCEPT")
	}
	if by, lets := w.lets(w.fresh("tcp", w.sources[0], sshPort, in)); lets && isPolicy(by, "INPUT") { // a rule that drops it is meant so
		lines = append(lines, "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT")
	}
	lines = append(lines, "-P INPUT DROP")
	return w.fix("drops what no rule lets in, and keeps ssh; let in before what else the host serves", func(after *world) bool {
		_, tcp := after.closed("tcp", w.free[0])
		_, udp := after.closed("udp", w.free[0])
		_, self := after.lets(after.toItself())
		_, answers := after.lets(after.answer("tcp", w.sources[0], 443, in))
		_, before := w.lets(w.fresh("tcp", w.sources[0], sshPort, in))
		_, now := after.lets(after.fresh("tcp", w.sources[0], sshPort, in))
		return tcp && udp && self && answers && before == now
	}, lines...)
}

// toItself is the first packet of a connection of the host to itself, as it
// comes in.
func (w *world) toItself() *question.Question {
	me := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if w.s.Family == rule.IPv6 {
		me = netip.IPv6Loopback()
	}
	return w.ask("tcp %v -> %v in lo", netip.AddrPortFrom(me, question.FreePort), netip.AddrPortFrom(me, w.free[0]))
}

// answer is an answer to a connection that the host made.
func (w *world) answer(proto string, src netip.Addr, port uint16, in string) *question.Question {
	q := w.ask("%s %v -> %v in %s state ESTABLISHED", proto, netip.AddrPortFrom(w.sources[0], 9), netip.AddrPortFrom(w.own, question.FreePort), in)
	q.Packet.Src, q.Packet.Transport.Src = src, port
	return q
}

// openForward finds FORWARD's policy ACCEPT on a host that forwards.
func (w *world) openForward() *Finding {
	t := w.s.Table("filter")
	if t == nil || t.Chain("FORWARD") == nil || !w.forwards() {
		return nil
	}
	var door opened
	for _, port := range w.free {
		for _, proto := range [...]string{"tcp", "udp"} {
			one, open := w.openBy(func(src netip.Addr) *question.Question { return w.through(proto, src, port) })
			if !open || !isPolicy(one.by, "FORWARD") {
				return nil
			}
			if door.q == nil {
				door = one
			}
		}
	}
	f := &Finding{
		Severity: Note, Place: w.s.Ref("filter", "FORWARD", 0), Says: "the host forwards, and the policy lets any new connection through, also from outside",
		Example: w.example("gets through", door.q, simulate.Accept),
	}
	if w.told {
		f.Fix = w.fix("drops new connections from outside, but those that a rule of table nat sends on", func(after *world) bool {
			_, refused := after.refuses(after.through("tcp", w.sources[0], w.free[0]))
			return refused
		}, fmt.Sprintf("-A FORWARD -i %s -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP", w.outside[0]))
	}
	return f
}

// through is the first packet of a connection from outside to a host behind this one.
func (w *world) through(proto string, src netip.Addr, port uint16) *question.Question {
	to, out := netip.AddrFrom4([4]byte{192, 168, 233, 20}), "eth9"
	if w.s.Family == rule.IPv6 {
		to = netip.MustParseAddr("2001:db8:233::20")
	}
	if slices.Contains(w.outside, out) {
		out = "eth8"
	}
	q := w.ask("%s %v -> %v in %s out %s", proto, netip.AddrPortFrom(w.sources[0], question.FreePort), netip.AddrPortFrom(to, 9), w.outside[0], out)
	q.Packet.Src, q.Packet.Transport.Dst = src, port
	return q
}

// forwards reports whether the host is a router: its settings say so, or rules
// that translate addresses or let packets through.
func (w *world) forwards() bool {
	if f, ok := w.s.host.(*host.Facts); ok {
		return slices.ContainsFunc(f.Interfaces, func(i host.Interface) bool {
			return w.s.Family == rule.IPv4 && i.Forward4 && !i.Loopback || w.s.Family == rule.IPv6 && i.Forward6 && !i.Loopback
		})
	}
	if t := w.s.Table("nat"); t != nil {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				switch r.Target.(type) {
				case *ext.Masquerade, *ext.SNAT, *ext.DNAT:
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(w.s.rulesOf("FORWARD"), func(r *rule.Rule) bool { return r.Target == rule.Accept })
}
