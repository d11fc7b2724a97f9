package question

import (
	"fmt"
	"net/netip"

	"moat/internal/packet"
	"moat/internal/simulate"
)

// Settle gives the packet to a host: its way and interfaces, where the question
// does not tell them, are those that the host's addresses and routes give. A
// packet that the host would not send is an error, since no answer about it
// would be true. What the host does not know stays as it was.
func (q *Question) Settle(h packet.Host) error {
	p := &q.Packet
	p.Host = h
	switch {
	case q.hinted:
		q.checkHint(h)
	case !q.WayTold:
		q.findWay(h)
	}
	if p.HiddenIn && q.Way != simulate.Out {
		q.findIn(h)
	}
	if p.HiddenOut && q.Way != simulate.In {
		if err := q.findOut(h); err != nil {
			return err
		}
	}
	if !q.pktTypeTold() {
		p.Known &^= packet.KnowPacketType
		q.linkLayer(nil)
	}
	q.broadcast(h)
	return nil
}

// checkHint finds the way of a packet of which one interface was told: what came
// in is for the host only if the routes say so, and what leaves is from the host
// only if its source is.
func (q *Question) checkHint(h packet.Host) {
	p := &q.Packet
	if q.Way == simulate.In {
		q.findRoute(h)
		return
	}
	if from, known := isLocal(h, p.Src); known && !from {
		q.Way, p.HiddenIn = simulate.Through, true
	}
}

// findWay: what is sent from an address of the host goes out, by lo if it also
// goes to one, and comes in again. What comes from
// elsewhere is for the host or goes through it, as the routes say.
func (q *Question) findWay(h packet.Host) {
	p := &q.Packet
	from, knowFrom := isLocal(h, p.Src)
	to, knowTo := isLocal(h, p.Dst)
	switch {
	case !knowFrom || !knowTo:
	case from && to:
		q.loop()
	case from:
		q.Way, q.WayTold = simulate.Out, true
		p.In, p.HiddenIn, p.Out, p.HiddenOut = "", false, "", true
	default:
		q.hinted = true
		q.findRoute(h)
	}
}

// findRoute finds the way of a packet that comes from elsewhere. One that has no
// route is forwarded by no interface: what comes before the routes may still
// translate it to where it has one.
func (q *Question) findRoute(h packet.Host) {
	p := &q.Packet
	q.findIn(h)
	if r, known := h.Route(p); known {
		q.Way, q.WayTold = simulate.Through, true
		p.Out, p.HiddenOut = r.Out, false
		if r.Local {
			q.Way = simulate.In
		}
	} else if to, knowTo := isLocal(h, p.Dst); q.WayTold && knowTo && !to && !isGroup(p.Dst) {
		q.Way, p.HiddenOut = simulate.Through, true
	}
}

func isLocal(h packet.Host, a netip.Addr) (local, known bool) {
	t, known := h.AddressType(a, "")
	return t == packet.AddressLocal, known
}

// findIn takes the interface by which an answer would leave.
func (q *Question) findIn(h packet.Host) {
	p := &q.Packet
	if p.In != "" {
		return
	}
	answer := packet.Packet{Family: p.Family, Src: p.Dst, Dst: p.Src, Proto: p.Proto, Mark: p.Mark, Known: packet.KnowMark, Host: h}
	if local, known := isLocal(h, p.Dst); !known || !local { // an answer to what goes through is not from here
		answer.Src = netip.Addr{}
	}
	if r, known := h.Route(&answer); known && r.Out != "" {
		p.In, p.HiddenIn = r.Out, false
	} else if known && r.Local {
		p.In, p.HiddenIn = "lo", false
	}
}

// findOut takes the interface that the routes give.
func (q *Question) findOut(h packet.Host) error {
	p := &q.Packet
	r, known := h.Route(p)
	switch {
	case !known:
	case r.Local:
		p.Out, p.HiddenOut = "lo", false
	case r.Out == "":
		return noRoute(p.Dst)
	default:
		p.Out, p.HiddenOut = r.Out, false
	}
	return nil
}

func noRoute(a netip.Addr) error {
	return fmt.Errorf("this host would not send a packet to %s on, whatever its rules say: it has no route there, or does not forward", a)
}

// broadcast knows the host's own broadcast addresses, which look like any other.
func (q *Question) broadcast(h packet.Host) {
	p := &q.Packet
	if q.Way == simulate.Out || !p.Has(packet.KnowPacketType) || p.PacketType != packet.ToHost {
		return
	}
	if t, known := h.AddressType(p.Dst, ""); known && t == packet.AddressBroadcast {
		p.PacketType = packet.ToBroadcast
	}
}
