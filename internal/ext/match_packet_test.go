package ext

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// hostSays is a Host that answers the same to every question.
type hostSays struct {
	local, path, in, known bool
	loose                  *bool    // what ReversePath was asked
	dirs                   []string // what InSet was asked
	v4, v6                 map[string]netip.Addr
}

func (h *hostSays) AddressType(netip.Addr, string) (packet.AddressType, bool) {
	if h.local {
		return packet.AddressLocal, h.known
	}
	return 1, h.known
}

func (h *hostSays) ReversePath(_ netip.Addr, _ string, loose bool) (bool, bool) {
	h.loose = &loose
	return h.path, h.known
}

func (h *hostSays) InSet(_ string, dirs []string, _ *packet.Packet) (bool, bool) {
	h.dirs = dirs
	return h.in, h.known
}

func (h *hostSays) InterfaceAddress(dev string, f rule.Family, _ netip.Addr) (netip.Addr, bool) {
	if f == rule.IPv6 {
		return h.v6[dev], h.known
	}
	return h.v4[dev], h.known
}

func (h *hostSays) Route(*packet.Packet) (packet.Route, bool) {
	return packet.Route{Local: h.local}, h.known
}

// answerCase is a packet, the options of a match, and what the match says.
type answerCase struct {
	p    packet.Packet
	opts string
	want packet.Answer
}

// checkAnswers asks a match about packets. Options that want -p get the packet's protocol.
func checkAnswers(t *testing.T, d *Def, f rule.Family, cases []answerCase) {
	t.Helper()
	for _, c := range cases {
		words, err := shellWords(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		context := &Context{Family: f, Rule: &rule.Rule{Proto: rule.Protocol{Number: uint16(c.p.Proto)}}, Names: testNames()}
		x, err := parseOptions(d, context, words)
		if err != nil {
			t.Fatalf("%s %s: %v", d.Name, c.opts, err)
		}
		if got := x.(Matcher).Match(&c.p); got != c.want {
			t.Errorf("%s %s of %+v: %v, want %v", d.Name, c.opts, c.p, got, c.want)
		}
	}
}

func TestOwnerDecides(t *testing.T) {
	p := packet.Packet{Known: packet.KnowOwner, SocketUID: 5, SocketGID: 8}
	checkAnswers(t, &owner, rule.IPv4, []answerCase{
		{packet.Packet{}, "--uid-owner 5", packet.Unknown},
		{p, "--uid-owner 5", packet.Yes}, {p, "--uid-owner 6-9", packet.No}, {p, "! --uid-owner 6-9", packet.Yes},
		{p, "--gid-owner mail", packet.Yes}, {p, "--gid-owner 1", packet.No}, {p, "--gid-owner 1 --suppl-groups", packet.Unknown},
		{p, "--uid-owner 5 ! --gid-owner 8", packet.No}, {p, "--socket-exists", packet.Yes}, {p, "! --socket-exists", packet.No},
	})
}

func TestPktTypeDecides(t *testing.T) {
	p := packet.Packet{Known: packet.KnowPacketType, PacketType: packet.ToMulticast}
	checkAnswers(t, &pktType, rule.IPv4, []answerCase{
		{packet.Packet{}, "--pkt-type multicast", packet.Unknown}, {p, "--pkt-type mcast", packet.Yes},
		{p, "--pkt-type unicast", packet.No}, {p, "! --pkt-type unicast", packet.Yes},
	})
}

func TestPhysDevDecides(t *testing.T) {
	routed := packet.Packet{Known: packet.KnowPhysical}
	p := packet.Packet{Known: packet.KnowPhysical, PhysIn: "eth0", PhysOut: "eth1", Bridged: true}
	checkAnswers(t, &physDev, rule.IPv4, []answerCase{
		{packet.Packet{}, "--physdev-is-in", packet.Unknown},
		{p, "--physdev-in eth0 --physdev-out eth+ --physdev-is-bridged --physdev-is-in --physdev-is-out", packet.Yes},
		{p, "--physdev-in eth1", packet.No}, {p, "! --physdev-in eth1", packet.Yes}, {p, "--physdev-in +", packet.Yes},
		{routed, "--physdev-in +", packet.No}, {routed, "! --physdev-is-bridged", packet.Yes}, {routed, "--physdev-is-out", packet.No},
	})
}

func TestStatisticDecidesWithoutChance(t *testing.T) {
	checkAnswers(t, &statistic, rule.IPv4, []answerCase{
		{packet.Packet{}, "--mode random --probability 0.5", packet.Unknown}, {packet.Packet{}, "--mode random --probability 0", packet.No},
		{packet.Packet{}, "--mode random --probability 1", packet.Yes}, {packet.Packet{}, "--mode nth --every 1 --packet 0", packet.Yes},
		{packet.Packet{}, "--mode random ! --probability 1", packet.No}, {packet.Packet{}, "--mode nth --every 2 --packet 0", packet.Unknown},
	})
}

func TestStringDecides(t *testing.T) {
	p := packet.Packet{Bytes: []byte("0123456789GET /index")}
	checkAnswers(t, &stringMatch, rule.IPv4, []answerCase{
		{packet.Packet{}, "--algo bm --string GET", packet.Unknown}, {p, "--algo bm --string GET", packet.Yes},
		{p, "--algo bm --string get", packet.No}, {p, "--algo bm --string get --icase", packet.Yes},
		{p, "--algo bm --string GET --from 11", packet.No}, {p, "--algo bm --string GET --to 12", packet.No},
		{p, "--algo bm --string GET --to 13", packet.Yes}, {p, "--algo bm ! --string GET --from 60000", packet.Yes},
		{p, "--algo bm --string GET --from 5 --to 2", packet.No},
	})
}

func TestU32Decides(t *testing.T) {
	ip := make([]byte, 40) // IPv4 header, then a TCP header of 20 bytes
	ip[0], ip[9] = 0x45, 6
	binary.BigEndian.PutUint16(ip[2:], 0x200)
	ip[32] = 0x50
	binary.BigEndian.PutUint32(ip[24:], 77)
	p := packet.Packet{Bytes: ip}
	checkAnswers(t, &u32Match, rule.IPv4, []answerCase{
		{packet.Packet{}, "--u32 0=1", packet.Unknown}, {p, `--u32 "0&0xFFFF=0x100:0xFFFF"`, packet.Yes},
		{p, `--u32 "6&0xFF=1,6"`, packet.Yes}, {p, `--u32 "6&0xFF=1"`, packet.No}, {p, `! --u32 "6&0xFF=1"`, packet.Yes},
		{p, `--u32 "0>>22&0x3C@4=77"`, packet.Yes}, {p, `--u32 "0>>22&0x3C@12>>26&0x3C@0=0"`, packet.No},
		{p, `--u32 "0<<8=0x00020000:0x7fffffff"`, packet.Yes}, {p, `--u32 "40=0"`, packet.No},
	})
}

func TestTCPMSSDecides(t *testing.T) {
	options := []packet.TCPOption{{Kind: 1}, {Kind: 2, Data: []byte{5, 0xb4}}}
	p := packet.Packet{Proto: 6, Known: packet.KnowTCPOptions, Transport: packet.Transport{Options: options}}
	bare := packet.Packet{Proto: 6, Known: packet.KnowTCPOptions}
	checkAnswers(t, &tcpMSSMatch, rule.IPv4, []answerCase{
		{packet.Packet{Proto: 17}, "--mss 1460", packet.No}, {packet.Packet{Proto: 6, Fragment: true, Known: packet.KnowTCPOptions}, "--mss 1460", packet.Unknown}, {packet.Packet{Proto: 6}, "--mss 1460", packet.Unknown},
		{p, "--mss 1460", packet.Yes}, {p, "--mss 1:1459", packet.No}, {p, "! --mss 1:1459", packet.Yes},
		{bare, "--mss 0:65535", packet.No}, {bare, "! --mss 0:65535", packet.Yes},
	})
}

func TestRPFilterDecides(t *testing.T) {
	good, bad, local := &hostSays{path: true, known: true}, &hostSays{known: true}, &hostSays{local: true, known: true}
	someSource := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	checkAnswers(t, &rpFilter, rule.IPv4, []answerCase{
		{packet.Packet{In: "lo"}, "", packet.Yes}, {packet.Packet{In: "lo"}, "--invert", packet.No},
		{packet.Packet{}, "", packet.Unknown}, {packet.Packet{Src: someSource, Host: &hostSays{}}, "", packet.Unknown},
		{packet.Packet{Src: someSource, Host: good}, "", packet.Yes}, {packet.Packet{Src: someSource, Host: bad}, "--loose", packet.No},
		{packet.Packet{Src: someSource, Host: bad}, "--invert", packet.Yes}, {packet.Packet{Src: someSource, Host: local}, "", packet.No},
		{packet.Packet{Src: someSource, Host: local}, "--accept-local", packet.Yes}, {packet.Packet{Src: someSource, Host: good}, "--validmark", packet.Unknown},
		{packet.Packet{Src: someSource, Host: good, Known: packet.KnowMark}, "--validmark", packet.Yes},
		{packet.Packet{Host: good}, "", packet.Unknown}, {packet.Packet{Src: someSource, HiddenIn: true, Host: good}, "", packet.Unknown},
	})
	if bad.loose == nil || good.loose == nil || *good.loose {
		t.Error("--loose does not reach the host")
	}
}

func TestRealmDecides(t *testing.T) {
	p := packet.Packet{Known: packet.KnowRealm, RouteRealm: 0x13}
	checkAnswers(t, &realm, rule.IPv4, []answerCase{
		{packet.Packet{}, "--realm 1", packet.Unknown}, {p, "--realm 0x13", packet.Yes}, {p, "--realm 3/3", packet.Yes},
		{p, "--realm cosmos", packet.No}, {p, "! --realm cosmos", packet.Yes},
	})
}

func TestRecentKnowsOnlyThatSetMatches(t *testing.T) {
	checkAnswers(t, &recent, rule.IPv4, []answerCase{
		{packet.Packet{}, "--set", packet.Yes}, {packet.Packet{}, "! --set", packet.No}, {packet.Packet{}, "--rcheck", packet.Unknown},
	})
}

func TestPolicyDecides(t *testing.T) {
	plain, ipsec := packet.Packet{Known: packet.KnowPolicy}, packet.Packet{Known: packet.KnowPolicy, PolicyIPsec: true}
	checkAnswers(t, &policy, rule.IPv4, []answerCase{
		{packet.Packet{}, "--dir in --pol none", packet.Unknown}, {plain, "--dir in --pol none", packet.Yes},
		{ipsec, "--dir in --pol none", packet.No}, {plain, "--dir in --pol ipsec", packet.No}, {ipsec, "--dir in --pol ipsec", packet.Yes},
		{ipsec, "--dir in --pol ipsec --reqid 1", packet.Unknown},
	})
}

func TestSetAsksTheHost(t *testing.T) {
	in, out := &hostSays{in: true, known: true}, &hostSays{known: true}
	checkAnswers(t, &setMatch, rule.IPv4, []answerCase{
		{packet.Packet{}, "--match-set s4 src", packet.Unknown}, {packet.Packet{Host: &hostSays{}}, "--match-set s4 src", packet.Unknown},
		{packet.Packet{Host: in}, "--match-set triple src,dst,src", packet.Yes}, {packet.Packet{Host: out}, "--match-set s4 src", packet.No},
		{packet.Packet{Host: out}, "! --match-set s4 src", packet.Yes},
		{packet.Packet{Host: in}, "--match-set triple src --packets-gt 5", packet.Unknown},
		{packet.Packet{Host: in}, "--match-set net src --return-nomatch", packet.Unknown},
	})
	if len(in.dirs) != 3 || in.dirs[1] != "dst" {
		t.Errorf("the host was asked for %q", in.dirs)
	}
}

// TestSetOfTheKernelGetsItsName: a rule of the kernel knows the index alone.
func TestSetOfTheKernelGetsItsName(t *testing.T) {
	m := &SetMatch{SetRef: SetRef{Index: 1, Dirs: []bool{true}}}
	p := packet.Packet{Host: &hostSays{in: true, known: true}}
	if got := m.Match(&p); got != packet.Unknown {
		t.Errorf("without a name: %v", got)
	}
	m.ResolveName(testNames())
	if got := m.Match(&p); got != packet.Yes || m.SetName != "triple" {
		t.Errorf("with the name %q: %v", m.SetName, got)
	}
	gone := &SetMatch{SetRef: SetRef{Index: 99, Dirs: []bool{true}}}
	if got := printed(gone, rule.IPv4, &rule.Rule{}).save; got != "--match-set #99 src" {
		t.Errorf("a set that is gone is printed as %q", got)
	}
}
