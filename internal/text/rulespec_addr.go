package text

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
)

// addressList is the argument of -s or -d, read when the whole command is known.
type addressList struct {
	text string // as it was written; "" when the option was not given
	not  bool
	at   int // index of the option's word
	one  rule.Address
	more []rule.Address // all of them when there are several
}

// len is how many addresses there are.
func (l *addressList) len() int {
	if len(l.more) > 0 {
		return len(l.more)
	}
	return 1
}

// all is the list as a slice, of one address at least.
func (l *addressList) all() []rule.Address {
	if len(l.more) > 0 {
		return l.more
	}
	return []rule.Address{l.one}
}

// finishAddresses reads the arguments of -s and -d.
func (p *parser) finishAddresses() error {
	if p.given.has('s') {
		if err := p.readAddresses(&p.src, &p.rule.Src); err != nil {
			return err
		}
	}
	if p.given.has('d') {
		if err := p.readAddresses(&p.dst, &p.rule.Dst); err != nil {
			return err
		}
	}
	p.at = -1
	if p.verb == verbReplace && (p.src.len() > 1 || p.dst.len() > 1) {
		return p.fail("Replacement rule does not specify a unique address")
	}
	return nil
}

// readAddresses reads a comma list of addresses, networks and names; to is
// given the first.
func (p *parser) readAddresses(l *addressList, to *rule.Address) (err error) {
	p.at = l.at
	if strings.IndexByte(l.text, ',') < 0 {
		l.one, l.more, err = p.address(l.text, l.not)
	} else {
		for text := range strings.SplitSeq(l.text, ",") {
			a, names, err := p.address(text, l.not)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				names = []rule.Address{a}
			}
			l.more = append(l.more, names...)
		}
	}
	if err == nil && l.not && len(l.more) > 1 {
		return p.fail("! not allowed with multiple source or destination IP addresses")
	}
	*to = l.all()[0]
	return err
}

// address reads ADDRESS or ADDRESS/MASK. A host name with several addresses
// gives them all in names.
func (p *parser) address(s string, not bool) (a rule.Address, names []rule.Address, err error) {
	if s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = strings.TrimLeft(s, " \t")
	}
	host, maskText := s, ""
	mask := allOnes(p.family)
	slash := strings.LastIndexByte(s, '/')
	if slash >= 0 {
		host, maskText = s[:slash], s[slash+1:]
		var ok bool
		if mask, ok = parseMask(maskText, p.family); !ok {
			return a, nil, p.fail("invalid mask `%s' specified", maskText)
		}
	}
	if slash >= 0 && mask.IsUnspecified() { // any/0: the name does not matter
		if not {
			a = rule.Address{IP: mask, Mask: mask, Not: true}
		}
		return a, nil, nil
	}
	if ip, ok := parseAddr(host, p.family); ok {
		return rule.Address{IP: and(ip, mask), Mask: mask, Not: not}, nil, nil
	}
	return p.hostAddress(host, mask, not)
}

// hostAddress asks for a host's or network's name.
func (p *parser) hostAddress(host string, mask netip.Addr, not bool) (a rule.Address, names []rule.Address, err error) {
	var found []netip.Addr
	if isHostName(host) {
		if network, ok := p.names.Network(host); ok && p.family == rule.IPv4 {
			return rule.Address{IP: and(network, mask), Mask: mask, Not: not}, nil, nil
		}
		found, err = p.names.Hosts(host, p.family.AddrLen())
	}
	for _, ip := range found {
		names = append(names, rule.Address{IP: and(ip.Unmap(), mask), Mask: mask, Not: not})
	}
	switch len(names) {
	case 0:
		e := p.fail("host/network `%s' not found", host)
		e.Err = err
		return a, nil, e
	case 1:
		return names[0], nil, nil
	}
	return a, names, nil
}

// isHostName reports whether s could be a name: there is no need to ask a
// server for "1.2.3.256" or "::1::".
func isHostName(s string) bool {
	letter := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letter = true
		case c >= '0' && c <= '9', c == '-', c == '.', c == '_', c >= 0x80:
		default:
			return false
		}
	}
	return letter && s[0] != '.' && !strings.Contains(s, "..")
}

// parseAddr reads an address of the family.
func parseAddr(s string, f rule.Family) (netip.Addr, bool) {
	if f == rule.IPv4 {
		return parseAddr4(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() {
		return netip.Addr{}, false
	}
	return a.WithZone(""), true
}

// parseAddr4 reads an IPv4 address of one to four parts, each decimal, octal
// (0…) or hexadecimal (0x…). Parts that are left out are zero at the end, as
// network administrators write "10.1/16"; only when the last part is too large
// for a byte does it fill what is left, as inet_aton(3) has it.
func parseAddr4(s string) (netip.Addr, bool) {
	if a, ok := parsePlain4(s); ok {
		return a, true
	}
	var b [4]byte
	for i := range b {
		part, rest, more := strings.Cut(s, ".")
		n, ok := parsePart(part)
		if !ok {
			return netip.Addr{}, false
		}
		if n > 255 {
			if more || i == 3 || n >= 1<<(8*(4-i)) {
				return netip.Addr{}, false
			}
			for k := 3; k >= i; k-- {
				b[k] = byte(n)
				n >>= 8
			}
			return netip.AddrFrom4(b), true
		}
		b[i] = byte(n)
		if !more {
			return netip.AddrFrom4(b), true
		}
		s = rest
	}
	return netip.Addr{}, false // a fifth part
}

// parsePart reads one part of an IPv4 address.
func parsePart(s string) (uint64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	return ext.ParseUint(s)
}

// parsePlain4 reads the usual form, four decimal parts, quickly.
func parsePlain4(s string) (netip.Addr, bool) {
	var b [4]byte
	part, digits, n := 0, 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9' && (digits == 0 || n > 0): // no leading zero: it makes the part octal
			n = n*10 + int(c-'0')
			digits++
			if n > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && part < 3:
			b[part] = byte(n)
			part, digits, n = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	b[3] = byte(n)
	return netip.AddrFrom4(b), part == 3 && digits > 0
}

// parseMask reads a prefix length, or a mask written as an address.
func parseMask(s string, f rule.Family) (netip.Addr, bool) {
	bits := uint64(f.AddrLen() * 8)
	if n, ok := ext.ParseUint(s); ok {
		if n > bits {
			return netip.Addr{}, false
		}
		return prefixMask(int(n), f), true
	}
	if f == rule.IPv4 && strings.Count(s, ".") != 3 {
		return netip.Addr{}, false
	}
	return parseAddr(s, f)
}

// prefixMask is the mask with the first n bits set.
func prefixMask(n int, f rule.Family) netip.Addr {
	if f == rule.IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-n))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], ^uint64(0)<<(64-min(n, 64)))
	binary.BigEndian.PutUint64(b[8:], ^uint64(0)<<(128-max(n, 64)))
	return netip.AddrFrom16(b)
}

func allOnes(f rule.Family) netip.Addr { return prefixMask(f.AddrLen()*8, f) }

// and cuts off the bits of ip that the mask does not have; both are of one family.
func and(ip, mask netip.Addr) netip.Addr {
	if ip.Is4() && mask.Is4() {
		a, m := ip.As4(), mask.As4()
		for i := range a {
			a[i] &= m[i]
		}
		return netip.AddrFrom4(a)
	}
	a, m := ip.As16(), mask.As16()
	for i := range a {
		a[i] &= m[i]
	}
	return netip.AddrFrom16(a)
}
