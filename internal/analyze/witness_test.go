package analyze

import (
	"math/rand/v2"
	"strings"
	"testing"

	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// TestWitnessesAreOfTheirClass takes a readable packet of every class of random
// rulesets: it lies in the class and in no other, and if nothing is in doubt the
// simulation agrees.
func TestWitnessesAreOfTheirClass(t *testing.T) {
	t.Parallel()
	var n tally
	none := 0
	for seed := range uint64(40) {
		f := [...]rule.Family{rule.IPv4, rule.IPv6}[seed%2]
		r := ruleMaker{rand.New(rand.NewPCG(12, seed)), f}
		rs := r.ruleset(2 + int(seed%6))
		m, fw := NewModel(rs), simulate.New(rs)
		for _, w := range []simulate.Way{simulate.In, simulate.Through, simulate.Out} {
			m.Each(w, Fresh(w), func(c Class) bool {
				p, doubts, ok := Witness(c.Packets, f)
				if !ok {
					none++
					return true
				}
				at := space.PointOf(&p)
				if bare := c.Packets.WithoutLiterals(); !bare.Has(&at) {
					t.Fatalf("seed %d: %s is not in %v", seed, describe(&p), c.Packets)
				}
				if len(doubts) == 0 {
					n.agrees(t, fw, &c, &at, f, seed)
				}
				return !t.Failed()
			})
		}
	}
	if n.points < 1500 || none > n.points/2 {
		t.Errorf("%+v, and no packet of %d classes", n, none)
	}
}

// TestWitnessReads holds packets to what a person would write.
func TestWitnessReads(t *testing.T) {
	t.Parallel()
	with := func(d space.Dim, v space.Values) func(space.Box) space.Box {
		return func(b space.Box) space.Box { b, _ = b.With(d, v); return b }
	}
	port, ping := space.One(space.DPort, space.Num(22)), space.One(space.ICMP, space.Num(8<<8))
	for _, c := range []struct {
		change func(space.Box) space.Box
		want   string
	}{
		{with(space.DPort, port), `in "eth0" out "" 203.0.113.7:40000 -> 198.51.100.2:22 proto 6 flags 0x2 icmp 0/0 state NEW`},
		{with(space.ICMP, ping), `in "eth0" out "" 203.0.113.7:0 -> 198.51.100.2:0 proto 1 flags 0x0 icmp 8/0 state NEW`},
		{with(space.In, space.Names("veth+")), `in "veth0" out "" 203.0.113.7:40000`},
		{with(space.In, space.Complement(space.In, space.Names("eth+"))), `in "wan0" out "" 203.0.113.7:40000`},
		{with(space.Proto, space.One(space.Proto, space.Num(47))), `proto 47 flags 0x0`},
	} {
		p, _, ok := Witness(c.change(Fresh(simulate.In).Boxes()[0]), rule.IPv4)
		if got := describe(&p); !ok || !strings.Contains(got, c.want) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	nowhere, _ := Fresh(simulate.In).Boxes()[0].With(space.Proto, space.One(space.Proto, space.Num(47)))
	if p, _, ok := Witness(with(space.DPort, port)(nowhere), rule.IPv4); ok {
		t.Errorf("GRE has a port 22: %s", describe(&p))
	}
}
