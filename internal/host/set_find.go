package host

import (
	"net/netip"
	"strings"

	"moat/internal/packet"
	"moat/internal/rule"
)

// sought is what a packet is looked up by in one set. A part that was not told
// makes the lookup unknown, unless the set is empty.
type sought struct {
	addr  [2]netip.Addr
	nets  int // addresses taken so far
	key   key
	iface string
	phys  string
	hides bool // the interface was not told
	// physHides says that the bridge port was not told.
	physHides bool
	mac       [6]byte
}

// find looks a packet up: No where it has no such part, as an ICMP packet of a
// set of TCP ports, or a further fragment.
func (x *setIndex) find(s *Set, dirs []string, p *packet.Packet) packet.Answer {
	if len(x.elements) == 0 {
		return packet.No
	}
	var q sought
	for i, part := range x.parts {
		if a := q.take(s, part, dirs[i] == "src", p); a != packet.Yes {
			return a
		}
	}
	if q.nets == 0 {
		return x.at(q.key, &q)
	}
	for _, size := range x.sizes {
		k := q.key
		k.net, k.net2 = cut(q.addr[0], size[0]), cut(q.addr[1], size[1])
		if (size[0] >= 0) != k.net.IsValid() || (size[1] >= 0) != k.net2.IsValid() {
			continue
		}
		if a, found := x.decide(k, &q); found {
			return a
		}
	}
	return packet.No
}

// cut is the network of an address; not valid for none.
func cut(a netip.Addr, bits int) netip.Prefix {
	if !a.IsValid() {
		return netip.Prefix{}
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// at is decide for sets without addresses.
func (x *setIndex) at(k key, q *sought) packet.Answer {
	a, _ := x.decide(k, q)
	if a == packet.Unknown && len(x.elements[k]) == 0 {
		return packet.No
	}
	return a
}

// decide gives the answer of the elements that a key finds; found is false if
// less specific ones have to be asked.
func (x *setIndex) decide(k key, q *sought) (a packet.Answer, found bool) {
	a = packet.No
	for _, e := range x.elements[k] {
		switch e.fits(q) {
		case packet.Unknown:
			return packet.Unknown, true
		case packet.Yes:
			return packet.Of(!e.NoMatch), true
		}
	}
	return a, false
}

// fits compares what the key does not hold.
func (e *Element) fits(q *sought) packet.Answer {
	a := packet.Yes
	if e.HasMAC {
		a = a.And(packet.Of(e.MAC == q.mac))
	}
	if e.Interface == "" {
		return a
	}
	name, hides := q.iface, q.hides
	if e.Physdev {
		name, hides = q.phys, q.physHides
	}
	if hides {
		return a.And(packet.Unknown)
	}
	return a.And(packet.Of(name == e.Interface || e.Wildcard && strings.HasPrefix(name, e.Interface)))
}

// take adds one part of the packet: Yes if it has it, No if it has none.
func (q *sought) take(s *Set, part string, src bool, p *packet.Packet) packet.Answer {
	switch part {
	case "ip", "net":
		return q.takeAddress(s, part, src, p)
	case "port":
		return q.takePort(s, src, p)
	case "iface":
		return q.takeInterface(src, p)
	case "mark":
		q.key.mark = p.Mark
		if s.MarkMask != 0 {
			q.key.mark &= s.MarkMask
		}
		return told(p.Has(packet.KnowMark), true)
	case "mac":
		return q.takeMAC(s, src, p)
	}
	return packet.Unknown
}

func (q *sought) takeAddress(s *Set, part string, src bool, p *packet.Packet) packet.Answer {
	a := p.Dst
	if src {
		a = p.Src
	}
	if !a.IsValid() {
		return packet.Unknown
	}
	if part == "ip" && q.nets == 0 {
		a = s.masked(a)
	}
	q.addr[q.nets] = a
	q.nets++
	return packet.Yes
}

// masked is an address as a set keeps it.
func (s *Set) masked(a netip.Addr) netip.Addr {
	switch {
	case s.Bitmask.IsValid() && s.Bitmask.BitLen() == a.BitLen():
		b, m := a.AsSlice(), s.Bitmask.AsSlice()
		for i := range b {
			b[i] &= m[i]
		}
		a, _ = netip.AddrFromSlice(b)
	case s.Netmask > 0 && s.Netmask < a.BitLen():
		return cut(a, s.Netmask).Addr()
	}
	return a
}

// takePort takes protocol and port, or type and code. Other protocols stand in
// a hash with port 0; a bitmap has ports of TCP and UDP alike, and no others.
func (q *sought) takePort(s *Set, src bool, p *packet.Packet) packet.Answer {
	q.key.proto = p.Proto
	know, port := packet.KnowDstPort, p.Transport.Dst
	if src {
		know, port = packet.KnowSrcPort, p.Transport.Src
	}
	bitmap := s.Type == "bitmap:port"
	switch p.Proto {
	case packet.ProtoTCP, packet.ProtoUDP:
	case packet.ProtoSCTP, packet.ProtoUDPLite:
		if bitmap {
			return packet.No
		}
	case packet.ProtoICMP, packet.ProtoICMPv6:
		if bitmap || (p.Proto == packet.ProtoICMP) != (p.Family == rule.IPv4) {
			return packet.No
		}
		know, port = packet.KnowICMP, uint16(p.Transport.Type)<<8|uint16(p.Transport.Code)
	default:
		return packet.Of(!bitmap)
	}
	if bitmap {
		q.key.proto = 0
	}
	if p.Fragment {
		return packet.No
	}
	q.key.port = port
	return told(p.Has(know), true)
}

// takeInterface takes the incoming interface for src, the outgoing one for dst.
func (q *sought) takeInterface(src bool, p *packet.Packet) packet.Answer {
	q.iface, q.phys, q.hides = p.Out, p.PhysOut, p.HiddenOut
	if src {
		q.iface, q.phys, q.hides = p.In, p.PhysIn, p.HiddenIn
	}
	q.physHides = !p.Has(packet.KnowPhysical)
	if q.iface == "" && !q.hides {
		return packet.No
	}
	return packet.Yes
}

// takeMAC takes the source address of the link layer; the kernel has only that
// of a packet that came in, and looks it up for dst too where there is a frame.
func (q *sought) takeMAC(s *Set, src bool, p *packet.Packet) packet.Answer {
	if !src {
		return packet.Unknown
	}
	if p.ArrivedLocal || p.In == "" && !p.HiddenIn && p.Hook >= rule.Output {
		return packet.No // made here: it has no frame
	}
	q.mac = p.SrcMAC
	return told(p.Has(packet.KnowMAC), true)
}
