package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// hello begins a line that an echo server answers with its own view added:
// "moat-probe NONCE" comes back as "moat-probe NONCE HOST PEER LOCAL", where
// PEER is the sender's address as it arrived (after any NAT) and LOCAL the
// address that it arrived at. All other bytes come back as they are.
const hello = "moat-probe "

// Echo starts echo servers on every address of the host, IPv4 and IPv6. The
// services are written "tcp 22,80 udp 53". They listen when Echo returns and
// end with the lab.
func (h *Host) Echo(services string) error {
	list, err := ParseServices(services)
	if err != nil {
		return h.lab.failed(err)
	}
	for _, s := range list {
		if _, err := h.Serve(s); err != nil {
			return err
		}
	}
	return nil
}

// Serve starts one echo server and gives what closes it before the lab does.
func (h *Host) Serve(s Service) (io.Closer, error) {
	e := &echoServer{host: h}
	err := h.Do(func() error {
		for _, family := range []string{"4", "6"} {
			if err := e.listen(s, family); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = h.keep(e)
	}
	if err != nil {
		return nil, h.lab.failed(fmt.Errorf("echo server %v on %s: %w", s, h.Name, errors.Join(err, e.Close())))
	}
	return e, nil
}

// echoServer serves one port in both families.
type echoServer struct {
	host *Host
	wg   sync.WaitGroup

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
}

func (e *echoServer) listen(s Service, family string) error {
	any := map[string]string{"4": "0.0.0.0", "6": "::"}[family]
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	if s.Proto == "tcp" {
		l, err := c.Listen(context.Background(), "tcp"+family, At(any, s.Port))
		if err != nil {
			return err
		}
		e.add(l)
		e.wg.Go(func() { e.accept(l) })
		return nil
	}
	p, err := c.ListenPacket(context.Background(), "udp"+family, At(any, s.Port))
	if err != nil {
		return err
	}
	e.add(p)
	return e.listenUDP(p.(*net.UDPConn), family)
}

// listenUDP serves datagrams; each answer leaves from the address that the
// question was sent to, which a wildcard socket does only when told.
func (e *echoServer) listenUDP(c *net.UDPConn, family string) error {
	if family == "4" {
		p := ipv4.NewPacketConn(c)
		if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
			return err
		}
		e.wg.Go(func() { e.answer4(p, c) })
		return nil
	}
	p := ipv6.NewPacketConn(c)
	if err := p.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return err
	}
	e.wg.Go(func() { e.answer6(p, c) })
	return nil
}

func (e *echoServer) answer4(p *ipv4.PacketConn, c *net.UDPConn) {
	buf := make([]byte, 65536)
	for {
		n, cm, peer, err := p.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue // an ICMP error of an earlier answer
		}
		// An answer that cannot leave is what probes call silent.
		_, _ = p.WriteTo(e.view(buf[:n], peer, local(cm.Dst, c)), &ipv4.ControlMessage{Src: cm.Dst}, peer)
	}
}

func (e *echoServer) answer6(p *ipv6.PacketConn, c *net.UDPConn) {
	buf := make([]byte, 65536)
	for {
		n, cm, peer, err := p.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue // as in answer4
		}
		_, _ = p.WriteTo(e.view(buf[:n], peer, local(cm.Dst, c)), &ipv6.ControlMessage{Src: cm.Dst}, peer)
	}
}

// local gives the address a datagram was sent to.
func local(dst net.IP, c *net.UDPConn) net.Addr {
	return &net.UDPAddr{IP: dst, Port: c.LocalAddr().(*net.UDPAddr).Port}
}

func (e *echoServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the connection was reset before it was accepted
		}
		if e.add(c) {
			e.wg.Go(func() { e.serve(c) })
		}
	}
}

// serve answers line by line; bytes of an unfinished line wait for its end.
func (e *echoServer) serve(c net.Conn) {
	defer e.drop(c)
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if _, werr := c.Write(e.view([]byte(line), c.RemoteAddr(), c.LocalAddr())); err != nil || werr != nil {
			return
		}
	}
}

// view adds the server's view to a hello.
func (e *echoServer) view(b []byte, peer, local net.Addr) []byte {
	s := string(b)
	if !strings.HasPrefix(s, hello) {
		return b
	}
	return fmt.Appendf(nil, "%s %s %s %s\n", strings.TrimSuffix(s, "\n"), e.host.Name, unmap(peer), unmap(local))
}

func unmap(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

// add remembers c for Close; if the server is closed already it closes c.
func (e *echoServer) add(c io.Closer) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		// Nobody waits for this connection any more.
		_ = c.Close()
		return false
	}
	if e.open == nil {
		e.open = make(map[io.Closer]struct{})
	}
	e.open[c] = struct{}{}
	return true
}

func (e *echoServer) drop(c net.Conn) {
	e.mu.Lock()
	delete(e.open, c)
	e.mu.Unlock()
	// The peer may have reset it: there is nothing left to lose.
	_ = c.Close()
}

// Close ends the server and its connections.
func (e *echoServer) Close() error {
	e.mu.Lock()
	e.closed = true
	var errs []error
	for c := range e.open {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ENOTCONN) {
			errs = append(errs, err)
		}
	}
	e.open = nil
	e.mu.Unlock()
	e.wg.Wait()
	e.host.forget(e)
	return errors.Join(errs...)
}
