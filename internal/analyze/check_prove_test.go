package analyze

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/space"
)

// proofCase is a random ruleset with a random set of packets, small enough to
// ask the simulator about each.
type proofCase struct {
	*rand.Rand
	v6    bool
	rules []string
	// The set, dimension by dimension.
	proto    string
	src, dst []netip.Addr
	from, to uint16 // destination ports
	in, out  []string
	states   []string
}

func (c *proofCase) addr(net, host int) netip.Addr {
	if c.v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", net, host))
	}
	return netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", net, host))
}

func pick[T any](c *proofCase, list ...T) T { return list[c.IntN(len(list))] }

// some gives some of a list, at least one.
func some[T any](c *proofCase, list ...T) []T {
	c.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:1+c.IntN(len(list))]
}

// conditions is the part of a random rule before its target.
func (c *proofCase) conditions() string {
	var words []string
	if c.IntN(3) == 0 {
		words = append(words, pick(c, "", "! ")+"-s "+netip.PrefixFrom(c.addr(0, c.IntN(4)), c.addr(0, 0).BitLen()-c.IntN(3)).Masked().String())
	}
	if c.IntN(3) == 0 {
		words = append(words, "-d "+netip.PrefixFrom(c.addr(1, c.IntN(4)), c.addr(0, 0).BitLen()-c.IntN(3)).Masked().String())
	}
	switch c.IntN(5) {
	case 0, 1:
		words = append(words, fmt.Sprintf("-p %s %s--dport %d:%d", pick(c, "tcp", "udp"), pick(c, "", "", "! "), 20+c.IntN(4), 24+c.IntN(4)))
	case 2:
		words = append(words, "-p tcp -m multiport --dports 21,23,25:26")
	}
	if c.IntN(4) == 0 {
		words = append(words, "-m conntrack "+pick(c, "", "! ")+"--ctstate "+pick(c, "NEW", "ESTABLISHED,RELATED", "INVALID"))
	}
	if c.IntN(6) == 0 {
		words = append(words, "-m mark "+pick(c, "", "! ")+"--mark "+pick(c, "0x1", "0x0/0x1", "0x2/0x3"))
	}
	if c.IntN(6) == 0 {
		words = append(words, pick(c, "-m limit --limit 1/sec", "-m set --match-set list src", "-m set ! --match-set list src", "-m statistic --mode nth --every 2 --packet 0"))
	}
	if c.IntN(4) == 0 {
		words = append(words, "-m comment --comment "+pick(c, "red", "blue"))
	}
	return strings.Join(words, " ")
}

func (c *proofCase) rule(chain, target string) {
	c.rules = append(c.rules, strings.Join(strings.Fields("-A "+chain+" "+c.conditions()+" -j "+target), " "))
}

// ruleset makes the lines of a random ruleset.
func (c *proofCase) ruleset() {
	c.rules = append(c.rules, "*mangle", ":PREROUTING ACCEPT", ":OUTPUT ACCEPT")
	for range c.IntN(4) {
		c.rule(pick(c, "PREROUTING", "OUTPUT"), pick(c, "MARK --set-mark 1", "MARK --set-xmark 2/2", "ACCEPT", "DROP"))
	}
	c.rules = append(c.rules, "COMMIT", "*nat", ":PREROUTING ACCEPT", ":POSTROUTING ACCEPT")
	for range c.IntN(3) {
		to := fmt.Sprintf("DNAT --to-destination %s", c.addr(1, c.IntN(4)))
		c.rule("PREROUTING", pick(c, to, "ACCEPT"))
	}
	c.rules = append(c.rules, "COMMIT", "*filter")
	for _, chain := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		c.rules = append(c.rules, ":"+chain+" "+pick(c, "ACCEPT", "DROP"))
	}
	c.rules = append(c.rules, ":ONE -", ":TWO -")
	for range 3 + c.IntN(12) {
		chain := pick(c, "INPUT", "FORWARD", "OUTPUT")
		target := pick(c, "ACCEPT", "DROP", "REJECT", "ONE", "ONE", "TWO", "MARK --set-mark 1", "LOG")
		if target != "MARK --set-mark 1" {
			c.rule(chain, target)
		}
		c.rule(pick(c, "ONE", "TWO"), pick(c, "ACCEPT", "DROP", "RETURN", "REJECT"))
	}
	c.rule("ONE", "TWO")
	c.rules = append(c.rules, "COMMIT", "")
}

func listOf[T any](list []T) string {
	var words []string
	for _, x := range list {
		words = append(words, fmt.Sprint(x))
	}
	return strings.Join(words, ",")
}

// set makes the random set of packets, and gives it in the language of questions.
func (c *proofCase) set() string {
	c.proto = pick(c, "tcp", "udp", "tcp,udp")
	for host := range 4 {
		c.src, c.dst = append(c.src, c.addr(0, host)), append(c.dst, c.addr(1, host))
	}
	c.src, c.dst = some(c, c.src...), some(c, c.dst...)
	c.from = uint16(20 + c.IntN(4))
	c.to = c.from + uint16(c.IntN(5))
	c.states = some(c, "NEW", "ESTABLISHED", "INVALID")
	at := func(list []netip.Addr) string {
		if s := listOf(list); !c.v6 {
			return s
		} else {
			return "[" + s + "]"
		}
	}
	s := fmt.Sprintf("%s from %s:1000 to %s:%d-%d state %s", c.proto, at(c.src), at(c.dst), c.from, c.to, listOf(c.states))
	if strings.Contains(c.proto, "tcp") && c.proto != "tcp,udp" {
		s += " flags SYN"
	}
	way := c.IntN(3)
	if way != 2 {
		c.in = some(c, "eth0", "eth1")
		s += " in " + listOf(c.in)
	}
	if way != 0 {
		c.out = some(c, "eth0", "wg0")
		s += " out " + listOf(c.out)
	}
	return s
}

// each asks about every packet of the set.
func (c *proofCase) each(t *testing.T, do func(q *question.Question)) {
	in, out := c.in, c.out
	if in == nil {
		in = []string{""}
	}
	if out == nil {
		out = []string{""}
	}
	for proto := range strings.SplitSeq(c.proto, ",") {
		for _, state := range c.states {
			s := fmt.Sprintf("%s %s -> %s state %s", proto, netip.AddrPortFrom(c.src[0], 1000), netip.AddrPortFrom(c.dst[0], c.from), state)
			if proto == "tcp" {
				s += " flags SYN"
			}
			if in[0] != "" {
				s += " in " + in[0]
			}
			if out[0] != "" {
				s += " out " + out[0]
			}
			base, err := question.Parse(s, question.Options{})
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			for _, a := range c.src {
				for _, b := range c.dst {
					for port := c.from; port <= c.to; port++ {
						for _, i := range in {
							for _, o := range out {
								q := *base
								q.Packet.Src, q.Packet.Dst, q.Packet.Transport.Dst, q.Packet.In, q.Packet.Out = a, b, port, i, o
								do(&q)
							}
						}
					}
				}
			}
		}
	}
}

// asked counts what the simulator says of a set's packets.
type asked struct{ all, failed, unknown int }

// TestProofIsTheSimulatorsAnswer proves random sets under random rulesets, and
// asks the simulator about every packet of them.
func TestProofIsTheSimulatorsAnswer(t *testing.T) {
	points, ended := 0, [3]int{}
	for seed := uint64(0); points < 100_000; seed++ {
		c := &proofCase{Rand: rand.New(rand.NewPCG(seed, 4)), v6: seed%3 == 0}
		c.ruleset()
		set := c.set()
		file := fmt.Sprintf("tests:\n  - name: x\n    packet: %q\n    %s\n", set, pick(c, "expect: accept", "expect: drop", "expect: blocked",
			"expect: reject", "decided by: red", "decided by: policy", "{expect: drop, decided by: blue}"))
		file = strings.NewReplacer("{expect: drop, decided by: blue}", "expect: drop\n    decided by: blue").Replace(file)
		if c.IntN(3) == 0 {
			file += "    assume: {" + pick(c, "limit: yes", "limit: no", "set: yes", "set: no, limit: yes") + "}\n"
		}
		s := proofSubject(t, c)
		suite, err := ReadSuite("t.yaml", []byte(file), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		results, err := suite.Run([]*Subject{s}, CheckOptions{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s%s", seed, err, file, strings.Join(c.rules, "\n"))
		}
		test := &suite.Tests[0]
		if test.Packets[0].Many == nil {
			continue // one packet only
		}
		var n asked
		c.each(t, func(q *question.Question) {
			q.Fixed = test.Assume
			outcome, _ := test.judge(q, s)
			n.all++
			switch outcome {
			case TestFailed:
				n.failed++
			case TestUnknown:
				n.unknown++
			}
		})
		points += n.all
		ended[results[0].Outcome]++
		if bad := n.contradicts(results[0].Outcome); bad != "" {
			t.Fatalf("seed %d: %s: %+v, proof %v\n%s%s", seed, bad, n, results[0].Outcome, file, strings.Join(c.rules, "\n"))
		}
		checkWitnesses(t, &results[0])
	}
	for o, n := range ended {
		if n < 20 {
			t.Errorf("only %d sets ended as %v: the test shows little", n, TestOutcome(o))
		}
	}
}

// contradicts says how a proof's outcome does not fit the simulator's answers.
// Where the simulator has doubts, the proof may see that they hang together.
func (n asked) contradicts(o TestOutcome) string {
	switch {
	case n.failed > 0 && o != TestFailed:
		return "a packet fails"
	case n.failed == 0 && o == TestFailed:
		return "no packet fails"
	case n.failed+n.unknown == 0 && o != TestPassed:
		return "all packets are as expected"
	}
	return ""
}

func proofSubject(t *testing.T, c *proofCase) *Subject {
	t.Helper()
	f := rule.IPv4
	if c.v6 {
		f = rule.IPv6
	}
	r, err := load.Text("rules", []byte(strings.Join(c.rules, "\n")), f)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(c.rules, "\n"))
	}
	return NewSubject(r, false)
}

// checkWitnesses holds that the packets shown are of the set.
func checkWitnesses(t *testing.T, r *TestResult) {
	t.Helper()
	p := &r.Packets[0]
	if r.Outcome != TestPassed && len(p.Against) == 0 {
		t.Errorf("%s: no packet is shown", p.Text)
	}
	from := RangeSet(p.Many, p.Subject.Family)
	for _, e := range p.Against {
		q, err := question.Parse(e.Packet, question.Options{})
		if err != nil {
			t.Fatalf("%s: %v", e.Packet, err)
		}
		k := q.Packet
		if !k.Has(packet.KnowTTL) {
			k.TTL = 64
		}
		k.Known |= packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowTTL
		if at := space.PointOf(&k); !from.Has(&at) {
			t.Errorf("%s is not of %s", e.Packet, p.Text)
		}
	}
}
