package analyze

import (
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// effect is packets as they came, and what a target makes of them.
type effect struct {
	in   space.Set
	now  *current
	here bool // sent to this host, whatever the destination is
}

// rewriter works out what a target does to packets at a hook.
type rewriter struct {
	f     rule.Family
	hook  rule.Hook
	where string     // table, chain and number of the rule
	box   *space.Box // holds the packets as they came
}

// effects parts all packets by what target t makes of them. nil: nothing that
// any condition could tell.
func (r rewriter) effects(t rule.Target, c *current) []effect {
	switch t := t.(type) {
	case *ext.Mark:
		return r.marked(c, space.Mark, num(t.Mask), num(t.Value))
	case *ext.TProxy:
		return r.marked(c, space.Mark, num(t.Mask), num(t.Value))
	case *ext.HMark:
		return every(c.with(space.Mark, anything(space.Mark, r.f)))
	case *ext.ConnMarkTarget:
		return r.split(connectedNow(c), r.connMark(t, c), c)
	case *ext.CT:
		return r.notrack(t, c)
	case *ext.TOSTarget:
		return r.bytes(c, space.TOS, func(x uint8) uint8 { return x&^t.Mask ^ t.Value })
	case *ext.DSCPTarget:
		return r.bytes(c, space.TOS, func(x uint8) uint8 { return x&3 | t.Value<<2 })
	case *ext.TTLTarget:
		return r.bytes(c, space.TTL, func(x uint8) uint8 {
			p := packet.Packet{TTL: x, Known: packet.KnowTTL}
			t.Mutate(&p)
			return p.TTL
		})
	case *ext.ECNTarget:
		return r.ecn(t, c)
	case *ext.DNAT:
		return r.nat(c, &t.NATRange, nil, false)
	case *ext.SNAT:
		return r.nat(c, &t.NATRange, nil, true)
	case *ext.Masquerade:
		return r.masquerade(c, &t.NATRange)
	case *ext.Redirect:
		return r.redirect(c, &t.NATRange)
	case *ext.NetMap:
		return r.netmap(c, t)
	case *ext.NPT:
		d := space.Dst
		if t.Source {
			d = space.Src
		}
		return every(c.with(d, anything(d, r.f)).changedBy(r.where))
	case *ext.SetTarget:
		n := c.changedBy(r.where)
		if t.MapMark {
			n = n.with(space.Mark, anything(space.Mark, r.f))
		}
		return every(n)
	case ext.Mutator:
		return every(c.changedBy(r.where))
	}
	return nil
}

func num(n uint32) space.Number { return space.Num(n) }

// every says that all packets become alike.
func every(c *current) []effect { return []effect{{in: space.All(), now: c}} }

// split says that packets of a set become as effects say, and others stay.
func (r rewriter) split(in space.Set, become []effect, c *current) []effect {
	var list []effect
	for _, e := range become {
		if e.in = e.in.And(in); !e.in.IsEmpty() {
			list = append(list, e)
		}
	}
	if rest := in.Not(); !rest.IsEmpty() {
		list = append(list, effect{in: rest, now: c})
	}
	return list
}

func (r rewriter) bytes(c *current, d space.Dim, f func(uint8) uint8) []effect {
	return every(c.bytesNow(d, f).changedBy(r.where))
}

func (r rewriter) ecn(t *ext.ECNTarget, c *current) []effect {
	apply := func(tos, flags uint8) (uint8, uint8) {
		p := packet.Packet{
			TOS: tos, Proto: packet.ProtoTCP, Transport: packet.Transport{Flags: flags}, Known: packet.KnowTOS | packet.KnowFlags,
		}
		t.Mutate(&p)
		return p.TOS, p.Transport.Flags
	}
	c = c.bytesNow(space.TOS, func(x uint8) uint8 { tos, _ := apply(x, 0); return tos })
	c = c.bytesNow(space.Flags, func(x uint8) uint8 { _, flags := apply(0, x); return flags })
	return every(c.changedBy(r.where))
}

// connectedNow is the packets that have a connection.
func connectedNow(c *current) space.Set {
	return c.isState(func(s packet.State) bool { return s != packet.Invalid && s != packet.Untracked })
}

// notrack makes packets untracked; those that come by loopback have been tracked.
func (r rewriter) notrack(t *ext.CT, c *current) []effect {
	if !t.NoTrack {
		return nil
	}
	become := every(c.with(space.State, constant(space.State, space.Num(packet.Untracked), r.f)))
	if r.hook != rule.Prerouting {
		return become
	}
	return r.split(boxOf(space.In, space.Names("lo")).Not(), become, c)
}

// marked clears the bits of mask in a mark and flips those of flip.
func (r rewriter) marked(c *current, d space.Dim, mask, flip space.Number) []effect {
	return every(c.with(d, r.markOf(c, d).change(mask, constantMark(flip)).value(d, r.f)))
}

// mark is a mark as a function of the marks as they came: the mark of without
// the bits of clear, XOR flip. With all bits cleared it is a constant.
type mark struct {
	of          space.Dim
	clear, flip uint32
	unknown     bool
}

func constantMark(n space.Number) mark { return mark{clear: 1<<32 - 1, flip: uint32(n.Lo)} }

// markOf is what a mark is now.
func (r rewriter) markOf(c *current, d space.Dim) mark {
	v := c.dims[d]
	if v == nil || v.kind == masked {
		m := mark{of: d}
		if v != nil {
			m = mark{of: v.of, clear: uint32(v.clear.Lo), flip: uint32(v.flip.Lo)}
		}
		if n, single := space.Single(r.box.Values(m.of)); single { // all came with the same
			m = constantMark(num(uint32(n.Lo)&^m.clear ^ m.flip))
		}
		return m
	}
	if n, single := space.Single(v.known); single {
		return constantMark(n)
	}
	return mark{unknown: true}
}

func (m mark) isConstant() bool { return !m.unknown && m.clear == 1<<32-1 }

// and leaves the bits of mask.
func (m mark) and(bits uint32) mark {
	if bits == 0 {
		return constantMark(space.Number{})
	}
	m.clear, m.flip = m.clear|^bits, m.flip&bits
	return m
}

// change clears the bits of bits, then flips those that other has.
func (m mark) change(bits space.Number, other mark) mark {
	m = m.and(^uint32(bits.Lo))
	switch {
	case m.unknown || other.unknown:
		return mark{unknown: true}
	case other.isConstant():
		m.flip ^= other.flip
		return m
	case m.isConstant():
		other.flip ^= m.flip
		return other
	}
	return mark{unknown: true}
}

// shifted is what CONNMARK makes of a mark before it writes it.
func (m mark) shifted(t *ext.ConnMarkTarget) mark {
	switch {
	case t.Shift == 0 || m.unknown:
		return m
	case !m.isConstant():
		return mark{unknown: true}
	case t.Right:
		m.flip >>= t.Shift
	default:
		m.flip <<= t.Shift
	}
	return m
}

// value is the mark as a dimension's value.
func (m mark) value(d space.Dim, f rule.Family) *value {
	switch {
	case m.unknown:
		return anything(d, f)
	case m.isConstant():
		return constant(d, num(m.flip), f)
	}
	return &value{kind: masked, of: m.of, clear: num(m.clear), flip: num(m.flip)}
}

// connMark is what CONNMARK makes of packets that have a connection.
func (r rewriter) connMark(t *ext.ConnMarkTarget, c *current) []effect {
	pkt, conn := r.markOf(c, space.Mark), r.markOf(c, space.ConnMark)
	switch t.Mode {
	case ext.ConnMarkSet:
		conn = conn.change(num(t.CtMask), constantMark(num(t.Value))).shifted(t)
	case ext.ConnMarkSave:
		conn = conn.change(num(t.CtMask), pkt.and(t.PktMask).shifted(t))
	case ext.ConnMarkRestore:
		pkt = pkt.change(num(t.PktMask), conn.and(t.CtMask).shifted(t))
	}
	if t.Mode == ext.ConnMarkRestore {
		return every(c.with(space.Mark, pkt.value(space.Mark, r.f)))
	}
	return every(c.with(space.ConnMark, conn.value(space.ConnMark, r.f)))
}
