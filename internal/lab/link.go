package lab

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// End is one end of a link: an interface of a host. Addrs are addresses with
// prefix lengths ("203.0.113.7/24", "2001:db8:1::7/64"). The first of a family
// is the one that a connection without a source address of its own leaves
// from.
type End struct {
	Host  *Host
	Name  string
	Addrs []string
}

// Connect joins two hosts by a veth link and gives both ends their addresses.
// Packets pass when it returns.
func (l *Lab) Connect(a, b End) error {
	if err := l.connect(a, b); err != nil {
		return l.failed(fmt.Errorf("link %s/%s - %s/%s: %w", a.Host.Name, a.Name, b.Host.Name, b.Name, err))
	}
	return nil
}

func (l *Lab) connect(a, b End) error {
	err := a.Host.Do(func() error {
		raw, err := b.Host.ns.SyscallConn()
		if err != nil {
			return err
		}
		var addErr error
		err = raw.Control(func(fd uintptr) {
			veth := netlink.NewVeth(netlink.NewLinkAttrs())
			veth.Name, veth.PeerName, veth.PeerNamespace = a.Name, b.Name, netlink.NsFd(int(fd))
			addErr = netlink.LinkAdd(veth)
		})
		if err != nil {
			return err
		}
		return addErr
	})
	if err != nil {
		return err
	}
	for _, e := range []End{a, b} {
		if err := e.Host.Do(func() error { return linkUp(e.Name) }); err != nil {
			return err
		}
	}
	for _, e := range []End{a, b} {
		if err := e.Host.Do(e.configure); err != nil {
			return err
		}
	}
	return nil
}

// configure waits until the interface carries packets and adds its addresses.
func (e End) configure() error {
	link, err := waitForLink(e.Name)
	if err != nil {
		return err
	}
	seen := map[bool]bool{}
	for _, a := range e.Addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return fmt.Errorf("address %q: %w", a, err)
		}
		if addr.IP.To4() == nil {
			addr.Flags |= unix.IFA_F_NODAD
			if seen[true] { // deprecated: never chosen by itself
				addr.ValidLft, addr.PreferedLft = math.MaxInt32, 0
			}
			seen[true] = true
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s on %s: %w", a, e.Name, err)
		}
	}
	return nil
}

// waitForLink gives the interface once it is operational.
func waitForLink(name string) (netlink.Link, error) {
	var link netlink.Link
	err := WaitFor(LongWait, func() (bool, error) {
		var err error
		link, err = netlink.LinkByName(name)
		return err == nil && link.Attrs().OperState == netlink.OperUp, err
	})
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return link, nil
}

// WaitFor asks a condition until it holds. An error of the condition ends the
// wait; after d the error says that the time is over.
func WaitFor(d time.Duration, holds func() (bool, error)) error {
	end := time.Now().Add(d)
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not so after %v", d)
		}
		time.Sleep(time.Millisecond)
	}
}

// Route is a route of a host: To is a prefix or "default" (then Via says the
// family). Either Via, Dev or Blackhole says where it leads; a blackhole
// swallows packets silently.
type Route struct {
	To        string
	Via       string
	Dev       string
	Blackhole bool
}

// AddRoute adds a route to the host's main table.
func (h *Host) AddRoute(r Route) error {
	err := h.Do(func() error {
		route, err := r.netlink()
		if err != nil {
			return err
		}
		return netlink.RouteAdd(route)
	})
	if err != nil {
		return h.lab.failed(fmt.Errorf("host %s: route %+v: %w", h.Name, r, err))
	}
	return nil
}

func (r Route) netlink() (*netlink.Route, error) {
	var route netlink.Route
	if r.Via != "" {
		via, err := netip.ParseAddr(r.Via)
		if err != nil {
			return nil, err
		}
		route.Gw = via.AsSlice()
		if r.To == "default" {
			r.To = netip.PrefixFrom(anyAddr(via), 0).String()
		}
	}
	dst, err := netlink.ParseIPNet(r.To)
	if err != nil {
		return nil, err
	}
	route.Dst = dst
	if r.Dev != "" {
		link, err := netlink.LinkByName(r.Dev)
		if err != nil {
			return nil, err
		}
		route.LinkIndex, route.Scope = link.Attrs().Index, netlink.SCOPE_LINK
	}
	if r.Blackhole {
		route.Type = unix.RTN_BLACKHOLE
	}
	return &route, nil
}

// anyAddr gives the all-zero address of the family of a.
func anyAddr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
