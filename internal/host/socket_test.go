package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"moat/internal/lab"
	"moat/internal/packet"
)

// conversation is a server's side and a client's side of one connection.
type conversation struct {
	server, client net.Conn
}

func (c conversation) local() netip.AddrPort  { return addrPort(c.server.LocalAddr()) }
func (c conversation) remote() netip.AddrPort { return addrPort(c.server.RemoteAddr()) }

// addrPort is an address of package net as it stands, 4-in-6 included.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	panic(fmt.Sprintf("address %v", a))
}

// listen begins to listen on a host.
func listen(t testing.TB, h *lab.Host, network, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	if err := h.Do(func() (err error) { l, err = net.Listen(network, addr); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// converse connects from a host to a listener by its address.
func converse(t testing.TB, l net.Listener, from *lab.Host, to string) (c conversation) {
	t.Helper()
	// IPv6 addresses that were just added are not reached at once.
	err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		err := from.Do(func() (err error) { c.client, err = net.Dial("tcp", to); return err })
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	t.Cleanup(func() { c.client.Close() })
	if c.server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.server.Close() })
	return c
}

// findOn is FindSocket on a host.
func findOn(t testing.TB, h *lab.Host, proto uint8, local, remote netip.AddrPort) (s Socket, found bool) {
	t.Helper()
	if err := h.Do(func() (err error) { s, found, err = FindSocket(proto, local, remote); return err }); err != nil {
		t.Fatal(err)
	}
	return s, found
}

func TestSocketIsFoundByItsAddresses(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	for _, c := range []struct{ name, network, listen, to string }{
		{"IPv4", "tcp4", "0.0.0.0:22", lab.ServerAddr + ":22"},
		{"IPv4 of an IPv6 socket", "tcp", "[::]:23", lab.ServerAddr + ":23"},
		{"IPv6", "tcp6", "[::]:24", "[" + lab.ServerAddr6 + "]:24"},
	} {
		talk := converse(t, listen(t, n.Server, c.network, c.listen), n.Client, c.to)
		s, found := findOn(t, n.Server, packet.ProtoTCP, talk.local(), talk.remote())
		if !found || s.Local != plain(talk.local()) || s.Remote != plain(talk.remote()) || s.State != SocketEstablished || s.Inode == 0 || s.Cookie == 0 {
			t.Errorf("%s: found %v, %+v", c.name, found, s)
		}
		if other, _ := findOn(t, n.Client, packet.ProtoTCP, talk.remote(), talk.local()); other.Local != plain(talk.remote()) || other.Cookie == s.Cookie {
			t.Errorf("%s: the client's side is %+v", c.name, other)
		}
		// The listening socket is what the kernel answers then.
		if s, found := findOn(t, n.Server, packet.ProtoTCP, talk.local(), netip.AddrPortFrom(talk.remote().Addr(), 1)); found {
			t.Errorf("%s: found %+v, which there is not", c.name, s)
		}
		if _, found := findOn(t, n.Client, packet.ProtoTCP, talk.local(), talk.remote()); found {
			t.Errorf("%s: the server's socket is found on the client", c.name)
		}
	}
}

func TestLinkLocalSocketIsFoundByItsZone(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	sh(t, n.Server, "ip addr add fe80::2/64 dev eth0 nodad")
	sh(t, n.Client, "ip addr add fe80::7/64 dev eth0 nodad")
	talk := converse(t, listen(t, n.Server, "tcp6", "[::]:22"), n.Client, "[fe80::2%eth0]:22")
	local := netip.MustParseAddrPort("[fe80::2%eth0]:22")
	remote := netip.AddrPortFrom(netip.MustParseAddr("fe80::7%eth0"), talk.remote().Port())
	if s, found := findOn(t, n.Server, packet.ProtoTCP, local, remote); !found || s.Interface == 0 || s.Local.Addr().Zone() != "" {
		t.Errorf("found %v, %+v", found, s)
	}
	if _, found := findOn(t, n.Server, packet.ProtoTCP, netip.MustParseAddrPort("[fe80::2%eth9]:22"), remote); found {
		t.Error("found on an interface that there is not")
	}
}

func TestConnectedUDPSocketIsFound(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	local, remote := netip.MustParseAddrPort(lab.ServerAddr+":4000"), netip.MustParseAddrPort(lab.ClientAddr+":5000")
	err := n.Server.Do(func() error {
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(local), net.UDPAddrFromAddrPort(remote))
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, found := findOn(t, n.Server, packet.ProtoUDP, local, remote); !found || s.State != SocketEstablished {
		t.Errorf("found %v, %+v", found, s)
	}
	if s, found := findOn(t, n.Server, packet.ProtoUDP, local, netip.AddrPortFrom(remote.Addr(), 5001)); found {
		t.Errorf("found %+v", s)
	}
}

func TestListenerIsFoundByAddressAndPort(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	listen(t, n.Server, "tcp4", "0.0.0.0:22")
	listen(t, n.Server, "tcp", "[::]:80")
	talk := converse(t, listen(t, n.Server, "tcp4", "127.0.0.1:25"), n.Server, "127.0.0.1:25")
	err := n.Server.Do(func() error {
		u, err := net.ListenPacket("udp4", ":53")
		if err == nil {
			t.Cleanup(func() { u.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proto uint8
		local string
		want  bool
	}{
		{packet.ProtoTCP, lab.ServerAddr + ":22", true}, {packet.ProtoTCP, "[" + lab.ServerAddr6 + "]:22", false},
		{packet.ProtoTCP, lab.ServerAddr + ":23", false}, {packet.ProtoUDP, lab.ServerAddr + ":22", false},
		{packet.ProtoTCP, lab.ServerAddr + ":80", true}, {packet.ProtoTCP, "[" + lab.ServerAddr6 + "]:80", true},
		{packet.ProtoTCP, "[::ffff:" + lab.ServerAddr + "]:80", true},
		{packet.ProtoTCP, "127.0.0.1:25", true}, {packet.ProtoTCP, lab.ServerAddr + ":25", false},
		{packet.ProtoTCP, talk.client.LocalAddr().String(), false},
		{packet.ProtoUDP, lab.ServerAddr + ":53", true}, {packet.ProtoUDP, lab.ServerAddr + ":54", false},
	} {
		var l Listener
		var got bool
		local := netip.MustParseAddrPort(c.local)
		if err := n.Server.Do(func() (err error) { l, got, err = Listens(c.proto, local); return err }); err != nil {
			t.Fatal(err)
		}
		if got != c.want || got && l.Port != local.Port() {
			t.Errorf("%d %s: %v, %+v", c.proto, c.local, got, l)
		}
	}
}

func TestEstablishedConnectionsAreListed(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	first := converse(t, listen(t, n.Server, "tcp4", ":22"), n.Client, lab.ServerAddr+":22")
	second := converse(t, listen(t, n.Server, "tcp6", "[::]:22"), n.Client, "["+lab.ServerAddr6+"]:22")
	var list []Socket
	if err := n.Server.Do(func() (err error) { list, err = Established(packet.ProtoTCP); return err }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []conversation{first, second} {
		one, _ := findOn(t, n.Server, packet.ProtoTCP, c.local(), c.remote())
		if len(list) != 2 || !slices.Contains(list, one) {
			t.Errorf("%+v is not in %+v", one, list)
		}
	}
}
