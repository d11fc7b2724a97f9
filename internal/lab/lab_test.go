package lab

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain also makes this program the helper command of a session's shell,
// which calls it by the name moat.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "moat" {
		os.Exit(Helper(os.Args[2:]))
	}
	os.Exit(Main(m))
}

// both runs a subtest for each family with the client's, the blocked and the
// server's address.
func both(t *testing.T, f func(t *testing.T, client, blocked, server string)) {
	t.Run("ipv4", func(t *testing.T) { f(t, ClientAddr, BlockedAddr, ServerAddr) })
	t.Run("ipv6", func(t *testing.T) { f(t, ClientAddr6, BlockedAddr6, ServerAddr6) })
}

func TestClientReachesServer(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]*Net{"pair": NewPair(t), "routed": NewRouted(t)} {
		n.Server.Echo("tcp 22,80 udp 53")
		both(t, func(t *testing.T, client, blocked, server string) {
			for _, p := range []Probe{TCP(At(server, 22)), TCP(At(server, 80)), UDP(At(server, 53)), Ping(server)} {
				for _, source := range []string{"", blocked} {
					r := n.Client.Expect(p.From(source), Open)
					if source == "" {
						source = client
					}
					if p.Proto != "icmp" && (r.Server != "server" || r.Seen.Addr().String() != source || r.At.String() != p.To) {
						t.Errorf("%s: %v: server saw %+v, want it from %s", name, p, r, source)
					}
				}
			}
			n.Client.Expect(TCP(At(server, 81)), Refused)
			n.Client.Expect(UDP(At(server, 81)), Refused)
		})
	}
}

func TestServersAnswerOverLoopback(t *testing.T) {
	t.Parallel()
	h := Netns(t)
	h.Echo("tcp 3306 udp 53")
	for _, addr := range []string{"127.0.0.1", "::1"} {
		h.Expect(TCP(At(addr, 3306)), Open)
		h.Expect(UDP(At(addr, 53)), Open)
		h.Expect(Ping(addr), Open)
		h.Expect(TCP(At(addr, 3307)), Refused)
	}
}

func TestRouterForwardsOnlyWhenTold(t *testing.T) {
	t.Parallel()
	n := NewRouted(t)
	n.Server.Echo("tcp 80")
	both(t, func(t *testing.T, _, _, server string) { n.Client.Expect(TCP(At(server, 80)), Open) })
	n.Router.SetSysctl("ipv4/ip_forward", "0")
	n.Router.SetSysctl("ipv6/conf/all/forwarding", "0")
	both(t, func(t *testing.T, _, _, server string) { n.Client.Expect(TCP(At(server, 80)), Silent) })
}

func TestLabHasNoWayOut(t *testing.T) {
	t.Parallel()
	n := NewRouted(t)
	n.Client.Expect(TCP("192.0.2.1:80").Within(ShortWait), Unreachable) // the router knows no such network
	n.Router.Expect(TCP("192.0.2.1:80").Within(ShortWait), Unreachable)
}

func TestProbesTellHowTheyFailed(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	n.Server.Echo("tcp 22 udp 22")
	n.Server.AddRoute(Route{To: BlockedAddr + "/32", Blackhole: true})
	n.Server.AddRoute(Route{To: BlockedAddr6 + "/128", Blackhole: true})
	both(t, func(t *testing.T, _, blocked, server string) {
		n.Client.Expect(TCP(At(server, 22)).From(blocked), Silent)
		n.Client.Expect(UDP(At(server, 22)).From(blocked), Silent)
		n.Client.Expect(Ping(server).From(blocked), Silent)
		n.Client.Expect(TCP(At(server, 22)), Open)
	})
	n.Client.Expect(UDP("198.51.100.2:22").From("192.0.2.9"), Failed) // not an address of the client
	n.Client.Expect(TCP("192.0.2.1:22"), Unreachable)
	n.Client.Expect(Probe{Proto: "sctp", To: "198.51.100.2:22"}, Failed)
	n.Client.Expect(TCP("198.51.100.2"), Failed)
}

func TestProbesSeeFirewallVerdicts(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	n.Server.Echo("tcp 22,80,443 udp 53,54")
	n.Server.Sh(`nft -f - <<X
table inet f {
  chain in { type filter hook input priority 0
    tcp dport 80 drop
    tcp dport 443 reject with tcp reset
    udp dport 54 reject with icmpx admin-prohibited
    tcp dport 8443 reject
    icmp type echo-request drop
    icmpv6 type echo-request drop
  }
  chain out { type filter hook output priority 0; udp dport 99 drop; }
}
X`)
	both(t, func(t *testing.T, _, _, server string) {
		n.Client.Expect(TCP(At(server, 22)), Open)
		n.Client.Expect(TCP(At(server, 80)), Silent)
		n.Client.Expect(TCP(At(server, 443)), Refused)
		n.Client.Expect(TCP(At(server, 8443)), Refused)
		n.Client.Expect(UDP(At(server, 53)), Open)
		n.Client.Expect(UDP(At(server, 54)), Unreachable)
		n.Client.Expect(Ping(server), Silent)
	})
	n.Server.Expect(UDP(At(ClientAddr, 99)), Unsent)
}

func TestServerSeesTranslatedAddresses(t *testing.T) {
	t.Parallel()
	n := NewRouted(t)
	n.Server.Echo("tcp 80")
	n.Router.Sh(`nft -f - <<X
table ip nat {
  chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 198.51.100.2:80; }
  chain post { type nat hook postrouting priority 100; oifname eth1 masquerade; }
}
X`)
	r := n.Client.Expect(TCP("203.0.113.1:8080"), Open)
	if r.Seen.Addr().String() != "198.51.100.1" || r.At.String() != "198.51.100.2:80" {
		t.Errorf("server saw %v at %v, want 198.51.100.1 at 198.51.100.2:80", r.Seen, r.At)
	}
}

func TestConnectionLivesWhileItsPacketsPass(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	n.Server.Echo("tcp 22")
	both(t, func(t *testing.T, _, _, server string) {
		c, err := n.Client.Dial(TCP(At(server, 22)))
		if err != nil {
			t.Fatal(err)
		}
		expect := func(wait time.Duration, want State) {
			t.Helper()
			if r := c.Alive(wait); r.State != want {
				t.Errorf("connection is %v, want %v", r, want)
			}
		}
		expect(LongWait, Open)
		n.Server.Sh("nft add table inet f; nft 'add chain inet f in { type filter hook input priority 0; policy drop; }'")
		expect(ShortWait, Silent)
		n.Server.Sh("nft delete table inet f")
		expect(LongWait, Open) // retransmitted
	})
}

func TestConnectionEndsWithItsServer(t *testing.T) {
	t.Parallel()
	h := Netns(t)
	server, err := h.Serve(Service{"tcp", 22})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Dial(TCP("127.0.0.1:22"))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if r := c.Alive(LongWait); r.State != Refused {
		t.Errorf("connection is %v after its server ended, want refused", r)
	}
	h.Expect(TCP("127.0.0.1:22"), Refused)
}

func TestSpoofedPacketArrives(t *testing.T) {
	t.Parallel()
	n := NewRouted(t)
	for _, tt := range []struct{ src, dst string }{
		{"192.0.2.99:1234", "198.51.100.2:9"},
		{"[2001:db8:bad::1]:1234", "[2001:db8:2::2]:9"},
	} {
		for _, proto := range []uint8{ProtoUDP, ProtoTCP} {
			w, err := n.Server.Watch()
			if err != nil {
				t.Fatal(err)
			}
			sent := Packet{
				Src: netip.MustParseAddrPort(tt.src), Dst: netip.MustParseAddrPort(tt.dst),
				Proto: proto, TTL: 9, Flags: SYN | FIN, Payload: []byte("spoofed"),
			}
			n.Client.Send(sent)
			got, ok, err := w.Next(LongWait, func(p Packet) bool { return p.Src == sent.Src && p.Dst == sent.Dst })
			if err != nil || !ok || string(got.Payload) != "spoofed" || got.TTL != 8 {
				t.Errorf("sent %v: saw %+v, %v, %v; want it with TTL 8", sent, got, ok, err)
			}
		}
	}
}

func TestDeliveredPacketsAreBehindTheRules(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	n.Server.Sh("nft add table ip f; nft 'add chain ip f in { type filter hook input priority 0; }'; nft add rule ip f in udp dport 7 drop")
	wire, _ := n.Server.Watch()
	delivered, _ := n.Server.WatchDelivered(ProtoUDP)
	for _, port := range []uint16{7, 8} {
		n.Client.Send(Packet{
			Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.AddrPortFrom(netip.MustParseAddr(ServerAddr), port), Proto: ProtoUDP,
		})
		at := func(p Packet) bool { return p.Proto == ProtoUDP && p.Dst.Port() == port }
		if _, ok, err := wire.Next(LongWait, at); !ok || err != nil {
			t.Errorf("port %d did not arrive: %v", port, err)
		}
		wait, want := LongWait, true
		if port == 7 {
			wait, want = ShortWait, false
		}
		if _, ok, err := delivered.Next(wait, at); ok != want || err != nil {
			t.Errorf("port %d delivered: %v, %v; want %v", port, ok, err, want)
		}
	}
}

func TestParallelLabsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	a, b := NewPair(t), NewPair(t)
	a.Server.Echo("tcp 80")
	a.Client.Expect(TCP("198.51.100.2:80"), Open)
	b.Client.Expect(TCP("198.51.100.2:80"), Refused)
	a.Server.Sh("nft add table ip mine")
	if out, _ := b.Server.Sh("nft list ruleset"); out != "" {
		t.Errorf("the other lab sees %q", out)
	}
}

func TestMountsAreSeenByOneChildOnly(t *testing.T) {
	t.Parallel()
	h := Netns(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.v4"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"/etc/iptables", "/etc/no-such-place/deep", "/etc/default"} {
		_, before := os.Stat(to)
		c := h.Command("sh", "-ec", "cat "+to+"/rules.v4; echo new > "+to+"/rules.v6; test -s /etc/passwd; readlink /etc/mtab")
		c.Mounts = []Mount{{From: dir, To: to}}
		out, err := c.Finish()
		if err != nil || out.Code != 0 || !strings.HasPrefix(out.Stdout, "mine") {
			t.Errorf("%s: %+v, %v", to, out, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "rules.v6")); string(b) != "new\n" {
			t.Errorf("%s: written outside: %q, %v", to, b, err)
		}
		if _, after := os.Stat(to); (before == nil) != (after == nil) {
			t.Errorf("%s: the machine has changed: %v, then %v", to, before, after)
		}
	}
	if _, err := os.Stat("/etc/default/rules.v6"); err == nil {
		t.Error("the machine's /etc/default was written")
	}
}

func TestCommandsRunOnTheirHost(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	if out, _ := n.Client.Sh("ip -br addr show dev eth0"); !strings.Contains(out, ClientAddr) {
		t.Errorf("client: %q", out)
	}
	out, err := n.Server.RunShell("echo out; echo err >&2; exit 7")
	if err != nil || out != (Output{"out\n", "err\n", 7}) {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = n.Server.RunShell("kill -9 $$")
	if err != nil || out.Code != 137 {
		t.Errorf("killed: %+v, %v", out, err)
	}
	c := n.Server.Command("moat-lab-no-such-program")
	if err := c.Run(); err == nil {
		t.Error("a missing program ran")
	}
}
