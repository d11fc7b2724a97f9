package analyze

import (
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// findSpoofed finds rules that trust a loopback or private source wherever it
// comes in: anyone outside can write such an address on a packet.
func findSpoofed(a *Auditor, s *Subject) (list []Finding) {
	t := s.Table("filter")
	if t == nil {
		return nil
	}
	w := a.world(s)
	reached := s.rulesOf("INPUT")
	for _, c := range t.Chains {
		for i, r := range c.Rules {
			if !isAccept(r) || r.Src.IsAny() || r.Src.Not || !r.In.IsAny() || !slices.Contains(reached, r) {
				continue
			}
			if f := w.spoofed(simulate.Place{Table: "filter", Chain: c.Name, Rule: i + 1}, r); f != nil {
				list = append(list, *f)
			}
		}
	}
	return list
}

// spoofed looks at a rule that lets packets in for their source. It is a finding
// if a packet with such a source gets in from outside by it, and one with an
// address of the world does not.
func (w *world) spoofed(at simulate.Place, r *rule.Rule) *Finding {
	src := within(r.Src)
	f := Finding{Place: w.s.RefOf(at)}
	in := ""
	switch {
	case src.IsLoopback():
		if w.s.Family == rule.IPv6 || !w.takesLoopback() {
			return nil
		}
		f.Severity, in = Note, "-i lo"
		f.Says = "trusts a loopback source on every interface; only the kernel's check keeps such packets out, where route_localnet is not set"
	case src.IsPrivate():
		if !w.told || len(w.outside) != 1 || !w.isInside(src) {
			return nil
		}
		in = "! -i " + w.outside[0]
		f.Says = "trusts a private source also on " + w.outside[0] + ", where anybody can put it on a packet unless the kernel's rp_filter is on"
	default:
		return nil
	}
	proto, port := "tcp", w.free[0]
	if r.Proto.Is(17) {
		proto = "udp"
	}
	for _, m := range r.Matches {
		if x, ok := m.(ext.PortLister); ok {
			if _, dst := x.PortRanges(); len(dst) > 0 {
				port = dst[0].From
			}
		}
	}
	q := w.fresh(proto, src, port, w.outside[0])
	by, lets := w.lets(q)
	if _, refused := w.refuses(w.fresh(proto, w.sources[0], port, w.outside[0])); !lets || by != at || q.Fixed != nil || !refused {
		return nil
	}
	f.Example = w.example("gets in", q, simulate.Accept)
	f.Fix = w.fromInside(at, r, q, in)
	return &f
}

// takesLoopback reports whether packets from 127.0.0.0/8 may come in by the
// outside: what is not told may be.
func (w *world) takesLoopback() bool {
	f, ok := w.s.host.(*host.Facts)
	if !ok {
		return true
	}
	dev := f.Interface(w.outside[0])
	return dev != nil && dev.RouteLocalnet && dev.RPFilter == 0
}

// isInside reports whether an address is known to be of a network behind another
// interface than the outside: by the host's routes, or by rules that say so.
func (w *world) isInside(a netip.Addr) bool {
	if f, ok := w.s.host.(*host.Facts); ok {
		dev := f.Interface(w.outside[0])
		there, known := f.ReversePath(a, w.outside[0], false)
		return dev != nil && dev.RPFilter != 1 && known && !there
	}
	for r := range w.s.eachRule() {
		if r.Src.IsAny() || r.Src.Not || r.Src.PrefixLen() <= 0 || !netip.PrefixFrom(r.Src.IP, r.Src.PrefixLen()).Contains(a) {
			continue
		}
		switch r.Target.(type) {
		case *ext.Masquerade, *ext.SNAT:
			return true
		}
		if !r.In.IsAny() && (interfaceName(r.In.Name) == w.outside[0]) == r.In.Not && r.Target != rule.Drop {
			return true
		}
	}
	return false
}

// fromInside puts an interface into a rule that trusts a source.
func (w *world) fromInside(at simulate.Place, r *rule.Rule, q *question.Question, in string) *Fix {
	narrower := *r
	narrower.In = w.s.ops("-A INPUT " + in + " -j ACCEPT")[0].Rule.In
	inside := *q
	if inside.Packet.In = "lo"; narrower.In.Not {
		inside.Packet.In = "eth9"
	}
	return w.s.Fix("trusts the source where it belongs", w.s.replaceOp(at, &narrower), func(after *Subject) bool {
		now, from, to := w.after(after), *q, inside
		_, refused := now.refuses(&from)
		_, lets := now.lets(&to)
		return refused && lets
	})
}

// within is an address of a condition's network that a host may have.
func within(a rule.Address) netip.Addr {
	b, mask := a.IP.AsSlice(), a.Mask.AsSlice()
	if last := len(b) - 1; mask[last]&7 == 0 {
		b[last] |= 5
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}
