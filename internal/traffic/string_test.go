package traffic

import (
	"strings"
	"testing"

	"moat/internal/lab"
)

func TestStringLooksIntoPackets(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A INPUT -m string --algo bm --string x")
		n := lab.NewPair(t)
		payloads := []string{"a forbidden word", "a FORBIDDEN word", "an allowed one", "\xde\xad\xbe\xef", strings.Repeat(".", 300) + "forbidden"}
		matches := []counted{}
		for _, algo := range []string{"bm", "kmp"} {
			m := "-m string --algo " + algo + " "
			matches = append(matches,
				counted{m + "--string forbidden", 2},
				counted{m + "--string forbidden --icase", 3},
				counted{m + "! --string forbidden", 3},
				counted{m + "--string 'forbidden w'", 1},
				counted{m + "--hex-string '|de ad be ef|'", 1},
				counted{m + "--hex-string '|dead|-'", 0},
				counted{m + "--hex-string 'f|6f|rbidden'", 2},
				counted{m + "--string forbidden --from 200", 1},
				counted{m + "--string forbidden --to 200", 1},
			)
		}
		f.count(t, n.Server, "filter", "INPUT", matches, len(payloads), func() {
			for _, p := range payloads {
				n.Client.Send(f.udp(9, p))
			}
		})
	})
}

func TestStringStopsARequestOnItsWay(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A FORWARD -p udp -m string --algo bm --string x -j DROP")
		n := lab.NewRouted(t)
		f.rules(n.Router, "-A FORWARD -p udp --dport 9 -m string --algo bm --string /evil -j DROP")
		w := watch(t, n.Server)
		for _, payload := range []string{"GET /evil", "GET /good"} {
			n.Client.Send(f.udp(9, payload))
		}
		// The second one arriving first shows that the first one did not.
		p, ok := sees(t, w, lab.LongWait, func(p lab.Packet) bool { return p.Dst == at(f.server, 9) })
		if !ok || string(p.Payload) != "GET /good" {
			t.Errorf("the server saw %q, %v; want the good request first", p.Payload, ok)
		}
	})
}
