package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/lab"
	"moat/internal/packet"
)

// carrier asks on a host what carries packets to an address, by the interface that
// leads there.
func carrier(t testing.TB, h *lab.Host, to string) (c Carrier, found bool) {
	t.Helper()
	err := h.Do(func() error {
		way, _, err := WayTo(netip.MustParseAddr(to), netip.Addr{})
		if err != nil {
			return err
		}
		c, found, err = CarrierTo(way.Interface, way.Kind, netip.MustParseAddr(to))
		return err
	})
	if err != nil {
		t.Fatalf("to %s: %v", to, err)
	}
	return c, found
}

func ends(local, remote string) (l, r netip.AddrPort) {
	return netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
}

func TestCarrierOfVXLANIsTheKernels(t *testing.T) {
	t.Parallel()
	n := lab.NewRouted(t)
	sh(t, n.Server, `
ip link add to-one type vxlan id 1 remote 203.0.113.7 dstport 4789 dev eth0; ip addr add 10.9.1.1/24 dev to-one; ip link set to-one up
ip link add six type vxlan id 2 local 2001:db8:2::2 remote 2001:db8:1::7 dstport 8472 dev eth0; ip addr add 10.9.2.1/24 dev six; ip link set six up
ip link add many type vxlan id 3 group 239.1.1.1 dstport 4790 dev eth0; ip addr add 10.9.3.1/24 dev many; ip link set many up
ip neigh add 10.9.3.2 lladdr 02:00:00:00:00:02 dev many
bridge fdb add 02:00:00:00:00:02 dev many dst 203.0.113.9
ip neigh add 10.9.3.4 lladdr 02:00:00:00:00:04 dev many`)
	settled(t, n.Server, lab.ServerAddr6)
	for to, want := range map[string][3]string{
		"10.9.1.2": {"vxlan to-one", "198.51.100.2:4789", "203.0.113.7:4789"},
		"10.9.2.2": {"vxlan six", "[2001:db8:2::2]:8472", "[2001:db8:1::7]:8472"},
		"10.9.3.2": {"vxlan many", "198.51.100.2:4790", "203.0.113.9:4790"}, // as was learned of its neighbour
	} {
		c, found := carrier(t, n.Server, to)
		l, r := ends(want[1], want[2])
		if w := (Carrier{Tunnel: want[0], Proto: packet.ProtoUDP, Local: l, Remote: r, OneWay: true}); !found || c != w {
			t.Errorf("to %s: %+v, %v", to, c, found)
		}
	}
	for _, to := range []string{"10.9.3.3", "10.9.3.4", lab.ClientAddr, lab.ClientAddr6} {
		if c, found := carrier(t, n.Server, to); found {
			t.Errorf("to %s: %+v", to, c)
		}
	}
}

// Kinds of which the tests' kernel may have no module, by what netlink reads of them.
func TestCarrierOfOtherKindsIsTheirSettings(t *testing.T) {
	t.Parallel()
	here, there := net.ParseIP("198.51.100.2"), net.ParseIP("203.0.113.7")
	here6, there6 := net.ParseIP("2001:db8:2::2"), net.ParseIP("2001:db8:1::7")
	inner4, inner6 := netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd00::2")
	for _, c := range []struct {
		link  netlink.Link
		inner netip.Addr
		proto uint8
		port  string
		six   bool
	}{
		{&netlink.Gretun{Local: here, Remote: there}, inner4, 47, "0", false},
		{&netlink.Gretun{Local: here6, Remote: there6}, inner4, 47, "0", true},
		{&netlink.Gretap{Local: here, Remote: there}, inner6, 47, "0", false},
		{&netlink.Iptun{Local: here, Remote: there}, inner4, 4, "0", false},
		{&netlink.Sittun{Local: here, Remote: there}, inner6, 41, "0", false},
		{&netlink.Sittun{Local: here, Remote: there}, inner4, 4, "0", false},
		{&netlink.Ip6tnl{Local: here6, Remote: there6}, inner4, 4, "0", true},
		{&netlink.Ip6tnl{Local: here6, Remote: there6}, inner6, 41, "0", true},
		{&netlink.Geneve{Remote: there, Dport: 6081}, inner4, 17, "6081", false},
	} {
		got, ok := linkCarrier(c.link, c.inner)
		l, r := ends("198.51.100.2:"+c.port, "203.0.113.7:"+c.port)
		if c.six {
			l, r = ends("[2001:db8:2::2]:"+c.port, "[2001:db8:1::7]:"+c.port)
		}
		if got.OneWay { // it has no address of its own here
			l = netip.AddrPortFrom(netip.Addr{}, l.Port())
		}
		if want := (Carrier{Proto: c.proto, Local: l, Remote: r, OneWay: c.port != "0"}); !ok || got != want {
			t.Errorf("%T for %v: %+v, %v", c.link, c.inner, got, ok)
		}
	}
	for _, link := range []netlink.Link{
		&netlink.Gretun{Local: here, Remote: there, EncapType: 1}, &netlink.Geneve{FlowBased: true}, &netlink.Vti{Local: here, Remote: there}, &netlink.Dummy{},
	} {
		if c, ok := linkCarrier(link, inner4); ok {
			t.Errorf("%T: %+v", link, c)
		}
	}
	if _, found, err := (Carrier{Proto: 47, Remote: netip.MustParseAddrPort("0.0.0.0:0")}).complete(); found || err != nil {
		t.Errorf("a tunnel to anybody: %v, %v", found, err)
	}
}

// wgAnswer builds what the kernel's WireGuard answers, as linux/wireguard.h has it: the
// tests' kernel has no such module.
func wgAnswer(attrs ...*nl.RtAttr) []byte {
	b := []byte{0, 1, 0, 0} // struct genlmsghdr: WG_CMD_GET_DEVICE, version 1
	for _, a := range attrs {
		b = append(b, a.Serialize()...)
	}
	return b
}

func wgPeer(key byte, endpoint []byte, allowed ...string) *nl.RtAttr {
	p := nl.NewRtAttr(unix.NLA_F_NESTED, nil)
	p.AddRtAttr(wgPeerKey, []byte(strings.Repeat(string(rune(key)), 32)))
	if endpoint != nil {
		p.AddRtAttr(wgPeerEndpoint, endpoint)
		p.AddRtAttr(wgPeerKeeps, nl.Uint16Attr(uint16(key-'a')))
	}
	list := nl.NewRtAttr(wgPeerAllowed|unix.NLA_F_NESTED, nil)
	for _, text := range allowed {
		n, one := netip.MustParsePrefix(text), nl.NewRtAttr(unix.NLA_F_NESTED, nil)
		one.AddRtAttr(1, nl.Uint16Attr(unix.AF_INET)) // WGALLOWEDIP_A_FAMILY
		one.AddRtAttr(wgAllowedAddr, n.Addr().AsSlice())
		one.AddRtAttr(wgAllowedBits, []byte{byte(n.Bits())})
		list.AddChild(one)
	}
	p.AddChild(list)
	return p
}

func sockaddr(text string, scope uint32) []byte {
	a := netip.MustParseAddrPort(text)
	family := uint16(unix.AF_INET)
	if a.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := binary.BigEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, family), a.Port())
	if a.Addr().Is4() {
		return append(append(b, a.Addr().AsSlice()...), make([]byte, 8)...)
	}
	b = append(append(b, 0, 0, 0, 0), a.Addr().AsSlice()...)
	return binary.NativeEndian.AppendUint32(b, scope)
}

func TestAnswerOfTheKernelsWireGuardIsRead(t *testing.T) {
	t.Parallel()
	peers := func(list ...*nl.RtAttr) *nl.RtAttr {
		a := nl.NewRtAttr(wgPeers|unix.NLA_F_NESTED, nil)
		for _, p := range list {
			a.AddChild(p)
		}
		return a
	}
	w, err := decodeWireGuard([][]byte{
		wgAnswer(nl.NewRtAttr(1, nl.Uint32Attr(5)), nl.NewRtAttr(wgDeviceName, nl.ZeroTerminated("wg0")),
			nl.NewRtAttr(wgDevicePort, nl.Uint16Attr(51820)), nl.NewRtAttr(wgDeviceMark, nl.Uint32Attr(0xca6c)),
			peers(wgPeer('a', sockaddr("203.0.113.1:1000", 0), "0.0.0.0/0", "::/0"), wgPeer('b', sockaddr("[2001:db8:1::7]:2000", 0), "10.9.0.0/24"))),
		// What did not fit comes under the same key, without the rest.
		wgAnswer(peers(wgPeer('b', nil, "10.8.0.0/16"), wgPeer('c', nil, "10.9.0.3/32"), wgPeer('d', sockaddr("[fe80::7]:4000", 3), "fd00::/8"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	for inner, remote := range map[string]string{
		"192.0.2.1": "203.0.113.1:1000", "10.9.0.2": "[2001:db8:1::7]:2000", "10.8.7.6": "[2001:db8:1::7]:2000", "2001:db8::1": "203.0.113.1:1000",
		"fd00::9":  "[fe80::7%3]:4000",
		"10.9.0.3": "", // it has not come yet
	} {
		c, found := w.carrier("wg0", netip.MustParseAddr(inner))
		if found != (remote != "") || found && c.Remote.String() != remote || c.Local.Port() != 51820 || c.Mark != 0xca6c || found && c.Dials == (remote == "203.0.113.1:1000") || c.Tunnel != "wireguard wg0" {
			t.Errorf("%s: %+v, %v", inner, c, found)
		}
	}
	for size := range w.peers { // no panic on what is cut off
		m := wgAnswer(peers(wgPeer('a', sockaddr("[2001:db8::1]:1", 0), "10.0.0.0/8")))
		_, _ = decodeWireGuard([][]byte{m[:len(m)-4*size], m[:size]})
	}
}

func TestAnswerOfAWireGuardProgramIsRead(t *testing.T) {
	t.Parallel()
	w, err := readWireGuard(strings.NewReader("private_key=00\nlisten_port=51820\nfwmark=7\npublic_key=aa\nendpoint=[::ffff:203.0.113.7]:40000\n" +
		"persistent_keepalive_interval=25\nallowed_ip=10.9.0.2/32\nallowed_ip=fd00::/64\npublic_key=bb\nallowed_ip=0.0.0.0/0\nerrno=0\n\nafter=the end\n"))
	if err != nil || len(w.peers) != 2 {
		t.Fatalf("%+v, %v", w, err)
	}
	want := Carrier{Tunnel: "wireguard wg0", Proto: packet.ProtoUDP, Mark: 7, Dials: true,
		Local: netip.AddrPortFrom(netip.Addr{}, 51820), Remote: netip.MustParseAddrPort("203.0.113.7:40000")}
	if c, found := w.carrier("wg0", netip.MustParseAddr("10.9.0.2")); !found || c != want {
		t.Errorf("%+v, %v", c, found)
	}
	if _, found := w.carrier("wg0", netip.MustParseAddr("10.9.0.3")); found {
		t.Error("a peer that has no endpoint is known")
	}
	for _, bad := range []string{"errno=1\n\n", "public_key=aa\nallowed_ip=x\n\n"} {
		if _, err := readWireGuard(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// openTun makes a tun device on a host, which this process holds.
func openTun(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	err := h.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		t.Skipf("the kernel has no tun, or not for us: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

// TestCarrierOfAProgramsTunnelIsItsOnlyPeer has this process in place of OpenVPN.
func TestCarrierOfAProgramsTunnelIsItsOnlyPeer(t *testing.T) {
	n := lab.NewPair(t) // not parallel: sockets of other tests would be this process's, too
	name := fmt.Sprintf("tun%d", os.Getpid())
	openTun(t, n.Server, name)
	sh(t, n.Server, "ip addr add 10.9.0.1/24 dev "+name+"; ip link set "+name+" up; iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP")
	if c, found := carrier(t, n.Server, "10.9.0.2"); found {
		t.Fatalf("without a socket: %+v", c)
	}
	var conn *net.UDPConn
	if err := n.Server.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 1194})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(from string) {
		t.Helper()
		n.Client.Send(lab.Packet{Proto: lab.ProtoUDP, Src: netip.MustParseAddrPort(from), Dst: netip.MustParseAddrPort(lab.ServerAddr + ":1194")})
		if err := conn.SetReadDeadline(time.Now().Add(lab.LongWait)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadFrom(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	send(lab.ClientAddr + ":40000")
	c, found := carrier(t, n.Server, "10.9.0.2")
	l, r := ends(lab.ServerAddr+":1194", lab.ClientAddr+":40000")
	program := strings.TrimSuffix(c.Tunnel, " "+name)
	if want := (Carrier{Tunnel: c.Tunnel, Proto: packet.ProtoUDP, Local: l, Remote: r, AnyPort: true}); !found || c != want || program == c.Tunnel || program == "" {
		t.Errorf("one client: %+v, %v", c, found)
	}
	send(lab.ClientAddr + ":40001")
	c, found = carrier(t, n.Server, "10.9.0.2")
	if want := (Carrier{Tunnel: c.Tunnel, Proto: packet.ProtoUDP, Local: l, AnyPort: true}); !found || c != want {
		t.Errorf("two clients: %+v, %v", c, found)
	}
	conn.Close()

	if err := n.Client.Echo("tcp 1195 udp 1195"); err != nil {
		t.Fatal(err)
	}
	for proto, network := range map[uint8]string{packet.ProtoTCP: "tcp", packet.ProtoUDP: "udp"} {
		var out net.Conn
		if err := n.Server.Do(func() (err error) { out, err = net.Dial(network, lab.ClientAddr+":1195"); return err }); err != nil {
			t.Fatal(err)
		}
		c, found = carrier(t, n.Server, "10.9.0.2")
		l, r = ends(out.LocalAddr().String(), lab.ClientAddr+":1195")
		if want := (Carrier{Tunnel: c.Tunnel, Proto: proto, Local: l, Remote: r, Dials: true}); !found || c != want {
			t.Errorf("by %s to a server: %+v, %v", network, c, found)
		}
		out.Close()
	}
	// As OpenVPN does it, with a socket that is not connected.
	if err := n.Server.Do(func() (err error) { conn, err = net.ListenUDP("udp4", nil); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c, found := carrier(t, n.Server, "10.9.0.2"); found {
		t.Errorf("a port of the kernel's choice, which nobody can know: %+v", c)
	}
	if _, err := conn.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(lab.ClientAddr), Port: 1195}); err != nil {
		t.Fatal(err)
	}
	c, found = carrier(t, n.Server, "10.9.0.2")
	l, r = ends(fmt.Sprintf("%s:%d", lab.ServerAddr, conn.LocalAddr().(*net.UDPAddr).Port), lab.ClientAddr+":1195")
	if want := (Carrier{Tunnel: c.Tunnel, Proto: packet.ProtoUDP, Local: l, Remote: r, Dials: true}); !found || c != want {
		t.Errorf("to a server: %+v, %v", c, found)
	}
}

// Protocols without ports are tracked, too.
func TestTrackedTunnelIsFound(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	sh(t, n.Server, "iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP")
	client, server := netip.AddrPortFrom(netip.MustParseAddr(lab.ClientAddr), 0), netip.AddrPortFrom(netip.MustParseAddr(lab.ServerAddr), 0)
	for _, proto := range []uint8{ipInIP, ip6InIP, packet.ProtoGRE} {
		n.Client.Send(lab.Packet{Proto: proto, Src: client, Dst: server, Payload: make([]byte, 40)})
		err := lab.WaitFor(lab.LongWait, func() (found bool, err error) {
			err = n.Server.Do(func() (err error) {
				got, ok, err := Track(proto, server, client, 0)
				found = ok && got.Reply && got.Connection.State == packet.Established
				return err
			})
			return found, err
		})
		if err != nil {
			t.Errorf("protocol %d: %v", proto, err)
		}
	}
}

func BenchmarkCarrierOfACard(b *testing.B) {
	for b.Loop() {
		if _, found, err := CarrierTo("eth0", "", netip.MustParseAddr("203.0.113.7")); found || err != nil {
			b.Fatal(found, err)
		}
	}
}
