package session

import (
	"testing"

	"moat/internal/lab"
	"moat/internal/packet"
)

// TestSessionBehindOneFromThisHostItself has somebody who is logged in log in once
// more, from here: he is cut off where the first login is.
func TestSessionBehindOneFromThisHostItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, to string
		inner    plan
		dial     string // how the second login is made
	}{
		{name: "loopback", to: "127.0.0.1:2222", inner: plan{Name: "sshd", Script: "OF"}},
		{name: "loopback, IPv6", to: "[::1]:2222", inner: plan{Name: "sshd", Script: "OF"}},
		{name: "own address", to: lab.ServerAddr + ":2222", inner: plan{Name: "sshd", Script: "OF"}},
		{name: "own address, IPv6", to: "[" + lab.ServerAddr6 + "]:2222", inner: plan{Name: "sshd", Script: "env -i OF"}},
		{name: "another server with a terminal", to: "127.0.0.1:2222", inner: plan{Script: "OF", Terminal: true}},
		{name: "empty environment", to: "127.0.0.1:2222", inner: plan{Name: "sshd", Script: "OF"}, dial: "env -i PATH=$PATH "},
		{name: "client in a session of its own", to: "127.0.0.1:2222", inner: plan{Name: "sshd", Script: "OF"}, dial: "setsid "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			c.inner.Network, c.inner.Addr = "tcp", ":2222"
			s.serve(c.inner)
			s.await2222()
			s.serve(plan{Network: "tcp4", Addr: ":22", Name: "sshd", Script: c.dial + "MOAT dial " + c.to + " 'sleep 600' & wait"})
			s.expect(packet.ProtoTCP, s.dial("tcp", atServer), atServer)
		})
	}
}

// await2222 waits until the inner server listens.
func (s *scene) await2222() {
	s.t.Helper()
	if _, err := s.Server.Sh("until ss -Hltn 'sport = :2222' | grep -q .; do sleep 0.01; done"); err != nil {
		s.t.Fatal(err)
	}
}

// TestWayThatIsLost is told from a console: nobody knows who made a connection
// from this host that is gone, or one that a proxy made.
func TestWayThatIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, connection string
		lost             bool
	}{
		{"gone", "127.0.0.1 40000 127.0.0.1 22", true},
		{"gone, own address", lab.ServerAddr + " 40000 " + lab.ServerAddr + " 22", true},
		{"none", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			caller := Caller{PID: 1 << 30, Environ: []string{"SSH_CONNECTION=" + c.connection}, Proc: "/proc"}
			err := s.Server.Do(func() error {
				list, lost, err := Find(caller)
				if len(list) > 0 || lost != c.lost {
					t.Errorf("%+v, lost %v", list, lost)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestProxyTellsNobodyForWhichOfItsClients has one in front of a web terminal.
func TestProxyTellsNobodyForWhichOfItsClients(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.serve(plan{Network: "tcp", Addr: ":2222", Script: "OF", Terminal: true})
	s.await2222()
	s.serve(plan{Network: "tcp4", Addr: ":80", Proxy: "127.0.0.1:2222", Clients: 2})
	s.dial("tcp", lab.ServerAddr+":80")
	s.dial("tcp", lab.ServerAddr+":80")
	s.expectNone()
}

// TestProxyOfOneClientTellsForWhomItIs has one that is a process a connection.
func TestProxyOfOneClientTellsForWhomItIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.serve(plan{Network: "tcp", Addr: ":2222", Script: "OF", Name: "sshd"})
	s.await2222()
	s.serve(plan{Network: "tcp4", Addr: ":80", Proxy: "127.0.0.1:2222", Clients: 1})
	s.expect(packet.ProtoTCP, s.dial("tcp", lab.ServerAddr+":80"), lab.ServerAddr+":80")
}
