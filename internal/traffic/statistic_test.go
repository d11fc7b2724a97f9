package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "--every n: Match one packet every nth packet … --packet p: Set the initial
// counter value (0 <= p <= n-1, default 0)"; "--probability p: Set the
// probability for a packet to be randomly matched".
func TestStatisticCountsAndDraws(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m statistic --mode random --probability 0.5")
		n := lab.NewPair(t)
		const sent = 400
		matches := []counted{
			{"-m statistic --mode nth --every 4 --packet 3", sent / 4},
			{"-m statistic --mode nth --every 3 --packet 0", sent/3 + 1}, // the 1st, the 4th …
			{"-m statistic --mode nth --every 3 --packet 2", sent / 3},   // the 3rd, the 6th …
			{"-m statistic --mode nth ! --every 4 --packet 3", sent - sent/4},
			{"-m statistic --mode random --probability 0", 0},
			{"-m statistic --mode random --probability 1", sent},
			{"-m statistic --mode random ! --probability 1", 0},
		}
		f.rules(n.Server, "-A INPUT -p udp -m statistic --mode random --probability 0.5")
		f.count(t, n.Server, "filter", "INPUT", matches, sent, func() {
			for range sent {
				n.Client.Send(f.udp(9, "x"))
			}
		})
		// The deviation is 10; eight times that does not happen.
		if got := f.packets(t, n.Server, rule{"filter", "INPUT", 1}); got < sent/2-80 || got > sent/2+80 {
			t.Errorf("probability 0.5 counted %d of %d packets", got, sent)
		}
	})
}

func TestStatisticNthSharesConnectionsOut(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m statistic --mode nth --every 2 --packet 1")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53")
		f.rules(n.Server, "-A INPUT -p udp -m statistic --mode nth --every 2 --packet 1 -j DROP")
		for _, want := range []lab.State{lab.Open, lab.Silent, lab.Open, lab.Silent} {
			n.Client.Expect(lab.UDP(lab.At(f.server, 53)), want)
		}
	})
}
