package text

import (
	"strconv"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// appendName appends a chain's or interface's name so that restore reads it
// back as one word: bare, as iptables always writes it, unless it holds what
// ends a word or begins a quotation there. Outside quotations a backslash or
// an apostrophe has no meaning to restore.
func appendName(b []byte, name string) []byte {
	quote := name == ""
	for i := range len(name) {
		switch name[i] {
		case ' ', '\t', '\n', '"':
			quote = true
		}
	}
	if !quote {
		return append(b, name...)
	}
	b = append(b, '"')
	for i := range len(name) {
		if c := name[i]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, name[i])
	}
	return append(b, '"')
}

// appendProto appends the protocol's name. Without a lookup in /etc/protocols
// only the names that are built into iptables are known; any other is a number.
func appendProto(p *ext.Printer, number uint16, lookup bool) {
	var name string
	switch {
	case number > 255: // no name: the names are those of the header's one byte
	case lookup:
		name = p.Names.ProtocolName(uint8(number))
	default:
		name = netdb.BuiltinProtocolName(uint8(number))
	}
	if name == "" {
		p.B = strconv.AppendUint(p.B, uint64(number), 10)
		return
	}
	p.B = append(p.B, name...)
}

// appendNumericAddr appends an address and, unless it is a single host's, its
// mask: "::/0" for any, "10.0.0.0/8", "10.0.0.1/255.0.255.255", "10.0.0.1".
func appendNumericAddr(b []byte, a rule.Address, f rule.Family) []byte {
	if a.IsAny() {
		if f == rule.IPv6 {
			return append(b, "::/0"...)
		}
		return append(b, "0.0.0.0/0"...)
	}
	b = ext.AppendAddr(b, a.IP)
	return appendMask(b, a, f)
}

// appendMask appends "/8" or "/255.0.255.0", and nothing for a full mask.
func appendMask(b []byte, a rule.Address, f rule.Family) []byte {
	n := a.PrefixLen()
	if n == f.AddrLen()*8 {
		return b
	}
	return appendAnyMask(b, a, n)
}

// appendAnyMask appends a mask of any form; n is its prefix length or -1.
func appendAnyMask(b []byte, a rule.Address, n int) []byte {
	b = append(b, '/')
	if n >= 0 {
		return strconv.AppendUint(b, uint64(n), 10)
	}
	return ext.AppendAddr(b, a.Mask)
}
