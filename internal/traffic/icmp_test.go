package traffic

import (
	"testing"

	"moat/internal/lab"
)

// icmpMatch gives the words that match a type of the family's ICMP.
func (f family) icmpMatch(kind string) string {
	if f == ipv4 {
		return "-p icmp --icmp-type " + kind
	}
	return "-p icmpv6 --icmpv6-type " + kind
}

func TestIcmpTypes(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		types := map[family][]string{ipv4: {"echo-request", "8/0", "any", "echo-reply", "timestamp-request"},
			ipv6: {"echo-request", "128/0", "128", "echo-reply", "router-solicitation"}}[f]
		for i, want := range []lab.State{lab.Silent, lab.Silent, lab.Silent, lab.Open, lab.Open} {
			match := f.icmpMatch(types[i]) + " -s " + f.client + " -j DROP"
			f.rules(n.Server, "-A INPUT "+match)
			n.Client.Expect(lab.Ping(f.server), want)
			n.Client.Expect(lab.Ping(f.server).From(f.blocked), lab.Open)
			f.rules(n.Server, "-D INPUT "+match)
		}
		f.rules(n.Server, "-A OUTPUT "+f.icmpMatch("echo-reply")+" -j DROP")
		n.Client.Expect(lab.Ping(f.server), lab.Silent)
	})
}

func TestIcmpErrorsByCode(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		unreachable, port, host := "destination-unreachable", "port-unreachable", "host-unreachable"
		if f == ipv6 {
			host = "address-unreachable"
		}
		f.rules(n.Client,
			"-A INPUT "+f.icmpMatch(unreachable),
			"-A INPUT "+f.icmpMatch(port),
			"-A INPUT "+f.icmpMatch(host))
		n.Client.Expect(lab.UDP(lab.At(f.server, 81)), lab.Refused)
		f.wantPackets(t, n.Client, rule{"filter", "INPUT", 1}, 1)
		f.wantPackets(t, n.Client, rule{"filter", "INPUT", 2}, 1)
		f.wantPackets(t, n.Client, rule{"filter", "INPUT", 3}, 0)
	})
}
