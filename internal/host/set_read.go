package host

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"

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
	l := setList{byName: map[string]*Set{}}
	for _, m := range messages {
		if err := l.read(m); err != nil {
			return nil, err
		}
	}
	return l.sets, nil
}

// setList are sets as messages tell of them: of a large set there are several.
type setList struct {
	sets   []*Set
	byName map[string]*Set
}

// read takes one message: a struct nfgenmsg and attributes.
func (l *setList) read(m []byte) error {
	if len(m) < nl.SizeofNfgenmsg { // the end of the dump
		return nil
	}
	attrs := m[nl.SizeofNfgenmsg:]
	name := ""
	err := eachAttr(attrs, func(kind uint16, v []byte) error {
		if kind == attrSetName {
			name = unix.ByteSliceToString(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s := l.byName[name]
	if s == nil {
		s = &Set{Name: name}
		l.byName[name] = s
		l.sets = append(l.sets, s)
	}
	return s.read(attrs)
}

// read takes the attributes of one message about the set.
func (s *Set) read(attrs []byte) error {
	err := eachAttr(attrs, func(kind uint16, v []byte) error {
		switch kind {
		case attrTypeName:
			s.Type = unix.ByteSliceToString(v)
		case attrFamily:
			if len(v) > 0 {
				s.Family = rule.Family(v[0])
			}
		case attrData:
			return s.readHeader(v)
		case attrADT:
			return eachAttr(v, func(_ uint16, v []byte) error { return s.readElement(v) })
		}
		return nil
	})
	if s.Type != "" && !s.decided() {
		s.Undecided = true
	}
	return err
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
	return eachAttr(b, func(kind uint16, v []byte) (err error) {
		switch kind {
		case attrNetmask:
			if len(v) > 0 {
				s.Netmask = int(v[0])
			}
		case attrBitmask:
			s.Bitmask, err = setAddress(v)
		case attrMarkMask:
			s.MarkMask = big32(v)
		}
		return err
	})
}

// readElement takes one element.
func (s *Set) readElement(b []byte) error {
	var e Element
	var ip, ip2 netip.Addr
	cidr, cidr2 := -1, -1
	err := eachAttr(b, func(kind uint16, v []byte) (err error) {
		switch {
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
			e.Mark = big32(v)
		case kind == attrEther:
			e.HasMAC = copy(e.MAC[:], v) == len(e.MAC)
		case kind == attrIface:
			e.Interface = unix.ByteSliceToString(v)
		case kind == attrName:
			e.Member = unix.ByteSliceToString(v)
		case kind == attrFlags:
			flags := big32(v)
			e.Physdev, e.NoMatch, e.Wildcard = flags&flagPhysdev != 0, flags&flagNoMatch != 0, flags&flagWildcard != 0
		case kind == attrTimeout, kind >= attrBytes && kind <= attrPad: // counters, comment, marks
		default:
			s.Undecided = true
		}
		return err
	})
	if err != nil {
		return err
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
func setAddress(b []byte) (a netip.Addr, err error) {
	err = eachAttr(b, func(_ uint16, v []byte) error {
		a, _ = netip.AddrFromSlice(v)
		return nil
	})
	return a, err
}
