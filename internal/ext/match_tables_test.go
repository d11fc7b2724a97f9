package ext

import (
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// tcpPacket is a SYN from port 5000 to port 22 of which all of the header is told.
func tcpPacket() packet.Packet {
	return packet.Packet{
		Proto: 6, Known: packet.KnowPorts | packet.KnowFlags | packet.KnowTCPOptions,
		Transport: packet.Transport{Src: 5000, Dst: 22, Flags: 2, Options: []packet.TCPOption{{Kind: 2, Data: []byte{5, 180}}, {Kind: 1}}},
	}
}

func TestTCPDecides(t *testing.T) {
	p, untold, fragment := tcpPacket(), packet.Packet{Proto: 6}, packet.Packet{Proto: 6, Fragment: true}
	bytes := packet.Packet{Proto: 6, Fragment: true, Bytes: append(append([]byte{0x45}, make([]byte, 19)...), "xxxxxxxxxxxxxxxxxxxx"...)}
	half := packet.Packet{Proto: 6, Known: packet.KnowDstPort, Transport: packet.Transport{Dst: 22}}
	checkAnswers(t, &tcp, rule.IPv4, []answerCase{
		{p, "", packet.Yes}, {fragment, "", packet.No},
		{p, "--dport 22", packet.Yes}, {p, "--dport 23", packet.No}, {p, "! --dport 22", packet.No}, {p, "! --dport 23", packet.Yes},
		{p, "--sport 4999:5000 --dport :22", packet.Yes}, {p, "! --dport :21", packet.Yes}, {p, "--dport 23:", packet.No},
		{untold, "--dport 22", packet.Unknown}, {half, "--dport 22", packet.Yes}, {half, "--sport 1 --dport 22", packet.Unknown},
		{half, "--sport 1 --dport 23", packet.No},
		// The native form takes a later fragment's bytes for a header, the xt form does not.
		{fragment, "--dport 22", packet.Unknown}, {fragment, "! --dport 22", packet.Unknown}, {bytes, "--dport 30840", packet.Yes},
		{fragment, "! --tcp-flags SYN ACK", packet.Unknown}, {bytes, "! --sport 30840", packet.No}, {bytes, "--tcp-flags ALL PSH,ACK,URG", packet.Yes}, {bytes, "--tcp-option 2 --dport 30840", packet.No},
		// A full range writes no expression, even inverted, unless an option asks for the xt form.
		{p, "! --sport 0:65535", packet.Yes}, {fragment, "! --sport 0:65535", packet.Yes},
		{p, "! --sport 0:65535 --tcp-option 2", packet.No}, {untold, "! --sport 0:65535 --tcp-option 2", packet.No},
		// Two inverted single ports are one comparison of four bytes, in the native form.
		{p, "! --sport 5000 ! --dport 23", packet.Yes}, {p, "! --sport 5000 ! --dport 22", packet.No}, {p, "! --sport 1 ! --dport 2", packet.Yes},
		{half, "! --sport 1 ! --dport 23", packet.Yes}, {half, "! --sport 1 ! --dport 22", packet.Unknown},
		{p, "! --sport 5000 ! --dport 23 --tcp-option 2", packet.No}, {p, "! --sport 5000 ! --dport 23:24", packet.No},
		{p, "--tcp-flags SYN,ACK SYN", packet.Yes}, {p, "! --tcp-flags SYN,ACK SYN", packet.No}, {p, "--tcp-flags ALL SYN,ACK", packet.No},
		{p, "--syn", packet.Yes}, {untold, "--syn", packet.Unknown}, {fragment, "! --syn", packet.Unknown},
		{untold, "--tcp-flags SYN ACK", packet.No}, {untold, "! --tcp-flags SYN ACK", packet.Yes},
		// Flags that look at none write no expression either.
		{fragment, "--tcp-flags NONE SYN", packet.Yes}, {p, "! --tcp-flags NONE SYN --dport 22", packet.Yes},
		{p, "! --tcp-flags NONE NONE --tcp-option 2", packet.No},
		{p, "--tcp-option 2", packet.Yes}, {p, "--tcp-option 3", packet.No}, {p, "! --tcp-option 3", packet.Yes}, {p, "! --tcp-option 1", packet.No},
		{untold, "--tcp-option 2", packet.Unknown}, {fragment, "! --tcp-option 2", packet.No}, {untold, "--tcp-option 2 --tcp-flags SYN ACK", packet.No},
	})
}

// TestPortsOfOtherProtocols: a rule for all protocols but tcp looks at the bytes
// where tcp has its ports.
func TestPortsOfOtherProtocols(t *testing.T) {
	udpPacket := packet.Packet{Proto: 17, Known: packet.KnowPorts, Transport: packet.Transport{Src: 1, Dst: 22}}
	echo := packet.Packet{Proto: 1, Known: packet.KnowPorts} // no ports, whatever is said of them
	told := echo
	told.Bytes = append(append(make([]byte, 0, 40), 0x45), make([]byte, 39)...)
	told.Bytes[23], told.Bytes[33] = 22, 2
	for _, c := range []struct {
		name string
		m    TCP
		p    packet.Packet
		want packet.Answer
	}{
		{"udp", TCP{Src: anyPort, Dst: PortMatch{Range: Range{22, 22}}}, udpPacket, packet.Yes},
		{"icmp", TCP{Src: anyPort, Dst: PortMatch{Range: Range{22, 22}}}, echo, packet.Unknown},
		{"icmp with its bytes", TCP{Src: anyPort, Dst: PortMatch{Range: Range{22, 22}}}, told, packet.Yes},
		{"icmp with its bytes, source", TCP{Src: PortMatch{Range: Range{22, 22}}, Dst: anyPort}, told, packet.No},
		{"flags of icmp", TCP{Src: anyPort, Dst: anyPort, Mask: 2, Comp: 2}, echo, packet.Unknown},
		{"flags of icmp with its bytes", TCP{Src: anyPort, Dst: anyPort, Mask: 2, Comp: 2}, told, packet.Yes},
		{"bare match", TCP{Src: anyPort, Dst: anyPort}, udpPacket, packet.No},
	} {
		if got := c.m.Match(&c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestUDPDecides(t *testing.T) {
	p := packet.Packet{Proto: 17, Known: packet.KnowPorts, Transport: packet.Transport{Src: 53, Dst: 5000}}
	checkAnswers(t, &udp, rule.IPv4, []answerCase{
		{p, "", packet.Yes}, {packet.Packet{Proto: 17, Fragment: true}, "", packet.No},
		{p, "--sport 53 --dport 4000:6000", packet.Yes}, {p, "! --sport 53 ! --dport 5000", packet.No}, {p, "! --sport 53 ! --dport 1", packet.Yes},
		{p, "--dport 6000:4000", packet.No}, {p, "! --dport 6000:4000", packet.Yes},
		{packet.Packet{Proto: 17}, "--dport 6000:4000", packet.No}, {packet.Packet{Proto: 17}, "--dport 6000", packet.Unknown},
		{packet.Packet{Proto: 17, Fragment: true}, "! --dport 1", packet.Unknown},
		{packet.Packet{Proto: 17, Fragment: true}, "! --dport 6000:4000", packet.Unknown}, {packet.Packet{Proto: 17, Fragment: true}, "--dport 6000:4000", packet.No},
		{packet.Packet{Proto: 17, Fragment: true, Family: rule.IPv6, Bytes: make([]byte, 60)}, "--dport 0", packet.Yes},
	})
}

func TestMultiportDecides(t *testing.T) {
	p := tcpPacket()
	dst := packet.Packet{Proto: 6, Known: packet.KnowDstPort, Transport: packet.Transport{Dst: 22}}
	checkAnswers(t, &multiport, rule.IPv4, []answerCase{
		{p, "--dports 22,80", packet.Yes}, {p, "--dports 1:21,80", packet.No}, {p, "! --dports 20:30", packet.No}, {p, "! --dports 80", packet.Yes},
		{p, "--sports 5000", packet.Yes}, {p, "--sports 22", packet.No}, {p, "--ports 22", packet.Yes}, {p, "--ports 5000", packet.Yes}, {p, "! --ports 1", packet.Yes},
		{dst, "--ports 22", packet.Yes}, {dst, "--ports 23", packet.Unknown}, {dst, "! --ports 22", packet.No}, {dst, "--sports 22", packet.Unknown},
		{packet.Packet{Proto: 6, Fragment: true}, "! --dports 22", packet.No}, {dst, "--dports 22", packet.Yes},
	})
}

func TestICMPDecides(t *testing.T) {
	p := packet.Packet{Proto: 1, Known: packet.KnowICMP, Transport: packet.Transport{Type: 3, Code: 4}}
	anyType := packet.Packet{Proto: 1, Known: packet.KnowICMP, Transport: packet.Transport{Type: 255, Code: 4}}
	checkAnswers(t, &icmp, rule.IPv4, []answerCase{
		{p, "--icmp-type destination-unreachable", packet.Yes}, {p, "--icmp-type fragmentation-needed", packet.Yes}, {p, "--icmp-type 3/5", packet.No},
		{p, "! --icmp-type 3/5", packet.Yes}, {p, "! --icmp-type 3", packet.No}, {p, "--icmp-type any", packet.Yes}, {p, "! --icmp-type any", packet.No},
		{packet.Packet{Proto: 1}, "--icmp-type any", packet.Yes}, {packet.Packet{Proto: 1}, "--icmp-type 8", packet.Unknown}, {anyType, "--icmp-type 255/7", packet.Yes},
		{packet.Packet{Proto: 1, Fragment: true}, "--icmp-type any", packet.No}, {packet.Packet{Proto: 6}, "! --icmp-type 8", packet.No},
	})
	p6 := packet.Packet{Proto: 58, Known: packet.KnowICMP, Transport: packet.Transport{Type: 128}}
	checkAnswers(t, &icmp6, rule.IPv6, []answerCase{
		{p6, "--icmpv6-type echo-request", packet.Yes}, {p6, "! --icmpv6-type 128/0", packet.No}, {p6, "--icmpv6-type 255", packet.No},
		{packet.Packet{Proto: 58}, "--icmpv6-type 255", packet.Unknown}, {packet.Packet{Proto: 58, Fragment: true}, "! --icmpv6-type 1", packet.No},
	})
}

func TestMarkDecides(t *testing.T) {
	p := packet.Packet{Known: packet.KnowMark, Mark: 0x12}
	checkAnswers(t, &markMatch, rule.IPv4, []answerCase{
		{p, "--mark 0x12", packet.Yes}, {p, "--mark 2/0xf", packet.Yes}, {p, "! --mark 2/0xf", packet.No}, {p, "--mark 0x12/0xf", packet.No},
		{packet.Packet{}, "--mark 1", packet.Unknown}, {packet.Packet{}, "--mark 0x12/0xf", packet.No}, {packet.Packet{}, "! --mark 0x12/0xf", packet.Yes},
		{packet.Packet{}, "--mark 0/0", packet.Yes}, {packet.Packet{}, "! --mark 0/0", packet.No},
	})
}

func TestMACDecides(t *testing.T) {
	p := packet.Packet{Known: packet.KnowMAC, SrcMAC: [6]byte{0, 1, 2, 3, 4, 5}, In: "eth0"}
	lo := packet.Packet{Known: packet.KnowMAC, In: "lo"}
	checkAnswers(t, &mac, rule.IPv4, []answerCase{
		{p, "--mac-source 00:01:02:03:04:05", packet.Yes}, {p, "--mac-source 00:01:02:03:04:06", packet.No}, {p, "! --mac-source 00:01:02:03:04:06", packet.Yes},
		{packet.Packet{}, "--mac-source 00:01:02:03:04:05", packet.Unknown}, {lo, "! --mac-source 00:01:02:03:04:05", packet.No},
	})
}

func TestIPRangeDecides(t *testing.T) {
	p := packet.Packet{Src: netip.MustParseAddr("10.0.0.9"), Dst: netip.MustParseAddr("192.0.2.1")}
	half := packet.Packet{Dst: p.Dst}
	checkAnswers(t, &iprange, rule.IPv4, []answerCase{
		{p, "--src-range 10.0.0.9-10.0.0.20", packet.Yes}, {p, "--src-range 10.0.0.1-10.0.0.8", packet.No}, {p, "! --src-range 10.0.0.1-10.0.0.9", packet.No},
		{p, "--src-range 10.0.0.9 ! --dst-range 192.0.2.2-192.0.2.3", packet.Yes}, {half, "--src-range 10.0.0.9", packet.Unknown},
		{half, "--src-range 10.0.0.9 --dst-range 192.0.2.2", packet.No}, {half, "--src-range 10.0.0.9-10.0.0.1", packet.No}, {half, "! --src-range 10.0.0.9-10.0.0.1", packet.Yes},
	})
	p6 := packet.Packet{Src: netip.MustParseAddr("2001:db8::9")}
	checkAnswers(t, &iprange, rule.IPv6, []answerCase{
		{p6, "--src-range 2001:db8::1-2001:db8::ffff", packet.Yes}, {p6, "! --src-range 2001:db8::1-2001:db8::ffff", packet.No},
	})
}

func TestAddrTypeDecides(t *testing.T) {
	local, unicast := &hostSays{local: true, known: true}, &hostSays{known: true}
	at := func(h packet.Host, src, dst string) packet.Packet {
		p := packet.Packet{Host: h, In: "eth0"}
		p.Src, _ = netip.ParseAddr(src)
		p.Dst, _ = netip.ParseAddr(dst)
		return p
	}
	hidden := at(local, "10.0.0.1", "10.0.0.2")
	hidden.In, hidden.HiddenIn = "", true
	checkAnswers(t, &addrtype, rule.IPv4, []answerCase{
		{at(local, "10.0.0.1", "10.0.0.2"), "--dst-type LOCAL", packet.Yes}, {at(unicast, "10.0.0.1", "10.0.0.2"), "--dst-type LOCAL", packet.No},
		{at(unicast, "10.0.0.1", ""), "--src-type UNICAST,LOCAL", packet.Yes}, {at(unicast, "10.0.0.1", ""), "! --src-type UNICAST", packet.No},
		{at(local, "10.0.0.1", ""), "--src-type LOCAL --dst-type LOCAL", packet.Unknown}, {at(unicast, "10.0.0.1", ""), "--src-type LOCAL --dst-type LOCAL", packet.No},
		{at(nil, "10.0.0.1", "224.0.0.1"), "--dst-type MULTICAST", packet.Yes}, {at(nil, "10.0.0.1", "224.0.0.1"), "! --dst-type LOCAL", packet.Yes},
		{at(nil, "10.0.0.1", "10.0.0.2"), "--dst-type LOCAL", packet.Unknown}, {at(&hostSays{}, "10.0.0.1", "10.0.0.2"), "--dst-type LOCAL", packet.Unknown},
		{at(local, "10.0.0.1", "10.0.0.2"), "--dst-type LOCAL --limit-iface-in", packet.Yes}, {hidden, "--dst-type LOCAL --limit-iface-in", packet.Unknown},
		{hidden, "--dst-type LOCAL", packet.Yes}, {hidden, "--dst-type LOCAL --limit-iface-out", packet.Yes},
	})
	checkAnswers(t, &addrtype, rule.IPv6, []answerCase{
		{at(nil, "", "ff02::1"), "--dst-type MULTICAST", packet.Yes}, {at(nil, "", "2001:db8::1"), "--dst-type UNICAST", packet.Yes},
		{at(nil, "", "2001:db8::1"), "--dst-type MULTICAST,LOCAL", packet.No}, {at(local, "", "2001:db8::1"), "--dst-type UNICAST,LOCAL", packet.Yes},
		{at(unicast, "", "2001:db8::1"), "--dst-type UNICAST,LOCAL", packet.No}, {at(unicast, "", "2001:db8::1"), "! --dst-type LOCAL", packet.Yes},
		{at(nil, "", "::"), "--dst-type UNSPEC", packet.Yes}, {at(nil, "", "::"), "--dst-type UNICAST", packet.No}, {at(nil, "", "::1"), "--dst-type UNSPEC", packet.No},
	})
}

func TestCommentMatchesAll(t *testing.T) {
	checkAnswers(t, &comment, rule.IPv4, []answerCase{{packet.Packet{}, "--comment x", packet.Yes}})
}

func TestPortsAreAskedForApart(t *testing.T) {
	p := packet.Packet{Proto: 132, Known: packet.KnowDstPort, Transport: packet.Transport{Dst: 80}}
	checkAnswers(t, &sctp, rule.IPv4, []answerCase{
		{p, "--dport 80", packet.Yes}, {p, "--sport 1 --dport 80", packet.Unknown}, {p, "--sport 1 --dport 81", packet.No},
	})
	p.Proto = 33
	checkAnswers(t, &dccp, rule.IPv4, []answerCase{
		{p, "--dport 80", packet.Yes}, {p, "--sport 1 --dport 80", packet.Unknown}, {p, "--sport 1 --dport 81", packet.No},
		{packet.Packet{Proto: 6}, "--dport 80", packet.No},
	})
}
