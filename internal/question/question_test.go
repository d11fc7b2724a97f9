package question

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// names is a DB of a few services, protocols and users, whatever the host has.
func names(t testing.TB) *netdb.DB {
	t.Helper()
	etc := t.TempDir()
	for file, text := range map[string]string{
		"services":  "ssh 22/tcp\nhttp 80/tcp www\ndomain 53/tcp\ndomain 53/udp\nftp-data 20/tcp\n",
		"protocols": "tcp 6 TCP\nudp 17 UDP\ngre 47 GRE\nospf 89 OSPFIGP\n",
		"passwd":    "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/false\n",
		"group":     "root:x:0:\nweb:x:34:\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &netdb.DB{Etc: etc}
}

// TestPrinted gives a question its defaults and prints it; what is printed must
// be read back as the same question.
func TestPrinted(t *testing.T) {
	db := names(t)
	for _, c := range []struct{ in, out string }{
		{"tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0", "tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0 state NEW flags SYN"},
		{"tcp from 203.0.113.7 to 198.51.100.2:ssh in eth0", "tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0 state NEW flags SYN"},
		{"tcp 203.0.113.7→198.51.100.2:http", "tcp 203.0.113.7:50000 -> 198.51.100.2:80 state NEW flags SYN"},
		{"tcp 203.0.113.7 -> 198.51.100.2 out eth0", "tcp 203.0.113.7:50000 -> 198.51.100.2 out eth0 state NEW flags SYN"},
		{"TCP [2001:db8::7]:50000 -> [2001:db8::2]:22", "tcp [2001:db8::7]:50000 -> [2001:db8::2]:22 state NEW flags SYN"},
		{"udp 2001:db8::7 -> [2001:db8::2]:domain in a out b", "udp [2001:db8::7]:50000 -> [2001:db8::2]:53 in a out b state NEW"},
		{"tcp 127.0.0.1 -> 127.0.0.1:22", "tcp 127.0.0.1:50000 -> 127.0.0.1:22 state NEW flags SYN"},
		{"tcp ::1 -> [::1]:22 hook output", "tcp [::1]:50000 -> [::1]:22 out lo state NEW flags SYN"},
		{"icmp 192.0.2.1 -> 192.0.2.2", "icmp 192.0.2.1 -> 192.0.2.2 state NEW"},
		{"icmp 192.0.2.1 -> 192.0.2.2 type ping", "icmp 192.0.2.1 -> 192.0.2.2 state NEW type echo-request"},
		{"icmp 192.0.2.1 -> 192.0.2.2 type 0", "icmp 192.0.2.1 -> 192.0.2.2 state ESTABLISHED type echo-reply"},
		{"icmp 192.0.2.1 -> 192.0.2.2 type 3/4", "icmp 192.0.2.1 -> 192.0.2.2 state RELATED type fragmentation-needed"},
		{"icmp 192.0.2.1 -> 192.0.2.2 type 3 code 99", "icmp 192.0.2.1 -> 192.0.2.2 state RELATED type 3/99"},
		{"icmp 192.0.2.1 -> 192.0.2.2 type 9", "icmp 192.0.2.1 -> 192.0.2.2 state INVALID type router-advertisement"},
		{"icmpv6 ::2 -> ::3 type 135", "icmpv6 ::2 -> ::3 state UNTRACKED type neighbour-solicitation"},
		{"ipv6-icmp ::2 -> ::3 type 128", "icmpv6 ::2 -> ::3 state NEW type echo-request"},
		{"1 ::2 -> ::3", "1 ::2 -> ::3 state NEW"},
		{"gre 192.0.2.1 -> 192.0.2.2", "gre 192.0.2.1 -> 192.0.2.2 state NEW"},
		{"ospf 192.0.2.1 -> 224.0.0.5 in eth0", "89 192.0.2.1 -> 224.0.0.5 in eth0 state NEW"},
		{"esp 192.0.2.1 -> 192.0.2.2 spi 0x100 hook FORWARD", "esp 192.0.2.1 -> 192.0.2.2 hook FORWARD state NEW spi 256"},
		{"sctp 192.0.2.1 -> 192.0.2.2:80 chunks INIT,data,I_DATA", "sctp 192.0.2.1:50000 -> 192.0.2.2:80 state NEW chunks 1,0,64"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 state ESTABLISHED in eth0", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 in eth0 state ESTABLISHED flags ACK"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 state invalid", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 state INVALID"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 flags NONE", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 state NEW flags NONE"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 flags all,ece", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 state NEW flags FIN,SYN,RST,PSH,ACK,URG,ECE"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 option 3,8 mss 1460", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 state NEW flags SYN mss 1460 option 3,8"},
		{"tcp 192.0.2.1 -> 192.0.2.2:80 option none", "tcp 192.0.2.1:50000 -> 192.0.2.2:80 state NEW flags SYN option none"},
		{"udp 192.0.2.1 -> 192.0.2.2 frag", "udp 192.0.2.1 -> 192.0.2.2 state NEW frag"},
		{"udp ::2 -> ::3 frag headers dst", "udp ::2 -> ::3 state NEW frag headers dst,frag"},
		{"udp ::2 -> [::3]:1 headers 0,auth", "udp [::2]:50000 -> [::3]:1 state NEW headers hop,auth"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 mark 255 connmark 0x10 ttl 9 tos Minimize-Delay len 60",
			"udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW connmark 0x10 mark 0xff ttl 9 tos 0x10 len 60"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 dscp EF hl 1 length 9", "udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW ttl 1 tos 0xb8 len 9"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 state RELATED ctstatus expected,assured ctdir reply helper ftp expire 7",
			"udp 192.0.2.1:50000 -> 192.0.2.2:1 state RELATED ctstatus EXPECTED,ASSURED ctdir REPLY helper ftp expire 7"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 state ESTABLISHED ctstatus none connmark 0 helper none original 192.0.2.1:1 -> 192.0.2.9:1 reply 192.0.2.2:1 to 192.0.2.1:1",
			"udp 192.0.2.1:50000 -> 192.0.2.2:1 state ESTABLISHED connmark 0x0 ctstatus NONE original 192.0.2.1:1 -> 192.0.2.9:1 reply 192.0.2.2:1 -> 192.0.2.1:1 helper none"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 mac 0:1:2:A:b:c", ""},
		{"udp 192.0.2.1 -> 192.0.2.2:1 mac 00:01:02:0A:0b:0c pkttype broadcast physin none",
			"udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW pkttype broadcast mac 00:01:02:0a:0b:0c physin none"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 physin p1 physout p2 in br0 out br0", "udp 192.0.2.1:50000 -> 192.0.2.2:1 in br0 out br0 state NEW physin p1 physout p2"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 out eth0 uid www gid web cgroup a.slice/b cpu 3 realm 10",
			"udp 192.0.2.1:50000 -> 192.0.2.2:1 out eth0 state NEW uid 33 gid 34 cgroup a.slice/b realm 10 cpu 3"},
		{"udp 192.0.2.1 -> 192.0.2.2:1 with recent=no with 'limit'=yes,quota=yes", "udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW with limit=yes,quota=yes,recent=no"},
		{`udp 192.0.2.1 -> 192.0.2.2:1 payload "a \"b\"\n" tos 4`, `udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW ttl 64 tos 0x4 len 34 payload "a \"b\"\n"`},
		{"udp 192.0.2.1 -> 192.0.2.2:1 payload 0x00ff", "udp 192.0.2.1:50000 -> 192.0.2.2:1 state NEW ttl 64 tos 0x0 len 30 payload 0x00ff"},
		{`tcp ::2 -> [::3]:1 payload "" mss 9`, `tcp [::2]:50000 -> [::3]:1 state NEW flags SYN mss 9 ttl 64 tos 0x0 len 64 payload ""`},
		{`tcp 192.0.2.1 -> 192.0.2.2:1 in "a->b"`, `tcp 192.0.2.1:50000 -> 192.0.2.2:1 in "a->b" state NEW flags SYN`},
	} {
		q, err := Parse(c.in, Options{Names: db})
		if c.out == "" {
			if err == nil {
				t.Errorf("%s: no error", c.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if q.String() != c.out {
			t.Errorf("%s\ngives  %s\nwanted %s", c.in, q, c.out)
		}
		sameAgain(t, q, db)
	}
}

// sameAgain reads back what is printed.
func sameAgain(t *testing.T, q *Question, db *netdb.DB) {
	t.Helper()
	again, err := Parse(q.String(), Options{Names: db})
	if again != nil {
		again.hinted = q.hinted // a settled way is told by more words than it was found by
	}
	if _, ok := q.Packet.Host.(presumed); err == nil && !ok { // the words do not say which host it was
		again.Packet.Host = q.Packet.Host
	}
	if err != nil {
		t.Errorf("%s: not read back: %v", q, err)
	} else if !reflect.DeepEqual(q, again) {
		t.Errorf("%s: is read back as another\n%+v\n%+v", q, q, again)
	}
}

// TestDefaults holds what a fresh packet is known to have, and what not.
func TestDefaults(t *testing.T) {
	q, err := Parse("tcp 203.0.113.7 -> 198.51.100.2:22 in eth0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := q.Packet
	if want := packet.KnowPorts | packet.KnowFlags | packet.KnowState | packet.KnowStatus | packet.KnowMark | packet.KnowConnMark |
		packet.KnowConnLabels | packet.KnowDirection | packet.KnowFragment | packet.KnowPacketType; p.Known != want {
		t.Errorf("known are %b, not %b", p.Known, want)
	}
	if p.Family != rule.IPv4 || p.Proto != 6 || p.In != "eth0" || p.HiddenIn || p.HiddenOut || p.Out != "" || !q.WayTold || q.Way != simulate.In ||
		p.Transport.Src != FreePort || p.Transport.Flags != 2 || p.Connection.State != packet.New || p.ArrivedLocal {
		t.Errorf("%+v", q)
	}
	for _, c := range []struct {
		words             string
		way               simulate.Way
		told, hideI, hidO bool
	}{
		{"", simulate.In, false, true, false},
		{"hook INPUT", simulate.In, true, true, false},
		{"hook FORWARD", simulate.Through, true, true, true},
		{"hook FORWARD out b", simulate.Through, true, true, false},
		{"hook OUTPUT", simulate.Out, true, false, true},
		{"out b", simulate.Out, true, false, false},
		{"in a out b", simulate.Through, true, false, false},
	} {
		q, err := Parse("tcp 203.0.113.7 -> 198.51.100.2:22 "+c.words, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if q.Way != c.way || q.WayTold != c.told || q.Packet.HiddenIn != c.hideI || q.Packet.HiddenOut != c.hidO {
			t.Errorf("%q: %+v", c.words, q)
		}
	}
	for text, want := range map[string]packet.PacketType{
		"udp 192.0.2.1 -> 224.0.0.5:1 in eth0":       packet.ToMulticast,
		"udp 192.0.2.1 -> 255.255.255.255:1 in eth0": packet.ToBroadcast,
		"udp 192.0.2.1 -> 192.0.2.2:1 out eth0":      packet.ToHost,
	} {
		if q, err := Parse(text, Options{}); err != nil || !q.Packet.Has(packet.KnowPacketType) || q.Packet.PacketType != want {
			t.Errorf("%s: %+v %v", text, q, err)
		}
	}
}

func TestRefused(t *testing.T) {
	db := names(t)
	for _, c := range []struct {
		in     string
		family rule.Family
		want   string // how the error begins
	}{
		{"", 0, `column 1, at the end: nothing is asked`},
		{"hello", 0, `column 1, "hello": "hello" is no protocol`},
		{"any 1.2.3.4 -> 5.6.7.8", 0, `column 1, "any": one packet is asked for`},
		{"tcp,udp 1.2.3.4 -> 5.6.7.8", 0, `column 1, "tcp,udp": one packet is asked for`},
		{"256 1.2.3.4 -> 5.6.7.8", 0, `column 1, "256": "256" is no protocol`},
		{"tcp", 0, `column 4, at the end: the source is missing`},
		{"tcp -> 1.2.3.4", 0, `column 5, "->": the source is missing`},
		{"tcp 1.2.3.4", 0, `column 12, at the end: behind the source come ->`},
		{"tcp 1.2.3.4 -", 0, `column 13, "-": a shell takes > for itself`},
		{"tcp 1.2.3.4 in eth0", 0, `column 13, "in": behind the source come ->`},
		{"tcp 1.2.3.4 ->", 0, `column 15, at the end: the destination is missing`},
		{"tcp 1.2.3 -> 1.2.3.4", 0, `column 5, "1.2.3": "1.2.3" is no address`},
		{"tcp 1.2.3.4 -> fe80::1%eth0", 0, `column 16, "fe80::1%eth0": "fe80::1%eth0" is no address`},
		{"tcp 1.2.3.4 -> ::1", 0, `column 16, "::1": the other address is of IPv4`},
		{"tcp ::1 -> [::2:5", 0, `column 12, "[::2:5": an address in brackets`},
		{"tcp 1.2.3.4 -> 5.6.7.8:65536", 0, `column 16, "5.6.7.8:65536": "65536" is neither a port`},
		{"udp 1.2.3.4 -> 5.6.7.8:ssh", 0, `column 16, "5.6.7.8:ssh": "ssh" is neither a port`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1-2", 0, `column 16, "5.6.7.8:1-2": one packet is asked for`},
		{"tcp 1.2.3.4 -> 5.6.7.0/24:1", 0, `column 16, "5.6.7.0/24:1": one packet is asked for`},
		{"tcp any -> 5.6.7.8:1", 0, `column 5, "any": one packet is asked for`},
		{"gre 1.2.3.4 -> 5.6.7.8:1", 0, `column 16, "5.6.7.8:1": gre has no ports`},
		{"icmp ::1 -> ::2", 0, `column 1, "icmp": the addresses are of IPv6`},
		{"icmpv6 1.2.3.4 -> 5.6.7.8", 0, `column 1, "icmpv6": the addresses are of IPv4`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1", rule.IPv6, `column 5, "1.2.3.4": is an address of IPv4, and IPv6 was asked for`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 stat NEW", 0, `column 26, "stat": not known; is "state" meant?`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 wibble", 0, `column 26, "wibble": not known; known are cgroup`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 -> 5.6.7.8", 0, `column 26, "->": stands between source and destination`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 --json", 0, `column 26, "--json": no option`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 in", 0, `column 28, at the end: an interface is missing behind "in"`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 in a in b", 0, `column 31, "in": stands a second time, the first is in column 26`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 in eth+", 0, `column 29, "eth+": one packet is asked for`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 in 1234567890123456", 0, `column 29, "1234567890123456": an interface has a name`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 hook INPUT out a", 0, `column 37, "out": no packet in INPUT`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 hook OUTPUT in a", 0, `column 38, "in": no packet in OUTPUT`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 hook PREROUTING", 0, `column 31, "PREROUTING": a packet's way`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 state OPEN", 0, `column 32, "OPEN": a state is NEW,`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 state any", 0, `column 32, "any": one packet is asked for`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 state NEW,RELATED", 0, `column 32, "NEW,RELATED": one packet is asked for`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 flags SIN", 0, `column 32, "SIN": TCP flags are`},
		{"udp 1.2.3.4 -> 5.6.7.8:1 flags SYN", 0, `column 26, "flags": udp packets have none; the word is for tcp`},
		{"udp 1.2.3.4 -> 5.6.7.8:1 type 8", 0, `column 26, "type": udp packets have none; the word is for icmp and icmpv6`},
		{"icmp 1.2.3.4 -> 5.6.7.8 type 256", 0, `column 30, "256": "256" is no type of icmp: a name as behind --icmp-type`},
		{"icmp 1.2.3.4 -> 5.6.7.8 type any", 0, `column 30, "any": one packet is asked for`},
		{"icmpv6 ::1 -> ::2 type pingu", 0, `column 24, "pingu": "pingu" is no type of icmpv6: a name as behind --icmpv6-type`},
		{"icmp 1.2.3.4 -> 5.6.7.8 type 3", 0, `column 25, "type": type 3 has several codes`},
		{"icmp 1.2.3.4 -> 5.6.7.8 code 3", 0, `column 25, "code": stands behind the type`},
		{"icmp 1.2.3.4 -> 5.6.7.8 type 3/1 code 3", 0, `column 34, "code": type 3 has code 1 already`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 ttl 300", 0, `column 30, "300": "ttl" takes a number from 0 to 255`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 tos 1/2", 0, `column 30, "1/2": "tos" takes a number from 0 to 255`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 tos 1 dscp 1", 0, `column 32, "dscp": is a part of "tos"`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 uid 1", 0, `column 26, "uid": a socket has a group too`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 uid nobody9", 0, `column 30, "nobody9": a user by number or name`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 frag", 0, `column 26, "frag": a second or further fragment has no ports`},
		{"tcp 1.2.3.4 -> 5.6.7.8 flags SYN frag", 0, `column 24, "flags": a second or further fragment has no transport header`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 headers hop", 0, `column 26, "headers": only packets of IPv6`},
		{"tcp ::1 -> [::2]:1 headers tcp", 0, `column 28, "tcp": an extension header is one of`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 option 2", 0, `column 33, "2": option 2 has a value`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 with limit=maybe", 0, `column 31, "limit=maybe": what a match says is written`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 with limt=yes", 0, `column 31, "limt=yes": there is no match "limt"; is "limit" meant?`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 with limit=yes,limit=no", 0, `column 31, "limit=yes,limit=no": limit is said to be both`},
		{`tcp 1.2.3.4 -> 5.6.7.8:1 payload "a`, 0, `column 34, "\"a": the string that begins here has no end`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 payload 0x0", 0, `column 34, "0x0": hexadecimal bytes are pairs`},
		{"tcp 1.2.3.4 -> 5.6.7.8 payload a", 0, `column 24, "payload": bytes need the destination port`},
		{"tcp 1.2.3.4 -> 5.6.7.8:1 payload a len 7", 0, `column 36, "len": with this payload the packet has 41 bytes`},
		{"esp 1.2.3.4 -> 5.6.7.8 payload a", 0, `column 24, "payload": bytes are made for`},
		{"udp 1.2.3.4 -> 5.6.7.8:1 original 1.2.3.4 -> 5.6.7.8:1", 0, `column 35, "1.2.3.4": both ends of a connection need a port`},
		{"größe 1.2.3.4 -> 5.6.7.8", 0, `column 1, "größe": "größe" is no protocol`},
		{"tcp ü -> 5.6.7.8", 0, `column 5, "ü": "ü" is no address`},
		{"tcp → 5.6.7.8", 0, `column 5, "→": the source is missing`},
	} {
		q, err := Parse(c.in, Options{Names: db, Family: c.family})
		if err == nil {
			t.Errorf("%q: is read as %s", c.in, q)
		} else if !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v\nwanted %s", c.in, err, c.want)
		}
	}
}

// TestEveryWordIsPrinted holds the table of words to the printer: each word
// changes what is printed.
func TestEveryWordIsPrinted(t *testing.T) {
	const v4, v6, icmp = "tcp 192.0.2.1 -> 192.0.2.2:1", "tcp 2001:db8::1 -> [2001:db8::2]:1", "icmp 192.0.2.1 -> 192.0.2.2"
	said := map[string][2]string{
		"in": {v4, "in a"}, "out": {v4, "out a"}, "hook": {v4, "hook FORWARD"}, "state": {v4, "state INVALID"}, "flags": {v4, "flags FIN"},
		"type": {icmp, "type 8"}, "code": {icmp, "type 3 code 1"}, "spi": {"esp 192.0.2.1 -> 192.0.2.2", "spi 7"},
		"chunks": {"sctp 192.0.2.1 -> 192.0.2.2:1", "chunks 7"}, "option": {v4, "option 7"}, "mss": {v4, "mss 7"}, "mark": {v4, "mark 7"},
		"connmark": {v4, "connmark 7"}, "ctstatus": {v4, "ctstatus SNAT"}, "ctdir": {v4, "ctdir REPLY"},
		"original": {icmp, "original 192.0.2.3 -> 192.0.2.4"}, "reply": {icmp, "reply 192.0.2.3 -> 192.0.2.4"}, "helper": {v4, "helper ftp"},
		"expire": {v4, "expire 7"}, "ttl": {v4, "ttl 7"}, "tos": {v4, "tos 7"}, "dscp": {v4, "dscp 7"}, "len": {v4, "len 7"},
		"frag": {"tcp 192.0.2.1 -> 192.0.2.2", "frag"}, "headers": {v6, "headers hop"}, "pkttype": {v4, "pkttype other"},
		"mac": {v4, "mac 00:01:02:03:04:05"}, "physin": {v4, "physin a"}, "physout": {v4, "physout a"}, "uid": {v4, "uid 7 gid 7"},
		"gid": {v4, "gid 8 uid 0"}, "cgroup": {v4, "cgroup a"}, "realm": {v4, "realm 7"}, "cpu": {v4, "cpu 7"}, "payload": {v4, "payload a"},
		"with": {v4, "with limit=no"},
	}
	for _, row := range Words() {
		example, has := said[row[0]]
		if !has {
			t.Errorf("no example of %q", row[0])
			continue
		}
		if row[2] == "" {
			t.Errorf("%q has no help", row[0])
		}
		plain, err := Parse(example[0], Options{})
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(example[0]+" "+example[1], Options{})
		if err != nil {
			t.Errorf("%s: %v", example, err)
			continue
		}
		if q.String() == plain.String() {
			t.Errorf("%s: the word changes nothing", example)
		}
		sameAgain(t, q, nil)
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"tcp a to b in eth0"}, "tcp a to b in eth0"},
		{[]string{"tcp", "a", "->", "b"}, "tcp a -> b"},
		{[]string{"tcp a -> b", "payload", "GET / x"}, `tcp a -> b payload "GET / x"`},
		{[]string{"tcp", "payload", `"GET / x"`}, `tcp payload "GET / x"`},
		{[]string{"tcp", "payload", ""}, `tcp payload ""`},
	} {
		if got := Join(c.args); got != c.want {
			t.Errorf("%q: %s, wanted %s", c.args, got, c.want)
		}
	}
}

// TestBytes holds the bytes of a packet with a payload against ones made by
// hand, checksums included.
func TestBytes(t *testing.T) {
	q, err := Parse("udp 192.0.2.1:1000 -> 192.0.2.2:53 ttl 7 tos 4 payload hi", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{
		0x45, 4, 0, 30, 0, 0, 0, 0, 7, 17, 0x2f, 0xc8, 192, 0, 2, 1, 192, 0, 2, 2,
		0x03, 0xe8, 0, 53, 0, 10, 0x0f, 0x50, 'h', 'i',
	}
	if !reflect.DeepEqual(q.Packet.Bytes, want) {
		t.Errorf("% x\n% x", q.Packet.Bytes, want)
	}
	for _, text := range []string{
		"tcp 192.0.2.1 -> 192.0.2.2:80 mss 1460 payload abc", "tcp ::2 -> [::3]:80 payload abc",
		"udp ::2 -> [::3]:80 payload a", "icmpv6 ::2 -> ::3 type 128 payload abcd", "icmp 192.0.2.1 -> 192.0.2.2 type 8 payload abcde",
	} {
		q, err := Parse(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		k := &q.Packet
		segment := k.Bytes[networkHeader(k.Family):]
		covered := append(pseudoHeader(k, len(segment)), segment...)
		if k.Proto == packet.ProtoICMP {
			covered = segment
		}
		if sum := checksum(covered); sum != 0 {
			t.Errorf("%s: the transport checksum leaves %#x", text, sum)
		}
		if k.Family == rule.IPv4 && checksum(k.Bytes[:20]) != 0 || int(k.Length) != len(k.Bytes) {
			t.Errorf("%s: wrong network header % x", text, k.Bytes[:20])
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
