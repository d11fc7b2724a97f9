package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/packet"
	"moat/internal/rule"
)

// setsScript makes sets of every type; words in capitals stand for a
// family's addresses.
const setsScript = `
ipset create ip hash:ip FAM; ipset add ip A1
ipset create iptimeout hash:ip FAM timeout 600 counters comment; ipset add iptimeout A1 comment "hello"; ipset add iptimeout A2 timeout 0
ipset create ipmask hash:ip FAM netmask CUT; ipset add ipmask A1
ipset create net hash:net FAM; ipset add net NET; ipset add net A2 nomatch; ipset add net OTHER
ipset create netnet hash:net,net FAM; ipset add netnet NET,HERE; ipset add netnet A2,HERE nomatch; ipset add netnet OTHER,THERE
ipset create ipport hash:ip,port FAM; ipset add ipport A1,tcp:80; ipset add ipport A2,udp:53; ipset add ipport A1,ICMP:PING; ipset add ipport A1,vrrp:0
ipset create ipportip hash:ip,port,ip FAM; ipset add ipportip A1,tcp:80,B1
ipset create ipportnet hash:ip,port,net FAM; ipset add ipportnet A1,tcp:80,HERE; ipset add ipportnet A2,udp:53,THERE
ipset create netport hash:net,port FAM; ipset add netport NET,tcp:80; ipset add netport A2,tcp:80 nomatch; ipset add netport OTHER,udp:53
ipset create netportnet hash:net,port,net FAM; ipset add netportnet NET,tcp:80,HERE
ipset create netiface hash:net,iface FAM; ipset add netiface NET,eth0; ipset add netiface A2,eth0 nomatch; ipset add netiface OTHER,eth1
ipset create netwild hash:net,iface FAM; ipset add netwild NET,et wildcard
ipset create ipmark hash:ip,mark FAM markmask 0xff; ipset add ipmark A1,0x0; ipset add ipmark A2,0x7
ipset create mac hash:mac; ipset add mac MAC
ipset create othermac hash:mac; ipset add othermac 02:00:00:00:00:01
ipset create ipmac hash:ip,mac FAM; ipset add ipmac A1,MAC; ipset add ipmac A2,02:00:00:00:00:01
ipset create bport bitmap:port range 0-1024; ipset add bport 80; ipset add bport 53; ipset add bport 8
ipset create empty hash:ip FAM
ipset create list list:set; ipset add list ip; ipset add list netport; ipset add list empty
ipset create many hash:ip FAM
`

// more are sets that only IPv4 has.
const more = `
ipset create bip bitmap:ip range 10.1.0.0/24; ipset add bip A1
ipset create bipmask bitmap:ip range 10.0.0.0/8 netmask 24; ipset add bipmask A1
ipset create bipmac bitmap:ip,mac range 10.1.0.0/24; ipset add bipmac A1; ipset add bipmac A2,02:00:00:00:00:01
`

// asked are the ways in which rules of the test look into sets: name and dirs.
var asked = [...]string{
	"ip src", "ip dst", "ip src,dst", "iptimeout src", "ipmask src", "net src", "net dst", "netnet src,dst", "netnet dst,src", "netnet src",
	"ipport src,dst", "ipport src,src", "ipport dst,dst", "ipportip src,dst,dst", "ipportip src,dst", "ipportnet src,dst,dst",
	"netport src,dst", "netport src,src", "netportnet src,dst,dst", "netiface src,src", "netiface src,dst", "netwild src,src",
	"ipmark src,src", "mac src", "othermac src", "ipmac src,src", "bport dst", "bport src", "empty src", "list src,dst", "list src", "many src",
	"bip src", "bipmask src", "bipmask dst", "bipmac src,src",
}

// setPackets are the packets that are looked up.
func setPackets(f rule.Family, places map[string]string) (list []lab.Packet) {
	at := func(name string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(places[name]), port)
	}
	icmp, ping := uint8(lab.ProtoICMP), uint8(8)
	if f == rule.IPv6 {
		icmp, ping = lab.ProtoICMPv6, 128
	}
	for _, src := range []string{"A1", "A2", "A3", "A4"} {
		for _, p := range []lab.Packet{
			{Proto: lab.ProtoTCP, Flags: lab.SYN, Src: at(src, 1000), Dst: at("B1", 80)},
			{Proto: lab.ProtoTCP, Flags: lab.SYN, Src: at(src, 80), Dst: at("B1", 8)},
			{Proto: lab.ProtoUDP, Src: at(src, 53), Dst: at("B1", 53)},
			{Proto: icmp, Type: ping, Src: at(src, 0), Dst: at("B1", 0), Payload: []byte("\x00\x01\x00\x01")}, // identifier and number
			{Proto: 112, Src: at(src, 0), Dst: at("B1", 0), Payload: []byte("12345678")},                      // vrrp
			{Proto: 132, Src: at(src, 0), Dst: at("B1", 0), Payload: []byte("\x03\xe8\x00\x50\x00\x00\x00\x00\x00\x00\x00\x00")},
		} {
			p.TTL = uint8(10 + len(list))
			list = append(list, p)
		}
	}
	if f == rule.IPv4 {
		list = append(list, lab.Packet{
			Proto: lab.ProtoTCP, Src: at("A1", 0), Dst: at("B1", 0), FragOff: 64, ID: 7, Payload: []byte("later part of it"), TTL: uint8(10 + len(list)),
		})
	}
	return list
}

// toldPacket is a packet as the router's rules see it.
func toldPacket(f rule.Family, p lab.Packet, mac [6]byte) *packet.Packet {
	out := &packet.Packet{
		Family: f, Hook: rule.Prerouting, In: "eth0", Src: p.Src.Addr(), Dst: p.Dst.Addr(), Proto: p.Proto, Fragment: p.FragOff > 0, SrcMAC: mac,
		Known: packet.KnowFragment | packet.KnowMAC | packet.KnowMark | packet.KnowPorts | packet.KnowICMP,
	}
	out.Transport = packet.Transport{Src: p.Src.Port(), Dst: p.Dst.Port(), Type: p.Type, Code: p.Code}
	if p.Proto == packet.ProtoSCTP {
		out.Transport.Src, out.Transport.Dst = 1000, 80
	}
	return out
}

func TestSetsAreTheKernels(t *testing.T) {
	for _, c := range []struct {
		f       rule.Family
		script  string
		replace []string
	}{
		{rule.IPv4, setsScript + more, []string{
			"FAM", "family inet", "A1", "10.1.0.2", "A2", "10.1.0.3", "A3", "10.1.0.200", "A4", "10.99.3.4", "B1", "10.1.0.1", "NET", "10.1.0.0/25",
			"OTHER", "10.99.0.0/16", "HERE", "10.1.0.0/30", "THERE", "10.2.0.0/24", "CUT", "28", "ICMP:PING", "icmp:echo-request",
		}},
		{rule.IPv6, setsScript, []string{
			"FAM", "family inet6", "A1", "2001:db8:1::2", "A2", "2001:db8:1::3", "A3", "2001:db8:1::200", "A4", "2001:db8:99:3::4", "B1", "2001:db8:1::1",
			"NET", "2001:db8:1::/120", "OTHER", "2001:db8:99::/48", "HERE", "2001:db8:1::/126", "THERE", "2001:db8:2::/64", "CUT", "124",
			"ICMP:PING", "icmpv6:echo-request",
		}},
	} {
		t.Run(c.f.String(), func(t *testing.T) { setsAreTheKernels(t, c.f, c.script, c.replace) })
	}
}

func setsAreTheKernels(t *testing.T, f rule.Family, script string, replace []string) {
	h, sender := world(t)
	places := map[string]string{}
	for i := 0; i < len(replace); i += 2 {
		places[replace[i]] = replace[i+1]
	}
	mac := read(t, sender).Interface("eth0").MAC
	replace = append(replace, "MAC", fmt.Sprintf("%x:%x:%x:%x:%x:%x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]))
	makeSets(t, h, strings.NewReplacer(replace...).Replace(script))
	sh(t, h, "ipset restore <<'EOT'\n"+manyElements(places["A4"])+"EOT")
	known := read(t, h)
	if !known.SetsTold || len(known.Sets) < 10 {
		t.Fatalf("%d sets were read", len(known.Sets))
	}
	has := func(set string) bool {
		return slices.ContainsFunc(known.Sets, func(s *Set) bool { return s.Name == set })
	}
	packets := setPackets(f, places)
	var b strings.Builder
	b.WriteString("*raw\n:PREROUTING ACCEPT [0:0]\n")
	var rules int
	ttl := map[rule.Family]string{rule.IPv4: "-m ttl --ttl-eq", rule.IPv6: "-m hl --hl-eq"}[f]
	eachQuestion(has, packets, func(p lab.Packet, set, dirs string) {
		fmt.Fprintf(&b, "-A PREROUTING -i eth0 %s %d -m set --match-set %s %s\n", ttl, p.TTL, set, dirs)
		rules++
	})
	b.WriteString("-A PREROUTING -i eth0 " + ttl + " 200\nCOMMIT\n")
	sh(t, h, f.Program()+"-nft-restore <<'EOT'\n"+b.String()+"EOT")
	for _, p := range packets {
		sender.Send(p)
	}
	last := packets[0]
	last.TTL = 200
	sender.Send(last)
	counts := counted(t, f, h, rules)
	n := 0
	eachQuestion(has, packets, func(p lab.Packet, set, dirs string) {
		got, told := known.InSet(set, strings.Split(dirs, ","), toldPacket(f, p, mac))
		if want := counts[n] > 0; !told || got != want {
			t.Errorf("%v in %s %s: %v, known %v; the kernel says %v", p, set, dirs, got, told, want)
		}
		n++
	})
}

// makeSets runs the lines of a script. A type of set that the kernel was built
// without is left out: TestElementsOfEveryType has all.
func makeSets(t *testing.T, h *lab.Host, script string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(script) {
		if create, add, _ := strings.Cut(strings.TrimSpace(line), "; "); create != "" {
			fmt.Fprintf(&b, "if %s 2>/dev/null; then :; %s\nelse echo 'without: %s'; fi\n", create, add, create)
		}
	}
	t.Log(sh(t, h, b.String()))
}

// manyElements adds an address and 3000 after it to a set: more than one
// message holds.
func manyElements(first string) string {
	var b strings.Builder
	for i, a := 0, netip.MustParseAddr(first); i < 3000; i, a = i+1, a.Next() {
		fmt.Fprintf(&b, "add many %v\n", a)
	}
	return b.String()
}

// eachQuestion gives every packet with every question about a set that is there.
func eachQuestion(has func(set string) bool, packets []lab.Packet, each func(p lab.Packet, set, dirs string)) {
	for _, p := range packets {
		for _, q := range asked {
			set, dirs, _ := strings.Cut(q, " ")
			if has(set) {
				each(p, set, dirs)
			}
		}
	}
}

// counted waits for the packet of the last rule and gives all rules' counters.
func counted(t *testing.T, f rule.Family, h *lab.Host, rules int) (counts []int) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A`)
	err := lab.WaitFor(time.Minute, func() (bool, error) {
		counts = counts[:0]
		for _, m := range line.FindAllStringSubmatch(sh(t, h, f.Program()+"-nft-save -c -t raw"), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return false, err
			}
			counts = append(counts, n)
		}
		return len(counts) == rules+1 && counts[rules] > 0, nil
	})
	if err != nil {
		t.Fatalf("%v: %d of %d counters", err, len(counts), rules+1)
	}
	return counts
}

// What the kernels of all machines may not have, by hand.
func TestElementsOfEveryType(t *testing.T) {
	pre := netip.MustParsePrefix
	mac, other := [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}
	p := &packet.Packet{
		Family: rule.IPv4, In: "eth0", Src: netip.MustParseAddr("10.1.0.2"), Dst: netip.MustParseAddr("10.9.0.1"), Proto: packet.ProtoTCP, Mark: 0x107, SrcMAC: mac,
		Transport: packet.Transport{Src: 1000, Dst: 80}, Known: packet.KnowMAC | packet.KnowMark | packet.KnowPorts | packet.KnowFragment,
	}
	unknown := *p
	unknown.Known = 0
	for _, c := range []struct {
		set        *Set
		dirs       string
		in, hidden packet.Answer // of p, and of p with nothing told
	}{
		{&Set{Type: "hash:net,net", Elements: []Element{{Net: pre("10.1.0.0/24"), Net2: pre("10.9.0.0/16")}}}, "src,dst", packet.Yes, packet.Yes},
		{&Set{Type: "hash:net,net", Elements: []Element{{Net: pre("10.1.0.0/24"), Net2: pre("10.9.0.0/16")}}}, "dst,src", packet.No, packet.No},
		{&Set{Type: "hash:net,net", Elements: []Element{{Net: pre("10.1.0.0/24"), Net2: pre("10.9.0.0/16")}, {Net: pre("10.1.0.2/32"), Net2: pre("10.0.0.0/8"), NoMatch: true}}}, "src,dst", packet.No, packet.No},
		{&Set{Type: "hash:net,port,net", Elements: []Element{{Net: pre("10.1.0.0/24"), Proto: packet.ProtoTCP, Port: 80, Net2: pre("10.9.0.0/16")}}}, "src,dst,dst", packet.Yes, packet.Unknown},
		{&Set{Type: "hash:ip,mark", MarkMask: 0xff, Elements: []Element{{Net: pre("10.1.0.2/32"), Mark: 7}}}, "src,src", packet.Yes, packet.Unknown},
		{&Set{Type: "hash:ip,mark", Elements: []Element{{Net: pre("10.1.0.2/32"), Mark: 7}}}, "src,src", packet.No, packet.Unknown},
		{&Set{Type: "hash:mac", Elements: []Element{{MAC: mac, HasMAC: true}}}, "src", packet.Yes, packet.Unknown},
		{&Set{Type: "hash:mac", Elements: []Element{{MAC: other, HasMAC: true}, {MAC: mac, HasMAC: true}}}, "src", packet.Yes, packet.Unknown},
		{&Set{Type: "hash:mac", Elements: []Element{{MAC: other, HasMAC: true}}}, "src", packet.No, packet.Unknown},
		{&Set{Type: "hash:ip,mac", Elements: []Element{{Net: pre("10.1.0.2/32"), MAC: mac, HasMAC: true}}}, "src,src", packet.Yes, packet.Unknown},
		{&Set{Type: "hash:ip,mac", Elements: []Element{{Net: pre("10.1.0.2/32"), MAC: other, HasMAC: true}}}, "src,src", packet.No, packet.Unknown},
		{&Set{Type: "hash:net,iface", Elements: []Element{{Net: pre("10.1.0.0/24"), Interface: "br0", Physdev: true}}}, "src,src", packet.Unknown, packet.Unknown},
		{&Set{Type: "hash:new", Undecided: true}, "src", packet.Unknown, packet.Unknown},
		{&Set{Type: "hash:ip"}, "src", packet.No, packet.No},
	} {
		c.set.Name = "x"
		f := &Facts{Sets: []*Set{c.set}, SetsTold: true}
		if got := f.inSet("x", strings.Split(c.dirs, ","), p, 0); got != c.in {
			t.Errorf("%s %v: %v, want %v", c.set.Type, c.set.Elements, got, c.in)
		}
		if got := f.inSet("x", strings.Split(c.dirs, ","), &unknown, 0); got != c.hidden {
			t.Errorf("%s %v, nothing told: %v, want %v", c.set.Type, c.set.Elements, got, c.hidden)
		}
	}
	if _, known := (&Facts{}).InSet("none", []string{"src"}, p); known {
		t.Error("a set that is not there is known")
	}
}

func TestPortsInSets(t *testing.T) {
	f := &Facts{SetsTold: true, Sets: []*Set{
		{Name: "ports", Type: "bitmap:port", Elements: []Element{{Port: 81}, {Port: 80}, {Port: 65535}, {Port: 443}}},
		{Name: "pairs", Type: "hash:ip,port", Elements: []Element{{Port: 82}, {Port: 82}}},
		{Name: "addresses", Type: "hash:ip", Elements: []Element{{}}},
		{Name: "list", Type: "list:set", Elements: []Element{{Member: "ports"}, {Member: "pairs"}, {Member: "addresses"}, {Member: "list"}}},
	}}
	for _, c := range []struct {
		set     string
		sources []bool
		src     bool
		want    []PortRange
	}{
		{"ports", []bool{true}, true, []PortRange{{80, 81}, {443, 443}, {65535, 65535}}},
		{"ports", []bool{true}, false, nil},
		{"pairs", []bool{true, false}, true, nil},
		{"pairs", []bool{true, false}, false, []PortRange{{82, 82}}},
		{"pairs", []bool{true}, true, nil}, // no packet is in then
		{"addresses", []bool{true}, true, nil},
		{"list", []bool{true, true}, true, []PortRange{{80, 82}, {443, 443}, {65535, 65535}}},
		{"other", []bool{true}, true, nil},
	} {
		if got := f.PortsIn(c.set, c.sources, c.src); !slices.Equal(got, c.want) {
			t.Errorf("%s %v, source %v: %v", c.set, c.sources, c.src, got)
		}
	}
}
