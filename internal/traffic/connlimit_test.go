package traffic

import (
	"testing"

	"moat/internal/lab"
)

// "--connlimit-above n: Match if the number of existing connections is above
// n", per client address unless a mask groups them.
func TestConnlimitCountsConnectionsOfEachClient(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p tcp --syn -m connlimit --connlimit-above 2 -j DROP")
		n := lab.NewPair(t)
		n.Server.Echo("tcp 80")
		f.rules(n.Server, "-A INPUT -p tcp --syn --dport 80 -m connlimit --connlimit-above 2 -j REJECT --reject-with tcp-reset")
		third := lab.TCP(lab.At(f.server, 80))
		first := dial(t, n.Client, third)
		dial(t, n.Client, third)
		n.Client.Expect(third, lab.Refused)
		n.Client.Expect(third.From(f.blocked), lab.Open) // another client

		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		opensAgain(t, n.Client, third)
	})
}

// "--connlimit-mask prefix_length: Group hosts using the prefix length".
func TestConnlimitMaskCountsANetworkAsOne(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -p tcp --syn -m connlimit --connlimit-upto 1 -j DROP")
		n := lab.NewPair(t)
		n.Server.Echo("tcp 80,81,82")
		f.rules(n.Server,
			"-A INPUT -p tcp --syn --dport 80 -m connlimit --connlimit-upto 1 --connlimit-mask 24 -j ACCEPT",
			"-A INPUT -p tcp --syn --dport 81 -m connlimit --connlimit-upto 1 --connlimit-mask "+f.host+" -j ACCEPT",
			"-A INPUT -p tcp --syn --dport 82 -m connlimit --connlimit-upto 1 --connlimit-daddr -j ACCEPT",
			"-A INPUT -p tcp --syn -j REJECT --reject-with tcp-reset")
		for _, tt := range []struct {
			port uint16
			want lab.State
		}{{80, lab.Refused}, {81, lab.Open}, {82, lab.Refused}} {
			p := lab.TCP(lab.At(f.server, tt.port))
			c := dial(t, n.Client, p)
			n.Client.Expect(p.From(f.blocked), tt.want)
			// The rules of all ports count into their own lists: this one is full.
			n.Client.Expect(p, lab.Refused)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// dial opens a connection that stays open.
func dial(t *testing.T, h *lab.Host, p lab.Probe) *lab.Conn {
	t.Helper()
	c, err := h.Dial(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// opensAgain waits until a probe gets through.
func opensAgain(t *testing.T, h *lab.Host, p lab.Probe) {
	t.Helper()
	p = p.Within(lab.ShortWait)
	var last lab.Result
	err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		last = h.Probe(p)
		return last.State == lab.Open, nil
	})
	if err != nil {
		t.Errorf("%s: %v is still %v", h.Name, p, last)
	}
}
