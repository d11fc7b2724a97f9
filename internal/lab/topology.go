package lab

import (
	"errors"
	"net/netip"
	"strconv"
)

// The addresses of Pair and Routed, from the blocks kept for documentation
// (RFC 5737, RFC 3849).
const (
	ClientAddr   = "203.0.113.7"
	BlockedAddr  = "203.0.113.66" // second address of the client, for rules that shut someone out
	ServerAddr   = "198.51.100.2"
	ClientAddr6  = "2001:db8:1::7"
	BlockedAddr6 = "2001:db8:1::66"
	ServerAddr6  = "2001:db8:2::2"

	routerClientSide  = "203.0.113.1"
	routerServerSide  = "198.51.100.1"
	routerClientSide6 = "2001:db8:1::1"
	routerServerSide6 = "2001:db8:2::1"
)

// Net is a lab with a client and a server; Router is nil in a pair. Each host
// has one interface eth0, the router eth0 towards the client and eth1 towards
// the server.
type Net struct {
	*Lab
	Client, Router, Server *Host
}

// NewPair gives a test a client and a server on one link.
func NewPair(tb TB) *Net {
	tb.Helper()
	l := New(tb)
	n, err := l.Pair()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return n
}

// NewRouted gives a test a client and a server with a router between them.
func NewRouted(tb TB) *Net {
	tb.Helper()
	l := New(tb)
	n, err := l.Routed()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return n
}

// Pair adds a client and a server on one link.
func (l *Lab) Pair() (*Net, error) {
	b := builder{lab: l}
	n := &Net{Lab: l, Client: b.host("client"), Server: b.host("server")}
	b.connect(clientEnd(n.Client), serverEnd(n.Server))
	b.route(n.Client, Route{To: "198.51.100.0/24", Dev: "eth0"})
	b.route(n.Client, Route{To: "2001:db8:2::/64", Dev: "eth0"})
	b.route(n.Server, Route{To: "203.0.113.0/24", Dev: "eth0"})
	b.route(n.Server, Route{To: "2001:db8:1::/64", Dev: "eth0"})
	return n, b.err
}

// Routed adds a client and a server with a forwarding router between them,
// which is the default route of both.
func (l *Lab) Routed() (*Net, error) {
	b := builder{lab: l}
	n := &Net{Lab: l, Client: b.host("client"), Router: b.host("router"), Server: b.host("server")}
	b.do(func() error { return n.Router.Forward() })
	b.connect(clientEnd(n.Client), End{n.Router, "eth0", []string{routerClientSide + "/24", routerClientSide6 + "/64"}})
	b.connect(serverEnd(n.Server), End{n.Router, "eth1", []string{routerServerSide + "/24", routerServerSide6 + "/64"}})
	b.route(n.Client, Route{To: "default", Via: routerClientSide})
	b.route(n.Client, Route{To: "default", Via: routerClientSide6})
	b.route(n.Server, Route{To: "default", Via: routerServerSide})
	b.route(n.Server, Route{To: "default", Via: routerServerSide6})
	return n, b.err
}

func clientEnd(h *Host) End {
	return End{h, "eth0", []string{ClientAddr + "/24", BlockedAddr + "/24", ClientAddr6 + "/64", BlockedAddr6 + "/64"}}
}

func serverEnd(h *Host) End {
	return End{h, "eth0", []string{ServerAddr + "/24", ServerAddr6 + "/64"}}
}

// At joins an address and a port: At(ServerAddr6, 22) is "[2001:db8:2::2]:22".
func At(addr string, port uint16) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr + ":" + strconv.Itoa(int(port))
	}
	return netip.AddrPortFrom(a, port).String()
}

// builder does one step after another until one fails.
type builder struct {
	lab *Lab
	err error
}

func (b *builder) do(f func() error) {
	if b.err == nil {
		b.err = f()
	}
}

func (b *builder) host(name string) (h *Host) {
	b.do(func() (err error) { h, err = b.lab.Host(name); return err })
	return h
}

func (b *builder) connect(x, y End)       { b.do(func() error { return b.lab.Connect(x, y) }) }
func (b *builder) route(h *Host, r Route) { b.do(func() error { return h.AddRoute(r) }) }

// BeginRouted gives a client, router and server outside a test; Close it.
func BeginRouted() (*Net, error) {
	l, err := Begin()
	if err != nil {
		return nil, err
	}
	n, err := l.Routed()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return n, nil
}
