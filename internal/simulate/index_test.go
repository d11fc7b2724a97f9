package simulate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// pick gives one of a few values, so that rules and packets often meet.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomRule gives the conditions of a rule in words.
func randomRule(r *rand.Rand, f rule.Family) string {
	var b strings.Builder
	not := func() {
		if r.IntN(5) == 0 {
			b.WriteString("! ")
		}
	}
	if r.IntN(2) == 0 {
		not()
		fmt.Fprintf(&b, "-s %s ", randomNet(r, f))
	}
	if r.IntN(3) == 0 {
		not()
		fmt.Fprintf(&b, "-d %s ", randomNet(r, f))
	}
	if r.IntN(4) == 0 {
		not()
		fmt.Fprintf(&b, "-i %s ", pick(r, "eth0", "eth1", "eth+", "wlan0", "br-+"))
	}
	if r.IntN(6) == 0 {
		fmt.Fprintf(&b, "-m mark --mark %s ", pick(r, "0x1", "0x2", "0/1", "0x4/0x4"))
	}
	switch r.IntN(6) {
	case 0:
		fmt.Fprintf(&b, "-p %s ", pick(r, "tcp", "udp", "sctp"))
	case 1, 2:
		fmt.Fprintf(&b, "-p %s ", pick(r, "tcp", "udp"))
		if r.IntN(3) == 0 {
			not()
			fmt.Fprintf(&b, "--sport %s ", randomPorts(r))
		}
		not()
		fmt.Fprintf(&b, "--dport %s ", randomPorts(r))
	case 3:
		fmt.Fprintf(&b, "-p %s -m multiport ", pick(r, "tcp", "udp"))
		not()
		fmt.Fprintf(&b, "--%s %s,%s ", pick(r, "dports", "sports", "ports"), randomPorts(r), randomPorts(r))
	}
	if r.IntN(5) == 0 {
		fmt.Fprintf(&b, "-m conntrack --ctstate %s ", pick(r, "NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID"))
	}
	if r.IntN(20) == 0 {
		b.WriteString("-m limit --limit 1/s ")
	}
	return b.String()
}

func randomNet(r *rand.Rand, f rule.Family) string {
	if f == rule.IPv6 {
		return fmt.Sprintf("2001:db8:%x::%x/%d", r.IntN(3), r.IntN(4), pick(r, 0, 32, 48, 64, 126, 128))
	}
	if r.IntN(10) == 0 {
		return fmt.Sprintf("10.%d.0.%d/255.0.255.255", r.IntN(3), r.IntN(4))
	}
	return fmt.Sprintf("10.%d.0.%d/%d", r.IntN(3), r.IntN(4), pick(r, 0, 8, 16, 24, 30, 32))
}

func randomPorts(r *rand.Rand) string {
	from := r.IntN(6)
	return pick(r, fmt.Sprint(from+20), fmt.Sprint(from+20), fmt.Sprintf("%d:%d", from+19, from+20+r.IntN(5)), "1024:65535")
}

// randomRuleset gives a ruleset with user chains and marks in it.
func randomRuleset(t testing.TB, r *rand.Rand, f rule.Family, n int) *rule.Ruleset {
	lines := []string{"*mangle", ":PREROUTING ACCEPT", ":m -"}
	for range n / 4 {
		target := pick(r, "MARK --set-mark 1", "MARK --set-mark 2", "MARK --or-mark 4", "RETURN", "ACCEPT", "m", "DROP")
		chain := pick(r, "PREROUTING", "PREROUTING", "m")
		if chain == "m" && target == "m" {
			target = "RETURN"
		}
		lines = append(lines, "-A "+chain+" "+randomRule(r, f)+"-j "+target)
	}
	lines = append(lines, "COMMIT", "*filter", ":INPUT "+pick(r, "ACCEPT", "DROP"), ":a -", ":b -", ":c -")
	for range n {
		at := r.IntN(6)
		chain := pick(r, "INPUT", "INPUT", "INPUT", "a", "b", "c")
		targets := []string{"ACCEPT", "DROP", "RETURN", "LOG", "REJECT"}
		switch chain { // jumps go on to later chains only
		case "INPUT":
			targets = append(targets, "a", "b", "c", "a", "b")
		case "a":
			targets = append(targets, "b", "c")
		case "b":
			targets = append(targets, "c")
		}
		verb := "-j "
		target := targets[r.IntN(len(targets))]
		if len(target) == 1 && at == 0 {
			verb = "-g "
		}
		lines = append(lines, "-A "+chain+" "+randomRule(r, f)+verb+target)
	}
	return ruleset(t, f, lines...)
}

func randomPacket(r *rand.Rand, f rule.Family) packet.Packet {
	addr := func() netip.Addr {
		if f == rule.IPv6 {
			return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", r.IntN(3), r.IntN(4)))
		}
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(2)), byte(r.IntN(5))})
	}
	p := tcp("10.0.0.1", "10.0.0.1", uint16(19+r.IntN(10)))
	p.Family, p.Src, p.Dst, p.In = f, addr(), addr(), pick(r, "eth0", "eth1", "wlan0", "br-1", "lo")
	p.Proto = pick[uint8](r, 6, 6, 17, 17, 132, 1)
	p.Transport.Src = pick[uint16](r, 20, 21, 22, 1024, 50000)
	p.Connection.State = pick(r, packet.New, packet.Established, packet.Invalid, packet.Related)
	p.Mark = pick[uint32](r, 0, 0, 1, 4)
	switch r.IntN(20) { // what is not told
	case 0:
		p.Known &^= packet.KnowDstPort
	case 1:
		p.Src = netip.Addr{}
	case 2:
		p.In, p.HiddenIn = "", true
	case 3:
		p.Known &^= packet.KnowState
	case 4:
		p.Fragment = true
	}
	return p
}

// The index leaves out only rules that do not match: with it and without, the
// verdict, what decided and what the packet became are the same, and so are
// the rules that matched.
func TestIndexAnswersAsTheWalk(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 4))
		f := pick(r, rule.IPv4, rule.IPv6)
		rs := randomRuleset(t, r, f, 10+r.IntN(150))
		plain, indexed := New(rs), NewIndexed(rs)
		walker := indexed.Walker()
		for range 500 {
			p := randomPacket(r, f)
			want, got := plain.Walk(p, Options{Way: In}), indexed.Walk(p, Options{Way: In})
			v, by := walker.Decide(&p, In)
			if got.Verdict != want.Verdict || got.By != want.By || v != want.Verdict || by != want.By ||
				matched(got) != matched(want) || len(got.Doubts) != len(want.Doubts) || Difference(&got.Packet, &want.Packet) != "" {
				t.Fatalf("seed %d, packet %+v:\nplain   %v by %v\nindexed %v by %v\nwalker  %v by %v\n%s\n%s",
					seed, p, want.Verdict, want.By, got.Verdict, got.By, v, by, matched(want), matched(got))
			}
		}
	}
}

// A firewall made from another's keeps the indexes of chains that are the same,
// and answers as one that was made anew.
func TestAgainAnswersAsMadeAnew(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 5))
		rs := randomRuleset(t, r, rule.IPv4, 120)
		old := NewIndexed(rs)
		changed := *rs
		changed.Tables = nil
		for _, table := range rs.Tables {
			copied := *table
			copied.Chains = nil
			for i, c := range table.Chains {
				one := *c
				if i%2 == 0 && len(c.Rules) > 1 {
					one.Rules = append(append([]*rule.Rule(nil), c.Rules[len(c.Rules)/2:]...), c.Rules[:len(c.Rules)/2]...)
				}
				copied.Chains = append(copied.Chains, &one)
			}
			changed.Tables = append(changed.Tables, &copied)
		}
		again, anew := old.Again(&changed), New(&changed)
		for range 300 {
			p := randomPacket(r, rule.IPv4)
			want, got := anew.Walk(p, Options{Way: In}), again.Walk(p, Options{Way: In})
			if got.Verdict != want.Verdict || got.By != want.By || matched(got) != matched(want) {
				t.Fatalf("seed %d, packet %+v: %v by %v, made anew %v by %v", seed, p, got.Verdict, got.By, want.Verdict, want.By)
			}
		}
	}
}

// matched is the part of a trace that an index does not leave out.
func matched(r Result) string {
	var b strings.Builder
	for _, s := range r.Trace {
		if s.Match != packet.No {
			fmt.Fprintln(&b, s.Place, s.Match, s.Action)
		}
	}
	return b.String()
}

func TestDecideAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	w := NewIndexed(largeList(t, 1000, "mixed")).Walker()
	p := randomPacket(r, rule.IPv4)
	if n := testing.AllocsPerRun(100, func() { w.Decide(&p, In) }); n > 0 {
		t.Errorf("a decision allocates %v times", n)
	}
}

// largeList gives a long list of rules in one chain.
func largeList(t testing.TB, n int, shape string) *rule.Ruleset {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	lines := []string{"*filter", ":INPUT DROP", "-A INPUT -i lo -j ACCEPT"}
	addr := func() string { return fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256)) }
	for i := range n {
		kind := shape
		if shape == "mixed" {
			kind = pick(r, "addresses", "networks", "services", "ranges")
		}
		switch kind {
		case "addresses":
			lines = append(lines, "-A INPUT -s "+addr()+" -j DROP")
		case "networks":
			lines = append(lines, fmt.Sprintf("-A INPUT -s %s/%d -j DROP", addr(), 12+r.IntN(18)))
		case "services":
			lines = append(lines, fmt.Sprintf("-A INPUT -s %s/%d -p tcp --dport %d -j ACCEPT", addr(), 16+r.IntN(16), 1+i%60000))
		case "ranges":
			from := r.IntN(60000)
			lines = append(lines, fmt.Sprintf("-A INPUT -d %s/24 -p %s --dport %d:%d -j ACCEPT", addr(), pick(r, "tcp", "udp"), from, from+r.IntN(2000)))
		}
	}
	return ruleset(t, rule.IPv4, lines...)
}

// BenchmarkDecide is packets through one long list, with the index and without.
func BenchmarkDecide(b *testing.B) {
	for _, shape := range []string{"addresses", "networks", "services", "ranges", "mixed"} {
		rs := largeList(b, 10000, shape)
		for name, f := range map[string]*Firewall{"indexed": NewIndexed(rs), "plain": New(rs)} {
			b.Run(shape+"/10000/"+name, func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 1))
				packets := make([]packet.Packet, 4096)
				for i := range packets {
					packets[i] = tcp("10.0.0.1", "198.51.100.2", uint16(r.IntN(65536)))
					packets[i].Src = netip.AddrFrom4([4]byte{byte(1 + r.IntN(220)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
				}
				w := f.Walker()
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					w.Decide(&packets[i%len(packets)], In)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			})
		}
	}
}

// BenchmarkIndex is the time to prepare a ruleset with an index.
func BenchmarkIndex(b *testing.B) {
	rs := largeList(b, 10000, "mixed")
	for b.Loop() {
		NewIndexed(rs)
	}
}
