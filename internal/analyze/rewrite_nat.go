package analyze

import (
	"net/netip"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// part is what becomes of an address or a port of some packets: v is its new
// value, nil where it stays; changed is what the kernel notes.
type part struct {
	in      space.Set
	v       *value
	changed packet.Answer
}

// end is the dimensions of one end of a connection.
type end struct {
	addr, port space.Dim
	bit        uint8 // of the status
	source     bool
}

func endOf(source bool) end {
	if source {
		return end{space.Src, space.SPort, packet.StatusSNAT, true}
	}
	return end{space.Dst, space.DPort, packet.StatusDNAT, false}
}

// nat is what a target makes of an end: addresses of n's range, or of those
// parts of all packets that addrs gives.
func (r rewriter) nat(c *current, n *ext.NATRange, addrs []part, source bool) []effect {
	e := endOf(source)
	if addrs == nil {
		addrs = r.natAddr(c, n, e)
	}
	withPorts := boxOf(space.Proto, space.Bytes(space.Proto, packet.HasPorts))
	withPorts = withPorts.And(boxOf(space.Fragment, space.One(space.Fragment, space.Number{})))
	ports := append(r.natPort(c, n, e, withPorts), part{withPorts.Not(), nil, packet.No})
	var list []effect
	for _, a := range addrs {
		for _, p := range ports {
			if in := a.in.And(p.in); !in.IsEmpty() {
				list = append(list, effect{in: in, now: r.natEffect(c, a, p, e)})
			}
		}
	}
	return list
}

// natEffect puts an address, a port and the status that follows into c.
func (r rewriter) natEffect(c *current, a, p part, e end) *current {
	changed := a.changed.Or(p.changed)
	if a.v != nil {
		c = c.with(e.addr, a.v)
	}
	if p.v != nil {
		c = c.with(e.port, p.v)
	}
	switch changed {
	case packet.No:
		return c
	case packet.Yes:
		c = c.bytesNow(space.Status, func(x uint8) uint8 { return x | e.bit })
	default:
		c = c.with(space.Status, anything(space.Status, r.f))
	}
	return c.changedBy(r.where)
}

// nowIn is the packets as they came whose value now is in v.
func nowIn(c *current, d space.Dim, v space.Values) space.Set {
	b, ok := space.Box{}.With(d, v)
	if !ok {
		return space.Set{}
	}
	return space.Union(c.before(&b)...)
}

// natAddr parts packets by what becomes of their address.
func (r rewriter) natAddr(c *current, n *ext.NATRange, e end) []part {
	if n.Addr.IsZero() {
		return []part{{space.All(), nil, packet.No}}
	}
	values := space.Addrs(n.Addr.From, n.Addr.To)
	in := nowIn(c, e.addr, values)
	to := &value{known: values}
	if n.Addr.From == n.Addr.To {
		return []part{{in, nil, packet.No}, {in.Not(), to, packet.Yes}}
	}
	if space.IsEmpty(values) { // a range that ends before it begins
		return []part{{space.All(), anything(e.addr, r.f), packet.Unknown}}
	}
	keeps := space.Set{}
	if e.source && !n.Random && !n.RandomFully {
		keeps = in
		if n.HasPorts {
			ports := boxOf(space.Proto, space.Bytes(space.Proto, packet.HasPorts))
			keeps = in.And(nowIn(c, e.port, spanOf(e.port, n.Ports)).Or(ports.Not()))
		}
	}
	return []part{{keeps, nil, packet.No}, {in.Minus(keeps), to, packet.Unknown}, {in.Not(), to, packet.Yes}}
}

func spanOf(d space.Dim, p ext.Range) space.Values {
	return space.Span(d, space.Num(p.From), space.Num(p.To))
}

// natPort parts the packets with ports by what becomes of theirs.
func (r rewriter) natPort(c *current, n *ext.NATRange, e end, all space.Set) []part {
	random := n.Random || n.RandomFully
	values := space.Span(e.port, space.Number{}, space.Num(65535))
	switch {
	case !n.HasPorts && !(random && e.source):
		return []part{{all, nil, packet.No}}
	case n.HasPorts && n.Ports.From <= n.Ports.To:
		values = spanOf(e.port, n.Ports)
	}
	in, to := nowIn(c, e.port, values).And(all), &value{known: values}
	out := all.Minus(in)
	switch {
	case n.HasPorts && (n.Ports.From == n.Ports.To || !n.HasBase && !random):
		return []part{{in, nil, packet.No}, {out, to, packet.Yes}}
	case n.HasPorts && !n.HasBase:
		return []part{{in, to, packet.Unknown}, {out, to, packet.Yes}}
	}
	return []part{{all, to, packet.Unknown}}
}

// masquerade takes an address that only the host knows. An IPv4 packet without
// a source keeps none.
func (r rewriter) masquerade(c *current, n *ext.NATRange) []effect {
	become := r.nat(c, n, []part{{space.All(), anything(space.Src, r.f), packet.Unknown}}, true)
	if r.f == rule.IPv6 {
		return become
	}
	none := netip.AddrFrom4([4]byte{})
	return r.split(nowIn(c, space.Src, space.Addrs(none, none)).Not(), become, c)
}

// redirect sends packets to this host: its own to loopback, others to the
// address of an interface, which only the host knows.
func (r rewriter) redirect(c *current, n *ext.NATRange) []effect {
	to := *n
	addrs := []part{{space.All(), anything(space.Dst, r.f), packet.Unknown}}
	if r.hook == rule.Output {
		lo := netip.IPv6Loopback()
		if r.f == rule.IPv4 {
			lo = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		to.Addr, addrs = ext.AddrRange{From: lo, To: lo}, nil
	}
	list := r.nat(c, &to, addrs, false)
	for i := range list {
		list[i].here = true
	}
	return list
}

// netmap gives addresses the bits of another network.
func (r rewriter) netmap(c *current, t *ext.NetMap) []effect {
	e := endOf(r.hook == rule.Input || r.hook == rule.Postrouting)
	net := t.Net.Masked().Addr()
	bits := t.Net.Bits()
	mask := space.Number{}.Not()
	if net.Is4() {
		mask = space.Num(^uint32(0) << (32 - bits))
	} else if bits < 128 {
		mask = prefixNumber(bits)
	}
	to := &value{kind: masked, of: e.addr, clear: mask, flip: space.AddrNumber(net), wide: net.Is6()}
	if c.dims[e.addr] != nil {
		to = anything(e.addr, r.f)
	}
	values, _ := space.Masked(e.addr, space.AddrNumber(net), mask, net.Is6())
	in := nowIn(c, e.addr, values)
	return r.nat(c, &ext.NATRange{}, []part{{in, nil, packet.No}, {in.Not(), to, packet.Yes}}, e.source)
}

// prefixNumber is the mask of an IPv6 prefix shorter than 128 bits.
func prefixNumber(bits int) space.Number {
	if bits <= 64 {
		return space.Number{Hi: ^(1<<(64-bits) - 1)}
	}
	return space.Number{Hi: 1<<64 - 1, Lo: ^(1<<(128-bits) - 1)}
}
