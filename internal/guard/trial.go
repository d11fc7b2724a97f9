package guard

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// outcome is what becomes of one packet of a party.
type outcome struct {
	*ask
	party  *party
	answer packet.Answer // whether it gets where it has to
	result simulate.Result
	// strays says that a rule sends it where the server does not listen, or spoils it.
	strays bool
	// arrives is where a packet gets that was sent to this host.
	arrives netip.AddrPort
}

// trial is a ruleset in which packets are tried.
type trial struct{ firewall *simulate.Firewall }

func newTrial(rs *rule.Ruleset) *trial { return &trial{simulate.New(rs)} }

// of tries all packets of a party, in order.
func (t *trial) of(p *party) (list []outcome) {
	asks := p.asks()
	list = t.connection(p, p.flow(), asks.live)
	list = append(list, t.connection(p, p.flow(), asks.begun)...)
	list = append(list, t.connection(p, flow{strict: p.strict}, asks.fresh)...)
	for _, a := range asks.rest {
		list = append(list, t.try(p, a))
	}
	return list
}

// connection tries the packets of one connection. If rules keep some of them from
// connection tracking, and not all, it misses what it needs to tell which packets
// are in their window: nobody knows then which state it gives them.
func (t *trial) connection(p *party, f flow, asks []*ask) []outcome {
	again := f
	list := make([]outcome, len(asks))
	for i, a := range asks {
		f.enter(a)
		list[i] = t.try(p, a)
		f.leave(a, &list[i].result)
	}
	if f.tracked && f.untracked && !again.halfSeen {
		again.halfSeen = true
		return t.connection(p, again, asks)
	}
	return list
}

// try walks a packet.
func (t *trial) try(p *party, a *ask) outcome {
	o := outcome{ask: a, party: p}
	o.result = t.firewall.Walk(a.packet, simulate.Options{Way: a.way(), NoTrace: true})
	switch o.result.Verdict {
	case simulate.Accept:
		o.answer = packet.Yes
	case simulate.Drop, simulate.Reject:
		o.answer = packet.No
	}
	if (o.answer == packet.Yes || o.answer == packet.No && o.result.By == simulate.Place{}) && o.isAstray() {
		o.answer, o.strays = packet.No, true
	}
	return o
}

// isAstray reports whether a rule sends the packet elsewhere than to the server,
// or an answer elsewhere than to the client or in somebody else's name, or makes
// of it what its receiver does not take.
func (o *outcome) isAstray() bool {
	if o.isDiscovery() {
		return seemsRouted(&o.result.Packet)
	}
	p, left := o.party, &o.result.Packet
	o.arrives = netip.AddrPortFrom(left.Dst, left.Transport.Dst)
	if !o.isOut() {
		return o.arrives != p.Server && !p.listens(o.arrives)
	}
	if left.Dst != p.From.Addr() || o.isSpent() {
		return true
	}
	from := netip.AddrPortFrom(left.Src, left.Transport.Src)
	return from != p.Wire && left.Has(packet.KnowReplyTuple)
}

// isSpent reports whether an answer has no hops left for the router that it goes to.
func (o *outcome) isSpent() bool {
	left := &o.result.Packet
	return o.isOut() && o.party.routed && left.Has(packet.KnowTTL) && left.TTL <= 1
}

// seemsRouted reports whether a packet of neighbour discovery has another hop
// limit than 255: its receiver drops it (RFC 4861, sections 7.1.1 and 7.1.2).
func seemsRouted(p *packet.Packet) bool {
	return p.Has(packet.KnowTTL) && p.TTL != 255
}

// path is the packet's way rule by rule.
func (t *trial) path(o *outcome) []simulate.Step {
	return t.firewall.Walk(o.packet, simulate.Options{Way: o.way()}).Trace
}

// worse are the packets that got through, or may have, and would not any more;
// doubtful those that got through for certain and now perhaps. Both lists are of
// the same packets in the same order.
func worse(before, after []outcome) (lost, doubtful []outcome) {
	for i := range after {
		switch was, is := before[i].answer, after[i].answer; {
		case is == packet.No && was != packet.No:
			lost = append(lost, after[i])
		case is == packet.Unknown && was == packet.Yes:
			doubtful = append(doubtful, after[i])
		}
	}
	return lost, doubtful
}
