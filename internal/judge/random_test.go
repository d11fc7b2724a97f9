package judge

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
)

// generator makes random rulesets and packets. Both take their values from the
// same small pools, so that conditions are often met.
type generator struct {
	*rand.Rand
	family  rule.Family
	tracked bool
	// options says that rules change TCP's options, and none looks at bytes, which
	// the simulator does not know after that.
	options bool
	// redirects says that rules redirect; what is sent to all IPv6 hosts of a link
	// is redirected to an address of that scope, which the simulator does not know.
	redirects bool
	// oneUser says that the tests run in a user namespace, which has only user and
	// group 0: the kernel takes no rules with others.
	oneUser bool
}

// pools of addresses: hosts outside, those of the host under test, and sources
// that it has no way to.
var (
	outside4 = [...]string{"203.0.113.7", "203.0.113.66", "192.0.2.77", "10.1.2.3", "198.51.100.5", "198.51.100.200", "100.64.9.9"}
	outside6 = [...]string{
		"2001:db8:1::7", "2001:db8:1::66", "2001:db8:2::77", "2001:db8:3::3", "2001:db8:51::5",
		"2001:db8:51:0:8000::200", "2001:db8:64::9", "2001:db8:1:0:0:ff:fe00:101",
	}
	own4      = [...]string{"203.0.113.1", "192.0.2.1", "192.0.2.9", "10.1.0.1"}
	own6      = [...]string{"2001:db8:1::1", "2001:db8:2::1", "2001:db8:2::9", "2001:db8:3::1"}
	nowhere4  = [...]string{"10.9.1.1", "172.16.0.1"}
	nowhere6  = [...]string{"2001:db8:9::1", "2001:db8:7777::1"}
	ports     = [...]uint16{22, 53, 80, 443, 1024, 5000, 8080, 33333, 65535}
	marks     = [...]uint32{0, 1, 2, 0x10, 0x20, 0xff, 0x80000001}
	macs      = [...]string{"02:00:00:00:01:01", "02:00:00:00:01:02", "02:00:00:00:01:03"}
	tosValues = [...]uint8{0, 0x10, 0x08, 0x28, 0xb8, 0x01, 0x02, 0x03, 0x2a, 0xff}
	ttlValues = [...]uint8{2, 3, 33, 64, 64, 64, 128, 255}
	payloads  = [...]string{"", "", "moat", "GET /index.html HTTP/1.1", "0123456789abcdefGET /moat0123456789", "\x00\x00\x00\x01\xff"}
)

// pick gives one of a list.
func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// chance is true in n of 100 cases.
func (g *generator) chance(n int) bool { return g.IntN(100) < n }

func (g *generator) v6() bool { return g.family == rule.IPv6 }

// of gives one address of a pair of pools.
func (g *generator) of(v4, v6 []string) netip.Addr {
	if g.v6() {
		return netip.MustParseAddr(pick(g, v6))
	}
	return netip.MustParseAddr(pick(g, v4))
}

func (g *generator) outside() netip.Addr { return g.of(outside4[:], outside6[:]) }
func (g *generator) own() netip.Addr     { return g.of(own4[:], own6[:]) }
func (g *generator) nowhere() netip.Addr { return g.of(nowhere4[:], nowhere6[:]) }
func (g *generator) port() uint16        { return pick(g, ports[:]) }

func (g *generator) payload() []byte {
	b := []byte(pick(g, payloads[:]))
	if g.chance(10) {
		b = append(b, make([]byte, g.IntN(600))...)
	}
	return b
}

// shots makes packets.
func (g *generator) shots(h *host, n int) []shot {
	list := make([]shot, n)
	for i := range list {
		list[i] = g.shot(h, i+1)
	}
	return list
}

// shot makes one packet: of a connection that is there already, or the first of one.
func (g *generator) shot(h *host, number int) shot {
	if g.tracked && g.chance(35) {
		return g.known(h, number)
	}
	s := shot{state: stateNew}
	d := draft{number: number, tos: pick(g, tosValues[:]), ttl: pick(g, ttlValues[:])}
	if g.chance(25) {
		d.src, d.dst = g.own(), g.outside()
		if g.chance(20) {
			d.src = g.outside()
		}
		if g.chance(20) {
			d.dst = g.own()
		}
	} else {
		s.dev = pick(g, links[:]).name
		g.incoming(h, &s, &d)
	}
	g.content(&s, &d)
	s.bytes = d.bytes()
	return s
}

// incoming fills in where a packet from outside comes from and goes to.
func (g *generator) incoming(h *host, s *shot, d *draft) {
	g.frame(h, s)
	d.src, d.dst = g.outside(), g.own()
	switch n := g.IntN(100); {
	case n < 8:
		d.src = g.nowhere()
	case n < 12:
		d.src = g.own()
	}
	switch n := g.IntN(100); {
	case n < 35:
		d.dst = g.outside()
	case n < 42 && !(g.redirects && g.v6()):
		g.toMany(s, d)
	case n < 46:
		d.dst = g.nowhere()
	}
}

// forHost reports whether a destination is the host under test.
func (g *generator) forHost(a netip.Addr) bool {
	return isOwn(a) || a.IsMulticast() || a.String() == "192.0.2.255"
}

// frame gives the link layer's addresses.
func (g *generator) frame(h *host, s *shot) {
	s.to = h.mac[s.dev]
	s.from = macOf(pick(g, macs[:]))
}

// toMany sends a packet to everyone on a link.
func (g *generator) toMany(s *shot, d *draft) {
	switch {
	case g.v6():
		d.dst, s.to = netip.MustParseAddr("ff02::1"), [6]byte{0x33, 0x33, 0, 0, 0, 1}
	case g.chance(50):
		d.dst, s.to = netip.MustParseAddr("224.0.0.1"), [6]byte{0x01, 0x00, 0x5e, 0, 0, 1}
	default:
		d.dst, s.to = netip.MustParseAddr("192.0.2.255"), [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
}

// content makes the packet's headers behind the network header, and says what
// connection tracking makes of it.
func (g *generator) content(s *shot, d *draft) {
	switch n := g.IntN(100); {
	case n < 40:
		g.tcp(s, d)
	case n < 60:
		d.proto, d.body = packet.ProtoUDP, portsBody(g.port(), g.port(), g.payload())
	case n < 78:
		g.icmp(s, d)
	default:
		g.otherProtocol(s, d)
	}
	if !g.v6() && g.chance(8) {
		d.options = []byte{148, 4, 0, 0} // router alert
	}
	if g.v6() {
		g.extensions(d)
	}
	// Of IPv4 the host puts together what is for itself, before INPUT.
	if !g.tracked && g.chance(15) && (g.v6() || s.dev == "" || !g.forHost(d.dst)) {
		g.fragment(d)
	}
	// The kernel looks at checksums of what comes in, and of TCP, UDP and the like alone.
	if g.tracked && s.dev != "" && g.chance(4) && sumAt(d.proto, len(d.body)) != 0 && d.proto != packet.ProtoDCCP && s.state != stateUntracked {
		d.badSum, s.state = true, stateInvalid
	}
}

var tcpFlags = [...]uint8{0x02, 0x02, 0x02, 0x02, 0x42, 0xc2, 0x0a, 0x22, 0x10, 0x12, 0x18, 0x04, 0x14, 0x11, 0x01, 0x00, 0x03, 0x06, 0x29, 0xff}

var tcpOptionLists = [...]string{
	"", "", "\x02\x04\x05\xb4", "\x02\x04\x02\x18\x01\x03\x03\x07", "\x01\x01\x04\x02\x02\x04\x05\xb4",
	"\x1e\x04\x00\x00\x02\x04\x03\xe8", "\x01\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x02", "\x00\x02\x04\x05",
}

// tcp makes a TCP packet; only SYN without ACK, RST and FIN begins a connection.
func (g *generator) tcp(s *shot, d *draft) {
	flags := pick(g, tcpFlags[:])
	var data []byte
	if flags&2 == 0 {
		data = g.payload()
	}
	d.proto, d.body = packet.ProtoTCP, tcpBody(g.port(), g.port(), flags, []byte(pick(g, tcpOptionLists[:])), data)
	if flags&0x17 != 2 {
		s.state = stateInvalid
	}
}

// icmp makes an ICMP packet. Requests begin a connection, what else comes out
// of nothing is invalid; what IPv6 needs on a link is not tracked.
func (g *generator) icmp(s *shot, d *draft) {
	rest := append([]byte{byte(g.IntN(64)), byte(g.IntN(256)), 0, 1}, g.payload()...)
	s.state = stateInvalid
	if g.v6() {
		d.proto = packet.ProtoICMPv6
		typ := pick(g, []uint8{128, 128, 128, 129, 1, 2, 3, 4, 133, 134, 135, 136, 130, 143})
		switch {
		case typ == 128:
			s.state = stateNew
		case typ >= 130 && typ <= 136, typ == 143:
			s.state = stateUntracked
		}
		d.body = icmpBody(typ, uint8(g.IntN(3)), append(rest, make([]byte, 40)...)...)
		return
	}
	d.proto = packet.ProtoICMP
	typ := pick(g, []uint8{8, 8, 8, 8, 0, 3, 5, 11, 12, 13, 14, 17, 18, 9, 10, 4})
	if typ == 8 || typ == 13 || typ == 15 || typ == 17 {
		s.state = stateNew
	}
	d.body = icmpBody(typ, uint8(g.IntN(3)), append(rest, make([]byte, 28)...)...)
}

// otherProtocol makes a packet of a rarer protocol.
func (g *generator) otherProtocol(s *shot, d *draft) {
	word := binary.BigEndian.AppendUint32(nil, pick(g, []uint32{1, 256, 500, 70000}))
	switch g.IntN(7) {
	case 0:
		d.proto = packet.ProtoSCTP
		init := sctpChunk(1, 0, append(word, make([]byte, 12)...))
		chunks, tag := init, uint32(0)
		if g.chance(50) {
			chunks, tag, s.state = append(sctpChunk(0, uint8(g.IntN(8)), []byte("moatmoatmoatmoat")), sctpChunk(3, 0, make([]byte, 12))...), 77, stateInvalid
		}
		d.body = sctpBody(g.port(), g.port(), tag, chunks)
	case 1:
		d.proto = packet.ProtoDCCP
		if g.tracked { // some kernels know its ports, Linux 6.18 does not
			d.proto, d.body = 89, make([]byte, 16)
			return
		}
		d.body = dccpBody(g.port(), g.port(), 0, []byte(pick(g, []string{"", "\x00\x00\x00\x00", "\x20\x03\x01\x00"})))
	case 2:
		d.proto, d.body = packet.ProtoESP, append(word, make([]byte, 12)...)
	case 3:
		d.proto, d.body = packet.ProtoAH, append([]byte{59, 4, 0, 0}, append(word, make([]byte, 16)...)...)
		if g.v6() { // AH is an extension header there
			d.proto, d.body = packet.ProtoESP, append(word, make([]byte, 12)...) // ports behind it only ipset would see
			if g.tracked {                                                       // it hides the protocol from rules, but not from connection tracking
				return
			}
			d.extensions = []extension{{51, append([]byte{4, 0, 0}, append(word, make([]byte, 16)...)...)}}
		}
	case 4:
		d.proto, d.body = packet.ProtoUDPLite, portsBody(g.port(), g.port(), g.payload())
		if g.tracked && s.dev != "" { // kernels differ in what they make of its checksum
			d.proto = packet.ProtoUDP
		}
	case 5:
		d.proto, d.body = packet.ProtoIPComp, append([]byte{59, 0, 0, byte(g.IntN(4))}, make([]byte, 8)...)
	default:
		d.proto, d.body = pick(g, []uint8{2, 89, 200}), make([]byte, 16)
	}
}

// extensions puts IPv6 extension headers in front.
func (g *generator) extensions(d *draft) {
	pad := []byte{0, 1, 4, 0, 0, 0, 0}
	var list []extension
	if g.chance(10) {
		list = append(list, extension{0, pad})
	}
	if g.chance(10) {
		list = append(list, extension{60, append([]byte{1}, append([]byte{5, 2, 0, 0, 1, 2, 0, 0}, 1, 4, 0, 0, 0, 0)...)})
	}
	if g.chance(10) {
		list = append(list, extension{43, append([]byte{2, pick(g, []byte{0, 2}), byte(g.IntN(2)), 0, 0, 0, 0}, g.own().AsSlice()...)})
	}
	d.extensions = append(list, d.extensions...)
}

// fragment makes the packet a part of a larger one.
func (g *generator) fragment(d *draft) {
	for len(d.body)%8 != 0 {
		d.body = append(d.body, 0)
	}
	// Not 1: the kernel drops a part of TCP that begins within the header, on sight
	// of a match tcp in its xt form, for which a match has no answer.
	offset, more := pick(g, []uint16{0, 2, 3, 185}), uint16(g.IntN(2))
	if offset == 0 {
		more = 1
	}
	if g.v6() {
		rest := []byte{0, 0, 0, 0, 0, 0, byte(g.IntN(3))}
		binary.BigEndian.PutUint16(rest[1:], offset<<3|more)
		d.extensions = append(d.extensions, extension{44, rest})
		return
	}
	d.flags = offset | more<<13
}
