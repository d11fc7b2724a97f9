package analyze

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moat/internal/host"
	"moat/internal/rule"
	"moat/internal/rulesets"
	"moat/internal/simulate"
	"moat/internal/space"
)

// TestOpeningsAreWhatTheSimulationLetsIn asks about packets at random: what is in
// an opening without conditions gets in, and what gets in is in an opening.
func TestOpeningsAreWhatTheSimulationLetsIn(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	asked, opened := 0, 0
	for _, name := range []string{"web", "router", "hardened", "ufw"} {
		for _, f := range []rule.Family{rule.IPv4, rule.IPv6} {
			file, err := rulesets.Get(name, f)
			if err != nil {
				t.Fatal(err)
			}
			s := subjectOf(t, name, file.Text, f)
			e := NewExposure([]*Subject{s}, nil)
			walls := simulate.NewIndexed(s.Ruleset)
			from := outside(simulate.In, f).Boxes()
			for range 2500 {
				at := naturalPoint(f, r)
				b := from[r.IntN(len(from))]
				if len(e.Openings) > 0 && r.IntN(3) > 0 {
					some := e.Openings[r.IntN(len(e.Openings))].Packets
					if r.IntN(3) == 0 {
						some, _ = some.Replace(space.Dim(r.IntN(int(space.NumDims))), nil)
					}
					if both, ok := b.And(&some); ok {
						b = both
					}
				}
				b.Sample(&at, r)
				k := PacketAt(&at, f)
				x := space.PointOf(&k)
				if all := space.Disjoint(from); !all.Has(&x) {
					continue
				}
				asked++
				got := walls.Walk(k, simulate.Options{Way: simulate.In, NoTrace: true, Ends: true})
				sure, maybe := in(e, &x)
				switch {
				case got.Verdict == simulate.Accept && !sure && !maybe:
					t.Fatalf("%s: %+v gets in by %v, but is in no opening", file.FileName(), k, got.By)
				case sure && !canEnd(&got, simulate.Accept):
					t.Fatalf("%s: %+v is in an opening, but %v by %v %+v", file.FileName(), k, got.Verdict, got.By, got.Doubts)
				case sure:
					opened++
				}
			}
		}
	}
	if asked < 10000 || opened < 1000 {
		t.Errorf("%d packets asked, %d in openings", asked, opened)
	}
}

// in reports whether a point is in an opening of this host, with conditions or without.
func in(e *Exposure, x *space.Point) (sure, maybe bool) {
	for i := range e.Openings {
		if o := &e.Openings[i]; !o.Forwarded && o.Packets.Has(x) {
			if len(o.Limited)+len(o.When) > 0 {
				maybe = true
			} else {
				sure = true
			}
		}
	}
	return sure, maybe
}

func TestForwardedPortsAndListeners(t *testing.T) {
	rules := strings.Join([]string{
		"*nat", "-A PREROUTING -i eth0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 10.0.0.5:443",
		"-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080", "COMMIT",
		"*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -m limit --limit 5/min -j ACCEPT",
		"-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "-A FORWARD -d 10.0.0.5 -p tcp -m tcp --dport 443 -j ACCEPT", "COMMIT", "",
	}, "\n")
	listeners := []host.Listener{
		{Proto: 6, Addr: netip.IPv6Unspecified(), Port: 22, Program: "sshd"}, {Proto: 6, Addr: netip.IPv4Unspecified(), Port: 8080, Program: "web"},
		{Proto: 6, Addr: netip.MustParseAddr("127.0.0.1"), Port: 22, Program: "inner"},
	}
	e := NewExposure([]*Subject{subjectOf(t, "x", rules, rule.IPv4)}, listeners)
	var got []string
	for i := range e.Openings {
		o := &e.Openings[i]
		line := Describe(&o.Packets, rule.IPv4) + " | " + o.Leads + " | " + strings.Join(o.Limited, ",") + " | " + o.By.String()
		for _, l := range e.Takers(o) {
			line += " | " + l.Program
		}
		got = append(got, line)
	}
	want := []string{
		"tcp from 192.0.2.0/24 to any port 22 |  | limit | filter INPUT rule 1 | sshd",
		"tcp from any to any port 80 | an address of this host port 8080 |  | filter INPUT rule 2 | web",
		"tcp from any to any port 8080 |  |  | filter INPUT rule 2 | web",
		"tcp from any to any port 8443 in eth0 | 10.0.0.5 port 443 |  | filter FORWARD rule 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(e.Rest) != 1 || e.Rest[0].Verdict != simulate.Drop || e.Rest[0].By.Chain != "INPUT" {
		t.Errorf("the rest: %+v", e.Rest)
	}
}
