package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/packet"
	"moat/internal/rule"
)

// Read asks the kernel for everything. Sets are only told to root (or with
// CAP_NET_ADMIN): without, SetsTold is false and every question about a set is
// answered as not known. Any other failure is an error.
func Read() (*Facts, error) {
	f := &Facts{}
	names, err := f.readInterfaces()
	if err != nil {
		return nil, fmt.Errorf("reading the host's interfaces: %w", err)
	}
	if err := f.readRoutes(names); err != nil {
		return nil, fmt.Errorf("reading the host's routes: %w", err)
	}
	for _, family := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		rules, err := readRules(family)
		if err != nil {
			return nil, fmt.Errorf("reading the host's routing rules: %w", err)
		}
		f.Rules = append(f.Rules, rules...)
	}
	switch f.Sets, err = readSets(); {
	case err == nil:
		f.SetsTold = true
	case !errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("reading the host's ipsets: %w", err)
	}
	return f, nil
}

// maxReads bounds how often a dump is begun anew that a change interrupted.
const maxReads = 20

// whole runs a dump until no change of the kernel's lists interrupted it.
func whole[T any](dump func() ([]T, error)) (list []T, err error) {
	for range maxReads {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return nil, err
}

// readInterfaces reads links and their addresses, and gives names by index.
func (f *Facts) readInterfaces() (names map[int]string, err error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, err
	}
	names = map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	groups := readGroups()
	for _, l := range links {
		a := l.Attrs()
		i := Interface{
			Name: a.Name, Index: a.Index, Up: a.Flags&net.FlagUp != 0, Loopback: a.Flags&net.FlagLoopback != 0,
			Master: names[a.MasterIndex], Group: a.Group, Groups: groups[a.Name],
		}
		if kind := l.Type(); kind != "device" {
			i.Kind = kind
		}
		copy(i.MAC[:], a.HardwareAddr)
		i.readSettings()
		f.Interfaces = append(f.Interfaces, i)
	}
	return names, f.readAddresses(names)
}

func (f *Facts) readAddresses(names map[int]string) error {
	list, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_UNSPEC) })
	if err != nil {
		return err
	}
	for _, a := range list {
		i := f.Interface(names[a.LinkIndex])
		prefix, ok := prefixOf(a.IPNet)
		if i == nil || !ok { // it came after the interfaces were read
			continue
		}
		out := Address{Prefix: prefix, Scope: uint8(a.Scope)}
		if prefix.Addr().Is4() {
			out.Secondary = a.Flags&unix.IFA_F_SECONDARY != 0
		} else { // IFA_F_TEMPORARY is the same bit
			out.Temporary = a.Flags&unix.IFA_F_TEMPORARY != 0
			out.Deprecated = a.Flags&unix.IFA_F_DEPRECATED != 0
			out.Tentative = a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0
		}
		if peer, ok := prefixOf(a.Peer); ok {
			out.Peer = peer
		}
		out.Broadcast, _ = netip.AddrFromSlice(a.Broadcast)
		i.Addresses = append(i.Addresses, out)
	}
	return nil
}

// prefixOf keeps the address as it is, bits outside the mask included.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a, bits), ok
}

func (f *Facts) readRoutes(names map[int]string) error {
	for _, family := range [...]int{unix.AF_INET, unix.AF_INET6} {
		messages, err := dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family)}})
		if err != nil {
			return err
		}
		for _, m := range messages {
			r, ok, err := readRoute(m, names)
			if err != nil {
				return err
			}
			if ok {
				f.Routes = append(f.Routes, r)
			}
		}
	}
	return nil
}

// dump asks for all of a kind, in one piece.
func dump(request int, reply uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	return whole(func() ([][]byte, error) {
		r := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
		r.AddData(header)
		return r.Execute(unix.NETLINK_ROUTE, reply)
	})
}

// errShort is the error of a message that ends within its header.
var errShort = errors.New("the kernel's message is too short")

// readRoute reads a struct rtmsg of linux/rtnetlink.h and its attributes; ok
// is false for a cloned route, which is a cache's.
func readRoute(m []byte, names map[int]string) (r Route, ok bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return r, false, errShort
	}
	msg := nl.DeserializeRtMsg(m)
	if msg.Flags&unix.RTM_F_CLONED != 0 || msg.Family != unix.AF_INET && msg.Family != unix.AF_INET6 {
		return r, false, nil
	}
	r = Route{Table: uint32(msg.Table), Type: packet.AddressType(msg.Type), TOS: msg.Tos}
	any4or6 := netip.IPv4Unspecified()
	if msg.Family == unix.AF_INET6 {
		any4or6 = netip.IPv6Unspecified()
	}
	r.Prefix = netip.PrefixFrom(any4or6, int(msg.Dst_len))
	single := Hop{Dead: msg.Flags&unix.RTNH_F_DEAD != 0}
	err = eachAttr(m[unix.SizeofRtMsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.RTA_DST:
			r.Prefix = prefix(v, msg.Dst_len)
		case unix.RTA_SRC:
			r.From = prefix(v, msg.Src_len)
		case unix.RTA_TABLE:
			r.Table = number(v)
		case unix.RTA_PRIORITY:
			r.Metric = number(v)
		case unix.RTA_OIF:
			single.Interface = names[int(number(v))]
		case unix.RTA_GATEWAY:
			single.Gateway, _ = netip.AddrFromSlice(v)
		case unix.RTA_VIA: // struct rtvia: family and address
			single.Gateway, _ = netip.AddrFromSlice(v[min(2, len(v)):])
		case unix.RTA_MULTIPATH:
			r.Hops, err = readHops(v, names)
		}
		return err
	})
	if err != nil {
		return Route{}, false, err
	}
	if single.Interface != "" {
		r.Hops = append(r.Hops, single)
	}
	return r, r.Prefix.IsValid(), nil
}

// readHops reads the struct rtnexthop of a multipath route: 16 bits of length,
// flags, hops, the interface's index, attributes.
func readHops(v []byte, names map[int]string) (hops []Hop, err error) {
	for len(v) >= unix.SizeofRtNexthop {
		n := int(nl.NativeEndian().Uint16(v))
		if n < unix.SizeofRtNexthop || n > len(v) {
			return nil, errAttr
		}
		h := Hop{Interface: names[int(number(v[4:8]))], Dead: v[2]&unix.RTNH_F_DEAD != 0}
		err := eachAttr(v[unix.SizeofRtNexthop:n], func(kind uint16, v []byte) error {
			if kind == unix.RTA_GATEWAY {
				h.Gateway, _ = netip.AddrFromSlice(v)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
		v = v[min((n+3)&^3, len(v)):]
	}
	return hops, nil
}

func prefix(v []byte, bits uint8) netip.Prefix {
	a, ok := netip.AddrFromSlice(v)
	if !ok {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, int(bits)).Masked()
}

// number reads 32 bits in host order; 0 if there are not as many.
func number(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return nl.NativeEndian().Uint32(v)
}
