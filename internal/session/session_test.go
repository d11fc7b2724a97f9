package session

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/packet"
)

// patience is how long a helper may take on a busy machine.
const patience = 2 * time.Minute

const atServer = lab.ServerAddr + ":22"

// expect holds what was told against one session, ours if client is valid.
func (s *scene) expect(proto uint8, client netip.AddrPort, server string) Session {
	s.t.Helper()
	list := s.told()
	if len(list) != 1 || list[0].Proto != proto || list[0].Client != client || list[0].Server.String() != server || !list[0].Live {
		s.t.Fatalf("%+v, want %v -> %s", list, client, server)
	}
	return list[0]
}

func (s *scene) expectNone() {
	s.t.Helper()
	if list := s.told(); len(list) > 0 {
		s.t.Errorf("%+v, want none", list)
	}
}

// waitForFile keeps a script's shell until what it left in the background has
// told.
const waitForFile = "; while [ ! -e FILE ]; do sleep 0.01; done"

func TestSessionIsThatOfAnAncestor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		plan plan
		to   string // "" for IPv4
		want string
	}{
		{name: "shell", plan: plan{Script: "OF"}},
		{name: "shell with terminal", plan: plan{Script: "OF", Terminal: true}},
		{name: "empty environment", plan: plan{Script: "env -i OF"}},
		{name: "shell in shell", plan: plan{Script: `sh -c "sh -c 'OF; true'; true"`}},
		{name: "new session", plan: plan{Script: "setsid -w env -i OF"}},
		{name: "background", plan: plan{Script: "OF & wait"}},
		{name: "parent gone", plan: plan{Script: "(env -i OF &)" + waitForFile, Terminal: true}},
		{name: "sockets not lent", plan: plan{Script: "MOAT refused FILE"}},
		{name: "IPv6", plan: plan{Script: "OF", Network: "tcp6"}, to: "[" + lab.ServerAddr6 + "]:22", want: "[" + lab.ServerAddr6 + "]:22"},
		{name: "IPv4 of an IPv6 socket", plan: plan{Script: "env -i OF", Network: "tcp", Addr: "[::]:22"}},
		{name: "IPv4 of an IPv6 socket, not lent", plan: plan{Script: "MOAT refused FILE", Network: "tcp", Addr: "[::]:22"}},
		{name: "port of outgoing connections", plan: plan{Script: "OF", Addr: ":40022"}, to: lab.ServerAddr + ":40022", want: lab.ServerAddr + ":40022"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			p := c.plan
			if p.Network == "" {
				p.Network = "tcp4"
			}
			if p.Addr == "" {
				p.Addr = ":22"
			}
			to, want := atServer, atServer
			if c.to != "" {
				to, want = c.to, c.want
			}
			s.serve(p)
			got := s.expect(packet.ProtoTCP, s.dial("tcp", to), want)
			if got.PID == 0 || got.Program == "" {
				t.Errorf("held by %q, process %d", got.Program, got.PID)
			}
		})
	}
}

func TestLinkLocalSessionHasItsInterface(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for h, addr := range map[*lab.Host]string{s.Server: "fe80::2/64", s.Client: "fe80::7/64"} {
		if _, err := h.Sh("ip addr add " + addr + " dev eth0 nodad"); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(plan{Network: "tcp6", Addr: ":22", Script: "OF"})
	c := s.dial("tcp", "[fe80::2%eth0]:22")
	s.expect(packet.ProtoTCP, netip.AddrPortFrom(netip.MustParseAddr("fe80::7%eth0"), c.Port()), "[fe80::2%eth0]:22")
}

// Everything but the login is gone: no ancestors, a kernel session of its own.
func TestSessionIsThatOfTheLogin(t *testing.T) {
	t.Parallel()
	if b, err := os.ReadFile("/proc/self/loginuid"); err != nil || !strings.HasPrefix(string(b), noAuditSession) {
		t.Skipf("this machine's login was begun already, or it has no audit system: %s, %v", b, err)
	}
	for _, c := range []struct {
		name string
		plan plan
		none bool
	}{
		{name: "sshd", plan: plan{Name: "sshd", Login: true}},
		{name: "other server with a terminal", plan: plan{Terminal: true, Login: true}},
		{name: "other server without a terminal", plan: plan{Login: true}, none: true},
		{name: "no login", plan: plan{Name: "sshd"}, none: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			c.plan.Network, c.plan.Addr = "tcp4", ":22"
			c.plan.Script = "(setsid env -i OF &)" + waitForFile
			s.serve(c.plan)
			client := s.dial("tcp", atServer)
			if c.none {
				s.expectNone()
			} else {
				s.expect(packet.ProtoTCP, client, atServer)
			}
		})
	}
}

func TestMultiplexerBelongsToWhoeverIsLoggedIn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.serve(plan{Network: "tcp4", Addr: ":22", Name: "sshd", Script: ": >FILE.taken"})
	client := s.dial("tcp", atServer)
	s.await(s.file + ".taken")
	s.start("", "multiplex", s.file)
	s.expect(packet.ProtoTCP, client, atServer)
}

func TestOtherConnectionsOfAncestorsAreNoSession(t *testing.T) {
	t.Parallel()
	t.Run("outgoing", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		l := listen(t, s.Client, ":22")
		defer l.Close()
		s.start("", "dial", lab.ClientAddr+":22", s.script("OF"))
		s.expectNone()
	})
	t.Run("from this host", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.serve(plan{Network: "tcp4", Addr: ":22", Script: "OF"})
		s.Client = s.Server
		s.dial("tcp", atServer)
		s.expectNone()
	})
	t.Run("over loopback", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.serve(plan{Network: "tcp4", Addr: ":22", Script: "OF"})
		s.Client = s.Server
		s.dial("tcp", "127.0.0.1:22")
		s.expectNone()
	})
	t.Run("another namespace's", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		path, err := s.Client.NamespacePath()
		if err != nil {
			t.Fatal(err)
		}
		s.serve(plan{Network: "tcp4", Addr: ":22", Script: "nsenter --net=" + path + " OF"})
		s.dial("tcp", atServer)
		s.expectNone()
	})
	t.Run("UDP without terminal", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.serve(plan{Network: "udp4", Addr: ":53", Script: "SSH_CONNECTION= OF"})
		s.dial("udp", lab.ServerAddr+":53")
		s.expectNone()
	})
}

// listen listens on a host.
func listen(t testing.TB, h *lab.Host, addr string) (l net.Listener) {
	t.Helper()
	if err := h.Do(func() (err error) { l, err = net.Listen("tcp4", addr); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestRoamingServersPeerIsThatOfConnectionTracking(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if _, err := s.Server.Sh("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; }'; nft add rule inet t in ct state invalid counter"); err != nil {
		t.Fatal(err)
	}
	s.serve(plan{Network: "udp4", Addr: ":60001", Terminal: true, Script: "OF"})
	s.expect(packet.ProtoUDP, s.dial("udp", lab.ServerAddr+":60001"), lab.ServerAddr+":60001")
}

func TestRoamingServersPeerIsTheOneThatStartedIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// The server's own environment is what counts, as for mosh-server, and not that of its children.
	s.serveWith(lab.ClientAddr+" 50000 "+lab.ServerAddr+" 22", plan{Network: "udp4", Addr: ":60001", Terminal: true, Script: "env -i OF"})
	client := s.dial("udp", lab.ServerAddr+":60001")
	s.expect(packet.ProtoUDP, netip.AddrPortFrom(client.Addr(), 0), lab.ServerAddr+":60001")
}

// of is what Of tells this process, on a host and with SSH_CONNECTION.
func of(t testing.TB, h *lab.Host, connection string) (list []Session) {
	t.Helper()
	c := Here()
	c.Environ = []string{"HOME=/root", "SSH_CONNECTION=" + connection}
	if err := h.Do(func() (err error) { list, err = Of(c); return err }); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEnvironmentTellsTheSession(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	listen(t, n.Server, ":22")
	client := connect(t, n, atServer)
	told := strings.Join([]string{lab.ClientAddr, port(client), lab.ServerAddr, "22"}, " ")
	for _, c := range []struct {
		name, connection string
		host             *lab.Host
		want             []Session
	}{
		{"live", told, n.Server, []Session{{Proto: packet.ProtoTCP, Client: client, Server: netip.MustParseAddrPort(atServer), Live: true}}},
		{"as an IPv6 socket has it", strings.ReplaceAll("::ffff:"+told, " "+lab.ServerAddr, " ::ffff:"+lab.ServerAddr), n.Server,
			[]Session{{Proto: packet.ProtoTCP, Client: client, Server: netip.MustParseAddrPort(atServer), Live: true}}},
		{"gone", lab.BlockedAddr + " 50000 " + lab.ServerAddr + " 22", n.Server,
			[]Session{{Proto: packet.ProtoTCP, Client: netip.MustParseAddrPort(lab.BlockedAddr + ":50000"), Server: netip.MustParseAddrPort(atServer)}}},
		{"gone, and come back", lab.ClientAddr + " 1 " + lab.ServerAddr + " 22", n.Server, []Session{
			{Proto: packet.ProtoTCP, Client: netip.MustParseAddrPort(lab.ClientAddr + ":1"), Server: netip.MustParseAddrPort(atServer)},
			{Proto: packet.ProtoTCP, Client: client, Server: netip.MustParseAddrPort(atServer), Live: true}}},
		{"gone, and nobody listens", lab.BlockedAddr + " 50000 " + lab.ServerAddr + " 23", n.Server, nil},
		{"another namespace's", told, n.Client, nil},
		{"another host's", lab.ClientAddr + " 50000 192.0.2.1 22", n.Server, nil},
		{"loopback", "127.0.0.1 50000 127.0.0.1 22", n.Server, nil},
		{"no TCP", "UNKNOWN 65535 UNKNOWN 65535", n.Server, nil},
		{"nonsense", "a b", n.Server, nil},
		{"nonsense port", lab.ClientAddr + " 70000 " + lab.ServerAddr + " 22", n.Server, nil},
		{"empty", "", n.Server, nil},
	} {
		got := of(t, c.host, c.connection)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A window's SSH_CONNECTION is that of whoever opened it, perhaps long ago.
func TestMultiplexersWindowHasOtherSessionsToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.serve(plan{Network: "tcp4", Addr: ":22", Name: "sshd", Script: ": >FILE.taken"})
	looking := s.dial("tcp", atServer)
	s.await(s.file + ".taken")
	listen(t, s.Server, ":23")
	opened := connect(t, s.Net, lab.ServerAddr+":23")
	variable := "SSH_CONNECTION=" + strings.Join([]string{lab.ClientAddr, port(opened), lab.ServerAddr, "23"}, " ")
	c := s.Server.Command("/proc/self/exe", "helper", "multiplex", s.file)
	c.Env = append(os.Environ(), variable, "TMUX=/tmp/tmux-0/default,1,0")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	list := s.told()
	if len(list) != 2 || list[0].Client != looking || list[1].Client != opened || !list[0].Live || !list[1].Live {
		t.Errorf("%+v, want those of %v and %v", list, looking, opened)
	}
}

func TestSocketsOfOtherKindsAreNoSession(t *testing.T) {
	t.Parallel()
	crowd(t)
	if list := of(t, lab.Netns(t), ""); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}

// connect connects the client to the server and gives the client's address.
func connect(t testing.TB, n *lab.Net, to string) netip.AddrPort {
	t.Helper()
	var c net.Conn
	if err := n.Client.Do(func() (err error) { c, err = net.Dial("tcp", to); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func port(a netip.AddrPort) string { _, p, _ := net.SplitHostPort(a.String()); return p }
