package simulate

import (
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// TestLoopedPacketPassesOutputAndInput: what the host sends to itself meets OUTPUT
// first and INPUT after it, with the mark and the translation that it got there.
func TestLoopedPacketPassesOutputAndInput(t *testing.T) {
	lines := []string{
		"*nat", ":PREROUTING ACCEPT", ":OUTPUT ACCEPT", "-A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 9",
		"-A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 81", "COMMIT",
		"*filter", ":INPUT DROP", ":OUTPUT ACCEPT",
		"-A OUTPUT -p tcp --dport 25 -j DROP", "-A OUTPUT -p tcp --dport 26 -j MARK --set-mark 7",
		"-A INPUT -i lo -m mark --mark 7 -j ACCEPT", "-A INPUT -i lo -p tcp --dport 81 -m conntrack --ctstatus CONFIRMED -j ACCEPT",
	}
	f := New(ruleset(t, rule.IPv4, lines...))
	for _, c := range []struct {
		port    uint16
		loop    bool
		verdict Verdict
		by      Place
	}{
		{25, true, Drop, Place{"filter", "OUTPUT", 1}},
		{26, true, Accept, Place{"filter", "INPUT", 1}},
		{27, true, Drop, Place{"filter", "INPUT", 0}},
		{80, true, Accept, Place{"filter", "INPUT", 2}},
		{27, false, Accept, Place{"filter", "OUTPUT", 0}},
	} {
		p := tcp("127.0.0.1", "127.0.0.1", c.port)
		p.Out, p.Known = "lo", p.Known|packet.KnowStatus
		if r := f.Walk(p, Options{Way: Out, Loop: c.loop}); r.Verdict != c.verdict || r.By != c.by {
			t.Errorf("port %d: %v by %v, not %v by %v (%v)", c.port, r.Verdict, r.By, c.verdict, c.by, r.Doubts)
		}
	}
}
