package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "rpfilter: Performs a reverse path filter test on a packet. If a reply to
// the packet would be sent via the same interface that the packet arrived on,
// the packet will match"; "--loose: Used to specify that the reverse path
// filter test should match even if the selected output device is not the
// expected one".
func TestRpfilterStopsForgedSenders(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t raw -A PREROUTING -m rpfilter --invert -j DROP")
		n := lab.NewRouted(t)
		n.Server.Echo("udp 53")
		forged, unknown := f.udp(9, "forged"), f.udp(9, "unknown")
		forged.Src, unknown.Src = at(f.inNet(f.server), 4000), at(f.inNet(f.other), 4000)
		from := func(src lab.Packet) func(lab.Packet) bool {
			return func(p lab.Packet) bool { return p.Src == src.Src && p.Dst == src.Dst }
		}
		w := watch(t, n.Server)
		n.Client.Send(forged)
		if _, ok := sees(t, w, lab.LongWait, from(forged)); !ok {
			t.Error("without a rule the forged packet does not arrive")
		}

		f.rules(n.Router,
			"-t raw -A PREROUTING -i eth0 -m rpfilter --loose --invert",
			"-t raw -A PREROUTING -i eth0 -m rpfilter --invert -j DROP")
		n.Client.Send(forged)
		n.Client.Send(unknown)
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
		if p, ok := sees(t, w, lab.ShortWait, func(p lab.Packet) bool { return from(forged)(p) || from(unknown)(p) }); ok {
			t.Errorf("%v got through", p)
		}
		f.wantPackets(t, n.Router, rule{"raw", "PREROUTING", 1}, 1) // no way at all back to it
		f.wantPackets(t, n.Router, rule{"raw", "PREROUTING", 2}, 2)
	})
}
