package lab

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Probe is one attempt to reach something. The zero Wait means LongWait.
type Probe struct {
	Proto  string // "tcp", "udp" or "icmp" (ICMPv6 for an IPv6 address)
	To     string // "198.51.100.2:22", "[2001:db8:2::2]:22"; for icmp without a port
	Source string // address, or address and port, to come from; empty: the kernel's choice
	Wait   time.Duration
}

// TCP probes by a connection and the echo of a line through it.
func TCP(to string) Probe { return Probe{Proto: "tcp", To: to} }

// UDP probes by one datagram and its echo.
func UDP(to string) Probe { return Probe{Proto: "udp", To: to} }

// Ping probes by one ICMP or ICMPv6 echo request.
func Ping(to string) Probe { return Probe{Proto: "icmp", To: to} }

// From gives the probe with a source: "203.0.113.66" or "203.0.113.66:1024".
func (p Probe) From(source string) Probe { p.Source = source; return p }

// Within gives the probe with another wait.
func (p Probe) Within(d time.Duration) Probe { p.Wait = d; return p }

// String gives "tcp 198.51.100.2:22 from 203.0.113.66".
func (p Probe) String() string {
	s := p.Proto + " " + p.To
	if p.Source != "" {
		s += " from " + p.Source
	}
	return s
}

// Probe sends a probe from the host and waits for what becomes of it. What
// comes back in time is in the Result, errors too.
func (h *Host) Probe(p Probe) Result {
	if p.Wait == 0 {
		p.Wait = LongWait
	}
	start := time.Now()
	var r Result
	err := h.Do(func() error { r = p.send(); return nil })
	if err != nil {
		r = Result{State: Failed, Reason: err.Error(), Err: err}
	}
	r.Took = time.Since(start)
	return r
}

// Expect probes and reports an error to the test when the state is not the
// wanted one. Without a Wait of the probe's own it waits long for what must
// come and short for what must not.
func (h *Host) Expect(p Probe, want State) Result {
	p = p.waitingFor(want)
	r := h.Probe(p)
	if r.State != want && h.lab.tb != nil {
		h.lab.tb.Helper()
		h.lab.tb.Errorf("%s: %v is %v, want %v", h.Name, p, r, want)
	}
	return r
}

// waitingFor gives a probe without a Wait the one that fits what is expected.
func (p Probe) waitingFor(want State) Probe {
	switch {
	case p.Wait != 0:
	case want != Silent:
		p.Wait = LongWait
	case p.Proto == "tcp" && strings.Contains(p.To, "["):
		p.Wait = shortWait6
	default:
		p.Wait = ShortWait
	}
	return p
}

// send makes the probe in the calling thread's namespace.
func (p Probe) send() Result {
	if p.Proto == "icmp" {
		return p.ping()
	}
	if p.Proto != "tcp" && p.Proto != "udp" {
		return resultOf(fmt.Errorf("probe protocol %q: want tcp, udp or icmp", p.Proto), p.Wait)
	}
	deadline := time.Now().Add(p.Wait)
	c, err := p.dial(deadline)
	if err != nil {
		return resultOf(err, p.Wait)
	}
	// A reset by the peer leaves nothing to lose here.
	defer func() { _ = c.Close() }()
	r, err := roundTrip(c, bufio.NewReader(c), deadline)
	if err != nil {
		r = resultOf(err, p.Wait)
		if p.Proto == "tcp" && r.State == Silent {
			r.Reason = "connected, but no echo within " + p.Wait.String()
		}
	}
	return r
}

// dial opens the probe's socket in the calling thread's namespace.
func (p Probe) dial(deadline time.Time) (net.Conn, error) {
	to, err := netip.ParseAddrPort(p.To)
	if err != nil {
		return nil, fmt.Errorf("probe to %q: want address:port", p.To)
	}
	d := net.Dialer{Deadline: deadline, KeepAlive: -1, Control: reuseAddr}
	network := p.Proto + familyDigit(to.Addr())
	if p.Source != "" {
		from, err := parseSource(p.Source)
		if err != nil {
			return nil, err
		}
		if p.Proto == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	c, err := d.Dial(network, p.To)
	if tcp, ok := c.(*net.TCPConn); ok && p.Source != "" {
		// Closed by a reset, the source port is free for the next probe.
		return c, tcp.SetLinger(0)
	}
	return c, err
}

// parseSource reads an address with or without a port.
func parseSource(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return ap, fmt.Errorf("source %q: want an address, or address:port", s)
	}
	return ap, nil
}

func familyDigit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

func reuseAddr(_, _ string, c syscall.RawConn) error {
	var optErr error
	err := c.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})
	if err != nil {
		return err
	}
	return optErr
}

// roundTrip sends a line of its own and waits for its echo, passing over
// echoes of earlier lines.
func roundTrip(c net.Conn, r *bufio.Reader, deadline time.Time) (Result, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return Result{}, err
	}
	line := hello + rand.Text()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return Result{}, err
	}
	for {
		answer, err := r.ReadString('\n')
		if err != nil {
			return Result{}, err
		}
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(answer, "\n"), line); ok {
			return serverView(rest), nil
		}
	}
}

// serverView reads what an echo server of a lab adds to a hello; a plain echo
// server adds nothing.
func serverView(s string) Result {
	r := Result{State: Open}
	words := strings.Fields(s)
	if len(words) != 3 {
		return r
	}
	r.Server = words[0]
	if seen, err := netip.ParseAddrPort(words[1]); err == nil {
		r.Seen = seen
	}
	if at, err := netip.ParseAddrPort(words[2]); err == nil {
		r.At = at
	}
	return r
}
