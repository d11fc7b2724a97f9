package analyze

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// randomRules makes rulesets of a few values, so that rules meet.
type randomRules struct {
	*rand.Rand
	v6 bool
}

func (r *randomRules) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r *randomRules) net() string {
	if r.v6 {
		return r.pick("2001:db8::/32", "2001:db8:1::/48", "2001:db8::7/128", "fd00::/8")
	}
	return r.pick("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24", "192.0.2.7/32")
}

func (r *randomRules) host() string {
	if r.v6 {
		return r.pick("2001:db8::7", "fd00::9", "2001:db8:1::1")
	}
	return r.pick("10.1.2.3", "192.0.2.7", "172.16.0.9")
}

func (r *randomRules) conditions(table, chain string) string {
	var s strings.Builder
	not := func() string { return r.pick("", "", "", "! ") }
	if r.IntN(3) == 0 {
		fmt.Fprintf(&s, " %s-s %s", not(), r.net())
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&s, " %s-d %s", not(), r.net())
	}
	if r.IntN(4) == 0 && chain != "OUTPUT" && chain != "POSTROUTING" {
		fmt.Fprintf(&s, " %s-i %s", not(), r.pick("eth0", "eth+", "lo"))
	}
	if r.IntN(6) == 0 && chain != "INPUT" && chain != "PREROUTING" {
		fmt.Fprintf(&s, " %s-o %s", not(), r.pick("eth0", "eth1"))
	}
	switch r.IntN(7) {
	case 0, 1:
		fmt.Fprintf(&s, " -p tcp -m tcp %s--dport %s", not(), r.pick("22", "80", "22:80", "443"))
	case 2:
		fmt.Fprintf(&s, " -p udp -m udp --dport %s", r.pick("53", "80:90"))
	case 3:
		fmt.Fprintf(&s, " -p tcp -m multiport --dports %s", r.pick("22,80", "80:443,22", "53"))
	case 4:
		s.WriteString(" -p tcp -m tcp " + r.pick("--syn", "! --syn", "--tcp-flags SYN,ACK ACK"))
	}
	switch r.IntN(9) {
	case 0:
		fmt.Fprintf(&s, " -m conntrack %s--ctstate %s", not(), r.pick("NEW", "ESTABLISHED,RELATED", "INVALID", "UNTRACKED"))
	case 1:
		fmt.Fprintf(&s, " -m mark %s--mark %s", not(), r.pick("0x1", "0x2/0x2", "0x0"))
	case 2:
		if table == "filter" {
			s.WriteString(" -m limit --limit 5/min")
		}
	case 3:
		fmt.Fprintf(&s, " -m length --length %s", r.pick("0:100", "60"))
	}
	return s.String()
}

// line makes a rule for a chain.
func (r *randomRules) line(table, chain string) string {
	to := "ACCEPT"
	c := r.conditions(table, chain)
	host := r.host()
	if r.v6 {
		host = "[" + host + "]"
	}
	switch {
	case table == "filter":
		to = r.pick("ACCEPT", "ACCEPT", "DROP", "DROP", "REJECT", "RETURN")
		if r.IntN(4) == 0 && chain != "user" {
			to = "user"
		}
	case table == "mangle":
		to = r.pick("MARK --set-mark 1", "MARK --set-xmark 0x2/0x2", "TOS --set-tos 0x10", "ACCEPT", "CONNMARK --save-mark")
	case table == "raw":
		to = r.pick("CT --notrack", "ACCEPT", "DROP")
	case chain == "PREROUTING" || chain == "OUTPUT":
		to = r.pick("DNAT --to-destination "+r.host(), "ACCEPT", "REDIRECT")
		if strings.Contains(c, "-p tcp") {
			to = r.pick(to, "DNAT --to-destination "+host+":8080", "REDIRECT --to-ports 8080")
		}
	default:
		to = r.pick("SNAT --to-source "+r.host(), "ACCEPT", "MASQUERADE")
		if chain == "INPUT" && to == "MASQUERADE" {
			to = "ACCEPT"
		}
	}
	return "-A " + chain + c + " -j " + to
}

// place is where the rules of a random ruleset stand.
type place struct{ table, chain string }

var places = [...]place{
	{"filter", "INPUT"}, {"filter", "INPUT"}, {"filter", "FORWARD"}, {"filter", "FORWARD"}, {"filter", "OUTPUT"}, {"filter", "user"}, {"filter", "user"},
	{"mangle", "PREROUTING"}, {"mangle", "OUTPUT"}, {"raw", "PREROUTING"}, {"nat", "PREROUTING"}, {"nat", "OUTPUT"}, {"nat", "POSTROUTING"},
}

// lines are a ruleset, and the places of its rules.
type lines struct {
	policy [3]string
	at     []place
	rules  []string
}

func (r *randomRules) lines() lines {
	var l lines
	for i := range l.policy {
		l.policy[i] = r.pick("ACCEPT", "DROP")
	}
	for range 4 + r.IntN(12) {
		l.add(r, len(l.at))
	}
	return l
}

func (l *lines) add(r *randomRules, i int) {
	p := places[r.IntN(len(places))]
	if r.IntN(2) == 0 {
		p = places[r.IntN(7)]
	}
	l.at = slices.Insert(l.at, i, p)
	l.rules = slices.Insert(l.rules, i, r.line(p.table, p.chain))
}

// changed is the ruleset with one to three small changes.
func (r *randomRules) changed(l lines) lines {
	l.at, l.rules = slices.Clone(l.at), slices.Clone(l.rules)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(l.rules))
		switch r.IntN(6) {
		case 0:
			l.add(r, i)
		case 1:
			if len(l.rules) > 1 {
				l.at, l.rules = slices.Delete(l.at, i, i+1), slices.Delete(l.rules, i, i+1)
			}
		case 2:
			j := r.IntN(len(l.rules))
			l.at[i], l.at[j], l.rules[i], l.rules[j] = l.at[j], l.at[i], l.rules[j], l.rules[i]
		case 3:
			l.policy[r.IntN(3)] = r.pick("ACCEPT", "DROP")
		default:
			l.rules[i] = r.line(l.at[i].table, l.at[i].chain)
		}
	}
	return l
}

func (l *lines) text() []string {
	var out []string
	for _, table := range [...]string{"raw", "mangle", "nat", "filter"} {
		out = append(out, "*"+table)
		if table == "filter" {
			for i, c := range [...]string{"INPUT", "FORWARD", "OUTPUT"} {
				out = append(out, ":"+c+" "+l.policy[i]+" [0:0]")
			}
			out = append(out, ":user - [0:0]")
		}
		for i, p := range l.at {
			if p.table == table {
				out = append(out, l.rules[i])
			}
		}
		out = append(out, "COMMIT")
	}
	return out
}

// diffOf compares two rulesets in save format.
func diffOf(t testing.TB, f rule.Family, old, now []string) *Diff {
	t.Helper()
	d, err := NewDiff(&Subject{Ruleset: rulesOf(t, f, old...), Source: "old"}, &Subject{Ruleset: rulesOf(t, f, now...), Source: "new"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// isAssumed reports whether an atom is one that the test fixes an answer for.
func isAssumed(l space.Literal) bool { return strings.HasPrefix(l.Text, "-m limit ") }

// pointTester holds single packets against a Diff.
type pointTester struct {
	*testing.T
	*rand.Rand
	d               *Diff
	old, now        *simulate.Firewall
	arriving, real  [3]space.Set
	inside, outside int
}

// where says if a packet is in a change for certain, or maybe; limit is the
// answer of all limits.
func (p *pointTester) where(at *space.Point, w simulate.Way, limit bool) (sure []*Change, maybe bool) {
	for i := range p.d.Changes {
		c := &p.d.Changes[i]
		for _, b := range c.Packets.Boxes() {
			bare, other, fits := b.WithoutLiterals(), false, c.Way == w
			for _, l := range b.Literals() {
				switch {
				case l.IsMasked():
					fits = fits && at.Holds(l.Atom) != l.Not
				case isAssumed(l):
					fits = fits && limit != l.Not
				default:
					other = true
				}
			}
			switch {
			case !fits || !bare.Has(at):
			case other:
				maybe = true
			default:
				sure = append(sure, c)
			}
		}
	}
	return sure, maybe
}

// ask compares what the simulations make of a packet with what the diff says.
func (p *pointTester) ask(k packet.Packet, w simulate.Way, limit bool) {
	at := space.PointOf(&k)
	o := simulate.Options{Way: w, NoTrace: true, Ends: true, Fixed: map[string]packet.Answer{"limit": packet.Of(limit)}}
	a, b := p.old.Walk(k, o), p.now.Walk(k, o)
	sure, maybe := p.where(&at, w, limit)
	isRoute := func(d simulate.Doubt) bool { return d.Match == "route" }
	if w == simulate.In && (slices.ContainsFunc(a.Doubts, isRoute) || slices.ContainsFunc(b.Doubts, isRoute)) {
		return // what is sent on is compared on the way through
	}
	fail := func(format string, args ...any) {
		p.Helper()
		p.Fatalf("%s\n%v %v limit %v\n%+v\nold %v by %v, new %v by %v\n%s", fmt.Sprintf(format, args...), w.Hook(), at, limit, k, a.Verdict, a.By, b.Verdict, b.By, p.describe())
	}
	switch {
	case len(sure) > 1:
		fail("in %d changes", len(sure))
	case len(sure) == 1:
		p.inside++
		if !canEnd(&a, sure[0].Old.Verdict) || !canEnd(&b, sure[0].New.Verdict) {
			fail("the diff says %v, %v", sure[0].Old, sure[0].New)
		}
		if a.Verdict == simulate.Accept && b.Verdict == simulate.Accept && sameLeft(&a.Packet, &b.Packet) {
			fail("translated alike, but the diff says %v, %v", sure[0].Old, sure[0].New)
		}
	case !maybe:
		p.outside++
		if !slices.Equal(verdicts(&a), verdicts(&b)) {
			fail("the diff says nothing")
		}
		if a.Verdict == simulate.Accept && b.Verdict == simulate.Accept && len(a.Ends) == 1 && len(b.Ends) == 1 && !sameLeft(&a.Packet, &b.Packet) {
			fail("the diff says nothing of another translation:\n%+v\n%+v", a.Packet, b.Packet)
		}
	}
}

func verdicts(r *simulate.Result) (list []simulate.Verdict) {
	for _, e := range r.Ends {
		list = append(list, e.Verdict)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (p *pointTester) describe() string {
	var s strings.Builder
	for i := range p.d.Changes {
		c := &p.d.Changes[i]
		fmt.Fprintf(&s, "%v: %v -> %v\n%v", c.Way.Hook(), c.Old, c.New, c.Packets)
	}
	return s.String()
}

// point makes a packet, often of a change or near one.
func (p *pointTester) point(w simulate.Way) (packet.Packet, bool) {
	at := naturalPoint(p.d.Old.Family, p.Rand)
	wide := p.d.Old.Family == rule.IPv6
	r := randomRules{p.Rand, wide}
	from := p.arriving[w].Boxes()
	box := from[p.IntN(len(from))]
	if p.IntN(3) > 0 && len(p.d.Changes) > 0 {
		boxes := p.d.Changes[p.IntN(len(p.d.Changes))].Packets.Boxes()
		some := boxes[p.IntN(len(boxes))].WithoutLiterals()
		if p.IntN(2) == 0 { // near it
			some, _ = some.Replace(space.Dim(p.IntN(int(space.NumDims))), nil)
		}
		if both, ok := box.And(&some); ok {
			box = both
		}
	}
	set := func(d space.Dim, list ...uint64) {
		if p.IntN(2) == 0 {
			at.At[d] = space.Number{Lo: list[p.IntN(len(list))]}
		}
	}
	set(space.Proto, 6, 17, 1, 47, 58)
	set(space.DPort, 22, 80, 53, 443, 8080, 81)
	set(space.Flags, 2, 16, 18)
	set(space.Length, 60, 100, 1400)
	for _, d := range [...]space.Dim{space.Src, space.Dst} {
		if p.IntN(2) == 0 {
			if a := netip.MustParseAddr(r.host()); a.IsValid() {
				at.At[d] = space.AddrNumber(a)
			}
		}
	}
	natural := at
	box.Sample(&at, p.Rand)
	keepNatural(&at, &natural, &box)
	k := PacketAt(&at, p.d.Old.Family)
	at = space.PointOf(&k)
	return k, !k.Fragment && p.real[w].Has(&at) // what a fragment has in place of ports, no packet tells
}

var diffSeed = flag.Uint64("diff.seed", 11, "for other random rulesets than the usual ones")

func TestRandomDiffsAgreeWithBothSimulations(t *testing.T) {
	r := &randomRules{Rand: rand.New(rand.NewPCG(*diffSeed, 3))}
	pairs, points, changes, examples := 150, 900, 0, 0
	inside, outside, possible := 0, 0, 0
	for n := range pairs {
		r.v6 = n%4 == 3
		f := rule.IPv4
		if r.v6 {
			f = rule.IPv6
		}
		l := r.lines()
		old, now := l.text(), func() []string { c := r.changed(l); return c.text() }()
		d := diffOf(t, f, old, now)
		p := &pointTester{T: t, Rand: r.Rand, d: d, old: simulate.NewIndexed(d.Old.Ruleset), now: simulate.NewIndexed(d.New.Ruleset)}
		for w := range p.real {
			p.arriving[w] = Arriving(simulate.Way(w))
			p.real[w] = Real(f, false).And(p.arriving[w])
		}
		ok := t.Run("", func(t *testing.T) {
			p.T = t
			for range points {
				w := simulate.Way(r.IntN(3))
				if k, real := p.point(w); real {
					p.ask(k, w, r.IntN(2) == 0)
				}
			}
		})
		for i := range d.Changes {
			c := &d.Changes[i]
			changes++
			if c.Example != nil {
				examples++
				possible += b2i(c.Example.Possible)
			} else {
				t.Errorf("no example of %v -> %v\n%v", c.Old, c.New, c.Packets)
				ok = false
			}
		}
		if !ok {
			t.Fatalf("old\n%s\nnew\n%s", strings.Join(old, "\n"), strings.Join(now, "\n"))
		}
		inside, outside = inside+p.inside, outside+p.outside
	}
	t.Logf("%d changes, %d examples, %d of them only possible; %d packets inside, %d outside", changes, examples, possible, inside, outside)
	if inside < 10000 || inside+outside < 100000 || examples < changes {
		t.Errorf("%d changes with %d examples; %d packets in changes and %d in none", changes, examples, inside, outside)
	}
}

func TestDiffOfTheSameRulesetsSaysTheSameEachTime(t *testing.T) {
	r := &randomRules{Rand: rand.New(rand.NewPCG(6, 6))}
	for range 20 {
		l := r.lines()
		c := r.changed(l)
		var said [2]string
		for i := range said {
			d := diffOf(t, rule.IPv4, l.text(), c.text())
			for _, x := range d.Changes {
				said[i] += fmt.Sprintf("%v: %v -> %v\n%v%v\n", x.Way.Hook(), x.Old, x.New, x.Packets, x.Example)
			}
		}
		if said[0] != said[1] {
			t.Fatalf("first\n%s\nthen\n%s", said[0], said[1])
		}
	}
}
