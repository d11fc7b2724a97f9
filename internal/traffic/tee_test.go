package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "The TEE target will clone a packet and redirect this clone to another
// machine on the local network segment"; the packet itself goes its way.
func TestTeeSendsACopy(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A PREROUTING -j TEE --gateway "+f.server)
		n := lab.NewRouted(t)
		n.Router.Echo("udp 53,54")
		f.rules(n.Router, "-t mangle -A PREROUTING -i eth0 -p udp --dport 53 -j TEE --gateway "+f.server)
		w := watch(t, n.Server)
		// To the router itself: nothing of this ever goes to the server.
		n.Client.Expect(lab.UDP(lab.At(f.router, 54)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.router, 53)), lab.Open)
		p, ok := sees(t, w, lab.LongWait, func(p lab.Packet) bool { return p.Dst.Addr().String() == f.router })
		if !ok || p.Dst.Port() != 53 || p.Src.Addr().String() != f.client {
			t.Errorf("the server saw %v, %v; want a copy of the packet to port 53", p, ok)
		}
	})
}
