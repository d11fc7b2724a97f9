package question

import (
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// router is a host with an inside and an outside network.
type router struct {
	packet.Host // the rest is not asked
	silent      bool
}

func (r router) AddressType(a netip.Addr, _ string) (packet.AddressType, bool) {
	switch {
	case a == addr("203.0.113.1"), a == addr("10.0.0.1"), a.IsLoopback():
		return 2, !r.silent
	case a == addr("10.0.0.255"):
		return 3, !r.silent
	}
	return 1, !r.silent
}

func (r router) Route(p *packet.Packet) (packet.Route, bool) {
	t, _ := r.AddressType(p.Dst, "")
	switch {
	case r.silent:
		return packet.Route{}, false
	case t == 2, t == 3 && p.In != "":
		return packet.Route{Local: true}, true
	case netip.MustParsePrefix("10.0.0.0/24").Contains(p.Dst):
		return packet.Route{Out: "lan"}, true
	case netip.MustParsePrefix("192.168.0.0/16").Contains(p.Dst):
		return packet.Route{}, true
	}
	return packet.Route{Out: "wan"}, true
}

func TestSettle(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"tcp 198.51.100.7 -> 203.0.113.1:22", "tcp 198.51.100.7:50000 -> 203.0.113.1:22 in wan state NEW flags SYN"},
		{"tcp 10.0.0.7 -> 203.0.113.1:22", "tcp 10.0.0.7:50000 -> 203.0.113.1:22 in lan state NEW flags SYN"},
		{"tcp 10.0.0.7 -> 198.51.100.7:22", "tcp 10.0.0.7:50000 -> 198.51.100.7:22 in lan out wan state NEW flags SYN"},
		{"tcp 203.0.113.1 -> 198.51.100.7:22", "tcp 203.0.113.1:50000 -> 198.51.100.7:22 out wan state NEW flags SYN"},
		{"tcp 203.0.113.1 -> 10.0.0.1:22", "tcp 203.0.113.1:50000 -> 10.0.0.1:22 state NEW flags SYN"},
		{"tcp 10.0.0.1 -> 10.0.0.1:22 in lo", "tcp 10.0.0.1:50000 -> 10.0.0.1:22 in lo state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 10.0.0.7:22 in vpn", "tcp 198.51.100.7:50000 -> 10.0.0.7:22 in vpn out lan state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 10.0.0.7:22 out vpn", "tcp 198.51.100.7:50000 -> 10.0.0.7:22 in wan out vpn state NEW flags SYN"},
		{"tcp 10.0.0.1 -> 10.0.0.7:22 out vpn", "tcp 10.0.0.1:50000 -> 10.0.0.7:22 out vpn state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 203.0.113.1:22 in vpn", "tcp 198.51.100.7:50000 -> 203.0.113.1:22 in vpn state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 10.0.0.7:22 hook FORWARD in vpn", "tcp 198.51.100.7:50000 -> 10.0.0.7:22 in vpn out lan state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 10.0.0.7:22 hook FORWARD out vpn", "tcp 198.51.100.7:50000 -> 10.0.0.7:22 in wan out vpn state NEW flags SYN"},
		{"tcp 198.51.100.7 -> 203.0.113.1:22 hook OUTPUT", "tcp 198.51.100.7:50000 -> 203.0.113.1:22 out lo state NEW flags SYN"},
		{"tcp 10.0.0.1 -> 10.0.0.1:22 hook INPUT", "tcp 10.0.0.1:50000 -> 10.0.0.1:22 in lo state NEW flags SYN"},
	} {
		q, err := Parse(c.in, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(router{}); err != nil || q.String() != c.out || !q.WayTold || q.Packet.Host == nil {
			t.Errorf("%s: %v\nis    %s\nnot   %s", c.in, err, q, c.out)
		}
		if q.Packet.Host = nil; !q.Loops { // only the host knows what loops
			sameAgain(t, q, nil)
		}
	}
}

func TestSettleKnowsBroadcast(t *testing.T) {
	q, err := Parse("udp 10.0.0.7 -> 10.0.0.255:22", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Settle(router{}); err != nil || q.Way != simulate.In || q.Packet.PacketType != packet.ToBroadcast {
		t.Errorf("%+v %v", q, err)
	}
}

func TestSettleWithoutRoute(t *testing.T) {
	for _, text := range []string{"tcp 10.0.0.1 -> 192.168.1.1:22", "tcp 10.0.0.7 -> 192.168.1.1:22 hook FORWARD"} {
		q, err := Parse(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(router{}); err == nil {
			t.Errorf("%s: is sent on as %s", text, q)
		}
	}
}

// TestWithoutRouteTheRulesComeFirst: what comes in is translated before the routes
// are asked, so that no route is no error.
func TestWithoutRouteTheRulesComeFirst(t *testing.T) {
	for _, text := range []string{"tcp 10.0.0.7 -> 192.168.1.1:22", "tcp 10.0.0.7 -> 192.168.1.1:22 in lan"} {
		q, err := Parse(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(router{}); err != nil || q.Way != simulate.Through || q.Packet.Out != "" || q.Packet.HiddenOut {
			t.Errorf("%s: %v, %+v", text, err, q)
		} else if said := q.String(); said != "tcp 10.0.0.7:50000 -> 192.168.1.1:22 in lan state NEW flags SYN" {
			t.Error(said)
		}
	}
}

// TestLoopedIsSentAndComesIn: a packet from the host to itself passes both ways,
// unless a word tells one of them.
func TestLoopedIsSentAndComesIn(t *testing.T) {
	for text, loops := range map[string]bool{
		"tcp 127.0.0.1 -> 127.0.0.1:25": true, "tcp 127.0.0.1 -> 127.0.0.1:25 in lo": false,
		"tcp 127.0.0.1 -> 127.0.0.1:25 out lo": false, "tcp 127.0.0.1 -> 127.0.0.1:25 hook INPUT": false,
	} {
		q, err := Parse(text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if q.Loops != loops || loops && (q.Way != simulate.Out || q.Packet.Out != "lo") {
			t.Errorf("%s: %+v", text, q)
		}
	}
}

// TestSettleByASilentHost leaves a question as it was.
func TestSettleByASilentHost(t *testing.T) {
	q, err := Parse("tcp 10.0.0.7 -> 192.168.1.1:22", Options{Family: rule.IPv4})
	if err != nil {
		t.Fatal(err)
	}
	before := q.String()
	if err := q.Settle(router{silent: true}); err != nil || q.WayTold || q.String() != before || !q.Packet.HiddenIn {
		t.Errorf("%+v %v", q, err)
	}
}
