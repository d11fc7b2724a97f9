package netdb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resolveTimeout bounds one question to the resolver: a firewall command must
// not hang for minutes because a name server is behind the firewall.
const resolveTimeout = 10 * time.Second

// maxFailures is how many questions in a row may go unanswered before no more
// are asked: without a way to a name server every further one would fail as slowly.
const maxFailures = 3

// entry is a line of /etc/hosts or /etc/networks.
type entry struct {
	addr  netip.Addr
	names []string // the official name first, then its aliases
}

// Hosts gives all addresses of a host name in one family (4 or 16 bytes), each
// once: those of /etc/hosts in the order of the file, or else the resolver's.
func (d *DB) Hosts(name string, addrLen int) ([]netip.Addr, error) {
	d.loadHosts()
	var found []netip.Addr
	for i := range d.hosts {
		h := &d.hosts[i]
		if h.addr.BitLen() == addrLen*8 && h.has(name) && !slices.Contains(found, h.addr) {
			found = append(found, h.addr)
		}
	}
	if found != nil {
		return found, nil
	}
	network := "ip4"
	if addrLen == 16 {
		network = "ip6"
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	if d.Lookup != nil {
		return d.Lookup(ctx, network, name)
	}
	return net.DefaultResolver.LookupNetIP(ctx, network, name)
}

// has reports whether the entry has the name, in whatever case.
func (e *entry) has(name string) bool {
	for _, n := range e.names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// HostName is an address's name: the first of /etc/hosts, or else the
// resolver's; "" if it has none. Each address is asked for once, and after
// maxFailures unanswered questions the resolver is left alone.
func (d *DB) HostName(a netip.Addr) string {
	d.loadHosts()
	for i := range d.hosts {
		if d.hosts[i].addr == a {
			return d.hosts[i].names[0]
		}
	}
	if name, known := d.names[a]; known || d.failed >= maxFailures {
		return name
	}
	name := d.resolveAddr(a)
	if d.names == nil {
		d.names = map[netip.Addr]string{}
	}
	d.names[a] = name
	return name
}

// resolveAddr asks the resolver for an address's name and counts failures.
func (d *DB) resolveAddr(a netip.Addr) string {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	resolve := d.Resolve
	if resolve == nil {
		resolve = net.DefaultResolver.LookupAddr
	}
	names, err := resolve(ctx, a.String())
	var dns *net.DNSError
	switch {
	case err == nil || errors.As(err, &dns) && dns.IsNotFound:
		d.failed = 0
	case errors.As(err, &dns) && dns.IsTimeout:
		d.failed = maxFailures // one is slow enough
	default:
		d.failed++
	}
	if len(names) == 0 {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}

// NetworkName is the name of an IPv4 network in /etc/networks, by its address
// alone, whatever its mask is; "" if it has none.
func (d *DB) NetworkName(a netip.Addr) string {
	d.loadNetworks()
	for i := range d.networks {
		if d.networks[i].addr == a {
			return d.networks[i].names[0]
		}
	}
	return ""
}

func (d *DB) loadHosts() {
	if d.readHost {
		return
	}
	d.readHost = true
	eachLine(d.path("hosts"), func(w []string) {
		if addr, err := netip.ParseAddr(w[0]); err == nil {
			d.hosts = append(d.hosts, entry{addr: addr.Unmap().WithZone(""), names: w[1:]})
		}
	})
}

func (d *DB) loadNetworks() {
	if d.readNet {
		return
	}
	d.readNet = true
	eachLine(d.path("networks"), func(w []string) {
		if addr, ok := networkAddr(w[1]); ok {
			d.networks = append(d.networks, entry{addr: addr, names: append(w[:1:1], w[2:]...)})
		}
	})
}

// networkAddr reads a network's number; zeros at its end may be left out: "10.6".
func networkAddr(s string) (netip.Addr, bool) {
	var b [4]byte
	parts := strings.Split(s, ".")
	if len(parts) > len(b) {
		return netip.Addr{}, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}
