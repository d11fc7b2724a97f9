package traffic

import (
	"testing"

	"moat/internal/lab"
)

// bracket gives an address as a rule writes it before a port.
func (f family) bracket(addr string) string {
	if f == ipv6 {
		return "[" + addr + "]"
	}
	return addr
}

func TestDnatForwardsAPort(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80 udp 53")
		web := lab.TCP(lab.At(f.router, 8080))
		n.Client.Expect(web, lab.Refused)
		f.rules(n.Router,
			"-t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination "+f.bracket(f.server)+":80",
			"-t nat -A PREROUTING -i eth0 -d "+f.router+" -p udp -j DNAT --to-destination "+f.server)
		for _, p := range []lab.Probe{web, lab.UDP(lab.At(f.router, 53))} {
			r := n.Client.Expect(p, lab.Open)
			if r.Server != "server" || r.At.Addr().String() != f.server || r.Seen.Addr().String() != f.client {
				t.Errorf("%v: %q saw %v at %v", p, r.Server, r.Seen, r.At)
			}
		}
		n.Client.Expect(lab.TCP(lab.At(f.router, 8081)), lab.Refused)
		f.wantPackets(t, n.Router, rule{"nat", "PREROUTING", 1}, 1) // the first packet of each connection only
	})
}

// Connections that came in by DNAT are told by conntrack.
func TestConntrackKnowsDnat(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80")
		f.rules(n.Router,
			"-t nat -A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination "+f.bracket(f.server)+":80",
			"-A FORWARD -i eth0 -m conntrack ! --ctstate DNAT -j REJECT")
		n.Client.Expect(lab.TCP(lab.At(f.router, 8080)), lab.Open)
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Refused)
	})
}

func TestSnatAndMasqueradeHideTheClient(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80,81,82")
		f.rules(n.Router,
			"-t nat -A POSTROUTING -o eth1 -p tcp --dport 80 -j SNAT --to-source "+f.bracket(f.behind)+":7000-7010",
			"-t nat -A POSTROUTING -o eth1 -p tcp --dport 81 -j MASQUERADE")
		for port, want := range map[uint16]string{80: f.behind, 81: f.behind, 82: f.client} {
			r := n.Client.Expect(lab.TCP(lab.At(f.server, port)), lab.Open)
			if r.Seen.Addr().String() != want {
				t.Errorf("port %d: the server saw %v, want %s", port, r.Seen, want)
			}
			if p := r.Seen.Port(); port == 80 && (p < 7000 || p > 7010) {
				t.Errorf("port %d: the server saw %v, want a port of 7000-7010", port, r.Seen)
			}
		}
	})
}

// "REDIRECT: It redirects the packet to the machine itself by changing the
// destination IP to the primary address of the incoming interface"; from
// OUTPUT, to the loopback address.
func TestRedirectComesHome(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewRouted(t)
		n.Router.Echo("tcp 3128")
		n.Server.Echo("tcp 80,81")
		f.rules(n.Router,
			"-t nat -A PREROUTING -i eth0 -p tcp --dport 80 -j REDIRECT --to-ports 3128",
			"-t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 3128")
		r := n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open)
		if r.Server != "router" || r.At != at(f.router, 3128) {
			t.Errorf("%q answers at %v, want the router at %s", r.Server, r.At, lab.At(f.router, 3128))
		}
		if r := n.Client.Expect(lab.TCP(lab.At(f.server, 81)), lab.Open); r.Server != "server" {
			t.Errorf("port 81: %q answers", r.Server)
		}
		loopback := map[family]string{ipv4: "127.0.0.1", ipv6: "::1"}[f]
		if r := n.Router.Expect(lab.TCP(lab.At(f.server, 80)), lab.Open); r.At != at(loopback, 3128) {
			t.Errorf("from OUTPUT: %v answers, want %s", r.At, lab.At(loopback, 3128))
		}
	})
}
