package space

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

var describer = Describer{
	Family:   rule.IPv4,
	Protocol: func(n uint8) string { return map[uint8]string{1: "icmp", 6: "tcp", 17: "udp"}[n] },
	ICMP: func(typ, from, to uint8) string {
		if typ == 8 && from == 0 && to == 255 {
			return "echo-request"
		}
		return ""
	},
}

// nets is a set of prefixes; those behind "but" are taken out.
func nets(words ...string) Values {
	var v Values = None(Src, false)
	take := false
	for _, w := range words {
		if w == "but" {
			take = true
			continue
		}
		p := netip.MustParsePrefix(w)
		lo := AddrNumber(p.Addr())
		one := Addrs(p.Addr(), AddrOf(lo.Or(lowBits(32-p.Bits())), rule.IPv4))
		if take {
			v = Minus(Src, v, one)
		} else {
			v = Or(v, one)
		}
	}
	return v
}

func names(patterns ...string) Values {
	v := None(In, false)
	for _, p := range patterns {
		if not, is := strings.CutPrefix(p, "!"); is {
			v = Minus(In, v, Names(not))
		} else {
			v = Or(v, Names(p))
		}
	}
	return v
}

func numbers(d Dim, spans ...uint64) Values {
	v := None(d, false)
	for i := 0; i < len(spans); i += 2 {
		v = Or(v, Span(d, Num(spans[i]), Num(spans[i+1])))
	}
	return v
}

func TestValuesAreDescribedShortly(t *testing.T) {
	all := "0.0.0.0/0"
	cases := []struct {
		dim  Dim
		v    Values
		want string
	}{
		{Src, nil, ""},
		{Src, nets(all), ""},
		{Src, nets("10.0.0.0/8"), "10.0.0.0/8"},
		{Src, nets("10.0.0.1/32"), "10.0.0.1"},
		{Src, nets("10.0.0.0/8", "192.168.0.0/16"), "10.0.0.0/8,192.168.0.0/16"},
		{Src, nets("10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"), "10.0.0.0-12.255.255.255"},
		{Src, nets(all, "but", "10.0.0.0/8"), "any but 10.0.0.0/8"},
		{Src, nets("10.0.0.0/8", "but", "10.1.0.0/16"), "10.0.0.0/8 but 10.1.0.0/16"},
		{Src, nets("10.0.0.0/8", "192.0.2.0/24", "but", "10.1.0.0/16", "10.7.0.9/32"), "(10.0.0.0/8 but 10.1.0.0/16,10.7.0.9),192.0.2.0/24"},
		{DPort, numbers(DPort, 22, 22, 80, 90), "22,80-90"},
		{DPort, numbers(DPort, 0, 21, 23, 65535), "any but 22"},
		{DPort, numbers(DPort, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15), "1,3,5,7,9 and 3 more"},
		{Mark, numbers(Mark, 0, 0, 16, 31), "0x0,0x10-0x1f"},
		{In, names("eth0"), "eth0"},
		{In, names("eth+"), "eth+"},
		{In, names("eth+", "!eth0"), "eth+ but eth0"},
		{In, names("+", "!", "!lo"), "any but lo"},
		{In, names("+", "!lo"), "any but lo"},
		{In, names("+", "!eth+", "!lo"), "any but eth+,lo"},
		{In, names("eth+", "!eth1+", "wlan0"), "(eth+ but eth1+),wlan0"},
		{Out, names(""), ""},
		{ICMP, numbers(ICMP, 8<<8, 8<<8|255), "echo-request"},
		{ICMP, numbers(ICMP, 3<<8|4, 3<<8|4, 11<<8, 12<<8|255), "3/4,11-12"},
		{ICMP, numbers(ICMP, 3<<8|4, 5<<8|1), "3/4-255,4,5/0-1"},
		{State, numbers(State, 0, 1), "INVALID,NEW"},
		{State, numbers(State, 1, 3), "NEW,ESTABLISHED,RELATED"},
		{State, numbers(State, 1, 4), "any but INVALID"},
		{Proto, numbers(Proto, 6, 6, 17, 17), "tcp,udp"},
		{Proto, numbers(Proto, 0, 5, 7, 255), "any but tcp"},
		{Flags, Bytes(Flags, func(x uint8) bool { return x == 2 }), "SYN"},
		{Flags, Bytes(Flags, func(x uint8) bool { return x&0x17 == 2 }), "SYN of FIN,SYN,RST,ACK"},
		{Flags, Bytes(Flags, func(x uint8) bool { return x&0x17 != 2 }), "not SYN of FIN,SYN,RST,ACK"},
		{Flags, Bytes(Flags, func(x uint8) bool { return x&3 == 3 || x&6 == 6 }), "FIN,SYN of FIN,SYN or SYN,RST of SYN,RST"},
		{Status, Bytes(Status, func(x uint8) bool { return x&packet.StatusDNAT != 0 }), "DNAT of DNAT"},
		{PktType, numbers(PktType, 1, 2), "broadcast,multicast"},
	}
	for _, c := range cases {
		if got := describer.Values(c.dim, c.v); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.dim, Text(c.dim, c.v), got, c.want)
		}
	}
	v6 := Describer{Family: rule.IPv6}
	p := netip.MustParseAddr("2001:db8::")
	if got := v6.Values(Dst, Addrs(p, netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))); got != "2001:db8::/32" {
		t.Error(got)
	}
	if got := v6.Values(Dst, Complement(Dst, Addrs(p, p))); got != "any but 2001:db8::" {
		t.Error(got)
	}
}

func TestManyValuesAreCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	v := None(Src, false)
	for range 10000 {
		n := AddrOf(Number{Lo: r.Uint64() & (1<<32 - 1)}, rule.IPv4)
		v = Or(v, Addrs(n, n))
	}
	if got := describer.Values(Src, v); strings.Count(got, ",") != 4 || !strings.HasSuffix(got, " more") {
		t.Error(got)
	}
	if got := describer.Values(Src, Complement(Src, v)); !strings.HasPrefix(got, "any but ") || !strings.HasSuffix(got, " more") {
		t.Error(got)
	}
}

func TestBoxesAreDescribedInWords(t *testing.T) {
	box := func(change ...func(Box) Box) Box {
		var b Box
		for _, f := range change {
			b = f(b)
		}
		return b
	}
	with := func(d Dim, v Values) func(Box) Box {
		return func(b Box) Box { b, _ = b.With(d, v); return b }
	}
	when := func(text string, not bool) func(Box) Box {
		return func(b Box) Box {
			b, _ = b.WithLiteral(Literal{Atom: Atom{Text: text}, Not: not})
			return b
		}
	}
	tcp := with(Proto, numbers(Proto, 6, 6))
	whole := with(Fragment, numbers(Fragment, 0, 0))
	cases := []struct {
		b    Box
		want string
	}{
		{box(), "everything"},
		{box(tcp), "tcp"},
		{box(with(In, names("eth0")), with(State, numbers(State, 1, 1))), "everything in eth0 state NEW"},
		{box(tcp, whole, with(Src, nets("10.0.0.0/8")), with(DPort, numbers(DPort, 22, 80)), with(In, names("eth0")), with(State, numbers(State, 1, 1))),
			"tcp from 10.0.0.0/8 to any port 22-80 in eth0 state NEW"},
		{box(tcp, with(SPort, numbers(SPort, 53, 53))), "tcp from any port 53 to any"},
		{box(with(Proto, numbers(Proto, 1, 1)), whole, with(ICMP, numbers(ICMP, 8<<8, 8<<8|255))), "icmp type echo-request"},
		{box(with(Proto, numbers(Proto, 47, 47)), whole), "protocol 47 not frag"},
		{box(with(Fragment, numbers(Fragment, 1, 1))), "everything frag"},
		{box(tcp, when("-m limit --limit 5/min #1", true), when("-m limit --limit 5/min #2 by filter INPUT 7", false)),
			"tcp when (limit --limit 5/min) does not match and (limit --limit 5/min #2) matches"},
		{box(tcp, when("-m comment --comment \"a #b\"", false)), "tcp when (comment --comment \"a #b\") matches"},
		{box(tcp, when("the packet is routed", true)), "tcp when not (the packet is routed)"},
		{box(with(Out, names("")), tcp), "tcp"},
		{box(tcp, when("--out-interface "+NameNumber("eth0").String()+" after nat PREROUTING 1", false)), "tcp when out-interface eth0 after nat PREROUTING 1"},
		{box(tcp, when("--mark"+Key(Complement(Mark, numbers(Mark, 0, 0))), true)), "tcp when not (mark 0x1-0xffffffff)"},
	}
	for _, c := range cases {
		if got := describer.Box(&c.b); got != c.want {
			t.Errorf("%v: %q, want %q", c.b, got, c.want)
		}
	}
}

// TestGroupsCoverWhatTheyDescribe reads terms back: each interval is in one,
// and what stands between is among the holes or in none.
func TestGroupsCoverWhatTheyDescribe(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		v := None(Src, false)
		for range 1 + r.IntN(6) {
			bits := 24 + r.IntN(9)
			lo := Number{Lo: uint64(10<<24 | r.IntN(64)<<4)}.And(lowBits(32 - bits).Not())
			one := Addrs(AddrOf(lo, rule.IPv4), AddrOf(lo.Or(lowBits(32-bits)), rule.IPv4))
			if r.IntN(3) == 0 {
				v = Minus(Src, v, one)
			} else {
				v = Or(v, one)
			}
		}
		if IsEmpty(v) {
			continue
		}
		if got := readBack((&Describer{Family: rule.IPv4, Most: 99}).Values(Src, v)); !Equal(got, v) {
			t.Fatalf("%s: described as %q", Text(Src, v), describer.Values(Src, v))
		}
	}
}

// readBack reads what Values writes for IPv4 addresses.
func readBack(text string) Values {
	v := None(Src, false)
	if !strings.Contains(text, "(") {
		return readTerm(text)
	}
	for text != "" {
		var one string
		if inner, is := strings.CutPrefix(text, "("); is {
			one, text, _ = strings.Cut(inner, ")")
			text = strings.TrimPrefix(text, ",")
		} else {
			one, text, _ = strings.Cut(text, ",")
		}
		v = Or(v, readTerm(one))
	}
	return v
}

// readTerm reads "LIST" or "LIST but LIST".
func readTerm(text string) Values {
	in, but, has := strings.Cut(text, " but ")
	v := None(Src, false)
	for _, one := range strings.Split(in, ",") {
		v = Or(v, readAddrs(one))
	}
	if has {
		for _, hole := range strings.Split(but, ",") {
			v = Minus(Src, v, readAddrs(hole))
		}
	}
	return v
}

func readAddrs(s string) Values {
	if s == "any" {
		return nets("0.0.0.0/0")
	}
	if from, to, isRange := strings.Cut(s, "-"); isRange {
		return Addrs(netip.MustParseAddr(from), netip.MustParseAddr(to))
	}
	if !strings.Contains(s, "/") {
		s += "/32"
	}
	return nets(s)
}
