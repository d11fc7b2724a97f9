package host

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
	"moat/internal/packet"
	"moat/internal/rule"
)

func TestListenersHaveAddressAndProgram(t *testing.T) {
	h := lab.Netns(t)
	v6only := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) }), err)
	}}
	both := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0) }), err)
	}}
	var list []Listener
	err := h.Do(func() error {
		for _, l := range []struct {
			config        net.ListenConfig
			network, addr string
		}{
			{net.ListenConfig{}, "tcp4", "127.0.0.1:3306"}, {net.ListenConfig{}, "tcp4", "0.0.0.0:22"}, {both, "tcp6", "[::]:80"}, {v6only, "tcp6", "[::]:81"},
			{net.ListenConfig{}, "tcp6", "[::1]:6379"},
		} {
			s, err := l.config.Listen(context.Background(), l.network, l.addr)
			if err != nil {
				return err
			}
			defer s.Close()
		}
		u, err := net.ListenPacket("udp4", "0.0.0.0:53")
		if err != nil {
			return err
		}
		defer u.Close()
		connected, err := net.Dial("udp4", "127.0.0.1:53")
		if err != nil {
			return err
		}
		defer connected.Close()
		list, err = Listeners()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list {
		got = append(got, strings.Join([]string{map[uint8]string{packet.ProtoTCP: "tcp", packet.ProtoUDP: "udp"}[l.Proto], netip.AddrPortFrom(l.Addr, l.Port).String()}, " "))
		if l.PID != os.Getpid() || l.Program == "" || !strings.HasPrefix("host.test", l.Program[:4]) {
			t.Errorf("%s: program %q, process %d", got[len(got)-1], l.Program, l.PID)
		}
	}
	slices.Sort(got)
	want := []string{"tcp 0.0.0.0:22", "tcp 127.0.0.1:3306", "tcp [::1]:6379", "tcp [::]:80", "tcp [::]:81", "udp 0.0.0.0:53"}
	if !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	takes := func(proto uint8, to string, port uint16) bool {
		return slices.ContainsFunc(list, func(l Listener) bool { return l.Takes(proto, netip.MustParseAddr(to), port) })
	}
	for _, c := range []struct {
		proto uint8
		to    string
		port  uint16
		want  bool
	}{
		{packet.ProtoTCP, "192.0.2.1", 22, true}, {packet.ProtoTCP, "2001:db8::1", 22, false}, {packet.ProtoUDP, "192.0.2.1", 22, false},
		{packet.ProtoTCP, "192.0.2.1", 80, true}, {packet.ProtoTCP, "2001:db8::1", 80, true},
		{packet.ProtoTCP, "192.0.2.1", 81, false}, {packet.ProtoTCP, "2001:db8::1", 81, true},
		{packet.ProtoTCP, "127.0.0.1", 3306, true}, {packet.ProtoTCP, "192.0.2.1", 3306, false}, {packet.ProtoTCP, "0.0.0.0", 3306, false},
		{packet.ProtoTCP, "::", 6379, false}, {packet.ProtoTCP, "::", 80, true}, {packet.ProtoUDP, "0.0.0.0", 53, true},
	} {
		if got := takes(c.proto, c.to, c.port); got != c.want {
			t.Errorf("%d to %s port %d: %v", c.proto, c.to, c.port, got)
		}
	}
}

func TestInterfacesAreRead(t *testing.T) {
	h, _ := world(t)
	sh(t, h, "ip link add br-0123456789ab type bridge; ip link set eth1 master br-0123456789ab; ip link set eth0 group 7")
	f := read(t, h)
	loop, eth0, eth1, br := f.Interface("lo"), f.Interface("eth0"), f.Interface("eth1"), f.Interface("br-0123456789ab")
	switch {
	case loop == nil || eth0 == nil || eth1 == nil || br == nil || f.Interface("eth9") != nil:
		t.Fatalf("%+v", f.Interfaces)
	case !loop.Loopback || !loop.Up || loop.Kind != "":
		t.Errorf("lo: %+v", loop)
	case eth0.Kind != "veth" || !eth0.Up || eth0.Group != 7 || !eth0.Forward4 || !eth0.Forward6 || eth0.RPFilter != 0 || eth0.Index == 0:
		t.Errorf("eth0: %+v", eth0)
	case eth1.Master != br.Name || br.Kind != "bridge" || br.Up:
		t.Errorf("eth1: %+v, bridge %+v", eth1, br)
	case !slices.ContainsFunc(eth0.Addresses, func(a Address) bool {
		return a.Prefix.String() == "10.1.0.1/24" && a.Broadcast.String() == "10.1.0.255"
	}):
		t.Errorf("addresses %+v", eth0.Addresses)
	case !slices.Contains(eth0.Groups, netip.MustParseAddr("224.0.0.1")) || !slices.Contains(eth0.Groups, netip.MustParseAddr("ff02::1")):
		t.Errorf("groups %v", eth0.Groups)
	case !f.Owns(netip.MustParseAddr("10.1.0.1")) || f.Owns(netip.MustParseAddr("10.1.0.2")):
		t.Error("own addresses")
	}
}

// The old program and the kernel's old modules are not on every machine: where
// a rule of theirs is in force its table is listed, and nowhere else.
func TestLegacyTablesAreSeen(t *testing.T) {
	for _, f := range []rule.Family{rule.IPv4, rule.IPv6} {
		h := lab.Netns(t)
		tables := func() (list []string) {
			err := h.Do(func() (err error) { list, err = LegacyTables(f); return err })
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				t.Fatal(err)
			}
			return list
		}
		if before := tables(); len(before) != 0 {
			t.Errorf("%v: %v in a fresh namespace", f, before)
		}
		inForce := strings.Contains(sh(t, h, f.Program()+"-legacy -A INPUT -p tcp --dport 4321 -j DROP 2>/dev/null && echo done || true"), "done")
		if after := tables(); slices.Contains(after, "filter") != inForce {
			t.Errorf("%v: %v, in force %v", f, after, inForce)
		}
		if !inForce {
			t.Logf("%v: this machine has no iptables-legacy", f)
			continue
		}
		var rules []byte
		err := h.Do(func() (err error) { rules, err = LegacyRules(f); return err })
		if err != nil || !strings.Contains(string(rules), "--dport 4321 -j DROP") {
			t.Errorf("%s, %v", rules, err)
		}
	}
}
