package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "--queue-bypass: By default, if no userspace program is listening on an
// NFQUEUE, then all packets that are to be queued are dropped. When this option
// is used, the NFQUEUE rule behaves like ACCEPT instead".
func TestNfqueueWithoutAListener(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p udp -j NFQUEUE --queue-num 5 --queue-bypass")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54,55,56")
		f.rules(n.Server,
			"-A INPUT -p udp --dport 53 -j NFQUEUE --queue-num 5",
			"-A INPUT -p udp --dport 54 -j NFQUEUE --queue-num 5 --queue-bypass",
			"-A INPUT -p udp --dport 55 -j NFQUEUE --queue-balance 5:8 --queue-bypass",
			"-A INPUT -p udp ! --dport 56 -j DROP") // bypassed packets do not come here
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Silent)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 55)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 56)), lab.Open)
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 1}, 1)
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 4}, 0)
	})
}
