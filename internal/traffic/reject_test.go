package traffic

import (
	"testing"

	"moat/internal/lab"
)

// rejection is a kind of REJECT and what the client gets: the error of its
// probe, and type and code of the ICMP packet (RFC 792, RFC 4443). The kernel
// tells a UDP socket only of errors that time does not mend; the others are
// told to a connecting TCP socket.
type rejection struct {
	proto      string
	with       string
	want       lab.State
	kind, code uint8
}

var rejections = map[family][]rejection{
	ipv4: {
		{"udp", "icmp-port-unreachable", lab.Refused, 3, 3},
		{"tcp", "icmp-net-unreachable", lab.Unreachable, 3, 0},
		{"tcp", "icmp-host-unreachable", lab.Unreachable, 3, 1},
		{"udp", "icmp-proto-unreachable", lab.Unreachable, 3, 2},
		{"udp", "icmp-net-prohibited", lab.Unreachable, 3, 9},
		{"udp", "icmp-host-prohibited", lab.Unreachable, 3, 10},
		{"udp", "icmp-admin-prohibited", lab.Unreachable, 3, 13},
	},
	ipv6: {
		{"udp", "icmp6-port-unreachable", lab.Refused, 1, 4},
		{"tcp", "icmp6-no-route", lab.Unreachable, 1, 0},
		{"udp", "icmp6-adm-prohibited", lab.Unreachable, 1, 1},
		{"tcp", "icmp6-addr-unreachable", lab.Unreachable, 1, 3},
	},
}

func TestRejectTellsTheClientWhy(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("tcp 53 udp 53")
		for _, r := range rejections[f] {
			dns := lab.Probe{Proto: r.proto, To: lab.At(f.server, 53)}
			n.Client.Expect(dns, lab.Open)
			f.rules(n.Server, "-A INPUT -p "+r.proto+" -j REJECT --reject-with "+r.with)
			w := watch(t, n.Client)
			n.Client.Expect(dns, r.want)
			p, ok := sees(t, w, lab.LongWait, func(p lab.Packet) bool {
				return p.Src.Addr().String() == f.server && (p.Proto == lab.ProtoICMP && f == ipv4 || p.Proto == lab.ProtoICMPv6 && p.Type < 128)
			})
			if !ok || p.Type != r.kind || p.Code != r.code {
				t.Errorf("%s: the client saw %v, %v; want type %d code %d", r.with, p, ok, r.kind, r.code)
			}
			f.rules(n.Server, "-F INPUT")
		}
	})
}

func TestRejectByResetAndByDefault(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("tcp 22,80,443")
		f.rules(n.Server,
			"-A INPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset",
			"-A INPUT -p tcp --dport 443 -j REJECT")
		for _, tt := range []struct {
			port  uint16
			state lab.State
			reset bool
		}{{22, lab.Open, false}, {80, lab.Refused, true}, {443, lab.Refused, false}} {
			w := watch(t, n.Client)
			n.Client.Expect(lab.TCP(lab.At(f.server, tt.port)), tt.state)
			p, ok := sees(t, w, lab.LongWait, func(p lab.Packet) bool {
				return p.Src.Addr().String() == f.server && (p.Proto != lab.ProtoICMPv6 || p.Type < 128)
			})
			if !ok || (p.Proto == lab.ProtoTCP && p.Flags&lab.RST != 0) != tt.reset {
				t.Errorf("port %d: the client saw %v, %v; want a reset: %v", tt.port, p, ok, tt.reset)
			}
		}
	})
}
