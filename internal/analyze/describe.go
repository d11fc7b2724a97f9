package analyze

import (
	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// Describer gives what writes boxes of a family for people, with the names of
// protocols and ICMP types that need no file.
func Describer(f rule.Family) *space.Describer {
	return &space.Describer{
		Family:   f,
		Protocol: protocolWord,
		ICMP: func(typ, from, to uint8) string {
			m := ext.ICMP{V6: f == rule.IPv6, Type: typ, CodeFrom: from, CodeTo: to}
			return m.TypeName()
		},
	}
}

// Describe writes a box for people: "tcp from 10.0.0.0/8 to any port 22 state NEW".
func Describe(b *space.Box, f rule.Family) string { return Describer(f).Box(b) }

// protocolWord is the name of a protocol in descriptions; "" if it has none.
func protocolWord(number uint8) string {
	switch number {
	case 0:
		return ""
	case packet.ProtoGRE:
		return "gre"
	case packet.ProtoICMPv6:
		return "icmpv6"
	}
	return netdb.BuiltinProtocolName(number)
}
