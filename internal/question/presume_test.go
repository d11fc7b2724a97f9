package question

import (
	"net/netip"
	"testing"
)

// The way of a packet tells which of its addresses is the host's own; more is
// not known of a host that nobody asked.
func TestTheWayTellsOfTheHost(t *testing.T) {
	for _, c := range []struct {
		question, addr string
		want           int // RTN_*; 0: not known
	}{
		{"tcp 203.0.113.7 -> 198.51.100.2:22 in eth0", "198.51.100.2", 2},
		{"tcp 203.0.113.7 -> 198.51.100.2:22 in eth0", "203.0.113.7", 0},
		{"tcp 203.0.113.7 -> 198.51.100.2:22", "198.51.100.2", 2},
		{"tcp 203.0.113.7 -> 198.51.100.2:22 in eth0 out eth1", "198.51.100.2", 0},
		{"tcp 203.0.113.7 -> 198.51.100.2:22 out eth1", "203.0.113.7", 2},
		{"tcp 203.0.113.7 -> 198.51.100.2:22 out eth1", "198.51.100.2", 0},
		{"udp 203.0.113.7 -> 224.0.0.251:5353 in eth0", "224.0.0.251", 5},
		{"udp 203.0.113.7 -> 255.255.255.255:68 in eth0", "255.255.255.255", 3},
		{"udp 203.0.113.7 -> 198.51.100.255:68 in eth0 pkttype broadcast", "198.51.100.255", 0},
		{"tcp 2001:db8::7 -> [2001:db8::2]:22 in eth0", "2001:db8::2", 2},
		{"tcp ::1 -> [::1]:22 in lo", "::1", 2},
	} {
		q, err := Parse(c.question, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.question, err)
			continue
		}
		got, known := q.Packet.Host.AddressType(netip.MustParseAddr(c.addr), "")
		if known != (c.want != 0) || known && int(got) != c.want {
			t.Errorf("%s: %s is of type %d (known: %v), want %d", c.question, c.addr, got, known, c.want)
		}
	}
}
