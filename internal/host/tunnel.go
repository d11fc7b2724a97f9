package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
)

// Carrier is what carries the packets of a tunnel to its other end and back.
type Carrier struct {
	Tunnel string // its kind and interface: "wireguard wg0"
	Proto  uint8  // of the packets that carry: 6, 17, or one without ports, such as 47
	// Local and Remote are the ends; their ports are 0 where the protocol has none. The
	// address of Remote is not valid if it is one of a program's clients, but not known
	// which.
	Local, Remote netip.AddrPort
	// OneWay says that each end sends to the other's Local port, the same on both,
	// from ports of its choice: the ways to and fro are no one connection.
	OneWay bool
	// AnyPort says that the other end comes back from another port.
	AnyPort bool
	// Dials says that this host begins by itself, and anew when it is cut off: the other
	// end need not be able to.
	Dials bool
	// Mark is that of the packets that this host sends, by which they may be routed;
	// 0 for none.
	Mark uint32
}

// ipInIP and ip6InIP are protocol numbers: IPv4 and IPv6 in a packet (IPPROTO_IPIP, IPPROTO_IPV6).
const ipInIP, ip6InIP = 4, 41

// CarrierTo finds what carries packets between this host and a peer that is
// reached by an interface of the given kind, see Way.Kind. found is false where the
// interface is no tunnel, or nothing is known of its outside, as of IPsec's.
func CarrierTo(device, kind string, peer netip.Addr) (c Carrier, found bool, err error) {
	peer = peer.Unmap().WithZone("")
	switch kind {
	default: // nearly always: nothing is asked
		return c, false, nil
	case "wireguard":
		c, found, err = kernelWireGuard(device, peer)
	case "tun":
		if c, found, err = userWireGuard(device, peer); errors.Is(err, errNoWireGuard) {
			c, found, err = programCarrier(device)
		}
	case "vlan", "vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl":
		link, linkErr := netlink.LinkByName(device)
		if linkErr != nil {
			return c, false, fmt.Errorf("asking for interface %s: %w", device, linkErr)
		}
		if kind == "vlan" { // of an Ethernet that may be in a tunnel
			return carrierBelow(link.Attrs(), peer)
		}
		if c, found = linkCarrier(link, peer); found && kind == "vxlan" {
			c.Remote, found = vxlanRemote(link, peer, c.Remote)
		}
	}
	switch {
	case !found || err != nil:
		return c, false, err
	case kind == "tun" && c.Local.Addr().IsValid(): // of a program, whose socket tells all
		return c, true, nil
	case c.Tunnel == "":
		c.Tunnel = kind + " " + device
	}
	return c.complete()
}

// carrierBelow is that of the interface on which one stands.
func carrierBelow(link *netlink.LinkAttrs, peer netip.Addr) (c Carrier, found bool, err error) {
	if link.ParentIndex == 0 || link.NetNsID >= 0 { // it may be in another namespace
		return c, false, nil
	}
	lower, err := netlink.LinkByIndex(link.ParentIndex)
	if err != nil {
		return c, false, fmt.Errorf("asking for interface %d: %w", link.ParentIndex, err)
	}
	return CarrierTo(lower.Attrs().Name, lower.Type(), peer)
}

// complete gives the carrier this host's address.
func (c Carrier) complete() (Carrier, bool, error) {
	if !c.Remote.Addr().IsValid() || c.Remote.Addr().IsUnspecified() || c.Remote.Addr().IsMulticast() {
		return c, false, nil // whoever the other end is
	}
	if a := c.Local.Addr(); a.IsValid() && !a.IsUnspecified() {
		return c, true, nil
	}
	way, found, err := WayBy(c.Remote.Addr(), netip.Addr{}, c.Mark)
	if err != nil || !found {
		return c, false, err
	}
	port := c.Local.Port()
	if way.Source.IsValid() {
		c.Local = netip.AddrPortFrom(way.Source, port)
		if _, known, err := Track(c.Proto, c.Remote, c.Local, 0); known || err != nil || c.OneWay || port == 0 {
			return c, err == nil, err
		}
	}
	// The other end may have been answered from another address than that which is
	// the route's.
	list, err := TrackedTo(c.Proto, port)
	for i := range list {
		if t := &list[i].Connection; t.Original.Src == c.Remote.Addr() && t.Original.SrcPort == c.Remote.Port() {
			c.Local = netip.AddrPortFrom(t.ReplyTuple.Src, port)
		}
	}
	return c, c.Local.Addr().IsValid(), err
}

// linkCarrier takes what carries a tunnel of the kernel from its settings.
func linkCarrier(link netlink.Link, peer netip.Addr) (c Carrier, ok bool) {
	inner := uint8(ip6InIP)
	if peer.Is4() {
		inner = ipInIP
	}
	ends := func(proto uint8, local, remote net.IP, encap uint16) (Carrier, bool) {
		// Within UDP (FOU, GUE) the port at this end is set elsewhere.
		return Carrier{Proto: proto, Local: ipPort(local, 0), Remote: ipPort(remote, 0)}, encap == 0
	}
	switch l := link.(type) {
	case *netlink.Vxlan:
		port := uint16(l.Port)
		return Carrier{Proto: packet.ProtoUDP, Local: ipPort(l.SrcAddr, port), Remote: ipPort(l.Group, port), OneWay: true}, !l.FlowBased
	case *netlink.Geneve:
		return Carrier{Proto: packet.ProtoUDP, Local: ipPort(nil, l.Dport), Remote: ipPort(l.Remote, l.Dport), OneWay: true}, !l.FlowBased
	case *netlink.Gretun:
		return ends(packet.ProtoGRE, l.Local, l.Remote, l.EncapType)
	case *netlink.Gretap:
		return ends(packet.ProtoGRE, l.Local, l.Remote, l.EncapType)
	case *netlink.Iptun:
		return ends(ipInIP, l.Local, l.Remote, l.EncapType)
	case *netlink.Sittun:
		return ends(inner, l.Local, l.Remote, l.EncapType)
	case *netlink.Ip6tnl:
		return ends(inner, l.Local, l.Remote, l.EncapType)
	}
	return c, false
}

// vxlanRemote is the other end of VXLAN for a peer: that which the kernel has
// learned of the peer's link-layer address, or the one for all.
func vxlanRemote(link netlink.Link, peer netip.Addr, all netip.AddrPort) (netip.AddrPort, bool) {
	family := netlink.FAMILY_V4
	if peer.Is6() {
		family = netlink.FAMILY_V6
	}
	index := link.Attrs().Index
	neighbours, err := netlink.NeighList(index, family)
	if err != nil {
		return all, all.Addr().IsValid()
	}
	learned, err := netlink.NeighList(index, unix.AF_BRIDGE)
	if err != nil {
		return all, all.Addr().IsValid()
	}
	for _, n := range neighbours {
		if a, ok := netip.AddrFromSlice(n.IP); !ok || a.Unmap() != peer {
			continue
		}
		for _, l := range learned {
			if l.HardwareAddr.String() == n.HardwareAddr.String() && l.IP != nil {
				return ipPort(l.IP, all.Port()), true
			}
		}
	}
	return all, all.Addr().IsValid()
}

// ipPort is an address as a value; not valid for nil.
func ipPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}
