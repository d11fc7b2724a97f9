package question

import (
	"reflect"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

func one(n uint32) Spans { return Spans{{n, n}} }

func addrs(from, to string) Addrs { return Addrs{addr(from), addr(to)} }

// fresh is a Range with the defaults of one that says nothing.
func fresh(change func(*Range)) *Range {
	r := &Range{States: []packet.State{packet.New}, Flags: one(2), Fragment: packet.No, Mark: one(0), ConnMark: one(0)}
	change(r)
	return r
}

func TestRange(t *testing.T) {
	db := names(t)
	for _, c := range []struct {
		in   string
		want *Range
	}{
		{"tcp from any to any:1-1024", fresh(func(r *Range) { r.Proto, r.DstPort = one(6), Spans{{1, 1024}} })},
		{"any any -> any", fresh(func(*Range) {})},
		{"tcp,udp any -> any:any", fresh(func(r *Range) { r.Proto = Spans{{6, 6}, {17, 17}} })},
		{"any any -> any:53", fresh(func(r *Range) {
			r.Proto, r.DstPort = Spans{{6, 6}, {17, 17}, {33, 33}, {132, 132}, {136, 136}}, one(53)
		})},
		{"tcp from 10.0.0.9/8 to 192.0.2.1-192.0.2.9,198.51.100.0/31:ssh,ftp-data-http,8080", fresh(func(r *Range) {
			r.Family, r.Proto = rule.IPv4, one(6)
			r.Src = []Addrs{addrs("10.0.0.0", "10.255.255.255")}
			r.Dst = []Addrs{addrs("192.0.2.1", "192.0.2.9"), addrs("198.51.100.0", "198.51.100.1")}
			r.DstPort = Spans{{22, 22}, {20, 80}, {8080, 8080}}
		})},
		{"udp [2001:db8::/127]:1-9 -> 2001:db8::/32 in eth+,lo out any", fresh(func(r *Range) {
			r.Family, r.Proto, r.SrcPort = rule.IPv6, one(17), Spans{{1, 9}}
			r.Src = []Addrs{addrs("2001:db8::", "2001:db8::1")}
			r.Dst = []Addrs{addrs("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")}
			r.In, r.Way, r.WayTold = []string{"eth+", "lo"}, simulate.Through, true
		})},
		{"tcp any -> any state any flags any mark any connmark any frag any", &Range{Proto: one(6)}},
		{"tcp any -> any state NEW,ESTABLISHED", fresh(func(r *Range) {
			r.Proto, r.States, r.Flags, r.ConnMark = one(6), []packet.State{packet.New, packet.Established}, nil, nil
		})},
		{"tcp any -> any state ESTABLISHED mark 0x10-0x1f ttl 1-9,64 tos 0-3 len 0-1500 hook OUTPUT pkttype unicast,other", fresh(func(r *Range) {
			r.Proto, r.States, r.Flags, r.ConnMark = one(6), []packet.State{packet.Established}, one(16), nil
			r.Mark, r.TTL, r.TOS, r.Length, r.PktType = Spans{{16, 31}}, Spans{{1, 9}, {64, 64}}, Spans{{0, 3}}, Spans{{0, 1500}}, Spans{{0, 0}, {3, 3}}
			r.Way, r.WayTold = simulate.Out, true
		})},
		{"icmp any -> any type 3,echo-request", fresh(func(r *Range) {
			r.Family, r.Proto = rule.IPv4, one(1)
			r.Types = []ICMPType{{3, 0, 255}, {8, 0, 255}}
			r.States, r.Flags, r.ConnMark = []packet.State{packet.Related, packet.New}, nil, nil
		})},
		{"icmpv6 any -> any with limit=no dscp 1-2", fresh(func(r *Range) {
			r.Family, r.Proto, r.TOS = rule.IPv6, one(58), Spans{{4, 4}, {8, 8}}
			r.Fixed = map[string]packet.Answer{"limit": packet.No}
		})},
	} {
		got, err := ParseRange(c.in, Options{Names: db})
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
		} else if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v\nwanted\n%+v", c.in, got, c.want)
		}
	}
}

func TestRangeRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"tcp any -> 10.0.0.0/33", `column 12, "10.0.0.0/33": "10.0.0.0/33" is no address`},
		{"tcp any -> 10.0.0.9-10.0.0.1", `column 12, "10.0.0.9-10.0.0.1": "10.0.0.9-10.0.0.1" is no address`},
		{"tcp any -> any:9-1", `column 12, "any:9-1": "9-1" is neither a port (0 to 65535) nor a service of /etc/services, nor a range`},
		{"tcp,icmp any -> any:9", `column 17, "any:9": icmp has no ports`},
		{"tcp any -> ::1,1.2.3.4", `column 12, "::1,1.2.3.4": the other address is of IPv6`},
		{"tcp any -> any uid 1 gid 1", `column 16, "uid": fits a question about one packet only`},
		{"any any -> any flags SYN", `column 16, "flags": the word is for tcp: write that in place of "any"`},
		{"icmp,icmpv6 any -> any type 8", `column 24, "type": belongs to one protocol`},
		{"tcp any -> any:9 frag", `column 18, "frag": a second or further fragment has no ports`},
	} {
		if r, err := ParseRange(c[0], Options{}); err == nil || !strings.HasPrefix(err.Error(), c[1]) {
			t.Errorf("%s: %+v %v\nwanted %s", c[0], r, err, c[1])
		}
	}
}

// TestEither tells one packet from a set of packets.
func TestEither(t *testing.T) {
	for text, isOne := range map[string]bool{
		"tcp 192.0.2.1 -> 192.0.2.2:22":                       true,
		"tcp 192.0.2.1 -> 192.0.2.2:22 in eth0 state INVALID": true,
		"tcp 192.0.2.1 -> 192.0.2.2:22 uid 1 gid 1":           true,
		"gre 192.0.2.1 -> 192.0.2.2":                          true,
		"udp 192.0.2.1 -> 192.0.2.2 frag":                     true,
		"icmp 192.0.2.1 -> 192.0.2.2 type 8":                  true,
		"icmp 192.0.2.1 -> 192.0.2.2 type 3/4":                true,
		"icmp 192.0.2.1 -> 192.0.2.2 type 3":                  false,
		"icmp 192.0.2.1 -> 192.0.2.2":                         false,
		"tcp 192.0.2.1 -> 192.0.2.2":                          false,
		"tcp 192.0.2.1 -> 192.0.2.2:1-2":                      false,
		"tcp 192.0.2.0/31 -> 192.0.2.2:1":                     false,
		"tcp 192.0.2.1 -> any:1":                              false,
		"any 192.0.2.1 -> 192.0.2.1":                          false,
		"tcp 192.0.2.1 -> 192.0.2.2:22 in eth+":               false,
		"tcp 192.0.2.1 -> 192.0.2.2:22 in a,b":                false,
		"tcp 192.0.2.1 -> 192.0.2.2:22 state NEW,RELATED":     false,
		"tcp 192.0.2.1 -> 192.0.2.2:22 flags any":             false,
		"tcp 192.0.2.1 -> 192.0.2.2:22 ttl 1-2":               false,
	} {
		q, r, err := ParseEither(text, Options{})
		if err != nil || (q != nil) != isOne || (r != nil) == isOne {
			t.Errorf("%s: %+v %+v %v", text, q, r, err)
		}
	}
	if _, _, err := ParseEither("tcp any -> any uid 1 gid 1", Options{}); err == nil {
		t.Error("a set of packets has a user")
	}
}

func TestHas(t *testing.T) {
	if !Spans(nil).Has(7) || !(Spans{{1, 2}, {7, 9}}).Has(9) || (Spans{{1, 2}, {7, 9}}).Has(3) {
		t.Error("Spans")
	}
	r := addrs("192.0.2.1", "192.0.2.9")
	if !r.Has(addr("192.0.2.1")) || !r.Has(addr("192.0.2.9")) || r.Has(addr("192.0.2.10")) || r.Has(addr("192.0.2.0")) || r.Has(addr("::1")) {
		t.Error("Addrs")
	}
}
