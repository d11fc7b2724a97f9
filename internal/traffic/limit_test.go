package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "--limit rate: Maximum average matching rate … --limit-burst number: Maximum
// initial number of packets to match: this number gets recharged by one every
// time the limit specified above is not reached".
func TestLimitSpendsItsBurstAndRecharges(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("udp 53")
		f.rules(n.Server,
			"-A INPUT -p udp --dport 53 -m limit --limit 20/minute --limit-burst 2 -j ACCEPT",
			"-A INPUT -p udp --dport 53 -j DROP")
		dns := lab.UDP(lab.At(f.server, 53))
		n.Client.Expect(dns, lab.Open)
		n.Client.Expect(dns.From(f.blocked), lab.Open) // one bucket for all
		n.Client.Expect(dns, lab.Silent)
		opensAgain(t, n.Client, dns) // after three seconds
	})
}

func TestLimitBurstIsFiveUnlessGiven(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-m limit --limit 1/hour", 5},
			{"-m limit --limit 1/hour --limit-burst 1", 1},
			{"-m limit --limit 1000/second --limit-burst 100", 12},
		}, 12, func() {
			for range 12 {
				n.Client.Send(f.udp(9, "x"))
			}
		})
	})
}
