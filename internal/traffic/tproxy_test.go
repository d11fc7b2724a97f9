package traffic

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// "TPROXY: It redirects the packet to a local socket without changing the
// packet header in any way": the connection to the server ends on the router,
// whose socket has the server's address.
func TestTproxyHandsConnectionsToALocalSocket(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A PREROUTING -p tcp -j TPROXY --on-port 8080")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80,443")
		web := lab.TCP(lab.At(f.server, 80))
		if r := n.Client.Expect(web, lab.Open); r.Server != "server" {
			t.Errorf("without a rule %q answers", r.Server)
		}

		version := "-4"
		if f == ipv6 {
			version = "-6"
		}
		n.Router.Sh("ip " + version + " rule add fwmark 0x1/0x1 lookup 100; ip " + version + " route add local default dev lo table 100")
		transparent(t, n.Router, "tcp"+version[1:], ":8080")
		f.rules(n.Router, "-t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 8080 --tproxy-mark 0x1/0x1")
		r := n.Client.Expect(web, lab.Open)
		if r.Server != "proxy" || r.At != at(f.server, 80) || r.Seen.Addr().String() != f.client {
			t.Errorf("%q answers %v at %v, want the proxy, %s at %s", r.Server, r.Seen, r.At, f.client, web.To)
		}
		if r := n.Client.Expect(lab.TCP(lab.At(f.server, 443)), lab.Open); r.Server != "server" {
			t.Errorf("port 443: %q answers", r.Server)
		}
	})
}

// A socket without IP_TRANSPARENT is handed nothing: TPROXY drops.
func TestTproxyWantsATransparentSocket(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A PREROUTING -p tcp -j TPROXY --on-port 8080")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 80")
		n.Router.Echo("tcp 8080")
		f.rules(n.Router, "-t mangle -A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 8080 --tproxy-mark 0x1/0x1")
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Silent)
		n.Client.Expect(lab.TCP(lab.At(f.router, 8080)), lab.Open)
	})
}

// transparent starts an echo server with IP_TRANSPARENT that calls itself
// "proxy" and ends with the test.
func transparent(t *testing.T, h *lab.Host, network, addr string) {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		ctlErr := raw.Control(func(fd uintptr) {
			if strings.HasSuffix(network, "6") {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
			} else {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
			}
		})
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = c.Listen(context.Background(), network, addr)
		return err
	})
	if err != nil {
		t.Fatalf("transparent socket: %v", err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			answer(c)
		}
	}()
}

// answer echoes one line as the echo servers of a lab do.
func answer(c net.Conn) {
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return // the probe finds no answer
	}
	fmt.Fprintf(c, "%s proxy %v %v\n", strings.TrimSuffix(line, "\n"), c.RemoteAddr(), c.LocalAddr())
}
