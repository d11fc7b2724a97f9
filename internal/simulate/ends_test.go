package simulate

import (
	"slices"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

func TestEndsAreAllThatMayBecomeOfAPacket(t *testing.T) {
	rs := ruleset(t, rule.IPv4,
		"-A INPUT -p tcp --dport 22 -m limit --limit 1/s -j ACCEPT",
		"-A INPUT -p tcp --dport 22 -m statistic --mode random --probability 0.5 -j DROP",
		"-A INPUT -p tcp --dport 22 -m limit --limit 1/s -j MARK --set-mark 1",
		"-A INPUT -p tcp --dport 22 -j REJECT",
		"-A INPUT -p tcp --dport 80 -m limit --limit 1/s -j DROP",
		"-A INPUT -p tcp --dport 80 -j DROP",
	)
	type end struct {
		v    Verdict
		rule int
	}
	cases := []struct {
		port  uint16
		fixed map[string]packet.Answer
		want  []end
		sure  Verdict
	}{
		{22, nil, []end{{Accept, 1}, {Drop, 2}, {Reject, 4}}, Unknown},
		{22, map[string]packet.Answer{"limit": packet.No}, []end{{Drop, 2}, {Reject, 4}}, Unknown},
		{22, map[string]packet.Answer{"limit": packet.Yes}, []end{{Accept, 1}}, Accept},
		{80, nil, []end{{Drop, 5}, {Drop, 6}}, Drop},
		{443, nil, []end{{Accept, 0}}, Accept},
	}
	f := New(rs)
	for _, c := range cases {
		r := f.Walk(tcp("203.0.113.7", "198.51.100.2", c.port), Options{Way: In, Fixed: c.fixed, Ends: true})
		var got []end
		for _, e := range r.Ends {
			got = append(got, end{e.Verdict, e.By.Rule})
		}
		slices.SortFunc(got, func(a, b end) int { return a.rule - b.rule })
		if !slices.Equal(got, c.want) || r.Verdict != c.sure {
			t.Errorf("port %d, %v: %v %v, want %v %v", c.port, c.fixed, r.Verdict, got, c.sure, c.want)
		}
		if (len(r.Doubts) > 0) != (len(c.want) > 1) {
			t.Errorf("port %d, %v: doubts %v", c.port, c.fixed, r.Doubts)
		}
	}
	if r := f.Walk(tcp("203.0.113.7", "198.51.100.2", 22), Options{Way: In}); r.Ends != nil {
		t.Errorf("ends without having been asked for: %v", r.Ends)
	}
}

// The kernel routes what this host sends anew only when a translation gave it
// another destination.
func TestRedirectionToTheSameDestinationIsNotRoutedAnew(t *testing.T) {
	rs := ruleset(t, rule.IPv4,
		"*nat", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT", "-A OUTPUT -p tcp -j REDIRECT --to-ports 81", "-A POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.7",
	)
	for dst, want := range map[string]string{"127.0.0.1": "192.0.2.7", "198.51.100.9": "198.51.100.2"} {
		p := tcp("198.51.100.2", dst, 80)
		p.In, p.Out = "", "eth0"
		if r := New(rs).Walk(p, Options{Way: Out}); r.Packet.Src.String() != want || r.Packet.Dst.String() != "127.0.0.1" {
			t.Errorf("to %s: left from %v to %v, want from %s to 127.0.0.1", dst, r.Packet.Src, r.Packet.Dst, want)
		}
	}
}
