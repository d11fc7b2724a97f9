package host

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/rule"
)

// Numbers of linux/netfilter/ipset/ip_set.h.
const (
	ipsetSubsys   = 6 // NFNL_SUBSYS_IPSET of linux/netfilter/nfnetlink.h
	ipsetProtocol = 6 // IPSET_PROTOCOL_MIN, which every kernel speaks
	cmdList       = 7

	attrProtocol = 1
	attrSetName  = 2
	attrTypeName = 3
	attrFamily   = 5
	attrData     = 7
	attrADT      = 8

	attrIP       = 1
	attrIPTo     = 2
	attrCIDR     = 3
	attrPort     = 4
	attrPortTo   = 5
	attrTimeout  = 6
	attrProto    = 7
	attrFlags    = 8
	attrMark     = 10
	attrMarkMask = 11
	attrBitmask  = 12
	attrNetmask  = 20
	attrEther    = 17
	attrName     = 18
	attrIP2      = 20
	attrCIDR2    = 21
	attrIface    = 23
	attrBytes    = 24
	attrQueue    = 29
	attrPad      = 30

	flagPhysdev  = 1 << 1
	flagNoMatch  = 1 << 2
	flagWildcard = 1 << 7
)

// readSets reads all sets with their elements; none where the kernel has no
// ipset.
func readSets() ([]*Set, error) {
	messages, err := whole(func() ([][]byte, error) {
		r := nl.NewNetlinkRequest(ipsetSubsys<<8|cmdList, unix.NLM_F_DUMP)
		r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_INET, Version: nl.NFNETLINK_V0})
		r.AddData(nl.NewRtAttr(attrProtocol, nl.Uint8Attr(ipsetProtocol)))
		return r.Execute(unix.NETLINK_NETFILTER, 0)
	})
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var sets []*Set
	byName := map[string]*Set{}
	for _, m := range messages {
		if len(m) < nl.SizeofNfgenmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return nil, err
		}
		s := &Set{}
		for _, a := range attrs {
			if a.Attr.Type == attrSetName {
				s.Name = nl.BytesToString(a.Value)
			}
		}
		if known := byName[s.Name]; known != nil {
			s = known // a large set comes in several messages
		} else {
			byName[s.Name] = s
			sets = append(sets, s)
		}
		if err := s.read(attrs); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// read takes one message about the set.
func (s *Set) read(attrs []syscall.NetlinkRouteAttr) error {
	for _, a := range attrs {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case attrTypeName:
			s.Type = nl.BytesToString(a.Value)
		case attrFamily:
			if len(a.Value) > 0 {
				s.Family = rule.Family(a.Value[0])
			}
		case attrData:
			if err := s.readHeader(a.Value); err != nil {
				return err
			}
		case attrADT:
			list, err := nl.ParseRouteAttr(a.Value)
			if err != nil {
				return err
			}
			for _, e := range list {
				if err := s.readElement(e.Value); err != nil {
					return err
				}
			}
		}
	}
	if s.Type != "" && !s.decided() {
		s.Undecided = true
	}
	return nil
}

// decided reports whether all parts of the type are known here.
func (s *Set) decided() bool {
	kind, _, _ := strings.Cut(s.Type, ":")
	if s.Type == "list:set" {
		return true
	}
	for _, part := range s.parts() {
		if !slices.Contains([]string{"ip", "net", "port", "iface", "mark", "mac"}, part) {
			return false
		}
	}
	return kind == "hash" || kind == "bitmap"
}

// readHeader takes what the set was created with.
func (s *Set) readHeader(b []byte) error {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		switch v := a.Value; a.Attr.Type & nl.NLA_TYPE_MASK {
		case attrNetmask:
			if len(v) > 0 {
				s.Netmask = int(v[0])
			}
		case attrBitmask:
			s.Bitmask, err = setAddress(v)
		case attrMarkMask:
			s.MarkMask = bigEndian(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readElement takes one element.
func (s *Set) readElement(b []byte) error {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return err
	}
	var e Element
	var ip, ip2 netip.Addr
	cidr, cidr2 := -1, -1
	for _, a := range attrs {
		v := a.Value
		switch kind := a.Attr.Type & nl.NLA_TYPE_MASK; {
		case kind == attrIP:
			ip, err = setAddress(v)
		case kind == attrIP2:
			ip2, err = setAddress(v)
		case kind == attrCIDR && len(v) > 0:
			cidr = int(v[0])
		case kind == attrCIDR2 && len(v) > 0:
			cidr2 = int(v[0])
		case kind == attrProto && len(v) > 0:
			e.Proto = v[0]
		case kind == attrPort && len(v) >= 2:
			e.Port = binary.BigEndian.Uint16(v)
		case kind == attrMark:
			e.Mark = bigEndian(v)
		case kind == attrEther:
			e.HasMAC = copy(e.MAC[:], v) == len(e.MAC)
		case kind == attrIface:
			e.Interface = nl.BytesToString(v)
		case kind == attrName:
			e.Member = nl.BytesToString(v)
		case kind == attrFlags:
			flags := bigEndian(v)
			e.Physdev, e.NoMatch, e.Wildcard = flags&flagPhysdev != 0, flags&flagNoMatch != 0, flags&flagWildcard != 0
		case kind == attrTimeout, kind >= attrBytes && kind <= attrPad: // counters, comment, marks
		default:
			s.Undecided = true
		}
		if err != nil {
			return err
		}
	}
	e.Net, e.Net2 = s.network(ip, cidr), netPrefix(ip2, cidr2)
	s.Elements = append(s.Elements, e)
	return nil
}

// network is an element's first address. That of a bitmap with a netmask, and
// of a hash with one, is an address that others are cut to.
func (s *Set) network(a netip.Addr, bits int) netip.Prefix {
	if s.Netmask > 0 || s.Bitmask.IsValid() {
		bits = -1
	}
	return netPrefix(a, bits)
}

func netPrefix(a netip.Addr, bits int) netip.Prefix {
	if !a.IsValid() {
		return netip.Prefix{}
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// setAddress reads IPSET_ATTR_IPADDR_IPV4 (1) or _IPV6 (2) inside of an attribute.
func setAddress(b []byte) (netip.Addr, error) {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil || len(attrs) == 0 {
		return netip.Addr{}, err
	}
	a, _ := netip.AddrFromSlice(attrs[0].Value)
	return a, nil
}

// bigEndian reads 32 bits of network order; 0 if there are not as many.
func bigEndian(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}
