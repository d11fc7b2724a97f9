package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "RETURN means stop traversing this chain and resume at the next rule in the
// previous (calling) chain"; "-g: unlike the --jump option return will not
// continue processing in this chain but instead in the chain that called us
// via --jump".
func TestUserChainsReturnAndGo(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 10,11,12,13,14")
		f.rules(n.Server,
			"-N outer", "-N inner", "-N away",
			"-A INPUT -p udp -j outer",
			"-A INPUT -p udp --dport 14 -j ACCEPT",
			"-A INPUT -p udp", // 3: all that came back
			"-A outer -p udp --dport 10 -j inner",
			"-A outer -p udp --dport 11 -g away",
			"-A outer -p udp --dport 12 -j RETURN",
			"-A outer -p udp --dport 14 -j inner",
			"-A outer -p udp -j DROP", // 10, 11, 12 and 14 have another way
			"-A inner -p udp --dport 14 -g away",
			"-A inner -p udp --dport 10 -j ACCEPT",
			"-A away -p udp")
		for port, want := range map[uint16]lab.State{10: lab.Open, 11: lab.Open, 12: lab.Open, 13: lab.Silent, 14: lab.Silent} {
			n.Client.Expect(lab.UDP(lab.At(f.server, port)), want)
		}
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 2}, 0)
		f.wantPackets(t, n.Server, rule{"filter", "INPUT", 3}, 2) // 11 and 12
		f.wantPackets(t, n.Server, rule{"filter", "outer", 5}, 2) // 13, and 14 back from away to outer
		f.wantPackets(t, n.Server, rule{"filter", "away", 1}, 2)
	})
}

// A packet that no rule decides meets the policy of the built-in chain, also
// when a user chain returns at the end of it.
func TestPolicyDecidesWhatIsLeft(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewRouted(t)
		n.Server.Echo("udp 53,54")
		f.rules(n.Router, "-N wan", "-A FORWARD -i eth0 -j wan", "-A FORWARD -i eth0 -o eth1 -j RETURN",
			"-A FORWARD -p udp --dport 54 -j ACCEPT", "-A wan -p udp --dport 53 -j ACCEPT",
			"-A FORWARD -i eth1 -o eth0 -j ACCEPT", "-P FORWARD DROP")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Silent)
		f.rules(n.Router, "-P FORWARD ACCEPT")
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Open)
	})
}
