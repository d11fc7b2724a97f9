package ext

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
)

// Translator is a target that translates a connection's addresses and ports,
// which the kernel does once for each side of it.
type Translator interface {
	Mutator
	// Translates says which side is translated at a hook.
	Translates(h rule.Hook) (source, destination bool)
}

// natSide is the side that the chains of table nat translate at a hook: the
// destination before routing, the source after it.
func natSide(h rule.Hook) (source, destination bool) {
	source = h == rule.Input || h == rule.Postrouting
	return source, !source
}

// natEnd is one end of a packet's connection while it is translated.
type natEnd struct {
	p      *packet.Packet
	source bool
	addr   *netip.Addr
	port   *uint16
	know   packet.Know // of port
	// What the kernel finds changed: Unknown where it chooses, and may choose
	// what was there.
	changed packet.Answer
}

// natEndOf gives the source or destination of a packet.
func natEndOf(p *packet.Packet, source bool) natEnd {
	if source {
		return natEnd{p, true, &p.Src, &p.Transport.Src, packet.KnowSrcPort, packet.No}
	}
	return natEnd{p, false, &p.Dst, &p.Transport.Dst, packet.KnowDstPort, packet.No}
}

// translate gives the end an address and port of the range, as far as it and
// the packet decide them. What the kernel chooses among several is not told
// after it: it looks at other connections, hashes and random numbers.
func (n *NATRange) translate(p *packet.Packet, source bool) {
	e := natEndOf(p, source)
	e.setAddr(n.Addr, source && !n.Random && !n.RandomFully && n.holdsPort(&e))
	if packet.HasPorts(p.Proto) && !p.Fragment {
		e.setPort(n)
	}
	e.finish()
}

// translateTo gives the end one address, and a port of the range. An address
// that is not valid is not told.
func (n NATRange) translateTo(p *packet.Packet, source bool, a netip.Addr) {
	if a.IsValid() {
		n.Addr = AddrRange{a, a}
		n.translate(p, source)
		return
	}
	e := natEndOf(p, source)
	e.choose(packet.Unknown)
	*e.addr = netip.Addr{}
	if packet.HasPorts(p.Proto) && !p.Fragment {
		e.setPort(&n)
	}
	e.finish()
}

// holdsPort reports whether the packet's port is known to need no change.
func (n *NATRange) holdsPort(e *natEnd) bool {
	return !n.HasPorts || !packet.HasPorts(e.p.Proto) || e.p.Has(e.know) && n.Ports.has(*e.port)
}

// choose notes a change.
func (e *natEnd) choose(changed packet.Answer) { e.changed = e.changed.Or(changed) }

// setAddr sets the address. A source that lies within a range of several, and
// whose port does too, is left as it is (keeps).
func (e *natEnd) setAddr(r AddrRange, keeps bool) {
	inRange := r.match(*e.addr, false)
	switch {
	case r.IsZero(), keeps && inRange == packet.Yes:
		return
	case r.From == r.To:
		e.choose(inRange.Not())
		*e.addr = r.From
		return
	case r.To.Less(r.From) || inRange != packet.No:
		e.choose(packet.Unknown)
	default:
		e.choose(packet.Yes)
	}
	*e.addr = netip.Addr{}
}

// setPort sets the port. Ports shifted from a base count from it modulo 65536
// and then modulo the range, whatever else is asked: on Linux 6.18 port 99 goes
// by 500-600/100 to 587.
func (e *natEnd) setPort(n *NATRange) {
	random := n.Random || n.RandomFully
	switch {
	case !n.HasPorts && !(random && e.source), // a destination's port alone is never random
		n.HasPorts && !n.HasBase && !random && e.p.Has(e.know) && n.Ports.has(*e.port):
		return
	case n.HasPorts && n.Ports.From == n.Ports.To:
		e.toPort(n.Ports.From)
		return
	case n.HasBase && e.p.Has(e.know) && n.Ports.From < n.Ports.To:
		size := uint32(n.Ports.To) - uint32(n.Ports.From) + 1
		e.toPort(n.Ports.From + uint16(uint32(*e.port-n.Base)%size))
		return
	case n.HasPorts && e.p.Has(e.know) && !n.Ports.has(*e.port):
		e.choose(packet.Yes)
	default:
		e.choose(packet.Unknown)
	}
	e.p.Known &^= e.know
	*e.port = 0
}

// toPort sets the port to one that is told.
func (e *natEnd) toPort(port uint16) {
	if e.p.Has(e.know) {
		e.choose(packet.Of(*e.port != port))
	} else {
		e.choose(packet.Unknown)
	}
	*e.port = port
	e.p.Known |= e.know
}

// finish brings the connection and the packet's bytes up to date.
func (e *natEnd) finish() {
	if e.changed == packet.No {
		return
	}
	p, c := e.p, &e.p.Connection
	bit := uint32(packet.StatusDNAT)
	addr, port := &c.ReplyTuple.Src, &c.ReplyTuple.SrcPort
	if e.source {
		bit, addr, port = packet.StatusSNAT, &c.ReplyTuple.Dst, &c.ReplyTuple.DstPort
	}
	switch {
	case e.changed == packet.Yes:
		c.Status |= bit
	case c.Status&bit == 0:
		p.Known &^= packet.KnowStatus
	}
	toldPort := p.Has(e.know) || !packet.HasPorts(p.Proto)
	if !e.addr.IsValid() || !toldPort {
		p.Known &^= packet.KnowReplyTuple
		p.Bytes = nil
		return
	}
	if *addr = *e.addr; packet.HasPorts(p.Proto) {
		*port = *e.port
	}
	rewriteBytes(p)
}
