package text

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// The golden files hold what Debian's iptables-nft 1.8.9 prints of
// print4.rules and print6.rules; testdata/record.sh makes them.

func testNames() *netdb.DB {
	return &netdb.DB{
		Etc: "testdata/etc",
		Resolve: func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{IsNotFound: true}
		},
	}
}

// addr reads "10.0.0.0/255.0.255.0", "10.0.0.0/8" or "10.0.0.1"; "!" before it inverts.
func addr(t testing.TB, s string) rule.Address {
	t.Helper()
	s, not := strings.CutPrefix(s, "!")
	ip, mask, hasMask := strings.Cut(s, "/")
	a := rule.Address{IP: netip.MustParseAddr(ip), Not: not}
	bits := a.IP.BitLen()
	if hasMask {
		if m, err := netip.ParseAddr(mask); err == nil {
			a.Mask = m
			return a
		}
		bits = 0
		for _, c := range mask {
			bits = bits*10 + int(c-'0')
		}
	}
	ones := bytes.Repeat([]byte{0xff}, a.IP.BitLen()/8)
	full, _ := netip.AddrFromSlice(ones)
	p, err := full.Prefix(bits)
	if err != nil {
		t.Fatal(err)
	}
	a.Mask = p.Addr()
	return a
}

func iface(name string) rule.Interface {
	name, not := strings.CutPrefix(name, "!")
	return rule.Interface{Name: name, Not: not}
}

// match is the match extension with its options given: "dport", "22", "!sport", "5".
func match(t testing.TB, f rule.Family, name string, options ...string) rule.Match {
	t.Helper()
	d := ext.Find(ext.Match, name, f)
	if d == nil {
		t.Fatalf("no match %s", name)
	}
	c := &ext.Context{Family: f, Names: testNames(), Rule: &rule.Rule{}}
	in := ext.NewInstance(d, c)
	for i := 0; i < len(options); i += 2 {
		o, not := strings.CutPrefix(options[i], "!")
		_, index := d.Option(o)
		if err := in.Set(c, index, not, options[i+1], ""); err != nil {
			t.Fatal(err)
		}
	}
	return in.Ext
}

func base(h rule.Hook, policy rule.Verdict) *rule.Base {
	return &rule.Base{Hook: h, Type: "filter", Policy: policy}
}

// table4 is print4.rules.
func table4(t testing.TB) *rule.Table {
	a := func(s string) rule.Address { return addr(t, s) }
	m := func(name string, options ...string) rule.Match { return match(t, rule.IPv4, name, options...) }
	proto := func(n uint16) rule.Protocol { return rule.Protocol{Number: n} }
	cnt := func(p, b uint64) rule.Counters { return rule.Counters{Packets: p, Bytes: b} }
	const long = "a-very-long-chain-name.x:y"
	input := []*rule.Rule{
		{},
		{Counters: cnt(1, 60), Src: a("10.9.0.1"), Dst: a("127.0.0.1"), In: iface("lo"), Proto: proto(6), Matches: []rule.Match{m("tcp", "dport", "22")}, Target: rule.Accept},
		{Counters: cnt(99999, 100499), Src: a("!10.9.0.9"), Dst: a("!10.7.0.0/16"), In: iface("!eth+"), Proto: rule.Protocol{Number: 17, Not: true}, Target: rule.Drop},
		{Counters: cnt(100500, 9999499), Src: a("10.9.0.0/24"), Proto: proto(17), Fragment: rule.OnlyFragments, Target: rule.Jump{Chain: "c1"}},
		{Counters: cnt(9999500, 9999499999), Src: a("10.0.0.1/255.0.255.255"), Fragment: rule.NotAFragment, Target: rule.Jump{Chain: long, Goto: true}},
		{Counters: cnt(1<<64-1, 99999000000000000), Src: a("10.6.0.0/16"), Dst: a("127.0.0.0/8"), Proto: proto(89), Target: rule.Return},
		{Src: a("0.0.0.0"), Proto: proto(6), Matches: []rule.Match{m("tcp", "dport", "80"), m("comment", "comment", `a "b" \c`)}, Target: rule.Jump{Chain: "c1", Goto: true}},
		{In: iface("averylongname15"), Proto: proto(253), Matches: []rule.Match{m("comment", "comment", "plain-text")}},
		{Src: a("!10.1.2.3"), Proto: rule.Protocol{Number: 89, Not: true}, Matches: []rule.Match{m("mark", "!mark", "0x5/0x7")}, Target: rule.Accept},
		{Counters: cnt(5, 6), Proto: proto(58), Matches: []rule.Match{m("limit", "limit", "5/min")}, Target: rule.Accept},
		{Counters: cnt(5, 6), Proto: proto(43), Target: rule.Accept},
		{Counters: cnt(5, 6), Proto: proto(135), Target: rule.Accept},
	}
	forward := []*rule.Rule{
		{Counters: cnt(1000, 1000000), In: iface("eth0"), Out: iface("ppp+"), Target: rule.Accept},
		{Out: iface("!eth0"), Target: rule.Jump{Chain: "c1"}},
	}
	return &rule.Table{Name: "filter", Chains: []*rule.Chain{
		{Name: "INPUT", Base: base(rule.Input, rule.Drop), Counters: cnt(9999500, 123456789), Rules: input},
		{Name: "FORWARD", Base: base(rule.Forward, rule.Accept), Rules: forward},
		{Name: "OUTPUT", Base: base(rule.Output, rule.Accept), Counters: cnt(99999, 100000), Rules: []*rule.Rule{{Out: iface(`a'c\d`), Target: rule.Accept}}},
		{Name: long},
		{Name: "c1", Rules: []*rule.Rule{{Proto: proto(17), Matches: []rule.Match{m("udp", "sport", "53:100", "!dport", "53")}, Target: rule.Accept}}},
	}}
}

// table6 is print6.rules.
func table6(t testing.TB) *rule.Table {
	a := func(s string) rule.Address { return addr(t, s) }
	proto := func(n uint16) rule.Protocol { return rule.Protocol{Number: n} }
	input := []*rule.Rule{
		{Src: a("::1"), Dst: a("2001:db8::1"), In: iface("lo"), Proto: proto(6), Matches: []rule.Match{match(t, rule.IPv6, "tcp", "dport", "22")}, Target: rule.Accept},
		{Src: a("!2001:db8::/32"), Dst: a("!2001::/ffff:0:ffff::"), Proto: proto(58), Target: rule.Jump{Chain: "c6"}},
		{Src: a("::1.2.3.4"), Dst: a("::ffff:1.2.3.4")},
		{Src: a("::5:6"), Dst: a("::1:0:0"), Target: rule.Jump{Chain: "c6", Goto: true}},
		{Src: a("::"), Dst: a("!::"), Target: rule.Drop},
		{Src: a("::/1"), Dst: a("::/::1"), Target: rule.Drop},
		{Src: a("2001:0:0:1::1"), Dst: a("1:0:2:0:3:0:4:0"), Target: rule.Drop},
		{Src: a("64:ff9b::102:304"), Dst: a("2001:db8:1111:2222:3333:4444:5555:6666"), Target: rule.Drop},
		{Src: a("fe80::/10"), Dst: a("::ffff"), Proto: rule.Protocol{Number: 6, Not: true}, Target: rule.Return},
	}
	return &rule.Table{Name: "filter", Chains: []*rule.Chain{
		{Name: "INPUT", Base: base(rule.Input, rule.Accept), Rules: input},
		{Name: "FORWARD", Base: base(rule.Forward, rule.Drop), Counters: rule.Counters{Packets: 1, Bytes: 2}},
		{Name: "OUTPUT", Base: base(rule.Output, rule.Accept)},
		{Name: "c6"},
	}}
}

// references counts the rules that jump to each chain.
func references(t *rule.Table) map[string]int {
	n := map[string]int{}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if j, ok := r.Target.(rule.Jump); ok {
				n[j.Chain]++
			}
		}
	}
	return n
}

func listTable(t *rule.Table, f rule.Family, o ListOptions) []byte {
	l := NewLister(f, testNames(), o)
	refs := references(t)
	for _, c := range t.Chains {
		l.Head(c, refs[c.Name])
		for i, r := range c.Rules {
			l.Rule(i+1, r)
		}
	}
	return l.P.B
}

func specTable(t *rule.Table, f rule.Family, counters bool) []byte {
	p := &ext.Printer{Family: f, Names: testNames()}
	style := NoCounters
	if counters {
		style = OptionCounters
	}
	for _, c := range t.Chains {
		p.B = AppendSpecChain(p.B, c, counters)
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			AppendRule(p, c.Name, r, style)
		}
	}
	return p.B
}

func saveTable(t *rule.Table, f rule.Family, counters bool) []byte {
	p := &ext.Printer{Family: f, Names: testNames()}
	AppendTable(p, t, SaveOptions{Program: f.Program() + "-nft-save", Counters: counters, Now: time.Now()})
	lines := bytes.SplitAfter(p.B, []byte("\n"))
	for i, line := range lines {
		if at := bytes.Index(line, []byte(" on ")); at >= 0 && line[0] == '#' {
			lines[i] = append(line[:at:at], " on DATE\n"...)
		}
	}
	return bytes.Join(lines, nil)
}

// golden reads the sections of a golden file, each under "### NAME".
func golden(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	name = ""
	for line := range strings.SplitAfterSeq(string(data), "\n") {
		if head, ok := strings.CutPrefix(line, "### "); ok {
			name = strings.TrimSpace(head)
			continue
		}
		sections[name] += line
	}
	delete(sections, "") // after the last newline
	return sections
}

// sameLines compares line by line, so that a failure names the first that differs.
func sameLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b || i >= len(g) || i >= len(w) {
			t.Fatalf("line %d of %d, want %d lines:\n got %q\nwant %q", i+1, len(g), len(w), a, b)
		}
	}
}

func TestPrintsAsIptables(t *testing.T) {
	list := func(o ListOptions) func(*rule.Table, rule.Family) []byte {
		return func(t *rule.Table, f rule.Family) []byte { return listTable(t, f, o) }
	}
	with := func(print func(*rule.Table, rule.Family, bool) []byte, counters bool) func(*rule.Table, rule.Family) []byte {
		return func(t *rule.Table, f rule.Family) []byte { return print(t, f, counters) }
	}
	prints := map[string]func(*rule.Table, rule.Family) []byte{
		"-S":                   with(specTable, false),
		"-S -v":                with(specTable, true),
		"save":                 with(saveTable, false),
		"save -c":              with(saveTable, true),
		"-L":                   list(ListOptions{}),
		"-L -v":                list(ListOptions{Verbose: 1}),
		"-L -n":                list(ListOptions{Numeric: true}),
		"-L -n -v":             list(ListOptions{Numeric: true, Verbose: 1}),
		"-L -n -v -x":          list(ListOptions{Numeric: true, Verbose: 1, Exact: true}),
		"-L -v --line-numbers": list(ListOptions{Verbose: 1, LineNumbers: true}),
		"-L -n --line-numbers": list(ListOptions{Numeric: true, LineNumbers: true}),
	}
	for _, file := range []struct {
		name   string
		family rule.Family
		table  *rule.Table
	}{{"print4.golden", rule.IPv4, table4(t)}, {"print6.golden", rule.IPv6, table6(t)}} {
		want := golden(t, file.name)
		if len(want) != len(prints) {
			t.Fatalf("%s has %d sections, want %d", file.name, len(want), len(prints))
		}
		for name, print := range prints {
			t.Run(file.name+" "+name, func(t *testing.T) {
				sameLines(t, string(print(file.table, file.family)), want[name])
			})
		}
	}
}
