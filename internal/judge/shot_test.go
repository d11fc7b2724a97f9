package judge

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// shot is one packet of a test: what is sent, and what the simulator is told.
type shot struct {
	dev   string // interface by which it comes in; "" when the host sends it
	from  [6]byte
	to    [6]byte
	bytes []byte
	conn  *connection // the connection it belongs to, which has to be put in first; nil: none
	state packet.State
	reply bool // it goes against the connection's direction
}

// told is the packet as the simulator is told of it, and its way.
func (h *host) told(s *shot) (packet.Packet, simulate.Way) {
	p := parse(s.bytes)
	p.Host = h.facts
	p.Known |= packet.KnowPolicy | packet.KnowPhysical | packet.KnowGroups
	if h.tracked {
		h.tellConnection(s, &p)
	}
	if s.dev == "" {
		route, _ := h.facts.Route(&p)
		p.ArrivedLocal, p.Out, p.OutGroup = true, route.Out, route.OutGroup
		if route.Local {
			p.Out = "lo"
		}
		p.Known |= packet.KnowOwner | packet.KnowPacketType
		return p, simulate.Out
	}
	p.In, p.InGroup, p.SrcMAC = s.dev, groupOf(s.dev), s.from
	p.Known |= packet.KnowMAC | packet.KnowPacketType
	switch {
	case s.to == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		p.PacketType = packet.ToBroadcast
	case s.to[0]&1 != 0:
		p.PacketType = packet.ToMulticast
	}
	route, _ := h.facts.Route(&p)
	if route.Local {
		return p, simulate.In
	}
	p.Out, p.OutGroup = route.Out, route.OutGroup
	return p, simulate.Through
}

func groupOf(dev string) uint32 {
	for _, k := range links {
		if k.name == dev {
			return uint32(k.group)
		}
	}
	return 0
}

// tellConnection tells what connection tracking will find.
func (h *host) tellConnection(s *shot, p *packet.Packet) {
	p.Known |= packet.KnowState
	c := &p.Connection
	c.State = s.state
	if s.conn == nil {
		return
	}
	*c = packet.Connection{
		State: s.state, Status: s.conn.seen(s), Mark: s.conn.mark, Reply: s.reply,
		Original: s.conn.orig, ReplyTuple: s.conn.reply,
	}
	p.Known |= packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal | packet.KnowReplyTuple |
		packet.KnowConnLabels | packet.KnowConnHelper
}

// seen is the connection's status as rules see it with a packet: the kernel
// notes a reply before them, and that a connection was translated.
func (c *connection) seen(s *shot) uint32 {
	status := c.status | packet.StatusConfirmed
	if s.reply && s.state == packet.Established {
		status |= packet.StatusSeenReply
	}
	there := inverse(c.orig)
	if c.reply.Dst != there.Dst || c.reply.DstPort != there.DstPort {
		status |= packet.StatusSNAT
	}
	if c.reply.Src != there.Src || c.reply.SrcPort != there.SrcPort {
		status |= packet.StatusDNAT
	}
	return status
}

// String is the packet in words.
func (s *shot) String() string {
	p := parse(s.bytes)
	var b strings.Builder
	if s.dev == "" {
		b.WriteString("from the host: ")
	} else {
		fmt.Fprintf(&b, "in by %s, %x to %x: ", s.dev, s.from, s.to)
	}
	fmt.Fprintf(&b, "protocol %d, %v to %v, tos %#x, ttl %d, %d bytes", p.Proto, p.Src, p.Dst, p.TOS, p.TTL, p.Length)
	if p.Has(packet.KnowPorts) {
		fmt.Fprintf(&b, ", ports %d to %d", p.Transport.Src, p.Transport.Dst)
	}
	if p.Has(packet.KnowFlags) {
		fmt.Fprintf(&b, ", flags %#02x", p.Transport.Flags)
	}
	if p.Has(packet.KnowICMP) {
		fmt.Fprintf(&b, ", type %d/%d", p.Transport.Type, p.Transport.Code)
	}
	for _, x := range p.Extensions {
		fmt.Fprintf(&b, ", header %d", x.Proto)
	}
	fmt.Fprintf(&b, ", %v", s.state)
	if s.conn != nil {
		fmt.Fprintf(&b, " of %v / %v status %#x mark %#x reply %v", s.conn.orig, s.conn.reply, s.conn.seen(s), s.conn.mark, s.reply)
	}
	fmt.Fprintf(&b, "\n\t%x", s.bytes)
	return b.String()
}

// send puts the packets' connections in and sends them, one after the other.
// When it returns the host is done with all of them.
func (h *host) send(list []shot) error {
	if h.tracked {
		var conns []*connection
		for i := range list {
			if list[i].conn != nil {
				conns = append(conns, list[i].conn)
			}
		}
		if err := h.ct.forget(); err != nil {
			return err
		}
		if err := h.ct.add(conns); err != nil {
			return err
		}
	}
	waiting := 0
	for i := range list {
		s := &list[i]
		if s.dev == "" {
			if err := h.sendOut(s.bytes); err != nil {
				return fmt.Errorf("%v: %w", s, err)
			}
			continue
		}
		if err := h.sendIn(s); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		if waiting++; waiting == 200 { // the kernel queues 1000 (net.core.netdev_max_backlog)
			waiting = 0
			if err := h.ring(); err != nil {
				return err
			}
		}
	}
	return h.ring()
}

// sendIn puts a frame on the wire.
func (h *host) sendIn(s *shot) error {
	frame := make([]byte, 14, 14+len(s.bytes))
	copy(frame, s.to[:])
	copy(frame[6:], s.from[:])
	frame[12], frame[13] = 0x08, 0x00
	if h.family == rule.IPv6 {
		frame[12], frame[13] = 0x86, 0xdd
	}
	_, err := unix.Write(h.in[s.dev], append(frame, s.bytes...))
	return err
}

// sendOut sends from the host itself. That rules have dropped the packet, or
// that it has no way, is no error.
func (h *host) sendOut(b []byte) error {
	p := parse(b)
	to := unix.Sockaddr(&unix.SockaddrInet6{Addr: p.Dst.As16()})
	if h.family == rule.IPv4 {
		to = &unix.SockaddrInet4{Addr: p.Dst.As4()}
	}
	err := unix.Sendto(h.out, b, unix.MSG_DONTWAIT, to)
	switch err {
	case unix.EPERM, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EINVAL, unix.EACCES:
		return nil
	}
	return err
}

// ring waits until the host is done with all frames sent so far: those of one
// processor are taken in order, and this goroutine stays on one.
func (h *host) ring() error {
	frame := make([]byte, 60)
	copy(frame, "\xff\xff\xff\xff\xff\xff")
	frame[12], frame[13] = bellType>>8, bellType&0xff
	if _, err := unix.Write(h.in[links[0].name], frame); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(h.bell, frame, 0)
		if err == nil && n > 0 {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("the end of a batch did not arrive: %w", err)
		}
	}
}
