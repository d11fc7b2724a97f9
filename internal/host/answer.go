package host

import (
	"net/netip"
	"slices"

	"moat/internal/packet"
)

const lo = "lo"

// AddressType is what match addrtype sees in an address: for IPv4 the local
// table alone decides, so that a blackhole route is unicast; for IPv6 the
// route, of which it tells local, anycast and unreachable (by a route that
// refuses, or by none) from unicast.
func (f *Facts) AddressType(a netip.Addr, dev string) (packet.AddressType, bool) {
	switch {
	case !a.IsValid():
		return packet.AddressUnspec, false
	case a.Is4() && a.IsUnspecified(), packet.IsLimitedBroadcast(a):
		return packet.AddressBroadcast, true
	case a.IsMulticast():
		return packet.AddressMulticast, true
	case a.Is4():
		return f.addressType4(a, dev), true
	case a.IsUnspecified():
		return packet.AddressUnspec, true
	}
	return f.addressType6(a, dev)
}

func (f *Facts) addressType4(a netip.Addr, dev string) packet.AddressType {
	t := f.indexed().tables4[LocalTable]
	if t == nil {
		return packet.AddressUnicast
	}
	got, known := t.lookup(&question{dst: a, tosTold: true})
	if !known || len(got) == 0 || dev != "" && !got.uses(dev) {
		return packet.AddressUnicast
	}
	return got.kind()
}

func (f *Facts) addressType6(a netip.Addr, dev string) (packet.AddressType, bool) {
	got, known := f.lookup(&question{dst: a, src: netip.IPv6Unspecified(), in: lo, out: dev, markTold: true, tosTold: true})
	if !known {
		return packet.AddressUnspec, false
	}
	switch got.kind() {
	case packet.AddressLocal, packet.AddressAnycast:
		return got.kind(), true
	case packet.AddressUnspec, packet.AddressBlackhole, packet.AddressUnreachable, packet.AddressProhibit:
		return packet.AddressUnreachable, true
	}
	return packet.AddressUnicast, true
}

// ReversePath answers for a packet without a mark, which is what match
// rpfilter looks up unless it is told otherwise. An own address is none that
// would be answered; the match itself knows its exception for them.
func (f *Facts) ReversePath(src netip.Addr, dev string, loose bool) (ok, known bool) {
	if !src.IsValid() {
		return false, false
	}
	q := question{dst: src, in: lo, markTold: true}
	if src.IsLinkLocalUnicast() && src.Is6() {
		q.out = dev
	}
	got, known := f.lookup(&q)
	if !known || got.kind() != packet.AddressUnicast {
		return false, known
	}
	return loose || got.uses(dev), true
}

// Route follows the routing tables and rules, and what the kernel checks of a
// packet that comes in (linux: Documentation/networking/ip-sysctl): a packet
// whose addresses cannot be on the wire, or that would have to be forwarded
// where forwarding is off, goes nowhere. A source that was not told is taken
// as a good one. p.Out is not asked for: it is the answer.
func (f *Facts) Route(p *packet.Packet) (packet.Route, bool) {
	if !p.Dst.IsValid() {
		return packet.Route{}, false
	}
	q := questionOf(p)
	switch {
	case p.In == "" && !p.HiddenIn, p.In == lo:
		r, known := f.routeOut(&q)
		if p.In == lo && !r.Local { // what came by lo was routed when it was sent: here, or to a broadcast
			r = packet.Route{Local: p.Dst.IsMulticast() || f.isBroadcast(p.Dst)}
		}
		return r, known
	case p.Dst.Is4():
		return f.routeIn4(&q)
	}
	return f.routeIn6(&q)
}

// routeBy is the route that leads out of an interface.
func (f *Facts) routeBy(dev string) packet.Route {
	r := packet.Route{Out: dev}
	if i := f.Interface(dev); i != nil {
		r.OutGroup = i.Group
	}
	return r
}

// questionOf takes from a packet what policy routing looks at.
func questionOf(p *packet.Packet) question {
	q := question{
		dst: p.Dst, src: p.Src, in: p.In, hiddenIn: p.HiddenIn,
		mark: p.Mark, markTold: p.Has(packet.KnowMark),
		tos: p.TOS, tosTold: p.Has(packet.KnowTOS),
		proto: p.Proto, protoTold: true,
		sport: p.Transport.Src, dport: p.Transport.Dst, portsTold: p.Has(packet.KnowPorts),
	}
	if q.in == "" && !q.hiddenIn {
		q.in = lo
	}
	return q
}

// routeOut routes a packet that this host makes.
func (f *Facts) routeOut(q *question) (packet.Route, bool) {
	if q.dst.IsUnspecified() { // this host
		if q.dst.Is6() {
			q.dst = netip.IPv6Loopback()
		} else {
			q.dst = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	got, known := f.lookup(q)
	if !known {
		return packet.Route{}, false
	}
	switch got.kind() {
	case packet.AddressLocal, packet.AddressAnycast:
		return packet.Route{Local: true}, true
	case packet.AddressUnicast, packet.AddressBroadcast, packet.AddressMulticast:
		dev, one := got.out()
		if i := f.Interface(dev); i != nil && i.Loopback && q.dst.Is6() && got.kind() == packet.AddressUnicast {
			return packet.Route{Local: f.Owns(q.dst)}, one
		}
		return f.routeBy(dev), one
	}
	return packet.Route{}, true
}

func (f *Facts) isBroadcast(a netip.Addr) bool {
	t, _ := f.AddressType(a, "")
	return t == packet.AddressBroadcast
}

// routeIn4 routes an IPv4 packet that came in by an interface.
func (f *Facts) routeIn4(q *question) (packet.Route, bool) {
	in := f.Interface(q.in)
	if in == nil { // hidden, or none that is known
		in = &Interface{Forward4: true, RPFilter: unknownFilter}
	}
	nowhere := packet.Route{}
	switch {
	case q.src.IsMulticast(), packet.IsLimitedBroadcast(q.src):
		return nowhere, true
	case q.src.Is4() && q.src.IsUnspecified() && q.dst.IsUnspecified():
		return packet.Route{Local: true}, true
	case q.src.IsValid() && q.src.IsUnspecified() && !q.dst.IsMulticast() && !packet.IsLimitedBroadcast(q.dst), q.dst.IsUnspecified():
		return nowhere, true
	case (q.src.IsLoopback() || q.dst.IsLoopback()) && !in.RouteLocalnet:
		return nowhere, in.Name != ""
	}
	if ok, known := f.sourceFits(q, in); !ok || !known {
		return nowhere, known
	}
	switch {
	case q.dst.IsMulticast():
		return packet.Route{Local: in.joined(q.dst)}, in.Name != ""
	case packet.IsLimitedBroadcast(q.dst):
		return packet.Route{Local: true}, true
	}
	got, known := f.lookup(q)
	if !known {
		return nowhere, false
	}
	switch got.kind() {
	case packet.AddressLocal, packet.AddressBroadcast:
		return packet.Route{Local: true}, true
	case packet.AddressUnicast:
		return f.forward(got, in.Forward4, in.Name != "")
	}
	return nowhere, true
}

// forward is the route of a packet that is not for this host.
func (f *Facts) forward(got find, on, known bool) (packet.Route, bool) {
	if !known || !on {
		return packet.Route{}, known
	}
	dev, one := got.out()
	return f.routeBy(dev), one
}

// unknownFilter is the RPFilter of an interface that is not known.
const unknownFilter = -1

// sourceFits is the kernel's validation of an IPv4 source: it is not an own
// address, and rp_filter is content with the way back.
func (f *Facts) sourceFits(q *question, in *Interface) (ok, known bool) {
	if !q.src.IsValid() || q.src.IsUnspecified() {
		return true, true
	}
	back := question{dst: q.src, src: q.dst, in: lo, tos: q.tos, tosTold: q.tosTold, markTold: true}
	if in.SourceMark {
		back.mark, back.markTold = q.mark, q.markTold
	}
	got, known := f.lookup(&back)
	switch {
	case !known:
		return false, false
	case got.kind() == packet.AddressLocal:
		return in.AcceptLocal, in.Name != ""
	case got.kind() == packet.AddressBroadcast, got.kind() == packet.AddressMulticast:
		return false, true
	case in.RPFilter == 0:
		return true, true
	case in.RPFilter == unknownFilter:
		return true, false
	case got.kind() != packet.AddressUnicast:
		return false, true
	}
	return in.RPFilter != 1 || got.uses(in.Name), true
}

// joined reports whether the host has joined a group on the interface.
func (i *Interface) joined(group netip.Addr) bool {
	return slices.Contains(i.Groups, group)
}

// routeIn6 routes an IPv6 packet that came in by an interface.
func (f *Facts) routeIn6(q *question) (packet.Route, bool) {
	in := f.Interface(q.in)
	nowhere := packet.Route{}
	switch {
	case q.src.IsMulticast(), q.src.IsLoopback(), q.dst.IsLoopback(), q.dst.IsUnspecified():
		return nowhere, true
	case q.dst.IsMulticast():
		return packet.Route{Local: in != nil && in.joined(q.dst)}, in != nil
	}
	if q.dst.IsLinkLocalUnicast() {
		q.out = q.in
	}
	got, known := f.lookup(q)
	if !known {
		return nowhere, false
	}
	switch got.kind() {
	case packet.AddressLocal, packet.AddressAnycast:
		return packet.Route{Local: true}, true
	case packet.AddressUnicast:
		if q.src.IsValid() && (q.src.IsLinkLocalUnicast() || q.src.IsUnspecified()) || q.dst.IsLinkLocalUnicast() {
			return nowhere, true
		}
		return f.forward(got, in != nil && in.Forward6, in != nil)
	}
	return nowhere, true
}
