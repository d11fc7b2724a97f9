package host

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"moat/internal/lab"
	"moat/internal/packet"
)

// world makes a router with many kinds of routes: eth0 and eth1 to peers, and
// routes that refuse, throw, depend on marks, sources and metrics.
func world(t *testing.T) (router, sender *lab.Host) {
	l := lab.New(t)
	r, _ := l.Host("router")
	a, _ := l.Host("a")
	b, _ := l.Host("b")
	l.Connect(lab.End{Host: a, Name: "eth0", Addrs: []string{"10.1.0.2/24", "2001:db8:1::2/64"}}, lab.End{Host: r, Name: "eth0", Addrs: []string{"10.1.0.1/24", "2001:db8:1::1/64"}})
	l.Connect(lab.End{Host: b, Name: "eth0", Addrs: []string{"10.2.0.2/24", "2001:db8:2::2/64"}}, lab.End{Host: r, Name: "eth1", Addrs: []string{"10.2.0.1/24", "10.3.0.1/28", "2001:db8:2::1/64"}})
	r.Forward()
	sh(t, r, worldScript)
	sh(t, a, "ip route add default via 10.1.0.1; ip -6 route add default via 2001:db8:1::1")
	return r, a
}

const worldScript = `
ip addr add 10.1.0.1/24 brd + dev eth0 2>/dev/null || true
ip addr add 10.2.0.9/24 brd 10.2.0.255 dev eth1
ip addr add 192.0.2.1 peer 192.0.2.2 dev eth1
ip route add default via 10.1.0.2
ip route add 10.66.0.0/16 via 10.2.0.2
ip route add blackhole 10.66.6.0/24
ip route add unreachable 10.67.0.0/16
ip route add prohibit 10.68.0.0/16
ip route add 10.70.0.0/16 via 10.2.0.2 metric 200
ip route add 10.70.0.0/16 via 10.1.0.2 metric 100
ip route add throw 10.71.1.0/24 table 100
ip route add 10.71.0.0/16 via 10.2.0.2 table 100
ip route add 10.71.0.0/16 via 10.1.0.2
ip route add default via 10.2.0.2 table 200
ip route add 10.72.0.0/16 via 10.2.0.2 tos 0x10
ip rule add pref 100 to 10.71.0.0/16 lookup 100
ip rule add pref 200 fwmark 0x1/0xff lookup 200
ip rule add pref 300 from 10.3.0.1 lookup 200
ip rule add pref 400 fwmark 0x2 lookup main suppress_prefixlength 0
ip rule add pref 401 fwmark 0x2 lookup 200
ip rule add pref 500 to 10.73.0.0/16 blackhole
ip rule add pref 600 iif eth1 to 10.74.0.0/16 lookup 200
ip rule add pref 700 not fwmark 0/0x40 prohibit
ip rule add pref 800 fwmark 0x8 goto 900
ip rule add pref 801 fwmark 0x8 unreachable
ip rule add pref 900 fwmark 0x8 lookup 200
ip rule add pref 1000 ipproto udp dport 5353 fwmark 0x10 lookup 200
ip -6 route add default via 2001:db8:1::2
ip -6 route add 2001:db8:66::/48 via 2001:db8:2::2
ip -6 route add blackhole 2001:db8:66:6::/64
ip -6 route add unreachable 2001:db8:67::/48
ip -6 route add prohibit 2001:db8:68::/48
ip -6 route add 2001:db8:70::/48 via 2001:db8:2::2 metric 200
ip -6 route add 2001:db8:70::/48 via 2001:db8:1::2 metric 100
ip -6 route add default via 2001:db8:2::2 table 200
ip -6 rule add pref 200 fwmark 0x1/0xff lookup 200
ip -6 rule add pref 300 from 2001:db8:2::1 lookup 200
`

const (
	places4 = `10.1.0.1 10.1.0.2 10.1.0.77 10.1.0.255 10.1.0.0 10.2.0.1 10.2.0.9 10.2.0.5 10.2.0.255 10.3.0.1 10.3.0.2 10.3.0.15
		127.0.0.1 127.1.2.3 127.255.255.255 0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1 239.1.2.3 192.0.2.1 192.0.2.2 8.8.8.8
		10.66.1.1 10.66.6.1 10.67.0.1 10.68.0.1 10.70.0.1 10.71.0.1 10.71.1.1 10.72.0.1 10.73.0.1 10.74.0.1 169.254.1.1 240.0.0.1`
	places6 = `2001:db8:1::1 2001:db8:1::2 2001:db8:1:: 2001:db8:1::77 2001:db8:2::1 2001:db8:2::5 ::1 :: ff02::1 ff05::123 ff02::2 fe80::1
		2001:db8:66::1 2001:db8:66:6::1 2001:db8:67::1 2001:db8:68::1 2001:db8:70::1 2001:4860::8888 fd00::1`
)

// ask is the kernel's own answer: Route.Local, Route.Out, or neither.
func ask(dst, src netip.Addr, in string, mark uint32) (packet.Route, error) {
	o := &netlink.RouteGetOptions{Iif: in, Mark: mark}
	if !src.IsUnspecified() {
		o.SrcAddr = src.AsSlice()
	}
	got, err := netlink.RouteGetWithOptions(dst.AsSlice(), o)
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) { // refused, martian, unreachable
			return packet.Route{}, nil
		}
		return packet.Route{}, err
	}
	link, err := netlink.LinkByIndex(got[0].LinkIndex)
	if err != nil {
		return packet.Route{}, err
	}
	switch got[0].Type {
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		return packet.Route{Local: true}, nil
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		return packet.Route{Local: in != "", Out: map[bool]string{true: link.Attrs().Name}[in == ""]}, nil
	case unix.RTN_UNICAST:
		return packet.Route{Out: link.Attrs().Name}, nil
	}
	return packet.Route{}, nil
}

func TestRouteIsTheKernels(t *testing.T) {
	h, _ := world(t)
	f := read(t, h)
	asked := 0
	check := func(dst, src netip.Addr, in string, mark uint32) {
		want, err := ask(dst, src, in, mark)
		if err != nil {
			t.Fatalf("%v from %v in %q: %v", dst, src, in, err)
		}
		p := &packet.Packet{Family: familyOf(dst), Dst: dst, Src: src, In: in, Mark: mark, Proto: packet.ProtoTCP, Known: packet.KnowMark | packet.KnowTOS | packet.KnowPorts}
		asked++
		if got, known := f.Route(p); !known || got != want {
			t.Errorf("%v from %v in %q mark %#x: %+v, known %v; the kernel says %+v", dst, src, in, mark, got, known, want)
		}
	}
	err := h.Do(func() error {
		for _, mark := range []uint32{0, 1, 0x101, 2, 8, 0x10, 0x40} {
			for _, dst := range addrs(places4) {
				check(dst, netip.IPv4Unspecified(), "", mark)
				check(dst, netip.MustParseAddr("10.3.0.1"), "", mark)
				for _, src := range addrs("10.1.0.2 10.2.0.2 8.8.8.8 10.1.0.1 127.0.0.1 10.1.0.255 224.0.0.1") {
					check(dst, src, "eth0", mark)
					check(dst, src, "eth1", mark)
				}
			}
			for _, dst := range addrs(places6) {
				if dst.IsLinkLocalUnicast() || dst.IsMulticast() || dst.IsUnspecified() {
					continue // which link is not part of the question; :: is not on the wire
				}
				check(dst, netip.MustParseAddr("2001:db8:2::1"), "", mark)
				check(dst, netip.IPv6Unspecified(), "", mark)
				for _, src := range addrs("2001:db8:1::2 2001:db8:2::2 2001:4860::8888") {
					if dst.IsLoopback() {
						continue // refused before it is routed, which this question does not show
					}
					check(dst, src, "eth0", mark)
				}
			}
		}
		return nil
	})
	if err != nil || asked < 1000 {
		t.Error(asked, err)
	}
}

func TestSourceValidationIsTheKernels(t *testing.T) {
	h, _ := world(t)
	for _, filter := range []string{"1", "2"} {
		h.SetSysctl("ipv4/conf/all/rp_filter", filter)
		f := read(t, h)
		err := h.Do(func() error {
			for _, src := range addrs(places4) {
				for _, in := range []string{"eth0", "eth1"} {
					dst := netip.MustParseAddr("10.1.0.1")
					want, err := ask(dst, src, in, 0)
					if err != nil {
						return err
					}
					p := &packet.Packet{Family: familyOf(dst), Dst: dst, Src: src, In: in, Proto: packet.ProtoTCP, Known: packet.KnowMark | packet.KnowTOS | packet.KnowPorts}
					if got, known := f.Route(p); !known || got != want {
						t.Errorf("rp_filter %s, from %v in %q: %+v, known %v; the kernel says %+v", filter, src, in, got, known, want)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSourceAddressIsTheKernels(t *testing.T) {
	h, _ := world(t)
	sh(t, h, "ip addr add fd00:2::1/64 dev eth1 nodad; ip addr add 2001:db8:2::3/64 dev eth1 nodad preferred_lft 0; ip addr add 2001:db8:2:1::1/64 dev eth1 nodad")
	f := read(t, h)
	err := h.Do(func() error {
		for _, peer := range addrs("2001:db8:2::77 2001:db8:2:1::9 2001:db8:66::1 fd00:2::9 fd00:9::1 fe80::9 2001:db8:3::1") {
			got, err := netlink.RouteGetWithOptions(peer.AsSlice(), &netlink.RouteGetOptions{Oif: "eth1", Mark: 1})
			if err != nil {
				return fmt.Errorf("%v: %w", peer, err)
			}
			want, _ := netip.AddrFromSlice(got[0].Src)
			if got, known := f.InterfaceAddress("eth1", familyOf(peer), peer); !known || got != want {
				t.Errorf("to %v: %v, the kernel takes %v", peer, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ dev, peer, want string }{
		{"eth1", "10.2.0.5", "10.2.0.1"}, {"eth1", "10.3.0.2", "10.3.0.1"}, {"eth1", "10.66.0.1", "10.2.0.1"}, {"eth0", "8.8.8.8", "10.1.0.1"},
	} {
		if got, known := f.InterfaceAddress(c.dev, 2, netip.MustParseAddr(c.peer)); !known || got.String() != c.want {
			t.Errorf("%s to %s: %v, want %s", c.dev, c.peer, got, c.want)
		}
	}
}

// What depends on what was not told is not known; where it does not matter it is.
func TestRouteOfWhatWasNotTold(t *testing.T) {
	h, _ := world(t)
	f := read(t, h)
	for _, c := range []struct {
		dst   string
		known bool
	}{
		{"10.1.0.1", true}, // the local table comes first
		{"8.8.8.8", false}, // by mark
		{"10.2.0.5", false},
		{"10.72.0.1", false},
	} {
		if _, known := f.Route(&packet.Packet{Family: 2, Dst: netip.MustParseAddr(c.dst), In: "eth0", Proto: packet.ProtoTCP}); known != c.known {
			t.Errorf("%s: known %v", c.dst, known)
		}
	}
	if r, known := f.Route(&packet.Packet{Family: 2, Dst: netip.MustParseAddr("10.1.0.1"), HiddenIn: true, Known: packet.KnowMark | packet.KnowTOS}); !known || !r.Local {
		t.Errorf("to an own address by a hidden interface: %+v, %v", r, known)
	}
	if _, known := f.Route(&packet.Packet{Family: 2}); known {
		t.Error("no destination, and a route")
	}
}

func TestNewMakesTheKernelsRoutes(t *testing.T) {
	h, _ := world(t)
	f := read(t, h)
	made := New(f.Interfaces)
	have := func(list []Route) map[string]bool {
		m := map[string]bool{}
		for _, r := range list {
			m[fmt.Sprint(r.Prefix, r.Table, r.kind(), r.Hops)] = true
		}
		return m
	}
	kernel := have(f.Routes)
	for key := range have(made.Routes) {
		if !kernel[key] && !strings.Contains(key, "fe80") {
			t.Errorf("the kernel has no %s", key)
		}
	}
	if len(made.Routes) < 20 {
		t.Errorf("only %d routes", len(made.Routes))
	}
}
