package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "LOG: This is a 'non-terminating target', i.e. rule traversal continues at
// the next rule", as NFLOG and a rule without a target.
func TestLogDoesNotEndThePacketsWay(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54")
		f.rules(n.Server,
			"-A INPUT -p udp -j LOG --log-prefix 'seen: ' --log-level info --log-ip-options",
			"-A INPUT -p udp -j NFLOG --nflog-group 3 --nflog-prefix seen",
			"-A INPUT -p udp",
			"-A INPUT -p udp --dport 54 -j DROP")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Silent)
		for number, want := range []int{2, 2, 2, 1} {
			f.wantPackets(t, n.Server, rule{"filter", "INPUT", number + 1}, want)
		}
	})
}
