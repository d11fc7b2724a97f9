package host

import (
	"net/netip"
	"slices"

	"moat/internal/rule"
)

// InterfaceAddress is the address that MASQUERADE gives packets to peer that
// leave by dev. IPv4: the first address of the network in which the next hop
// towards peer is, else the first of dev, else the first of another interface.
// IPv6: the best by RFC 6724. Without a peer it is the address that REDIRECT
// gives packets that came in by dev: IPv4's first one, IPv6's first one of the
// widest scope.
func (f *Facts) InterfaceAddress(dev string, family rule.Family, peer netip.Addr) (netip.Addr, bool) {
	i := f.Interface(dev)
	if i == nil {
		return netip.Addr{}, false
	}
	if family == rule.IPv4 {
		return f.source4(i, peer), true
	}
	return f.source6(i, peer), true
}

// source4 is the first address that is not secondary; to a peer only
// addresses of the world count, those of the next hop's network before others.
func (f *Facts) source4(i *Interface, peer netip.Addr) (best netip.Addr) {
	if !peer.IsValid() {
		return i.primary4(netip.Addr{}, scopeHost)
	}
	best = i.primary4(f.nextHop(i.Name, peer), scopeUniverse)
	for n := 0; n < len(f.Interfaces) && !best.IsValid(); n++ {
		best = f.Interfaces[n].primary4(netip.Addr{}, scopeUniverse)
	}
	return best
}

// primary4 is the first primary IPv4 address in whose network hop is, else the
// first, of those up to a scope.
func (i *Interface) primary4(hop netip.Addr, scope uint8) (best netip.Addr) {
	for _, a := range i.Addresses {
		ip := a.Prefix.Addr()
		switch {
		case !ip.Is4() || a.Secondary || a.Scope > scope:
		case hop.IsValid() && a.network().Contains(hop):
			return ip
		case !best.IsValid():
			best = ip
		}
	}
	return best
}

// RT_SCOPE_* of linux/rtnetlink.h.
const (
	scopeUniverse = 0
	scopeHost     = 254
)

// network is what is on the link: the peer's side of a point-to-point address.
func (a *Address) network() netip.Prefix {
	if a.Peer.IsValid() {
		return a.Peer.Masked()
	}
	return a.Prefix.Masked()
}

// nextHop is the gateway to an address out of dev, or the address itself.
func (f *Facts) nextHop(dev string, to netip.Addr) netip.Addr {
	if !to.Is4() {
		return netip.Addr{}
	}
	got, known := f.lookup(&question{dst: to, in: lo, out: dev, markTold: true, tosTold: true})
	if !known || len(got) == 0 {
		return to
	}
	for _, h := range got[0].Hops {
		if h.Interface == dev && !h.Dead && h.Gateway.IsValid() {
			return h.Gateway
		}
	}
	return to
}

// candidate is an address that may become a source.
type candidate struct {
	Address
	here bool // it is the interface's own
}

// source6 chooses among the addresses of the interface and, to a peer in the
// world, those of the others; not valid if there is none.
func (f *Facts) source6(i *Interface, peer netip.Addr) netip.Addr {
	usable := i.candidates(true)
	if peer.IsValid() && peer.IsGlobalUnicast() {
		for n := range f.Interfaces {
			if other := &f.Interfaces[n]; other.Name != i.Name {
				usable = append(usable, other.candidates(false)...)
			}
		}
	}
	if len(usable) == 0 {
		return netip.Addr{}
	}
	best := usable[0]
	for _, a := range usable[1:] {
		if a.before(best, peer, i.PreferTemporary) {
			best = a
		}
	}
	return best.Prefix.Addr()
}

// candidates are the interface's IPv6 addresses that may be sources.
func (i *Interface) candidates(here bool) (list []candidate) {
	for _, a := range i.Addresses {
		if ip := a.Prefix.Addr(); ip.Is6() && !a.Tentative && !ip.IsMulticast() {
			list = append(list, candidate{a, here})
		}
	}
	return list
}

// before reports whether a is a better source than b: rules 1, 2, 3, 5, 6, 7 and
// 8 of RFC 6724, section 5.
func (a candidate) before(b candidate, peer netip.Addr, temporary bool) bool {
	x, y := a.Prefix.Addr(), b.Prefix.Addr()
	if !peer.IsValid() {
		return scopeOf(x) > scopeOf(y)
	}
	sx, sy, sp := scopeOf(x), scopeOf(y), scopeOf(peer)
	switch {
	case x == peer || y == peer:
		return x == peer
	case sx < sy:
		return sx >= sp
	case sx > sy:
		return sy < sp
	case a.Deprecated != b.Deprecated:
		return b.Deprecated
	case a.here != b.here:
		return a.here
	case label(x) != label(y):
		if label(x) == label(peer) || label(y) == label(peer) {
			return label(x) == label(peer)
		}
	}
	if a.Temporary != b.Temporary {
		return a.Temporary == temporary
	}
	return common(peer, a.Prefix) > common(peer, b.Prefix)
}

// scopeOf is the scope of a unicast or multicast address as RFC 6724 numbers it.
func scopeOf(a netip.Addr) int {
	switch {
	case a.IsMulticast():
		return int(a.As16()[1] & 15)
	case a.IsLinkLocalUnicast(), a.IsLoopback():
		return 2
	case isSiteLocal(a):
		return 5
	}
	return 14
}

// isSiteLocal is fec0::/10.
func isSiteLocal(a netip.Addr) bool {
	b := a.As16()
	return a.Is6() && b[0] == 0xfe && b[1]&0xc0 == 0xc0
}

// label is the label of RFC 6724's default policy table.
func label(a netip.Addr) int {
	b := a.As16()
	switch {
	case a.IsLoopback():
		return 0
	case b[0] == 0x20 && b[1] == 0x02:
		return 2
	case a.Is4In6():
		return 4
	case slices.Equal(b[:4], []byte{0x20, 0x01, 0, 0}):
		return 5
	case isSiteLocal(a):
		return 11
	case b[0] == 0x3f && b[1] == 0xfe:
		return 12
	case b[0]&0xfe == 0xfc:
		return 13
	case slices.Equal(b[:12], make([]byte, 12)):
		return 3
	}
	return 1
}

// common is how many bits, at most the length of the prefix, an address shares
// with a prefix.
func common(a netip.Addr, p netip.Prefix) int {
	x, y := a.As16(), p.Addr().As16()
	for n := range p.Bits() {
		if (x[n/8]^y[n/8])>>(7-n%8)&1 != 0 {
			return n
		}
	}
	return p.Bits()
}
