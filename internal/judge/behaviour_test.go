package judge

import (
	"net/netip"
	"runtime"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// behaviour is one thing that kernels do and one would not guess: rules, a
// packet, and how often the kernel counts each rule. The simulator has to agree.
type behaviour struct {
	name  string
	rules []spec
	drops [2]string // a built-in chain with policy DROP: table and name
	shot  shot
	want  []uint64
}

// from and to are hosts outside; the host under test is at own.
var (
	from = netip.MustParseAddr("203.0.113.7")
	to   = netip.MustParseAddr("198.51.100.5")
	own  = netip.MustParseAddr("192.0.2.1")
)

// syn is a packet that comes in by eth0 and begins a TCP connection.
func syn(dst netip.Addr, ttl uint8) shot {
	return arriving(draft{src: from, dst: dst, proto: packet.ProtoTCP, ttl: ttl, body: tcpBody(5000, 80, 2, nil, nil)}, stateNew)
}

// arriving is a packet that comes in by eth0.
func arriving(d draft, state packet.State) shot {
	d.number = 1
	return shot{dev: "eth0", to: macOf(links[0].mac), from: macOf(macs[0]), bytes: d.bytes(), state: state}
}

// talking is a UDP connection from outside to the host, whose port 80 is another host's.
func talking(status uint32) *connection {
	o := packet.Tuple{Src: from, Dst: own, SrcPort: 20001, DstPort: 80, Proto: packet.ProtoUDP}
	r := inverse(o)
	r.Src = to
	return &connection{orig: o, reply: r, status: status, timeout: 600}
}

// of makes the packet one of a connection.
func (s shot) of(c *connection, reply bool) shot {
	s.conn, s.reply = c, reply
	return s
}

func udpTo(dst netip.Addr, state packet.State) shot {
	return arriving(draft{src: from, dst: dst, proto: packet.ProtoUDP, ttl: 64, body: portsBody(20001, 80, nil)}, state)
}

var behaviours = [...]behaviour{
	{
		name:  "the first rule of nat that matches is the last one asked",
		rules: []spec{{"nat", "PREROUTING", "-j DNAT --to-destination 198.51.100.5"}, {"nat", "PREROUTING", ""}, {"filter", "FORWARD", "-d 198.51.100.5"}, {"filter", "INPUT", ""}},
		shot:  syn(own, 64), want: []uint64{1, 0, 1, 0},
	},
	{
		name:  "ACCEPT in nat leaves the connection as it is",
		rules: []spec{{"nat", "PREROUTING", "-j ACCEPT"}, {"nat", "PREROUTING", "-j DNAT --to-destination 198.51.100.5"}, {"filter", "INPUT", "-d 192.0.2.1"}},
		shot:  syn(own, 64), want: []uint64{1, 0, 1},
	},
	{
		name:  "a source can be translated in INPUT, between filter and security",
		rules: []spec{{"nat", "INPUT", "-j SNAT --to-source 10.1.2.3"}, {"filter", "INPUT", "-s 203.0.113.7"}, {"security", "INPUT", "-s 10.1.2.3"}},
		shot:  syn(own, 64), want: []uint64{1, 1, 1},
	},
	{
		name:  "table raw finds no connection, which is INVALID",
		rules: []spec{{"raw", "PREROUTING", "-m conntrack --ctstate INVALID"}, {"raw", "PREROUTING", "-m conntrack --ctstate NEW"}, {"mangle", "PREROUTING", "-m conntrack --ctstate NEW"}},
		shot:  syn(own, 64), want: []uint64{1, 0, 1},
	},
	{
		name:  "FORWARD sees one hop less than PREROUTING",
		rules: []spec{{"mangle", "PREROUTING", "-m ttl --ttl-eq 64"}, {"mangle", "FORWARD", "-m ttl --ttl-eq 63"}},
		shot:  syn(to, 64), want: []uint64{1, 1},
	},
	{
		name:  "a packet with one hop left is not forwarded",
		rules: []spec{{"mangle", "PREROUTING", ""}, {"mangle", "FORWARD", ""}},
		shot:  syn(to, 1), want: []uint64{1, 0},
	},
	{
		name:  "but a rule can give it another",
		rules: []spec{{"mangle", "PREROUTING", "-j TTL --ttl-inc 1"}, {"mangle", "FORWARD", "-m ttl --ttl-eq 1"}},
		shot:  syn(to, 1), want: []uint64{1, 1},
	},
	{
		name:  "a packet without a route meets no chain after PREROUTING",
		rules: []spec{{"mangle", "PREROUTING", ""}, {"mangle", "FORWARD", ""}, {"mangle", "INPUT", ""}},
		shot:  syn(netip.MustParseAddr("172.16.0.1"), 64), want: []uint64{1, 0, 0},
	},
	{
		name:  "a mark set in PREROUTING chooses the way out",
		rules: []spec{{"mangle", "PREROUTING", "-j MARK --set-mark 0x20"}, {"filter", "FORWARD", "-o wlan0"}, {"filter", "FORWARD", "-o eth1"}},
		shot:  syn(to, 64), want: []uint64{1, 1, 0},
	},
	{
		name: "a mark set in OUTPUT too, but OUTPUT itself still sees the old way",
		rules: []spec{
			{"mangle", "OUTPUT", "-j MARK --set-mark 0x20"}, {"filter", "OUTPUT", "-o eth1"}, {"filter", "OUTPUT", "-o wlan0"}, {"mangle", "POSTROUTING", "-o wlan0"},
		},
		shot: shot{bytes: (&draft{src: own, dst: to, proto: packet.ProtoUDP, ttl: 64, number: 1, body: portsBody(1, 2, nil)}).bytes(), state: stateNew},
		want: []uint64{1, 1, 0, 1},
	},
	{
		name:  "nat is not asked about INVALID packets",
		rules: []spec{{"nat", "PREROUTING", ""}, {"filter", "INPUT", "-m conntrack --ctstate INVALID"}},
		shot:  arriving(draft{src: from, dst: own, proto: packet.ProtoTCP, ttl: 64, body: tcpBody(5000, 80, 0x10, nil, nil)}, stateInvalid),
		want:  []uint64{0, 1},
	},
	{
		name:  "nor about a second packet, though its state is NEW until a reply; it goes where the first went",
		rules: []spec{{"nat", "PREROUTING", ""}, {"filter", "FORWARD", "-d 198.51.100.5 -m conntrack --ctstate NEW --ctorigdst 192.0.2.1"}, {"filter", "FORWARD", "-m conntrack --ctstate DNAT"}},
		shot:  udpTo(own, stateNew).of(talking(0), false), want: []uint64{0, 1, 1},
	},
	{
		name:  "nor about untracked packets",
		rules: []spec{{"raw", "PREROUTING", "-j NOTRACK"}, {"nat", "PREROUTING", ""}, {"filter", "INPUT", "-m conntrack --ctstate UNTRACKED"}},
		shot:  syn(own, 64), want: []uint64{1, 0, 1},
	},
	{
		name:  "an untracked packet of a translated connection goes where it says, not where the others went",
		rules: []spec{{"raw", "PREROUTING", "-j NOTRACK"}, {"filter", "INPUT", "-d 192.0.2.1"}, {"filter", "FORWARD", ""}},
		shot:  udpTo(own, stateNew).of(talking(packet.StatusSeenReply), false), want: []uint64{1, 1, 0},
	},
	{
		name:  "DROP of a policy ends a packet that another table has accepted",
		rules: []spec{{"mangle", "INPUT", "-j ACCEPT"}, {"filter", "INPUT", ""}, {"security", "INPUT", ""}},
		drops: [2]string{"filter", "INPUT"}, shot: syn(own, 64), want: []uint64{1, 1, 0},
	},
	{
		name: "RETURN in a chain that was entered by goto goes back beyond the goto",
		rules: []spec{
			{"filter", "INPUT", "-j outer"}, {"filter", "INPUT", ""}, {"filter", "outer", "-g inner"}, {"filter", "outer", ""}, {"filter", "inner", "-j RETURN"}, {"filter", "inner", ""},
		},
		shot: syn(own, 64), want: []uint64{1, 1, 1, 0, 1, 0},
	},
	{
		name:  "RETURN in a built-in chain is its policy",
		rules: []spec{{"filter", "INPUT", "-j RETURN"}, {"filter", "INPUT", "-j ACCEPT"}, {"security", "INPUT", ""}},
		drops: [2]string{"filter", "INPUT"}, shot: syn(own, 64), want: []uint64{1, 0, 0},
	},
}

func TestBehaviour(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := newHost(t, rule.IPv4, true)
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			r := &ruleset{family: rule.IPv4, rules: b.rules, drops: map[[2]string]string{}, chains: [][2]string{{"filter", "outer"}, {"filter", "inner"}}}
			if b.drops[0] != "" {
				r.drops[b.drops] = "DROP"
			}
			h.mustAgree(t, r, []shot{b.shot}, false)
			h.mustCount(t, r, b.want)
		})
	}
}

// mustCount holds what the kernel has counted by the rules of a ruleset, in order.
func (h *host) mustCount(t *testing.T, r *ruleset, want []uint64) {
	t.Helper()
	rs, err := h.kernel.Ruleset(r.family)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[2]string]int{}
	for i, s := range r.rules {
		at := [2]string{s.table, s.chain}
		got := rs.Table(s.table).Chain(s.chain).Rules[seen[at]].Counters.Packets
		if seen[at]++; got != want[i] {
			t.Errorf("-t %s -A %s %s: the kernel counts %d, want %d", s.table, s.chain, s.text, got, want[i])
		}
	}
}

// later is the second fragment of a packet, to a host beyond; what stands where
// a first one has its ports are 0x7878 and 0x7979.
func later(dst netip.Addr) shot {
	return arriving(draft{src: from, dst: dst, proto: packet.ProtoUDP, ttl: 64, flags: 5, body: []byte("xxyyxxyyxxyyxxyy")}, stateNew)
}

var fragments = [...]behaviour{
	{
		name:  "ports are compared with what a later fragment has in their place",
		rules: []spec{{"filter", "FORWARD", "-f"}, {"filter", "FORWARD", "-p udp -m udp --sport 30840"}, {"filter", "FORWARD", "-p udp -m udp --dport 31097"}, {"filter", "FORWARD", "-p udp -m udp --dport 80"}},
		shot:  later(to), want: []uint64{1, 1, 1, 0},
	},
	{
		name:  "multiport looks for fragments and does not",
		rules: []spec{{"filter", "FORWARD", "-p udp -m multiport --sports 1:65535"}, {"filter", "FORWARD", "-p udp -m multiport ! --sports 1"}},
		shot:  later(to), want: []uint64{0, 0},
	},
	{
		name:  "a first fragment is no fragment to -f",
		rules: []spec{{"filter", "FORWARD", "-f"}, {"filter", "FORWARD", "! -f -p udp -m udp --dport 80"}},
		shot:  arriving(draft{src: from, dst: to, proto: packet.ProtoUDP, ttl: 64, flags: 0x2000, body: portsBody(1, 80, make([]byte, 8))}, stateNew), want: []uint64{0, 1},
	},
}

func TestBehaviourOfFragments(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := newHost(t, rule.IPv4, false)
	for _, b := range fragments {
		t.Run(b.name, func(t *testing.T) {
			r := &ruleset{family: rule.IPv4, rules: b.rules}
			h.mustAgree(t, r, []shot{b.shot}, false)
			h.mustCount(t, r, b.want)
		})
	}
	t.Run("INPUT sees no part of an IPv4 packet, only the whole", func(t *testing.T) {
		r := &ruleset{family: rule.IPv4, rules: []spec{{"mangle", "PREROUTING", "-f"}, {"filter", "INPUT", ""}, {"filter", "INPUT", "-f"}}}
		first := arriving(draft{src: from, dst: own, proto: packet.ProtoUDP, ttl: 64, flags: 0x2000, body: portsBody(1, 80, make([]byte, 8))}, stateNew)
		second := arriving(draft{src: from, dst: own, proto: packet.ProtoUDP, ttl: 64, flags: 2, body: make([]byte, 8)}, stateNew)
		if _, err := h.judge(r, []shot{first, second}, false); err != nil {
			t.Fatal(err)
		}
		h.mustCount(t, r, []uint64{1, 1, 0})
		p, way := h.told(&first)
		l, err := h.load(r, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range l.firewall.Walk(p, simulate.Options{Way: way}).Trace {
			if s.Chain == "INPUT" && s.Rule == 2 && s.Match != packet.No {
				t.Errorf("the simulator finds a fragment in INPUT: %v", s.Match)
			}
		}
	})
}

// A packet of which the simulator is told something wrong shows that the judge sees.
func TestJudgeSeesDisagreement(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := newHost(t, rule.IPv4, true)
	r := &ruleset{family: rule.IPv4, rules: []spec{{"filter", "INPUT", "-m conntrack --ctstate NEW -j DROP"}}}
	wrong := syn(own, 64)
	wrong.state = stateInvalid
	out, err := h.judge(r, []shot{syn(own, 64), wrong}, false)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, counters := 0, 0
	for _, d := range out {
		if d.packet < 0 {
			counters++
		} else {
			verdicts++
		}
	}
	if verdicts != 1 || counters == 0 {
		t.Errorf("seen: %d verdicts and %d counters, want 1 and some", verdicts, counters)
	}
}
