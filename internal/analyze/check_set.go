package analyze

import (
	"net/netip"
	"slices"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// RangeSet is the set of packets that a range means in a family, on the range's
// way. A packet has the interfaces of its way and no other. What connection
// tracking knows of the first packet of a connection is set for packets that
// are NEW. Unless told, the frame's receiver is what the destination says, and a
// packet that comes in has hops left, as simulate takes it.
func RangeSet(r *question.Range, f rule.Family) space.Set {
	b, ok := rangeBox(r, f)
	if !ok {
		return space.Set{}
	}
	if b, ok = b.With(space.In, wayNames(r.In, r.Way != simulate.Out)); !ok {
		return space.Set{}
	}
	if b, ok = b.With(space.Out, wayNames(r.Out, r.Way != simulate.In)); !ok {
		return space.Set{}
	}
	s := transportSet(r, f).And(space.Of(b))
	s = s.And(stateSet())
	if r.TTL == nil && r.Way != simulate.Out {
		s = s.And(boxOf(space.TTL, space.Span(space.TTL, space.Num(2), space.Num(255))))
	}
	if r.PktType == nil {
		s = s.And(receiverSet(f))
	}
	return s
}

// OpenSet is the set of packets that a range means without defaults, wherever
// they go: for packets that are taken out of a RangeSet.
func OpenSet(r *question.Range, f rule.Family) space.Set {
	b, ok := rangeBox(r, f)
	if !ok {
		return space.Set{}
	}
	if b, ok = b.With(space.In, nameValues(r.In)); !ok {
		return space.Set{}
	}
	if b, ok = b.With(space.Out, nameValues(r.Out)); !ok {
		return space.Set{}
	}
	return transportSet(r, f).And(space.Of(b))
}

// rangeBox is the range's network header, marks and state; false if it has no
// packet of the family.
func rangeBox(r *question.Range, f rule.Family) (b space.Box, ok bool) {
	if r.Family != 0 && r.Family != f {
		return b, false
	}
	conditions := [...]struct {
		dim  space.Dim
		want space.Values
	}{
		{space.Proto, spanValues(space.Proto, r.Proto)},
		{space.Src, addrValues(r.Src)}, {space.Dst, addrValues(r.Dst)},
		{space.State, stateValues(r.States)},
		{space.Mark, spanValues(space.Mark, r.Mark)}, {space.ConnMark, spanValues(space.ConnMark, r.ConnMark)},
		{space.TTL, spanValues(space.TTL, r.TTL)}, {space.TOS, spanValues(space.TOS, r.TOS)},
		{space.Length, spanValues(space.Length, r.Length)}, {space.PktType, spanValues(space.PktType, r.PktType)},
	}
	ok = true
	for _, c := range conditions {
		if b, ok = b.With(c.dim, c.want); !ok {
			return b, false
		}
	}
	return b, true
}

// justOne is one value of a dimension that is no address.
func justOne(d space.Dim, n uint64) space.Values { return space.One(d, space.Number{Lo: n}) }

func spanValues(d space.Dim, spans question.Spans) (v space.Values) {
	for _, s := range spans {
		v = either(v, space.Span(d, space.Number{Lo: uint64(s.From)}, space.Number{Lo: uint64(s.To)}))
	}
	return v
}

// either is the values of both; a nil first one is none.
func either(v, more space.Values) space.Values {
	if v == nil {
		return more
	}
	return space.Or(v, more)
}

func addrValues(list []question.Addrs) (v space.Values) {
	for _, a := range list {
		v = either(v, space.Addrs(a.From, a.To))
	}
	return v
}

func nameValues(list []string) (v space.Values) {
	for _, name := range list {
		v = either(v, space.Names(name))
	}
	return v
}

// wayNames is the interfaces that a range names, or all; none where the way has none.
func wayNames(list []string, has bool) space.Values {
	none := space.Names("")
	if !has {
		return none
	}
	all := space.Complement(space.In, none)
	if list == nil {
		return all
	}
	return space.And(nameValues(list), all)
}

func stateValues(list []packet.State) (v space.Values) {
	for _, s := range list {
		v = either(v, justOne(space.State, uint64(s)))
	}
	return v
}

// stateSet is all packets as connection tracking makes them: those that are
// NEW have no status yet and go in the direction of their connection.
func stateSet() space.Set {
	fresh := justOne(space.State, uint64(packet.New))
	a, _ := space.Box{}.With(space.State, fresh)
	a, _ = a.With(space.Status, justOne(space.Status, 0))
	a, _ = a.With(space.Dir, justOne(space.Dir, 0))
	b, _ := space.Box{}.With(space.State, space.Complement(space.State, fresh))
	return space.Union(a, b)
}

// receiverSet is all packets whose frame goes to whom the destination says: to
// this host, unless the address is one of many receivers.
func receiverSet(f rule.Family) space.Set {
	groups := space.Addrs(netip.MustParseAddr("224.0.0.0"), netip.MustParseAddr("239.255.255.255"))
	broadcast := netip.MustParseAddr("255.255.255.255")
	groups = space.Or(groups, space.Addrs(broadcast, broadcast))
	if f == rule.IPv6 {
		groups = space.Addrs(netip.MustParseAddr("ff00::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
	}
	many, _ := space.Box{}.With(space.Dst, groups)
	one, _ := space.Box{}.With(space.Dst, space.Complement(space.Dst, groups))
	one, _ = one.With(space.PktType, justOne(space.PktType, uint64(packet.ToHost)))
	return space.Union(one, many)
}

// transportSet is all packets whose transport header is as the range says. A
// field that a protocol does not have is no condition on its packets, and
// neither is any on a later fragment.
func transportSet(r *question.Range, f rule.Family) space.Set {
	var boxes []space.Box
	add := func(protos space.Values, conditions ...space.Values) {
		b, ok := space.Box{}.With(space.Proto, protos)
		for i, v := range conditions {
			if ok {
				b, ok = b.With([...]space.Dim{space.SPort, space.DPort, space.Flags, space.ICMP}[i], v)
			}
		}
		if ok {
			b, ok = b.With(space.Fragment, justOne(space.Fragment, 0))
		}
		if ok {
			boxes = append(boxes, b)
		}
	}
	if r.Fragment != packet.Yes {
		icmp := uint8(packet.ProtoICMP)
		if f == rule.IPv6 {
			icmp = packet.ProtoICMPv6
		}
		src, dst := spanValues(space.SPort, r.SrcPort), spanValues(space.DPort, r.DstPort)
		add(justOne(space.Proto, packet.ProtoTCP), src, dst, spanValues(space.Flags, r.Flags))
		add(portsOnly(), src, dst)
		add(justOne(space.Proto, uint64(icmp)), nil, nil, nil, typeValues(r.Types))
		add(space.Complement(space.Proto, space.Or(protoValues(packet.ProtoTCP, icmp), portsOnly())))
	}
	if r.Fragment != packet.No {
		b, _ := space.Box{}.With(space.Fragment, justOne(space.Fragment, 1))
		boxes = append(boxes, b)
	}
	return space.Union(boxes...)
}

func protoValues(list ...uint8) space.Values {
	return space.Bytes(space.Proto, func(n uint8) bool { return slices.Contains(list, n) })
}

// portsOnly are the protocols that have ports but no other field that a
// condition of a set names.
func portsOnly() space.Values {
	return space.Bytes(space.Proto, func(n uint8) bool { return packet.HasPorts(n) && n != packet.ProtoTCP })
}

func typeValues(list []question.ICMPType) (v space.Values) {
	for _, t := range list {
		at := func(code uint8) space.Number { return space.Number{Lo: uint64(t.Type)<<8 | uint64(code)} }
		v = either(v, space.Span(space.ICMP, at(t.CodeFrom), at(t.CodeTo)))
	}
	return v
}
