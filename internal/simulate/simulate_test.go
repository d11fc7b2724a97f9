package simulate

import (
	"net/netip"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/text"
)

// ruleset reads a ruleset in save format; lines without a table are table filter's.
func ruleset(t testing.TB, f rule.Family, lines ...string) *rule.Ruleset {
	t.Helper()
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "*") {
		lines = append([]string{"*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT"}, lines...)
	}
	data := strings.Join(append(lines, "COMMIT", ""), "\n")
	s, err := text.ParseRestore(f, f.Program()+"-restore", []byte(data), text.RestoreOptions{}, &netdb.DB{})
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	rs, err := change.Apply(&rule.Ruleset{Family: f}, *s)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return rs
}

// tcp is the first packet of a TCP connection that came in by eth0.
func tcp(src string, dst string, port uint16) packet.Packet {
	p := packet.Packet{
		Family: rule.IPv4, In: "eth0", Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: 6,
		Transport: packet.Transport{Src: 50000, Dst: port, Flags: 2},
		Known: packet.KnowPorts | packet.KnowFlags | packet.KnowState | packet.KnowStatus | packet.KnowMark |
			packet.KnowFragment | packet.KnowExtensions | packet.KnowTOS | packet.KnowTTL,
		Connection: packet.Connection{State: packet.New},
		TTL:        64,
	}
	if p.Src.Is6() {
		p.Family = rule.IPv6
	}
	return p
}

func TestVerdictAndWhatDecided(t *testing.T) {
	tutorial := []string{
		"*filter", ":INPUT DROP", ":FORWARD ACCEPT", ":OUTPUT ACCEPT",
		"-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-A INPUT -i lo -j ACCEPT",
		"-A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT", "-A INPUT -s 203.0.113.66 -j DROP",
	}
	established := tcp("203.0.113.7", "198.51.100.2", 9999)
	established.Connection.State = packet.Established
	loopback := tcp("127.0.0.1", "127.0.0.1", 3306)
	loopback.In = "lo"
	for _, c := range []struct {
		name  string
		rules []string
		p     packet.Packet
		want  Verdict
		by    Place
	}{
		{"open port", tutorial, tcp("203.0.113.7", "198.51.100.2", 22), Accept, Place{"filter", "INPUT", 3}},
		{"closed port meets the policy", tutorial, tcp("203.0.113.7", "198.51.100.2", 3306), Drop, Place{"filter", "INPUT", 0}},
		{"a block behind the accept blocks nothing there", tutorial, tcp("203.0.113.66", "198.51.100.2", 22), Accept, Place{"filter", "INPUT", 3}},
		{"and what is left elsewhere", tutorial, tcp("203.0.113.66", "198.51.100.2", 99), Drop, Place{"filter", "INPUT", 4}},
		{"established", tutorial, established, Accept, Place{"filter", "INPUT", 1}},
		{"loopback", tutorial, loopback, Accept, Place{"filter", "INPUT", 2}},
		{"no rules", nil, tcp("203.0.113.7", "198.51.100.2", 22), Accept, Place{"filter", "INPUT", 0}},
		{"raw drops first", []string{"*raw", ":PREROUTING ACCEPT", "-A PREROUTING -p tcp -j DROP"}, tcp("203.0.113.7", "198.51.100.2", 22), Drop, Place{"raw", "PREROUTING", 1}},
		{"reject", []string{"-A INPUT -p tcp -j REJECT"}, tcp("203.0.113.7", "198.51.100.2", 22), Reject, Place{"filter", "INPUT", 1}},
		{"queue", []string{"-A INPUT -p tcp -j NFQUEUE"}, tcp("203.0.113.7", "198.51.100.2", 22), Queue, Place{"filter", "INPUT", 1}},
		{
			"return in a chain that was gone to ends the caller", []string{
				":a -", ":b -", "-A INPUT -j a", "-A INPUT -j DROP", "-A a -g b", "-A a -j ACCEPT", "-A b -j RETURN",
			}, tcp("203.0.113.7", "198.51.100.2", 22), Drop, Place{"filter", "INPUT", 2},
		},
		{
			"a user chain decides", []string{":a -", "-A INPUT -j a", "-A a -p tcp --dport 22 -j ACCEPT"},
			tcp("203.0.113.7", "198.51.100.2", 22), Accept, Place{"filter", "a", 1},
		},
		{
			"a mark is seen by later tables", []string{
				"*mangle", ":PREROUTING ACCEPT", "-A PREROUTING -p tcp --dport 22 -j MARK --set-mark 7", "COMMIT",
				"*filter", ":INPUT ACCEPT", "-A INPUT -m mark --mark 7 -j DROP",
			}, tcp("203.0.113.7", "198.51.100.2", 22), Drop, Place{"filter", "INPUT", 1},
		},
		{
			"not tracked is not new", []string{
				"*raw", ":PREROUTING ACCEPT", "-A PREROUTING -j CT --notrack", "COMMIT",
				"*filter", ":INPUT ACCEPT", "-A INPUT -m conntrack --ctstate NEW -j ACCEPT", "-A INPUT -m conntrack --ctstate UNTRACKED -j DROP",
			}, tcp("203.0.113.7", "198.51.100.2", 22), Drop, Place{"filter", "INPUT", 2},
		},
		{
			"a redirected port arrives at the other", []string{
				"*nat", ":PREROUTING ACCEPT", "-A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222", "COMMIT",
				"*filter", ":INPUT ACCEPT", "-A INPUT -p tcp --dport 2222 -j DROP",
			}, tcp("203.0.113.7", "198.51.100.2", 22), Drop, Place{"filter", "INPUT", 1},
		},
		{
			"a translated packet may go elsewhere", []string{
				"*nat", ":PREROUTING ACCEPT", "-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.2", "COMMIT",
				"*filter", ":INPUT DROP", ":FORWARD ACCEPT",
			}, tcp("203.0.113.7", "198.51.100.2", 80), Unknown, Place{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := ruleset(t, rule.IPv4, c.rules...)
			for _, f := range []*Firewall{New(rs), NewIndexed(rs)} {
				if got := f.Walk(c.p, Options{Way: In}); got.Verdict != c.want || got.By != c.by {
					t.Errorf("indexed %v: got %v by %v, want %v by %v\n%+v", f.indexed, got.Verdict, got.By, c.want, c.by, got.Doubts)
				}
			}
		})
	}
}

func TestDoubtsForkTheWalk(t *testing.T) {
	p := tcp("203.0.113.7", "198.51.100.2", 22)
	for _, c := range []struct {
		name   string
		rules  []string
		fixed  map[string]packet.Answer
		want   Verdict
		doubts int
	}{
		{"both ways end alike", []string{"-A INPUT -m limit --limit 1/s -j ACCEPT", "-A INPUT -j ACCEPT"}, nil, Accept, 0},
		{"a doubt decides", []string{"-A INPUT -m limit --limit 1/s -j ACCEPT", "-A INPUT -j DROP"}, nil, Unknown, 1},
		{"logging decides nothing", []string{"-A INPUT -m limit --limit 1/s -j LOG", "-A INPUT -j DROP"}, nil, Drop, 0},
		{"a doubt that is told", []string{"-A INPUT -m limit --limit 1/s -j ACCEPT", "-A INPUT -j DROP"}, map[string]packet.Answer{"limit": packet.No}, Drop, 0},
		{"what does not match is no doubt", []string{"-A INPUT -p udp -m limit --limit 1/s -j ACCEPT", "-A INPUT -j DROP"}, nil, Drop, 0},
		{"two doubts", []string{"-A INPUT -m limit --limit 1/s -j ACCEPT", "-A INPUT -m recent --name x --rcheck -j ACCEPT", "-A INPUT -j DROP"}, nil, Unknown, 2},
		{
			"a jump in doubt", []string{":a -", "-A INPUT -m statistic --mode random --probability 0.5 -j a", "-A INPUT -j ACCEPT", "-A a -j RETURN"},
			nil, Accept, 0,
		},
		{
			"a mark in doubt", []string{
				"*mangle", ":INPUT ACCEPT", "-A INPUT -m statistic --mode random --probability 0.5 -j MARK --set-mark 1", "COMMIT",
				"*filter", ":INPUT ACCEPT", "-A INPUT -m mark --mark 1 -j DROP",
			}, nil, Unknown, 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := New(ruleset(t, rule.IPv4, c.rules...)).Walk(p, Options{Way: In, Fixed: c.fixed})
			if got.Verdict != c.want || len(got.Doubts) != c.doubts {
				t.Errorf("got %v with %d doubts, want %v with %d: %+v", got.Verdict, len(got.Doubts), c.want, c.doubts, got.Doubts)
			}
		})
	}
}

// A ruleset that the kernel would refuse ends the walk without a verdict, and
// doubts do not multiply without end.
func TestWalkEnds(t *testing.T) {
	for _, lines := range [][]string{
		{":a -", ":b -", "-A INPUT -j a", "-A a -j b", "-A b -j a"},
		{":a -", ":b -", "-A INPUT -g a", "-A a -g b", "-A b -g a"},
	} {
		got := New(ruleset(t, rule.IPv4, lines...)).Walk(tcp("203.0.113.7", "198.51.100.2", 22), Options{Way: In, NoTrace: true})
		if got.Verdict != Unknown || len(got.Doubts) != 1 {
			t.Errorf("%q: got %v, %+v", lines, got.Verdict, got.Doubts)
		}
	}
	lines := []string{":a -"}
	for range 200 {
		lines = append(lines, "-A INPUT -m limit --limit 1/s -j a")
	}
	got := New(ruleset(t, rule.IPv4, append(lines, "-A INPUT -m recent --name x --rcheck -j DROP")...)).
		Walk(tcp("203.0.113.7", "198.51.100.2", 22), Options{Way: In, NoTrace: true})
	if got.Verdict != Unknown {
		t.Errorf("two hundred doubts: got %v", got.Verdict)
	}
}
