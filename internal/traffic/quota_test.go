package traffic

import (
	"strings"
	"testing"

	"moat/internal/lab"
)

// "--quota bytes: The quota in bytes", counted down by each packet until it
// has been reached.
func TestQuotaEndsAfterItsBytes(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m quota --quota 1000")
		n := lab.NewPair(t)
		headers := 28
		if f == ipv6 {
			headers = 48
		}
		p := f.udp(9, strings.Repeat("x", 500-headers))
		f.rules(n.Server,
			"-A INPUT -p udp -m quota --quota 1499 -j ACCEPT", // not enough for a third
			"-A INPUT -p udp -m quota ! --quota 0 -j ACCEPT",
			"-A INPUT -p udp -j DROP")
		for range 4 {
			n.Client.Send(p)
		}
		f.arrived(t, n.Server, rule{"filter", "INPUT", 2}, 2)
		if packets, bytes := f.counters(t, n.Server, rule{"filter", "INPUT", 1}); packets != 2 || bytes != 1000 {
			t.Errorf("the quota of 1499 bytes let %d packets, %d bytes through, want 2, 1000", packets, bytes)
		}
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 3}, 0)
	})
}
