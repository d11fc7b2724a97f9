package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "NETMAP: statically map a whole network of addresses onto another network of
// addresses": the host part stays.
func TestNetmapMapsANetworkOntoAnother(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t nat -A PREROUTING -j NETMAP --to "+f.other)
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80")
		bits := f.other[len(f.other)-3:]
		host := sameHost(f.server, f.inNet(f.other))
		n.Client.Expect(lab.TCP(lab.At(host, 80)), lab.Unreachable)
		f.rules(n.Router,
			"-t nat -A PREROUTING -d "+f.other+" -j NETMAP --to "+f.server+bits,
			"-t nat -A POSTROUTING -s "+f.client+bits+" -j NETMAP --to "+f.other)
		r := n.Client.Expect(lab.TCP(lab.At(host, 80)), lab.Open)
		if want := sameHost(f.client, f.inNet(f.other)); r.At != at(f.server, 80) || r.Seen.Addr().String() != want {
			t.Errorf("the server saw %v at %v, want %s at %s", r.Seen, r.At, want, f.server)
		}
		r = n.Client.Expect(lab.TCP(lab.At(f.server, 80)).From(f.blocked), lab.Open)
		if want := sameHost(f.blocked, f.inNet(f.other)); r.Seen.Addr().String() != want {
			t.Errorf("the server saw %v, want %s", r.Seen, want)
		}
	})
}
