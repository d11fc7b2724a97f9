package host

import (
	"net/netip"
	"testing"

	"moat/internal/lab"
)

// settled waits for a host's own IPv6 addresses: the kernel adds their routes
// in the background.
func settled(t testing.TB, h *lab.Host, addresses ...string) {
	t.Helper()
	err := lab.WaitFor(lab.LongWait, func() (all bool, err error) {
		all = true
		err = h.Do(func() error {
			for _, a := range addresses {
				own, err := Owns(netip.MustParseAddr(a))
				if all = all && own; err != nil {
					return err
				}
			}
			return nil
		})
		return all, err
	})
	if err != nil {
		t.Fatalf("%v: %v", addresses, err)
	}
}

func TestWayIsTheKernels(t *testing.T) {
	t.Parallel()
	n := lab.NewRouted(t)
	sh(t, n.Server, `
ip addr add fe80::2/64 dev eth0 nodad
ip link add p2p type veth peer name far; ip link set far up; ip link set p2p arp off; ip addr add 10.9.0.1/24 dev p2p; ip link set p2p up
ip route add unreachable 10.66.0.0/16; ip route add blackhole 10.67.0.0/16; ip -6 route add unreachable 2001:db8:66::/48
ip route add default via 10.9.0.2 dev p2p table 100; ip rule add from 10.9.0.1 lookup 100`)
	settled(t, n.Server, lab.ServerAddr6, "fe80::2%eth0")
	own4, own6 := netip.MustParseAddr(lab.ServerAddr), netip.MustParseAddr(lab.ServerAddr6)
	for _, c := range []struct {
		to, from string
		want     Way
		found    bool
	}{
		{lab.ClientAddr, "", Way{Interface: "eth0", Kind: "veth", Gateway: netip.MustParseAddr("198.51.100.1"), Source: own4}, true},
		{"::ffff:" + lab.ClientAddr, lab.ServerAddr, Way{Interface: "eth0", Kind: "veth", Gateway: netip.MustParseAddr("198.51.100.1")}, true},
		{lab.ClientAddr, "10.9.0.1", Way{Interface: "p2p", Kind: "veth", Gateway: netip.MustParseAddr("10.9.0.2"), NoNeighbours: true}, true},
		{lab.ClientAddr6, lab.ServerAddr6, Way{Interface: "eth0", Kind: "veth", Gateway: netip.MustParseAddr("2001:db8:2::1"), Source: own6}, true},
		{"198.51.100.77", "", Way{Interface: "eth0", Kind: "veth", Source: own4}, true},
		{"fe80::7%eth0", "", Way{Interface: "eth0", Kind: "veth", Source: netip.MustParseAddr("fe80::2")}, true},
		{"fe80::7%eth9", "", Way{}, false},
		{lab.ServerAddr, "", Way{Interface: "lo", Source: own4, NoNeighbours: true, Local: true}, true},
		{"::1", "", Way{Interface: "lo", Source: netip.IPv6Loopback(), NoNeighbours: true, Local: true}, true},
		{"10.66.0.1", "", Way{}, false}, {"10.67.0.1", "", Way{}, false}, {"2001:db8:66::1", "", Way{}, false},
	} {
		var got Way
		var found bool
		var from netip.Addr
		if c.from != "" {
			from = netip.MustParseAddr(c.from)
		}
		err := n.Server.Do(func() (err error) { got, found, err = WayTo(netip.MustParseAddr(c.to), from); return err })
		if err != nil || found != c.found || got != c.want {
			t.Errorf("to %s from %s: %+v, %v, %v", c.to, c.from, got, found, err)
		}
	}
}

func TestOwnAddressesAreKnown(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	settled(t, n.Server, lab.ServerAddr6)
	for addr, want := range map[string]bool{
		lab.ServerAddr: true, lab.ServerAddr6: true, "127.0.0.1": true, "::1": true, "::ffff:" + lab.ServerAddr: true,
		lab.ClientAddr: false, lab.ClientAddr6: false, "192.0.2.1": false, "fe80::99%eth0": false, "fe80::99%nowhere": false,
	} {
		var got bool
		if err := n.Server.Do(func() (err error) { got, err = Owns(netip.MustParseAddr(addr)); return err }); err != nil || got != want {
			t.Errorf("%s: %v, %v", addr, got, err)
		}
	}
}

// A tunnel's own packets are kept out of it by their mark, as wg-quick(8) does.
func TestWayOfAMarkIsTheKernels(t *testing.T) {
	t.Parallel()
	n := lab.NewRouted(t)
	sh(t, n.Server, "ip link add p2p type veth peer name far; ip link set far up; ip addr add 10.9.0.1/24 dev p2p; ip link set p2p up; "+
		"ip route add default dev p2p table 100; ip rule add not fwmark 7 lookup 100")
	for mark, want := range map[uint32]string{0: "p2p", 8: "p2p", 7: "eth0"} {
		err := n.Server.Do(func() error {
			w, found, err := WayBy(netip.MustParseAddr(lab.ClientAddr), netip.Addr{}, mark)
			if !found || w.Interface != want {
				t.Errorf("mark %d: %+v, %v", mark, w, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
