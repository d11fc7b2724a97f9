package host

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Way is how packets to an address leave this host.
type Way struct {
	Interface string
	Gateway   netip.Addr // not valid: the address is on the link
	Source    netip.Addr // own address that such packets have; not valid if the kernel does not tell
	// NoNeighbours says that the interface finds no link-layer addresses: it is
	// lo, point-to-point, or has ARP and neighbour discovery off.
	NoNeighbours bool
	Local        bool // the address is one of this host's own
	// Kind is the interface's, as the kernel and ip(8) name it: "vxlan", "tun"; "" for
	// a card's and lo.
	Kind string
}

// WayTo asks the kernel for the route to an address, from one of this host's
// own if that is valid. A zone of a link-local address is the interface. found
// is false where there is no route, or one that refuses.
func WayTo(to, from netip.Addr) (w Way, found bool, err error) { return WayBy(to, from, 0) }

// WayBy is WayTo for packets that bear a mark, by which rules of routing may go.
func WayBy(to, from netip.Addr, mark uint32) (w Way, found bool, err error) {
	index, err := zoneIndex(netip.AddrPortFrom(to, 0), netip.AddrPortFrom(from, 0))
	if err != nil {
		return w, false, nil // no such interface, so no way by it
	}
	m, found, err := askRoute(to.Unmap(), from.Unmap(), index, mark)
	if !found || err != nil {
		return w, false, err
	}
	msg := nl.DeserializeRtMsg(m)
	var out uint32
	err = eachAttr(m[msg.Len():], func(kind uint16, v []byte) error {
		switch kind {
		case unix.RTA_OIF:
			out = number(v)
		case unix.RTA_GATEWAY:
			w.Gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_PREFSRC:
			w.Source, _ = netip.AddrFromSlice(v)
		case unix.RTA_VIA: // struct rtvia: family and address
			w.Gateway, _ = netip.AddrFromSlice(v[min(2, len(v)):])
		}
		return nil
	})
	if err != nil {
		return w, false, err
	}
	w.Local = msg.Type == unix.RTN_LOCAL || msg.Type == unix.RTN_ANYCAST
	err = w.setLink(out)
	return w, err == nil, err
}

// WayToAnybody is the way from one of this host's addresses to most others: that of
// the default route.
func WayToAnybody(from netip.Addr) (Way, bool, error) {
	to := netip.AddrFrom4([4]byte{192, 0, 2, 1}) // nobody's, as the other: RFC 5737, RFC 9637
	if from.Is6() {
		to = netip.AddrFrom16([16]byte{0x3f, 0xff})
	}
	if from.IsUnspecified() {
		from = netip.Addr{}
	}
	return WayTo(to, from)
}

// Owns reports whether an address is one of this network namespace's own.
func Owns(a netip.Addr) (bool, error) {
	index, err := zoneIndex(netip.AddrPortFrom(a, 0))
	if err != nil {
		return false, nil
	}
	m, found, err := askRoute(a.Unmap(), netip.Addr{}, index, 0)
	if !found || err != nil {
		return false, err
	}
	kind := nl.DeserializeRtMsg(m).Type
	return kind == unix.RTN_LOCAL || kind == unix.RTN_ANYCAST, nil
}

// askRoute gives the kernel's answer to one RTM_GETROUTE, a struct rtmsg with
// attributes; not found is a route that there is not, or that refuses.
func askRoute(to, from netip.Addr, out, mark uint32) (m []byte, found bool, err error) {
	family, bits := unix.AF_INET6, uint8(128)
	if to.Is4() {
		family, bits = unix.AF_INET, 32
	}
	r := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family), Dst_len: bits}}
	r.AddData(msg)
	r.AddData(nl.NewRtAttr(unix.RTA_DST, to.WithZone("").AsSlice()))
	if from.IsValid() && from.Is4() == to.Is4() {
		msg.Src_len = bits
		r.AddData(nl.NewRtAttr(unix.RTA_SRC, from.WithZone("").AsSlice()))
	}
	if out != 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(out)))
	}
	if mark != 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_MARK, nl.Uint32Attr(mark)))
	}
	messages, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	for _, refusal := range [...]unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.ENODEV, unix.EAFNOSUPPORT} {
		if errors.Is(err, refusal) {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("asking for the route to %v: %w", to, err)
	}
	if len(messages) != 1 || len(messages[0]) < unix.SizeofRtMsg {
		return nil, false, fmt.Errorf("asking for the route to %v: the kernel gave no answer", to)
	}
	// IPv6 answers with the route that refuses, IPv4 with its error.
	switch nl.DeserializeRtMsg(messages[0]).Type {
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		return nil, false, nil
	}
	return messages[0], true, nil
}

// setLink tells of the interface.
func (w *Way) setLink(index uint32) error {
	r := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	r.AddData(msg)
	messages, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return fmt.Errorf("asking for interface %d: %w", index, err)
	}
	for _, m := range messages {
		if len(m) < unix.SizeofIfInfomsg {
			continue
		}
		w.NoNeighbours = nl.DeserializeIfInfomsg(m).Flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK|unix.IFF_POINTOPOINT) != 0
		err = eachAttr(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
			switch kind {
			case unix.IFLA_IFNAME:
				w.Interface = unix.ByteSliceToString(v)
			case unix.IFLA_LINKINFO:
				return eachAttr(v, func(kind uint16, v []byte) error {
					if kind == unix.IFLA_INFO_KIND {
						w.Kind = unix.ByteSliceToString(v)
					}
					return nil
				})
			}
			return nil
		})
	}
	return err
}
