package judge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	facts "moat/internal/host"
	"moat/internal/kernel"
	"moat/internal/kernel/nft"
	"moat/internal/lab"
	"moat/internal/packet"
	"moat/internal/rule"
)

// host is the host under test, for one family. It is used by one goroutine.
type host struct {
	family  rule.Family
	tracked bool // connection tracking looks at every packet
	under   *lab.Host
	wire    *lab.Host
	kernel  *kernel.Kernel
	conn    *nft.Conn
	ct      *tracker
	in      map[string]int     // interface of the host: packet socket at the other end of its link
	mac     map[string][6]byte // interface of the host: its address
	facts   *facts.Facts       // what the simulator is told of the host
	out     int                // raw socket on the host
	bell    int                // packet socket on the host, which hears the end of a batch
}

// link is an interface of the host under test.
type link struct {
	name  string
	group int
	mac   string
	addrs []string
}

var links = [...]link{
	{"eth0", 1, "02:00:00:00:00:10", []string{"203.0.113.1/24", "2001:db8:1::1/64"}},
	{"eth1", 2, "02:00:00:00:00:11", []string{"192.0.2.1/24", "192.0.2.9/24", "2001:db8:2::1/64", "2001:db8:2::9/64"}},
	{"wlan0", 2, "02:00:00:00:00:12", []string{"10.1.0.1/16", "2001:db8:3::1/64"}},
}

// routes are those of the host beside what its addresses make.
var routes = [...]lab.Route{
	{To: "198.51.100.0/24", Dev: "eth1"},
	{To: "2001:db8:51::/48", Dev: "eth1"},
	{To: "100.64.0.0/10", Dev: "eth0"},
	{To: "2001:db8:64::/48", Dev: "eth0"},
	{To: "10.9.0.0/16", Blackhole: true},
	{To: "2001:db8:9::/48", Blackhole: true},
}

// beforeLinks and afterLinks are settings of the host under test: no packet is
// dropped between the hooks for where it says it is from.
var beforeLinks = [...][2]string{
	{"ipv4/conf/all/accept_local", "1"}, {"ipv4/conf/default/accept_local", "1"},
	{"ipv4/conf/all/route_localnet", "1"}, {"ipv4/conf/default/route_localnet", "1"},
	{"ipv4/conf/all/send_redirects", "0"}, {"ipv4/conf/default/send_redirects", "0"},
	{"ipv4/conf/all/rp_filter", "0"}, {"ipv4/conf/default/rp_filter", "0"},
	{"ipv6/conf/all/accept_ra", "0"}, {"ipv6/conf/default/accept_ra", "0"},
	{"ipv6/conf/default/router_solicitations", "0"},
}

// newHost makes a host of a family for a test. tracked turns connection
// tracking on for all packets; without it, no rule may ask for it.
func newHost(t testing.TB, f rule.Family, tracked bool) *host {
	t.Helper()
	l := lab.New(t)
	h := &host{family: f, tracked: tracked, in: map[string]int{}, mac: map[string][6]byte{}}
	var err error
	if h.under, err = l.Host("host"); err != nil {
		t.Fatal(err)
	}
	if h.wire, err = l.Host("wire"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{h.settle, func() error { return h.connect(l) }, h.open, h.makeSets, h.readFacts, h.addJudge, h.strict} {
		if err := step(); err != nil {
			t.Fatalf("%s host: %v", f, err)
		}
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

func (h *host) settle() error {
	for _, s := range beforeLinks {
		if err := h.under.SetSysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	if err := h.under.Forward(); err != nil {
		return err
	}
	return h.wire.SetSysctl("ipv6/conf/default/disable_ipv6", "1")
}

// connect gives the host its interfaces, and opens a socket at the other end of each.
func (h *host) connect(l *lab.Lab) error {
	for _, k := range links {
		if err := l.Connect(lab.End{Host: h.under, Name: k.name, Addrs: k.addrs}, lab.End{Host: h.wire, Name: "w-" + k.name}); err != nil {
			return err
		}
		if err := h.under.Do(func() error { return h.dress(k) }); err != nil {
			return err
		}
		err := h.wire.Do(func() (err error) {
			h.in[k.name], err = packetSocket("w-"+k.name, 0)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, r := range routes {
		if err := h.under.AddRoute(r); err != nil {
			return err
		}
	}
	return h.under.Do(routeMarked)
}

// routeMarked sends what has a mark of its own another way out.
func routeMarked() error {
	dev, err := netlink.LinkByName("wlan0")
	if err != nil {
		return err
	}
	const table = 100
	for family, all := range map[int]string{netlink.FAMILY_V4: "0.0.0.0/0", netlink.FAMILY_V6: "::/0"} {
		r := netlink.NewRule()
		r.Family, r.Mark, r.Table, r.Priority = family, 0x20, table, 1000
		_, dst, err := net.ParseCIDR(all)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: dev.Attrs().Index, Dst: dst, Table: table, Scope: netlink.SCOPE_LINK}
		if err := errors.Join(netlink.RuleAdd(r), netlink.RouteAdd(route)); err != nil {
			return err
		}
	}
	return nil
}

// dress gives an interface its group and hardware address.
func (h *host) dress(k link) error {
	dev, err := netlink.LinkByName(k.name)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(k.mac)
	if err != nil {
		return err
	}
	h.mac[k.name] = [6]byte(mac)
	return errors.Join(netlink.LinkSetGroup(dev, k.group), netlink.LinkSetHardwareAddr(dev, mac))
}

// bellType is the Ethernet type of the frame that ends a batch: one that is
// left for experiments (IEEE 802, 0x88B5).
const bellType = 0x88b5

// packetSocket opens an AF_PACKET socket on an interface of the calling
// thread's namespace ("" for all) that gets frames of a type (0: none).
func packetSocket(dev string, etherType uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	to := unix.SockaddrLinklayer{Protocol: etherType<<8 | etherType>>8}
	if dev != "" {
		i, err := netlink.LinkByName(dev)
		if err != nil {
			return -1, errors.Join(err, unix.Close(fd))
		}
		to.Ifindex = i.Attrs().Index
	}
	if err := unix.Bind(fd, &to); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// open opens what talks to the kernel from within the host.
func (h *host) open() error {
	return h.under.Do(func() (err error) {
		if h.kernel, err = kernel.Open(kernel.Unguarded); err != nil {
			return err
		}
		if h.conn, err = nft.Open(); err != nil {
			return err
		}
		if h.ct, err = newTracker(); err != nil {
			return err
		}
		if h.bell, err = packetSocket("", bellType); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(h.bell, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
			return err
		}
		family := unix.AF_INET
		if h.family == rule.IPv6 {
			family = unix.AF_INET6
		}
		if h.out, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		return unix.SetsockoptInt(h.out, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
	})
}

// strict makes a TCP packet out of nothing invalid, unless it is a SYN.
func (h *host) strict() error {
	if !h.tracked {
		return nil
	}
	return h.under.SetSysctl("netfilter/nf_conntrack_tcp_loose", "0")
}

// readFacts reads them once all addresses are in use.
func (h *host) readFacts() error {
	return h.under.Do(func() error {
		return lab.WaitFor(lab.LongWait, func() (ready bool, err error) {
			if h.facts, err = facts.Read(); err != nil {
				return false, err
			}
			for _, text := range append(own4[:], own6[:]...) {
				p := packet.Packet{Family: h.family, Dst: netip.MustParseAddr(text), In: links[0].name}
				if r, known := h.facts.Route(&p); !r.Local || !known {
					return false, nil
				}
			}
			return true, nil
		})
	})
}

func (h *host) close() error {
	errs := []error{h.kernel.Close(), h.conn.Close(), h.ct.close(), unix.Close(h.out), unix.Close(h.bell)}
	for _, fd := range h.in {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// sets are the ipsets of the host, as what "ipset restore" reads; FAM is the
// family, and the elements are below.
var setKinds = [...]string{"create hosts hash:ip family FAM", "create nets hash:net family FAM", "create services hash:ip,port family FAM"}

// elements of the sets by family: set, then element.
var elements4 = [...][2]string{
	{"hosts", "203.0.113.7"}, {"hosts", "192.0.2.1"}, {"hosts", "10.1.2.3"},
	{"nets", "192.0.2.0/24"}, {"nets", "198.51.100.0/25"},
	{"services", "203.0.113.1,tcp:22"}, {"services", "192.0.2.1,udp:53"}, {"services", "198.51.100.5,tcp:443"},
}

var elements6 = [...][2]string{
	{"hosts", "2001:db8:1::7"}, {"hosts", "2001:db8:2::1"}, {"hosts", "2001:db8:3::3"},
	{"nets", "2001:db8:2::/64"}, {"nets", "2001:db8:51::/65"},
	{"services", "2001:db8:1::1,tcp:22"}, {"services", "2001:db8:2::1,udp:53"}, {"services", "2001:db8:51::5,tcp:443"},
}

func (h *host) elements() [][2]string {
	if h.family == rule.IPv6 {
		return elements6[:]
	}
	return elements4[:]
}

// makeSets makes the ipsets.
func (h *host) makeSets() error {
	family := "inet"
	if h.family == rule.IPv6 {
		family = "inet6"
	}
	var b strings.Builder
	for _, k := range setKinds {
		fmt.Fprintln(&b, strings.ReplaceAll(k, "FAM", family))
	}
	for _, e := range h.elements() {
		fmt.Fprintln(&b, "add", e[0], e[1])
	}
	c := h.under.Command(ipsetProgram(), "restore")
	c.Stdin = strings.NewReader(b.String())
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("ipset restore: %w\n%s", err, out)
	}
	return nil
}

// ipsetProgram finds ipset also where a user's PATH lacks the programs of the system.
func ipsetProgram() string {
	if path, err := exec.LookPath("ipset"); err == nil {
		return path
	}
	return "/usr/sbin/ipset"
}
