package ext

import (
	"net/netip"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// answers is what a match with options says of a packet.
type answers struct {
	match, options string
	packet         *packet.Packet
	want           packet.Answer
}

// checkMatches asks each match of the table.
func checkMatches(t *testing.T, table []answers) {
	t.Helper()
	for _, c := range table {
		f := c.packet.Family
		if f == 0 {
			f = rule.IPv4
		}
		d := Find(Match, c.match, f)
		if d == nil {
			t.Fatalf("no match %s for %s", c.match, f.Program())
		}
		words, err := shellWords(c.options)
		if err != nil {
			t.Fatal(err)
		}
		x, err := parseOptions(d, &Context{Family: f, Rule: &rule.Rule{}, Names: testNames()}, words)
		if err != nil {
			t.Errorf("%s %s: %v", c.match, c.options, err)
			continue
		}
		if got := x.(Matcher).Match(c.packet); got != c.want {
			t.Errorf("%s %s: %s, want %s for %+v", c.match, c.options, got, c.want, *c.packet)
		}
	}
}

// TestMatchHeaderFields asks matches of single fields, known and not.
func TestMatchHeaderFields(t *testing.T) {
	nothing := &packet.Packet{}
	p := &packet.Packet{TOS: 0xb9, TTL: 64, Length: 100, CPU: 2, InGroup: 3, OutGroup: 0x14, CgroupPath: "/a/b",
		Known: packet.KnowTOS | packet.KnowTTL | packet.KnowLength | packet.KnowCPU | packet.KnowGroups | packet.KnowCgroup | packet.KnowFlags}
	p.Transport.Flags = 0x42
	noSocket := &packet.Packet{Known: packet.KnowCgroup}
	six := &packet.Packet{Family: rule.IPv6, TTL: 5, Known: packet.KnowTTL}
	late := &packet.Packet{Known: packet.KnowFlags, Fragment: true}
	checkMatches(t, []answers{
		{"dscp", "--dscp 46", p, packet.Yes}, {"dscp", "! --dscp 46", p, packet.No}, {"dscp", "--dscp 1", p, packet.No},
		{"dscp", "--dscp-class EF", nothing, packet.Unknown},
		{"tos", "--tos 0xb9", p, packet.Yes}, {"tos", "--tos 0x01/0x03", p, packet.Yes}, {"tos", "! --tos 0xb9", p, packet.No},
		{"tos", "--tos 1", nothing, packet.Unknown},
		{"ttl", "--ttl-eq 64", p, packet.Yes}, {"ttl", "! --ttl-eq 64", p, packet.No}, {"ttl", "--ttl-lt 64", p, packet.No},
		{"ttl", "--ttl-gt 63", p, packet.Yes}, {"ttl", "--ttl-gt 63", nothing, packet.Unknown},
		{"hl", "--hl-eq 5", six, packet.Yes}, {"hl", "--hl-lt 6", six, packet.Yes}, {"hl", "--hl-gt 5", six, packet.No},
		{"length", "--length 100", p, packet.Yes}, {"length", "! --length 50:100", p, packet.No}, {"length", "--length 101:", p, packet.No},
		{"length", "--length 100:50", p, packet.No}, {"length", "--length 1", nothing, packet.Unknown},
		{"cpu", "--cpu 2", p, packet.Yes}, {"cpu", "! --cpu 2", p, packet.No}, {"cpu", "--cpu 2", nothing, packet.Unknown},
		{"devgroup", "--src-group 3", p, packet.Yes}, {"devgroup", "--src-group 3 ! --dst-group 0x4/0xf", p, packet.No},
		{"devgroup", "--src-group 3 --dst-group 0x4/0xf", p, packet.Yes}, {"devgroup", "--src-group 1", nothing, packet.Unknown},
		{"cgroup", "--path a", p, packet.Yes}, {"cgroup", "--path /a/b", p, packet.Yes}, {"cgroup", "--path /a/b/c", p, packet.No},
		{"cgroup", "! --path /", p, packet.No}, {"cgroup", "--path a", nothing, packet.Unknown}, {"cgroup", "--cgroup 1", p, packet.Unknown},
		{"cgroup", "! --path a", noSocket, packet.No},
		{"ecn", "--ecn-ip-ect 1", p, packet.Yes}, {"ecn", "! --ecn-ip-ect 1", p, packet.No},
		{"ecn", "--ecn-tcp-ece --ecn-ip-ect 1", p, packet.Yes}, {"ecn", "--ecn-tcp-cwr", p, packet.No}, {"ecn", "! --ecn-tcp-cwr", p, packet.Yes},
		{"ecn", "--ecn-tcp-cwr", nothing, packet.Unknown}, {"ecn", "--ecn-ip-ect 1", nothing, packet.Unknown}, {"ecn", "--ecn-tcp-ece", late, packet.Unknown},
	})
}

// connected is a packet of a connection of which everything is known.
func connected() *packet.Packet {
	p := &packet.Packet{Known: packet.KnowState | packet.KnowConnMark | packet.KnowConnLabels | packet.KnowConnHelper | packet.KnowConnCounter}
	p.Connection = packet.Connection{
		State: packet.Established, Mark: 0x12, Helper: "ftp", Packets: [2]uint64{10, 5}, Bytes: [2]uint64{1000, 4000},
	}
	p.Connection.Labels[1] = 1 << 2 // label 10
	return p
}

// TestMatchConnections asks matches of the connection.
func TestMatchConnections(t *testing.T) {
	nothing, p := &packet.Packet{}, connected()
	untracked := &packet.Packet{Known: packet.KnowState, Connection: packet.Connection{State: packet.Untracked}}
	noHelper := connected()
	noHelper.Connection.Helper = ""
	empty := connected()
	empty.Connection.Packets = [2]uint64{}
	const mode = " --connbytes-dir "
	checkMatches(t, []answers{
		{"connmark", "--mark 0x12", p, packet.Yes}, {"connmark", "--mark 2/0xf", p, packet.Yes}, {"connmark", "! --mark 2/0xf", p, packet.No},
		{"connmark", "--mark 1", nothing, packet.Unknown}, {"connmark", "! --mark 1", untracked, packet.No},
		{"connlabel", "--label 10", p, packet.Yes}, {"connlabel", "! --label 10", p, packet.No}, {"connlabel", "--label 9", p, packet.No},
		{"connlabel", "--label 9 --set", p, packet.Unknown}, {"connlabel", "--label 10 --set", p, packet.Yes},
		{"connlabel", "! --label 1", untracked, packet.Yes}, {"connlabel", "--label 1", nothing, packet.Unknown},
		{"helper", "--helper ftp", p, packet.Yes}, {"helper", "--helper ftp-2121", p, packet.Yes}, {"helper", "--helper sip", p, packet.No},
		{"helper", "! --helper sip", p, packet.Yes}, {"helper", "--helper ''", p, packet.Yes}, {"helper", "--helper ''", noHelper, packet.No},
		{"helper", "! --helper ftp", untracked, packet.Yes}, {"helper", "--helper ftp", nothing, packet.Unknown},
		{"connbytes", "--connbytes 1000:1000 --connbytes-mode bytes" + mode + "original", p, packet.Yes},
		{"connbytes", "--connbytes 4001 --connbytes-mode bytes" + mode + "reply", p, packet.No},
		{"connbytes", "! --connbytes 4001 --connbytes-mode bytes" + mode + "reply", p, packet.Yes},
		{"connbytes", "--connbytes 15:15 --connbytes-mode packets" + mode + "both", p, packet.Yes},
		{"connbytes", "--connbytes 800:800 --connbytes-mode avgpkt" + mode + "reply", p, packet.Yes},
		{"connbytes", "--connbytes 0:0 --connbytes-mode avgpkt" + mode + "reply", empty, packet.Yes},
		{"connbytes", "--connbytes 0 --connbytes-mode bytes" + mode + "both", untracked, packet.No},
		{"connbytes", "--connbytes 0 --connbytes-mode bytes" + mode + "both", nothing, packet.Unknown},
	})
}

// TestMatchIPsec asks matches of indexes in transport headers.
func TestMatchIPsec(t *testing.T) {
	nothing, late := &packet.Packet{}, &packet.Packet{Fragment: true}
	p := &packet.Packet{Known: packet.KnowSPI, Transport: packet.Transport{SPI: 256}}
	comp := &packet.Packet{Proto: 108, Bytes: append(ipv4Header(), 6, 0, 0, 9)}
	checkMatches(t, []answers{
		{"esp", "--espspi 256", p, packet.Yes}, {"esp", "! --espspi 1:500", p, packet.No}, {"esp", "--espspi 1", nothing, packet.Unknown},
		{"esp", "! --espspi 1", late, packet.No},
		{"ah", "--ahspi 200:300", p, packet.Yes}, {"ah", "--ahspi 300:200", p, packet.No}, {"ah", "", late, packet.No},
		{"ipcomp", "--ipcompspi 9", comp, packet.Yes}, {"ipcomp", "! --ipcompspi 9", comp, packet.No}, {"ipcomp", "--ipcompspi 9", nothing, packet.Unknown},
		{"ipcomp", "! --ipcompspi 9", late, packet.No},
	})
}

// ipv4Header is a header of 20 bytes, of which only its length matters here.
func ipv4Header() []byte { return append([]byte{0x45}, make([]byte, 19)...) }

// TestMatchDCCP asks for ports and types.
func TestMatchDCCP(t *testing.T) {
	nothing, late := &packet.Packet{}, &packet.Packet{Fragment: true}
	p := &packet.Packet{Proto: 33, Known: packet.KnowPorts, Transport: packet.Transport{Src: 5, Dst: 80}}
	p.Bytes = append(ipv4Header(), 0, 5, 0, 80, 4, 0, 0, 0, 3<<1, 0, 0, 0) // an ACK
	checkMatches(t, []answers{
		{"dccp", "--sport 5 --dport 1:80", p, packet.Yes}, {"dccp", "! --sport 5", p, packet.No}, {"dccp", "--dccp-types ACK,RESET", p, packet.Yes},
		{"dccp", "! --dccp-types ACK", p, packet.No}, {"dccp", "--dccp-option 5", p, packet.Unknown}, {"dccp", "--dccp-option 5 --sport 6", p, packet.No},
		{"dccp", "--dccp-types ACK", nothing, packet.Unknown}, {"dccp", "--sport 1", nothing, packet.Unknown}, {"dccp", "", late, packet.No},
	})
}

// ipv6Packet is a packet with the extension headers of next, then those bytes of transport.
func ipv6Packet(proto uint8, transport []byte, headers ...packet.Extension) *packet.Packet {
	p := &packet.Packet{Family: rule.IPv6, Known: packet.KnowExtensions, Proto: proto, Extensions: headers}
	p.Bytes = make([]byte, 40)
	next := 6
	for _, h := range headers {
		p.Bytes[next] = h.Proto
		next = len(p.Bytes)
		p.Bytes = append(p.Bytes, h.Data...)
	}
	p.Bytes[next] = proto
	p.Bytes = append(p.Bytes, transport...)
	return p
}

// TestMatchIPv6Headers asks for extension headers.
func TestMatchIPv6Headers(t *testing.T) {
	hop := packet.Extension{Proto: 0, Data: []byte{0, 0, 0, 5, 2, 0, 0, 1}} // padding of one byte, option 5 of two bytes, padding
	dst := packet.Extension{Proto: 60, Data: []byte{0, 0, 1, 4, 0, 0, 0, 0}}
	frag := packet.Extension{Proto: 44, Data: []byte{0, 0, 0, 1, 0, 0, 0, 7}} // the first, more follow
	last := packet.Extension{Proto: 44, Data: []byte{0, 0, 0, 8, 0, 0, 0, 7}}
	auth := packet.Extension{Proto: 51, Data: append([]byte{0, 1, 0, 0, 0, 0, 1, 0}, 0, 0, 0, 1)}
	full := ipv6Packet(135, []byte{59, 0, 5, 0, 0, 0, 0, 0}, hop, dst, frag, auth)
	bare := ipv6Packet(6, make([]byte, 20))
	other := ipv6Packet(59, nil, last)
	nothing := &packet.Packet{Family: rule.IPv6}
	untold := &packet.Packet{Family: rule.IPv6, Known: packet.KnowExtensions,
		Extensions: []packet.Extension{{Proto: 0}, {Proto: 44}, {Proto: 51}}}
	checkMatches(t, []answers{
		{"ah", "--ahspi 256 --ahlen 12 --ahres", full, packet.Yes}, {"ah", "! --ahlen 12", full, packet.No}, {"ah", "--ahspi 1", full, packet.No},
		{"ah", "", bare, packet.No}, {"ah", "", nothing, packet.Unknown}, {"ah", "", untold, packet.Unknown},
		{"frag", "--fragid 7 --fragfirst --fragmore --fragres", full, packet.Yes}, {"frag", "--fraglast", full, packet.No},
		{"frag", "! --fragid 7", full, packet.No}, {"frag", "--fraglast", other, packet.Yes}, {"frag", "--fragfirst", other, packet.No},
		{"frag", "", bare, packet.No}, {"frag", "", nothing, packet.Unknown}, {"frag", "", untold, packet.Unknown},
		{"hbh", "--hbh-len 8 --hbh-opts 0,5:2", full, packet.Yes}, {"hbh", "--hbh-opts 0,5:3", full, packet.No}, {"hbh", "! --hbh-len 8", full, packet.No},
		{"hbh", "--hbh-opts 0,5,1,1", full, packet.No}, {"hbh", "--hbh-opts 0,5", bare, packet.No}, {"hbh", "", nothing, packet.Unknown},
		{"hbh", "--hbh-opts 5", untold, packet.Unknown}, {"dst", "--dst-opts 1:4", full, packet.Yes}, {"dst", "--dst-opts 1:4,6", full, packet.No},
		{"ipv6header", "--header hop,dst,frag,auth,prot", full, packet.Yes}, {"ipv6header", "! --header route,esp,none", full, packet.Yes},
		{"ipv6header", "--header hop", full, packet.No}, {"ipv6header", "--header hop,dst --soft", full, packet.Yes},
		{"ipv6header", "! --header route --soft", full, packet.Yes}, {"ipv6header", "--header frag,none", other, packet.Yes},
		{"ipv6header", "--header prot", bare, packet.Yes}, {"ipv6header", "--header prot", nothing, packet.Unknown},
		{"mh", "--mh-type bu", full, packet.Yes}, {"mh", "! --mh-type 0:5", full, packet.No}, {"mh", "--mh-type 1", nothing, packet.Unknown},
		{"mh", "", &packet.Packet{Family: rule.IPv6, Fragment: true}, packet.No},
	})
}

// TestTransportBytes finds no header in packets that are cut off or odd.
func TestTransportBytes(t *testing.T) {
	odd := ipv6Packet(6, make([]byte, 20))
	odd.Proto = 17
	cut := ipv6Packet(6, nil, packet.Extension{Proto: 43, Data: make([]byte, 8)})
	short := &packet.Packet{Family: rule.IPv6, Bytes: make([]byte, 30)}
	ended := ipv6Packet(6, nil, packet.Extension{Proto: 0, Data: []byte{6, 9}})
	long := &packet.Packet{Bytes: append([]byte{0x4f}, make([]byte, 30)...)}
	for i, p := range []*packet.Packet{odd, cut, short, ended, long, {}} {
		if b := transportBytes(p); b != nil {
			t.Errorf("packet %d: %d bytes of transport header", i, len(b))
		}
	}
}

// TestMatchEUI64 compares addresses.
func TestMatchEUI64(t *testing.T) {
	p := &packet.Packet{Family: rule.IPv6, Src: netip.MustParseAddr("fe80::211:22ff:fe33:4455"), SrcMAC: [6]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55}, Known: packet.KnowMAC}
	foreign := *p
	foreign.SrcMAC[5] = 1
	checkMatches(t, []answers{
		{"eui64", "", p, packet.Yes}, {"eui64", "", &foreign, packet.No}, {"eui64", "", &packet.Packet{Family: rule.IPv6}, packet.Unknown},
	})
}

// TestMatchBPF runs programs on a packet of 28 bytes.
func TestMatchBPF(t *testing.T) {
	p := &packet.Packet{Bytes: append(ipv4Header(), 0, 53, 0, 80, 0, 8, 0, 0)}
	p.Bytes[9] = 17
	for program, want := range map[string]packet.Answer{
		"48 0 0 9,21 0 1 17,6 0 0 1,6 0 0 0":                                           packet.Yes,     // protocol 17
		"48 0 0 9,21 1 0 17,6 0 0 1,6 0 0 0":                                           packet.No,      // the other way round
		"177 0 0 0,72 0 0 2,21 0 1 80,6 0 0 1,6 0 0 0":                                 packet.Yes,     // port 80 behind the header
		"40 0 0 27,6 0 0 1":                                                            packet.No,      // past the end
		"32 0 0 4294963200,6 0 0 1":                                                    packet.Unknown, // ask the kernel
		"128 0 0 0,4 0 0 4,20 0 0 2,36 0 0 2,22 0 0 0":                                 packet.Yes,     // (28+4-2)*2
		"0 0 0 7,7 0 0 0,135 0 0 0,76 0 0 0,22 0 0 0":                                  packet.Yes,     // TAX, TXA, OR
		"0 0 0 9,2 0 0 3,0 0 0 0,96 0 0 3,53 0 1 9,6 0 0 1,6 0 0 0":                    packet.Yes,     // memory, at least 9
		"0 0 0 9,84 0 0 6,22 0 0 0":                                                    packet.No,      // 9 AND 6
		"0 0 0 9,148 0 0 4,116 0 0 0,100 0 0 1,164 0 0 2,132 0 0 0,132 0 0 0,22 0 0 0": packet.No,      // 9%4=1, <<1=2, XOR 2
		"0 0 0 9,52 0 0 0,6 0 0 1":                                                     packet.No,      // by zero
		"0 0 0 9,52 0 0 3,37 0 1 2,6 0 0 1,6 0 0 0":                                    packet.Yes,     // 3 is more than 2
		"0 0 0 4,69 0 1 4,6 0 0 1,6 0 0 0":                                             packet.Yes,     // bit 2
		"5 0 0 1,6 0 0 0,6 0 0 1":                                                      packet.Yes,     // over one
		"1 0 0 5,3 0 0 1,97 0 0 1,14 0 0 0":                                            packet.Yes,     // X by memory
		"96 0 0 16,6 0 0 1":                                                            packet.Unknown,
		"2 0 0 16,6 0 0 1":                                                             packet.Unknown,
		"192 0 0 0,6 0 0 1":                                                            packet.Unknown,
		"56 0 0 0,6 0 0 1":                                                             packet.Unknown,
		"244 0 0 0,6 0 0 1":                                                            packet.Unknown,
		"85 0 0 0,6 0 0 1":                                                             packet.Unknown,
		"0 0 0 1":                                                                      packet.Unknown, // runs off its end
	} {
		n := 1 + strings.Count(program, ",")
		options := "--bytecode '" + string(rune('0'+n)) + "," + program + "'"
		checkMatches(t, []answers{{"bpf", options, p, want}, {"bpf", options, &packet.Packet{}, packet.Unknown}})
	}
}
