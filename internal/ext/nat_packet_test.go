package ext

import (
	"net/netip"
	"reflect"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// natPacket is the first packet of a TCP connection, 10.0.0.9:5000 to 192.0.2.1:80.
func natPacket(h rule.Hook) packet.Packet {
	a, b := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("192.0.2.1")
	return packet.Packet{
		Hook: h, Src: a, Dst: b, Proto: 6, In: "eth0", Out: "eth1",
		Known:     packet.KnowPorts | packet.KnowState | packet.KnowStatus | packet.KnowOriginal | packet.KnowReplyTuple,
		Transport: packet.Transport{Src: 5000, Dst: 80},
		Connection: packet.Connection{
			State:      packet.New,
			Original:   packet.Tuple{Src: a, Dst: b, SrcPort: 5000, DstPort: 80, Proto: 6},
			ReplyTuple: packet.Tuple{Src: b, Dst: a, SrcPort: 80, DstPort: 5000, Proto: 6},
		},
	}
}

// natCase is a NAT target, the hook it stands in, and the packet after it: the
// addresses and ports, of which "?" and a port of -1 are not told, and the
// status, of which -1 is not told.
type natCase struct {
	name, target, opts string
	hook               rule.Hook
	src                string
	sport              int
	dst                string
	dport              int
	status             int
}

var natCases = []natCase{
	{"address", "DNAT", "--to-destination 10.1.1.1", rule.Prerouting, "10.0.0.9", 5000, "10.1.1.1", 80, packet.StatusDNAT},
	{"address and port", "DNAT", "--to-destination 10.1.1.1:8080", rule.Prerouting, "10.0.0.9", 5000, "10.1.1.1", 8080, packet.StatusDNAT},
	{"port alone", "DNAT", "--to-destination :8080", rule.Output, "10.0.0.9", 5000, "192.0.2.1", 8080, packet.StatusDNAT},
	{"what it is", "DNAT", "--to-destination 192.0.2.1:80", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 80, 0},
	{"addresses without it", "DNAT", "--to-destination 10.1.1.1-10.1.1.9", rule.Prerouting, "10.0.0.9", 5000, "?", 80, packet.StatusDNAT},
	{"addresses with it", "DNAT", "--to-destination 192.0.2.1-192.0.2.9", rule.Prerouting, "10.0.0.9", 5000, "?", 80, -1},
	{"addresses in reverse", "DNAT", "--to-destination 192.0.2.9-192.0.2.1", rule.Prerouting, "10.0.0.9", 5000, "?", 80, -1},
	{"ports with it", "DNAT", "--to-destination 192.0.2.1:70-90", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 80, 0},
	{"ports without it", "DNAT", "--to-destination 192.0.2.1:81-90", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", -1, packet.StatusDNAT},
	{"random ports", "DNAT", "--to-destination 192.0.2.1:70-90 --random", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", -1, -1},
	{"one random port", "DNAT", "--to-destination 192.0.2.1:70 --random", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 70, packet.StatusDNAT},
	{"no port to be random", "DNAT", "--to-destination 192.0.2.2 --random", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.2", 80, packet.StatusDNAT},
	{"shifted ports", "DNAT", "--to-destination 192.0.2.1:500-600/70", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 510, packet.StatusDNAT},
	{"ports shifted below their base", "DNAT", "--to-destination 192.0.2.1:500-600/81", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 587, packet.StatusDNAT},
	{"all ports shifted", "DNAT", "--to-destination 192.0.2.1:0-65535/79", rule.Prerouting, "10.0.0.9", 5000, "192.0.2.1", 1, packet.StatusDNAT},
	{"address", "SNAT", "--to-source 10.2.2.2", rule.Postrouting, "10.2.2.2", 5000, "192.0.2.1", 80, packet.StatusSNAT},
	{"addresses with it", "SNAT", "--to-source 10.0.0.1-10.0.0.20", rule.Input, "10.0.0.9", 5000, "192.0.2.1", 80, 0},
	{"addresses with it, but not its port", "SNAT", "--to-source 10.0.0.1-10.0.0.20:1-9", rule.Postrouting, "?", -1, "192.0.2.1", 80, packet.StatusSNAT},
	{"addresses with it, random port", "SNAT", "--to-source 10.0.0.1-10.0.0.20 --random", rule.Postrouting, "?", -1, "192.0.2.1", 80, -1},
	{"random port", "SNAT", "--to-source 10.2.2.2 --random-fully", rule.Postrouting, "10.2.2.2", -1, "192.0.2.1", 80, packet.StatusSNAT},
	{"port in its range", "SNAT", "--to-source 10.2.2.2:5000-5010", rule.Postrouting, "10.2.2.2", 5000, "192.0.2.1", 80, packet.StatusSNAT},
	{"interface's address", "MASQUERADE", "", rule.Postrouting, "10.3.3.1", 5000, "192.0.2.1", 80, packet.StatusSNAT},
	{"interface's address and a port", "MASQUERADE", "--to-ports 7", rule.Postrouting, "10.3.3.1", 7, "192.0.2.1", 80, packet.StatusSNAT},
	{"this host", "REDIRECT", "", rule.Prerouting, "10.0.0.9", 5000, "10.4.4.1", 80, packet.StatusDNAT},
	{"another port of this host", "REDIRECT", "--to-ports 3128", rule.Output, "10.0.0.9", 5000, "127.0.0.1", 3128, packet.StatusDNAT},
	{"destination's network", "NETMAP", "--to 172.16.0.0/12", rule.Prerouting, "10.0.0.9", 5000, "172.16.2.1", 80, packet.StatusDNAT},
	{"source's network", "NETMAP", "--to 172.16.8.0/24", rule.Postrouting, "172.16.8.9", 5000, "192.0.2.1", 80, packet.StatusSNAT},
}

func TestNATTranslates(t *testing.T) {
	host := &hostSays{known: true, v4: map[string]netip.Addr{"eth0": netip.MustParseAddr("10.4.4.1"), "eth1": netip.MustParseAddr("10.3.3.1")}}
	for _, c := range natCases {
		p := natPacket(c.hook)
		p.Host = host
		natTarget(t, c.target, c.opts, rule.IPv4).Mutate(&p)
		if got := c.seen(&p); got != c {
			t.Errorf("%s: %s %s:\ngot  %v\nwant %v", c.name, c.target, c.opts, got, c)
		}
		checkReplyTuple(t, c.name, &p)
	}
}

// natTarget makes a target of its options.
func natTarget(t *testing.T, name, opts string, f rule.Family) Translator {
	t.Helper()
	words, err := shellWords(opts)
	if err != nil {
		t.Fatal(err)
	}
	context := &Context{Family: f, Rule: &rule.Rule{Proto: rule.Protocol{Number: 6}}, Names: testNames()}
	x, err := parseOptions(Find(Target, name, f), context, words)
	if err != nil {
		t.Fatalf("%s %s: %v", name, opts, err)
	}
	if fate := x.(Ender).Fate(); fate != Accepts {
		t.Errorf("%s: fate %d", name, fate)
	}
	return x.(Translator)
}

// seen is the case that the packet shows.
func (c natCase) seen(p *packet.Packet) natCase {
	addr := func(a netip.Addr) string {
		if !a.IsValid() {
			return "?"
		}
		return a.String()
	}
	known := func(k packet.Know, n int) int {
		if !p.Has(k) {
			return -1
		}
		return n
	}
	c.src, c.dst = addr(p.Src), addr(p.Dst)
	c.sport, c.dport = known(packet.KnowSrcPort, int(p.Transport.Src)), known(packet.KnowDstPort, int(p.Transport.Dst))
	c.status = known(packet.KnowStatus, int(p.Connection.Status))
	return c
}

// checkReplyTuple wants the replies of what the packet is now, or no knowledge of them.
func checkReplyTuple(t *testing.T, name string, p *packet.Packet) {
	t.Helper()
	told := p.Src.IsValid() && p.Dst.IsValid() && p.Has(packet.KnowPorts)
	if told != p.Has(packet.KnowReplyTuple) {
		t.Errorf("%s: the replies are known: %v", name, !told)
	}
	want := packet.Tuple{Src: p.Dst, Dst: p.Src, SrcPort: p.Transport.Dst, DstPort: p.Transport.Src, Proto: 6}
	if told && p.Connection.ReplyTuple != want {
		t.Errorf("%s: replies are %v, want %v", name, p.Connection.ReplyTuple, want)
	}
	if p.Connection.Original.Dst.String() != "192.0.2.1" {
		t.Errorf("%s: the original tuple is %v", name, p.Connection.Original)
	}
}

// TestNATWithoutFacts translates packets and asks hosts that do not tell enough.
func TestNATWithoutFacts(t *testing.T) {
	bare := packet.Packet{Proto: 6, Known: packet.KnowStatus}
	for _, c := range []struct {
		name, target, opts string
		p                  packet.Packet
		want               natCase // its src to status
	}{
		{"REDIRECT without a host", "REDIRECT", "--to-ports 7", natPacket(rule.Prerouting), natCase{src: "10.0.0.9", sport: 5000, dst: "?", dport: 7, status: packet.StatusDNAT}},
		{"MASQUERADE without a host", "MASQUERADE", "", natPacket(rule.Postrouting), natCase{src: "?", sport: 5000, dst: "192.0.2.1", dport: 80, status: -1}},
		{"one of an untold address and port", "DNAT", "--to-destination 10.1.1.1:5", bare, natCase{src: "?", sport: -1, dst: "10.1.1.1", dport: 5, status: -1}},
		{"range of an untold port", "DNAT", "--to-destination :5-9", bare, natCase{src: "?", sport: -1, dst: "?", dport: -1, status: -1}},
		{"base of an untold port", "DNAT", "--to-destination :5-9/4", bare, natCase{src: "?", sport: -1, dst: "?", dport: -1, status: -1}},
		{"NETMAP of an untold address", "NETMAP", "--to 10.0.0.0/8", bare, natCase{src: "?", sport: -1, dst: "?", dport: -1, status: -1}},
	} {
		natTarget(t, c.target, c.opts, rule.IPv4).Mutate(&c.p)
		if got := (natCase{}).seen(&c.p); got != c.want {
			t.Errorf("%s:\ngot  %v\nwant %v", c.name, got, c.want)
		}
	}
	p := packet.Packet{Src: netip.IPv4Unspecified(), Out: "eth0"}
	if (&Masquerade{}).Mutate(&p); !p.Src.IsUnspecified() {
		t.Errorf("MASQUERADE made %s of no address", p.Src)
	}
	p = packet.Packet{Family: rule.IPv6, Hook: rule.Output, Dst: netip.MustParseAddr("2001:db8::1"), Proto: 58}
	if (&Redirect{}).Mutate(&p); p.Dst.String() != "::1" {
		t.Errorf("REDIRECT of IPv6 goes to %s", p.Dst)
	}
}

// TestNATLeavesICMPAlone: an echo has no ports, and its identifier is not told.
func TestNATLeavesICMPAlone(t *testing.T) {
	p := natPacket(rule.Postrouting)
	p.Proto, p.Transport = 1, packet.Transport{Type: 8}
	natTarget(t, "SNAT", "--to-source 10.2.2.2:5 --random", rule.IPv4).Mutate(&p)
	if p.Src.String() != "10.2.2.2" || p.Transport.Src != 0 || p.Connection.Status != packet.StatusSNAT {
		t.Errorf("%+v", p)
	}
}

func TestTranslatorsKnowTheirSide(t *testing.T) {
	for _, c := range []struct {
		target       Translator
		hook         rule.Hook
		source, dest bool
	}{
		{&DNAT{}, rule.Output, false, true}, {&Redirect{}, rule.Prerouting, false, true}, {&SNAT{}, rule.Input, true, false},
		{&Masquerade{}, rule.Postrouting, true, false}, {&NetMap{}, rule.Prerouting, false, true}, {&NetMap{}, rule.Output, false, true},
		{&NetMap{}, rule.Postrouting, true, false}, {&NetMap{}, rule.Input, true, false},
	} {
		if s, d := c.target.Translates(c.hook); s != c.source || d != c.dest {
			t.Errorf("%T at %v: source %v, destination %v", c.target, c.hook, s, d)
		}
	}
}

// TestSetsAreUnknownAfterSET: what SET added is in no host's facts.
func TestSetsAreUnknownAfterSET(t *testing.T) {
	p := packet.Packet{Host: &hostSays{in: true, known: true, local: true}}
	m := &SetMatch{SetRef: SetRef{SetName: "s", Dirs: []bool{true}}}
	if got := m.Match(&p); got != packet.Yes {
		t.Errorf("before: %v", got)
	}
	(&SetTarget{Add: SetRef{SetName: "s", Dirs: []bool{true}}}).Mutate(&p)
	if got := m.Match(&p); got != packet.Unknown {
		t.Errorf("after: %v", got)
	}
	if kind, known := p.Host.AddressType(netip.Addr{}, ""); kind != packet.AddressLocal || !known {
		t.Error("the host forgot its addresses")
	}
}

// TestBytesFollowTheHeader changes headers of packets whose bytes were told, and
// wants the bytes of a packet made so from the beginning.
func TestBytesFollowTheHeader(t *testing.T) {
	for _, proto := range []uint8{6, 17, 58, 1} {
		for _, f := range []rule.Family{rule.IPv4, rule.IPv6} {
			p, q := bytePacket(f, proto), bytePacket(f, proto)
			before := append([]byte(nil), p.Bytes...)
			dst := &DNAT{NATRange{Addr: AddrRange{p.Src, p.Src}, Ports: Range{99, 99}, HasPorts: true}}
			dst.Mutate(&p)
			(&TTLTarget{Value: 3}).Mutate(&p)
			(&TOSTarget{Value: 0x51, Mask: 0xff}).Mutate(&p)
			q.Dst, q.TTL, q.TOS = q.Src, 3, 0x51
			if packet.HasPorts(proto) {
				q.Transport.Dst = 99
			}
			q.Bytes = wireBytes(&q)
			if !reflect.DeepEqual(p.Bytes, q.Bytes) {
				t.Errorf("family %v protocol %d:\ngot  %x\nwant %x", f, proto, p.Bytes, q.Bytes)
			}
			if again := bytePacket(f, proto); !reflect.DeepEqual(before, again.Bytes) {
				t.Errorf("family %v protocol %d: the old bytes were changed", f, proto)
			}
		}
	}
}

// TestBytesAreForgotten where they cannot be made.
func TestBytesAreForgotten(t *testing.T) {
	untold := bytePacket(rule.IPv4, 6)
	untold.Known &^= packet.KnowTOS
	cut := bytePacket(rule.IPv4, 6)
	cut.Bytes = cut.Bytes[:24]
	for name, c := range map[string]struct {
		p packet.Packet
		m Mutator
	}{
		"DCCP's checksum is for some kernels": {bytePacket(rule.IPv4, 33), &Masquerade{}},
		"bits of an unknown field":            {untold, &DSCPTarget{Value: 3}},
		"cut off":                             {cut, &TTLTarget{Value: 3}},
		"an address that is not told":         {bytePacket(rule.IPv4, 6), &Masquerade{}},
		"options":                             {bytePacket(rule.IPv4, 6), &TCPOptStrip{}},
	} {
		if c.m.Mutate(&c.p); c.p.Bytes != nil {
			t.Errorf("%s: %x", name, c.p.Bytes)
		}
	}
}

// bytePacket is a packet with its bytes.
func bytePacket(f rule.Family, proto uint8) packet.Packet {
	p := packet.Packet{
		Family: f, Proto: proto, TTL: 64, TOS: 0x10, Src: netip.MustParseAddr("10.0.0.9"), Dst: netip.MustParseAddr("192.0.2.1"),
		Known:     packet.KnowTTL | packet.KnowTOS | packet.KnowPorts | packet.KnowFlags,
		Transport: packet.Transport{Src: 4000, Dst: 80, Flags: 2},
	}
	if f == rule.IPv6 {
		p.Src, p.Dst = netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("2001:db8:1::2")
	}
	p.Bytes = wireBytes(&p)
	return p
}

// wireBytes makes a packet's bytes, with checksums over all of it.
func wireBytes(p *packet.Packet) []byte {
	transport := make([]byte, 25)
	copy(transport[20:], "hello")
	if packet.HasPorts(p.Proto) {
		copy(transport, append(bePort(p.Transport.Src), bePort(p.Transport.Dst)...))
	}
	if p.Proto == 6 {
		transport[12], transport[13] = 0x50, p.Transport.Flags
	}
	addrs := append(p.Src.AsSlice(), p.Dst.AsSlice()...)
	if at := checksumOffset(p.Proto); at >= 0 {
		sum := onesSum(0, append(append([]byte{0, p.Proto, 0, 25}, addrs...), append(transport, 0)...))
		copy(transport[at:], bePort(^sum))
	}
	if p.Family == rule.IPv6 {
		head := append([]byte{0x60 | p.TOS>>4, p.TOS << 4, 0, 0, 0, 25, p.Proto, p.TTL}, addrs...)
		return append(head, transport...)
	}
	head := append([]byte{0x45, p.TOS, 0, 45, 0, 1, 0, 0, p.TTL, p.Proto, 0, 0}, addrs...)
	copy(head[10:], bePort(^onesSum(0, head)))
	return append(head, transport...)
}
