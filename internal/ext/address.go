package ext

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"moat/internal/rule"
)

// AppendAddr appends an address as inet_ntop(3) of glibc prints it, which
// differs from netip for IPv4-compatible IPv6 addresses: "::1.2.3.4", not
// "::102:304". An invalid address appends nothing.
func AppendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	if p := a.As16(); a.Is6() && !a.Is4In6() && isZero(p[:12]) && !isZero(p[12:14]) {
		b = append(b, "::"...)
		a = netip.AddrFrom4([4]byte(p[12:]))
	}
	return a.WithZone("").AppendTo(b)
}

// Addr appends an address as AppendAddr does.
func (p *Printer) Addr(a netip.Addr) { p.B = AppendAddr(p.B, a) }

func isZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}

// addrOf reads s as an address of the command's family, as inet_pton(3) does.
func (a *Arg) addrOf(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.Is4() != (a.Family == rule.IPv4) {
		return netip.Addr{}, a.Errorf("%q is not an %s address", s, a.Family.Name())
	}
	return ip, nil
}

// looseAddrOf reads an address in which IPv4's last bytes may be left out, and
// are then zero (10.1 is 10.1.0.0), and its bytes may be hexadecimal or octal.
func (a *Arg) looseAddrOf(s string) (netip.Addr, error) {
	if a.Family == rule.IPv6 {
		return a.addrOf(s)
	}
	parts := strings.Split(s, ".")
	var b [4]byte
	for i, part := range parts {
		n, ok := ParseUint(part)
		if i >= len(b) || !ok || n > 255 {
			return netip.Addr{}, a.Errorf("%q is not an IPv4 address", s)
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), nil
}

// aton reads an IPv4 address as inet_aton(3): the last number fills all bytes
// that are left, so 10 is 0.0.0.10 and 10.1 is 10.0.0.1.
func aton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, part := range parts {
		limit := uint64(255)
		if i == len(parts)-1 {
			limit = 1<<(8*(5-len(parts))) - 1
		}
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil || n > limit || !isNumber(part) {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			v |= n
		} else {
			v |= n << (24 - 8*i)
		}
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(v)))), true
}

// isNumber reports whether s looks like a number of C, without sign.
func isNumber(s string) bool {
	_, ok := ParseUint(s)
	return ok && s[0] >= '0' && s[0] <= '9'
}

// addrMask reads HOST or HOST/MASK, where HOST is a name too.
func (a *Arg) addrMask() (m AddrMask, err error) {
	host, mask, has := strings.Cut(a.Value, "/")
	if m.IP, err = a.host(host); err != nil || !has {
		return m, err
	}
	m.Mask, err = a.maskOf(mask)
	return m, err
}

// host reads an address as getaddrinfo(3) does, or looks its name up; a name
// with several addresses means its first.
func (a *Arg) host(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err == nil && ip.Is4() == (a.Family == rule.IPv4) {
		return ip.WithZone(""), nil
	}
	if ip, ok := aton(s); ok && a.Family == rule.IPv4 {
		return ip, nil
	}
	if err == nil || s == "" || strings.ContainsAny(s, ":, /") {
		return netip.Addr{}, a.Errorf("%q is neither an %s address nor a host name", s, a.Family.Name())
	}
	found, err := a.Names.Hosts(s, a.Family.AddrLen())
	if err != nil || len(found) == 0 {
		return netip.Addr{}, a.Errorf("host %q has no %s address", s, a.Family.Name())
	}
	return found[0], nil
}

// maskOf reads a prefix length or a mask. As in 1.8.9, a mask with holes, and
// for IPv4 any other number, counts as no mask: the zero Addr.
func (a *Arg) maskOf(s string) (netip.Addr, error) {
	width := 8 * a.Family.AddrLen()
	if n, ok := ParseUint(s); ok && n <= uint64(width) {
		return prefixMask(int(n), a.Family), nil
	}
	mask, ok := aton(s)
	if a.Family == rule.IPv6 {
		ip, err := netip.ParseAddr(s)
		mask, ok = ip.WithZone(""), err == nil && ip.Is6()
	}
	if !ok {
		return netip.Addr{}, a.Errorf("takes a prefix length (0-%d) or a mask after the \"/\", not %q", width, s)
	}
	if maskLen(mask) < 0 {
		return netip.Addr{}, nil
	}
	return mask, nil
}

// prefixMask is the mask of a prefix n bits long.
func prefixMask(n int, f rule.Family) netip.Addr {
	full, _ := netip.AddrFromSlice([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")[:f.AddrLen()])
	p, _ := full.Prefix(n)
	return p.Addr()
}
