package text

import "net/netip"

// AppendAddr appends an address as inet_ntop(3) writes it. That differs from
// netip for IPv4-compatible addresses: "::1.2.3.4", not "::102:304". An invalid
// address appends nothing.
func AppendAddr(b []byte, a netip.Addr) []byte {
	if !a.Is6() || a.Is4In6() {
		return appendAddr4(b, a)
	}
	bytes := a.As16()
	for _, c := range bytes[:12] {
		if c != 0 {
			return a.WithZone("").AppendTo(b)
		}
	}
	if bytes[12] == 0 && bytes[13] == 0 { // "::", "::1" and "::ffff"
		return a.WithZone("").AppendTo(b)
	}
	b = append(b, "::"...)
	return netip.AddrFrom4([4]byte(bytes[12:])).AppendTo(b)
}

// appendAddr4 appends an address that netip writes with dots: IPv4, also
// mapped into IPv6.
func appendAddr4(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}
