package simulate

import (
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// TestConnectionIsLookedUpInTheZoneOfTheFirstRule: who answers for connection
// tracking sees in which zones rules of table raw let it look.
func TestConnectionIsLookedUpInTheZoneOfTheFirstRule(t *testing.T) {
	f := New(ruleset(t, rule.IPv4,
		"*raw", ":PREROUTING ACCEPT", "-A PREROUTING -p tcp --dport 20 -j MARK --set-mark 9", "-A PREROUTING -p tcp --dport 20 -j CT --zone mark",
		"-A PREROUTING -p tcp --dport 21 -j CT --zone-orig 7", "-A PREROUTING -p tcp --dport 21 -j NOTRACK",
		"-A PREROUTING -p tcp --dport 22 -j NOTRACK", "-A PREROUTING -p tcp --dport 22 -j CT --zone 7", "COMMIT",
		"*filter", ":INPUT DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -m conntrack --ctstate NEW -j REJECT"))
	known := packet.Zones{Original: 7}
	for _, c := range []struct {
		port    uint16
		asked   bool
		zones   packet.Zones
		verdict Verdict
	}{
		{20, true, packet.Zones{Original: 9, Reply: 9}, Reject},
		{21, true, known, Accept},
		{22, false, packet.Zones{}, Drop},
		{23, true, packet.Zones{}, Reject},
	} {
		asked := false
		track := func(p *packet.Packet) {
			z, told := p.Zones()
			if asked = true; !told || z != c.zones {
				t.Errorf("port %d: asked for zones %v, %v", c.port, z, told)
			}
			p.Connection = packet.Connection{State: packet.New}
			if z == known {
				p.Connection.State = packet.Established
			}
		}
		if r := f.Walk(tcp("203.0.113.7", "198.51.100.2", c.port), Options{Way: In, Track: track}); r.Verdict != c.verdict || asked != c.asked {
			t.Errorf("port %d: %v, asked %v", c.port, r.Verdict, asked)
		}
	}
}
