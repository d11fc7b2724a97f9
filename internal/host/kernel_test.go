package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/packet"
	"moat/internal/rule"
)

// expectation is a rule's condition, and whether we say that the packet from
// its source meets it.
type expectation struct {
	src   netip.Addr
	match string
	want  bool
}

// judge puts a rule for each expectation into the kernel, has a packet sent
// from each source, and compares the counters.
func judge(t *testing.T, f rule.Family, h, sender *lab.Host, dst netip.Addr, list []expectation) {
	t.Helper()
	var b strings.Builder
	b.WriteString("*raw\n:PREROUTING ACCEPT [0:0]\n")
	sources := map[netip.Addr]bool{}
	for _, e := range list {
		fmt.Fprintf(&b, "-A PREROUTING -i eth0 -s %v -p udp --dport 9 %s\n", e.src, e.match)
		sources[e.src] = true
	}
	fmt.Fprintf(&b, "-A PREROUTING -i eth0 -p udp --dport 9\nCOMMIT\n")
	program := f.Program() + "-nft"
	sh(t, h, program+"-restore <<'EOT'\n"+b.String()+"EOT")
	for src := range sources {
		sender.Send(lab.Packet{Proto: lab.ProtoUDP, Src: netip.AddrPortFrom(src, 4000), Dst: netip.AddrPortFrom(dst, 9)})
	}
	var counts []int
	err := lab.WaitFor(time.Minute, func() (bool, error) {
		counts = counts[:0]
		for _, m := range regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A`).FindAllStringSubmatch(sh(t, h, program+"-save -c -t raw"), -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return false, err
			}
			counts = append(counts, n)
		}
		return len(counts) == len(list)+1 && counts[len(list)] == len(sources), nil
	})
	if err != nil {
		t.Fatalf("%v: %d packets sent, counters %v", err, len(sources), counts)
	}
	for i, e := range list {
		if got := counts[i] > 0; got != e.want {
			t.Errorf("%v %s: the kernel says %v", e.src, e.match, got)
		}
	}
}

// typeNames are those of match addrtype.
var typeNames = [...]struct {
	name string
	is   packet.AddressType
}{
	{"UNICAST", packet.AddressUnicast}, {"LOCAL", packet.AddressLocal}, {"BROADCAST", packet.AddressBroadcast},
	{"ANYCAST", packet.AddressAnycast}, {"MULTICAST", packet.AddressMulticast}, {"BLACKHOLE", packet.AddressBlackhole},
	{"UNREACHABLE", packet.AddressUnreachable}, {"PROHIBIT", packet.AddressProhibit},
}

func TestAddressTypeIsTheKernels(t *testing.T) {
	h, sender := world(t)
	f := read(t, h)
	var list []expectation
	for _, src := range addrs(places4) {
		if src.IsUnspecified() { // a raw socket fills it in
			continue
		}
		for _, dev := range []string{"", "eth0"} {
			is, known := f.AddressType(src, dev)
			if !known {
				t.Errorf("%v: not known", src)
			}
			for _, n := range typeNames {
				match := "-m addrtype --src-type " + n.name
				if dev != "" {
					match += " --limit-iface-in"
				}
				list = append(list, expectation{src, match, is == n.is})
			}
		}
	}
	judge(t, rule.IPv4, h, sender, netip.MustParseAddr("10.1.0.1"), list)
}

// IPv6's addrtype asks the route for these three only.
func TestAddressType6IsTheKernels(t *testing.T) {
	h, sender := world(t)
	f := read(t, h)
	var list []expectation
	for _, src := range addrs(places6) {
		if src.IsUnspecified() || src.IsMulticast() || src.IsLoopback() { // refused before the rules
			continue
		}
		for _, dev := range []string{"", "eth0"} {
			is, known := f.AddressType(src, dev)
			if !known {
				t.Errorf("%v: not known", src)
			}
			for _, n := range typeNames {
				if n.is != packet.AddressLocal && n.is != packet.AddressAnycast && n.is != packet.AddressUnreachable {
					continue
				}
				match := "-m addrtype --src-type " + n.name
				if dev != "" {
					match += " --limit-iface-in"
				}
				list = append(list, expectation{src, match, is == n.is})
			}
		}
	}
	judge(t, rule.IPv6, h, sender, netip.MustParseAddr("2001:db8:1::1"), list)
}

func TestReversePathIsTheKernels(t *testing.T) {
	h, sender := world(t)
	// Whether these are for the answer depends on the packet's destination, which
	// is not part of the question.
	sh(t, h, "ip rule del pref 300; ip -6 rule del pref 300; ip route del 10.72.0.0/16 tos 0x10")
	f := read(t, h)
	for _, c := range []struct {
		f           rule.Family
		places, dst string
	}{{rule.IPv4, places4, "10.1.0.1"}, {rule.IPv6, places6, "2001:db8:1::1"}} {
		var list []expectation
		for _, src := range addrs(c.places) {
			if src.IsUnspecified() || src.Is6() && (src.IsMulticast() || src.IsLoopback()) {
				continue
			}
			for _, loose := range []bool{false, true} {
				ok, known := f.ReversePath(src, "eth0", loose)
				if !known {
					t.Errorf("%v loose %v: not known", src, loose)
				}
				match := "-m rpfilter"
				if loose {
					match += " --loose"
				}
				list = append(list, expectation{src, match, ok})
			}
		}
		judge(t, c.f, h, sender, netip.MustParseAddr(c.dst), list)
	}
}
