package analyze

import (
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// asQuestion is a packet of a set as a question, on the way that it goes at a
// hook. What the packet's protocol does not have is left out; false if
// there is no such packet, as one of connection tracking's state without protocol.
func asQuestion(p *space.Point, f rule.Family, hook rule.Hook) (*question.Question, bool) {
	k := packet.Packet{
		Family: f, Src: space.AddrOf(p.At[space.Src], f), Dst: space.AddrOf(p.At[space.Dst], f),
		In: space.NameOf(p.At[space.In]), Out: space.NameOf(p.At[space.Out]), Proto: uint8(p.At[space.Proto].Lo),
		Fragment: p.At[space.Fragment].Lo == 1, Mark: uint32(p.At[space.Mark].Lo),
		TTL: uint8(p.At[space.TTL].Lo), TOS: uint8(p.At[space.TOS].Lo), Length: uint32(p.At[space.Length].Lo),
		Known: packet.KnowFragment | packet.KnowState | packet.KnowMark,
	}
	k.Connection.State = packet.State(p.At[space.State].Lo)
	k.Connection.Mark = uint32(p.At[space.ConnMark].Lo)
	k.Connection.Status = uint32(p.At[space.Status].Lo)
	k.Connection.Reply = p.At[space.Dir].Lo == 1
	if k.Proto == 0 || k.Connection.State > packet.Untracked {
		return nil, false
	}
	notUsual := func(known packet.Know, is bool) {
		if is {
			k.Known |= known
		}
	}
	notUsual(packet.KnowTTL, k.TTL != 64 && k.TTL != 0)
	notUsual(packet.KnowTOS, k.TOS != 0)
	notUsual(packet.KnowLength, k.Length != 60 && k.Length >= 20)
	notUsual(packet.KnowConnMark, k.Connection.Mark != 0)
	notUsual(packet.KnowStatus, k.Connection.Status != 0)
	notUsual(packet.KnowDirection, k.Connection.Reply)
	transport(&k, p)
	q := &question.Question{Packet: k, Way: wayAt(hook, &k), WayTold: true}
	readable(&q.Packet)
	return q, true
}

// transport fills in the transport header of the protocols that have one here.
func transport(k *packet.Packet, p *space.Point) {
	if k.Fragment {
		return
	}
	t := packet.Transport{Src: uint16(p.At[space.SPort].Lo), Dst: uint16(p.At[space.DPort].Lo)}
	switch k.Proto {
	case 6:
		t.Flags = uint8(p.At[space.Flags].Lo)
		k.Known |= packet.KnowPorts | packet.KnowFlags
	case 17, 33, 132, 136:
		k.Known |= packet.KnowPorts
	case 1, 58:
		t = packet.Transport{Type: uint8(p.At[space.ICMP].Lo >> 8), Code: uint8(p.At[space.ICMP].Lo)}
		k.Known |= packet.KnowICMP
	default:
		t = packet.Transport{}
	}
	k.Transport = t
}

// wayAt is the way of packets that pass a hook.
func wayAt(hook rule.Hook, k *packet.Packet) simulate.Way {
	switch {
	case hook == rule.Forward, hook == rule.Postrouting && k.In != "":
		return simulate.Through
	case hook == rule.Output, hook == rule.Postrouting:
		return simulate.Out
	}
	return simulate.In
}

// readable gives interfaces names that a person would write: a set of names
// that begin alike has many that nobody has.
func readable(k *packet.Packet) {
	for _, name := range [...]*string{&k.In, &k.Out} {
		for i := range len(*name) {
			if c := (*name)[i]; c <= ' ' || c > '~' || c == '/' || c == '"' {
				*name = (*name)[:i] + "0"
				break
			}
		}
	}
}

// exampleTries is how many packets of a set are tried as an example.
const exampleTries = 12

// exampleOf gives an example out of a box of packets that enter a rollout's
// chain; nil if none of those tried does what holds asks for.
func (f *rollout) exampleOf(b *space.Box, says string, holds func(simulate.Result) bool) *Example {
	for try := range exampleTries {
		p := f.point()
		if try == 0 {
			p = f.plainPoint()
		}
		p.At[space.State] = space.Num(packet.New)
		natural := p
		if !b.Sample(&p, f.random) {
			return nil
		}
		keepNatural(&p, &natural, b)
		f.fit(&p)
		if q, ok := asQuestion(&p, f.s.Family, f.base.Base.Hook); ok && b.Has(&p) {
			if e := f.s.Example(says, q, holds); e != nil {
				return e
			}
		}
	}
	return nil
}

// keepNatural takes back what Sample changed without need.
func keepNatural(p, natural *space.Point, b *space.Box) {
	for d := range space.NumDims {
		was := p.At[d]
		if p.At[d] = natural.At[d]; !b.Has(p) {
			p.At[d] = was
		}
	}
}

// usual gives that part of a box's packets, of those that no take before number
// below has, which people know best: new connections, of TCP.
func (f *rollout) usual(b *space.Box, below int32) (left space.Box, some bool) {
	fresh, ok := b.With(space.State, space.One(space.State, space.Num(packet.New)))
	if ok {
		if tcp, ok := fresh.With(space.Proto, space.One(space.Proto, space.Num(packet.ProtoTCP))); ok {
			if left, some = f.leftOf(&tcp, below); some {
				return left, true
			}
		}
		if left, some = f.leftOf(&fresh, below); some {
			return left, true
		}
	}
	return f.leftOf(b, below)
}

// fit gives a packet the interfaces of the hook, and a header that goes with its state.
func (f *rollout) fit(p *space.Point) {
	switch f.base.Base.Hook {
	case rule.Prerouting, rule.Input:
		p.At[space.Out] = space.Number{}
	case rule.Output:
		p.At[space.In] = space.Number{}
	}
	if packet.State(p.At[space.State].Lo) == packet.Established && p.At[space.Flags] == space.Num(2) {
		p.At[space.Flags] = space.Num(16)
	}
}
