package secure

import (
	"net/netip"
	"slices"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// ways sends packets to this host through a ruleset.
type ways struct {
	firewall *simulate.Firewall
	family   rule.Family
	in       string // the interface that they come in by
	to       netip.Addr
	host     packet.Host // nil if nothing is known
	clients  []netip.Addr
}

// newWays takes the first interface that is up and has an address of the family
// as the way to the world, and the admin's own if it is known.
func newWays(in *Input, rs *rule.Ruleset) *ways {
	w := &ways{firewall: simulate.New(rs), family: rs.Family, in: "eth0", to: netip.MustParseAddr("198.51.100.2")}
	if rs.Family == rule.IPv6 {
		w.to = netip.MustParseAddr("2001:db8:2::2")
	}
	for _, s := range in.Sessions {
		if familyOf(clientOf(s)) == rs.Family {
			w.clients = append(w.clients, clientOf(s))
		}
	}
	if in.Facts == nil {
		return w
	}
	w.host = in.Facts
	for _, i := range in.Facts.Interfaces {
		if !i.Up || i.Loopback || i.Kind == "bridge" {
			continue
		}
		for _, a := range i.Addresses {
			if addr := a.Prefix.Addr(); familyOf(addr) == rs.Family && !addr.IsLinkLocalUnicast() {
				w.in, w.to = i.Name, addr
				return w
			}
		}
	}
	return w
}

// arrive is what becomes of the first packet of a connection to a service from a
// network: from the admin's client if it is the admin's own way, otherwise from
// some of its addresses, of which one that gets through counts, since single ones
// may be shut out.
func (w *ways) arrive(s *Service, from netip.Prefix) (r simulate.Result) {
	for _, sender := range w.senders(s, from) {
		r = w.packet(protoName(s.Proto) + " " + netip.AddrPortFrom(sender, question.FreePort).String() +
			" -> " + netip.AddrPortFrom(w.to, s.Ports.First).String() + " state NEW")
		if mayPass(r) {
			break
		}
	}
	return r
}

func (w *ways) senders(s *Service, from netip.Prefix) []netip.Addr {
	for _, c := range w.clients {
		if s.own && (!from.IsValid() || from.Contains(c)) {
			return []netip.Addr{c}
		}
	}
	return strangers(w.family, from)
}

// strangers are addresses of a network, from its beginning, middle and end; for
// everybody's, some that no list of networks that are not routed has in it.
func strangers(f rule.Family, from netip.Prefix) []netip.Addr {
	switch {
	case !from.IsValid() && f == rule.IPv4:
		return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("80.80.80.80"), netip.MustParseAddr("193.0.6.139")}
	case !from.IsValid():
		return []netip.Addr{netip.MustParseAddr("2620:fe::9"), netip.MustParseAddr("2a01:4f8::1"), netip.MustParseAddr("2001:67c:2e8::1")}
	case from.Bits() >= from.Addr().BitLen()-1:
		return []netip.Addr{from.Addr(), rule.LastAddr(from)}
	}
	// The first and the last address of a network are nobody's.
	first, last := from.Addr().Next(), rule.LastAddr(from).Prev()
	middle := last.AsSlice()
	middle[from.Bits()/8] &^= 0x80 >> (from.Bits() % 8) // the first bit of the host
	m, _ := netip.AddrFromSlice(middle)
	return []netip.Addr{first, m, last}
}

// mayPass reports whether a packet gets through, or may on what it does not tell.
func mayPass(r simulate.Result) bool {
	return slices.ContainsFunc(r.Ends, func(e simulate.End) bool { return e.Verdict != simulate.Drop && e.Verdict != simulate.Reject })
}

// housekeeping reports whether packets may pass that every host needs: of its own
// programs, and answers.
func (w *ways) housekeeping() []bool {
	here := "127.0.0.1"
	if w.family == rule.IPv6 {
		here = "[::1]"
	}
	isAnswered := slices.ContainsFunc(strangers(w.family, netip.Prefix{}), func(there netip.Addr) bool {
		return mayPass(w.packet("tcp " + netip.AddrPortFrom(there, 443).String() + " -> " + netip.AddrPortFrom(w.to, question.FreePort).String() + " state ESTABLISHED"))
	})
	return []bool{isAnswered, mayPass(w.on("lo", "tcp "+here+":50000 -> "+here+":53 state NEW"))}
}

// packet is what becomes of a packet from the world that a question describes.
func (w *ways) packet(words string) simulate.Result { return w.on(w.in, words) }

// on is what becomes of a packet that comes in by an interface.
func (w *ways) on(in, words string) simulate.Result {
	q, err := question.Parse(words+" hook INPUT", question.Options{Family: w.family})
	if err != nil { // the words are ours
		panic("secure: " + words + ": " + err.Error())
	}
	q.Packet.In, q.Packet.HiddenIn, q.Packet.Host = in, false, w.host
	return w.firewall.Walk(q.Packet, simulate.Options{Way: simulate.In, NoTrace: true, Ends: true})
}
