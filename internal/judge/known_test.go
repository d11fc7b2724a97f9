package judge

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"moat/internal/packet"
)

// What connection tracking makes of a packet.
const (
	stateInvalid   = packet.Invalid
	stateNew       = packet.New
	stateUntracked = packet.Untracked
)

func macOf(s string) [6]byte {
	mac, err := net.ParseMAC(s)
	if err != nil {
		panic(err) // a constant of these tests
	}
	return [6]byte(mac)
}

// known makes a packet of a connection that is put in first: in its direction,
// against it, or an ICMP error about it. The port is the packet's own, so that
// each has a connection of its own.
func (g *generator) known(h *host, number int) shot {
	c := g.connection(uint16(20000 + number))
	s := shot{conn: c, state: packet.Established, reply: g.chance(50)}
	d := draft{number: number, tos: pick(g, tosValues[:]), ttl: pick(g, ttlValues[:])}
	there := c.orig
	if s.reply {
		there = c.reply
	}
	// The simulator does not know the bytes of an ICMP error after translation,
	// in which the packet that it quotes is changed too.
	quotable := c.orig.Proto != packet.ProtoICMP && c.orig.Proto != packet.ProtoICMPv6 && (g.options || c.reply == inverse(c.orig))
	if g.chance(25) && quotable {
		g.icmpError(&s, &d)
	} else {
		if !s.reply && c.status&packet.StatusSeenReply == 0 {
			s.state = packet.New
		}
		d.src, d.dst, d.proto = there.Src, there.Dst, there.Proto
		d.body = g.bodyOf(&s, there)
	}
	if !isOwn(d.src) || g.chance(10) {
		s.dev = pick(g, links[:]).name
		g.frame(h, &s)
	}
	s.bytes = d.bytes()
	return s
}

// connection makes one with a port of its own.
func (g *generator) connection(port uint16) *connection {
	c := &connection{mark: pick(g, marks[:]), timeout: 600, status: packet.StatusSeenReply | packet.StatusAssured}
	o := packet.Tuple{Src: g.outside(), Dst: g.own(), SrcPort: port, DstPort: g.port(), Proto: packet.ProtoTCP}
	switch g.IntN(3) {
	case 0:
		o.Src, o.Dst = g.own(), g.outside()
	case 1:
		for o.Dst = g.outside(); o.Dst == o.Src; o.Dst = g.outside() {
		}
	}
	switch n := g.IntN(10); {
	case n < 4:
		o.Proto = packet.ProtoUDP
		if g.chance(40) {
			c.status = 0 // no reply so far
		}
	case n < 5 && g.v6():
		o.Proto, o.DstPort = packet.ProtoICMPv6, 128<<8
	case n < 5:
		o.Proto, o.DstPort = packet.ProtoICMP, 8<<8
	}
	c.orig, c.reply = o, inverse(o)
	g.translated(c)
	return c
}

// translated gives some connections another destination or source.
func (g *generator) translated(c *connection) {
	icmp := c.orig.Proto == packet.ProtoICMP || c.orig.Proto == packet.ProtoICMPv6
	if g.chance(35) {
		for c.reply.Src = g.outside(); c.reply.Src == c.reply.Dst; c.reply.Src = g.outside() {
		}
		if !icmp && g.chance(50) {
			c.reply.SrcPort = g.port()
		}
	}
	if g.chance(35) {
		c.reply.Dst = g.own()
		if !icmp && g.chance(50) {
			c.reply.DstPort += 10000
		}
		if c.reply.Dst == c.reply.Src {
			c.reply.Dst, c.reply.DstPort = c.orig.Src, inverse(c.orig).DstPort
		}
	}
}

func isOwn(a netip.Addr) bool {
	return slices.Contains(own4[:], a.String()) || slices.Contains(own6[:], a.String())
}

// bodyOf makes a packet of one direction of a connection.
func (g *generator) bodyOf(s *shot, t packet.Tuple) []byte {
	switch t.Proto {
	case packet.ProtoTCP:
		return tcpBody(t.SrcPort, t.DstPort, pick(g, []uint8{0x10, 0x18}), nil, g.payload())
	case packet.ProtoUDP:
		return portsBody(t.SrcPort, t.DstPort, g.payload())
	}
	id := binary.BigEndian.AppendUint16(nil, s.conn.orig.SrcPort)
	return icmpBody(echoType(t.Proto, s.reply), 0, append(id, 0, 1, 'm', 'o', 'a', 't')...)
}

func echoType(proto uint8, reply bool) uint8 {
	switch {
	case proto == packet.ProtoICMPv6 && reply:
		return 129
	case proto == packet.ProtoICMPv6:
		return 128
	case reply:
		return 0
	}
	return 8
}

// icmpError makes an error about a packet of the connection's direction that
// s.reply is against: what was sent is quoted, from the one who could not
// deliver it to the one who sent it.
func (g *generator) icmpError(s *shot, d *draft) {
	s.state = packet.Related
	about := s.conn.reply // s.reply: it tells the originator, whose packets look like this where they cannot go on
	if !s.reply {
		about = s.conn.orig
	}
	// about is the tuple of the direction in which the error goes: the quoted
	// packet went against it.
	quoted := draft{src: about.Dst, dst: about.Src, proto: about.Proto, ttl: 9}
	quoted.body = g.bodyOf(&shot{conn: s.conn}, packet.Tuple{SrcPort: about.DstPort, DstPort: about.SrcPort, Proto: about.Proto})
	d.dst, d.src, d.proto = about.Dst, about.Src, packet.ProtoICMP
	if g.chance(60) {
		d.src = g.outside()
	}
	typ := pick(g, []uint8{3, 11, 12})
	if g.v6() {
		d.proto, typ = packet.ProtoICMPv6, pick(g, []uint8{1, 3, 4})
	}
	b := quoted.bytes()
	d.body = icmpBody(typ, uint8(g.IntN(2)), append([]byte{0, 0, 0, 0}, b[:min(len(b), 60)]...)...)
}
