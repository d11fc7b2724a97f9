package ext

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// ICMP matches the type and code of ICMP (match icmp) or ICMPv6 (match icmp6)
// packets. Type 255 of ICMP is every type.
type ICMP struct {
	V6               bool // the match is icmp6
	Type             uint8
	CodeFrom, CodeTo uint8 // both included; 0 to 255 is any code
	Not              bool
}

// icmpName is a named type, or a named code of a type.
type icmpName struct {
	name, alias string // alias is "" for most
	typ         uint8
	from, to    uint8 // codes, both included; 0 to 255 names the type
}

func (m *ICMP) Name() string { return m.Def().Name }

func (m *ICMP) Def() *Def {
	if m.V6 {
		return &icmp6
	}
	return &icmp
}

// names are the types and codes of the protocol that have a name.
func (m *ICMP) names() []icmpName {
	if m.V6 {
		return icmp6Names
	}
	return icmpNames
}

func (m *ICMP) Set(a *Arg) error {
	m.Not = a.Not
	n, found, ambiguous := findICMP(m.names(), a.Value)
	if ambiguous != "" {
		return a.Errorf("%q is ambiguous: %s or %s?", a.Value, n.name, ambiguous)
	}
	if found {
		m.Type, m.CodeFrom, m.CodeTo = n.typ, n.from, n.to
		return nil
	}
	typ, code, hasCode := strings.Cut(a.Value, "/")
	if v, ok := ParseUint(typ); !ok || v > 255 {
		return a.Errorf("%q is neither the name of a type nor a number from 0 to 255", typ)
	}
	t, _ := ParseUint(typ)
	m.Type, m.CodeFrom, m.CodeTo = uint8(t), 0, 255
	if !hasCode {
		return nil
	}
	c, err := a.UintOf(code, 0, 255)
	m.CodeFrom, m.CodeTo = uint8(c), uint8(c)
	return err
}

// findICMP finds the name that begins with s, in any case. When several do,
// ambiguous is the second of them.
func findICMP(names []icmpName, s string) (n icmpName, found bool, ambiguous string) {
	for _, row := range names {
		for _, name := range [...]string{row.name, row.alias} {
			switch {
			case name == "" || !hasPrefixFold(name, s):
			case found:
				return n, true, name
			default:
				n, found = row, true
				n.name = name
			}
		}
	}
	return n, found, ""
}

// hasPrefixFold reports whether s begins with prefix, in any case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// isAnyCode reports whether the code does not matter.
func (m *ICMP) isAnyCode() bool { return m.CodeFrom == 0 && m.CodeTo == 255 }

// isAny reports whether the type stands for every type, as only ICMP's 255 does.
func (m *ICMP) isAny() bool { return m.Type == 255 && !m.V6 }

func (m *ICMP) Save(p *Printer) {
	p.Option(m.Not, m.Def().Options[0].Name)
	p.Byte(' ')
	if m.isAny() {
		p.Str("any") // whatever the code: so does 1.8.9 (--icmp-type 255/7)
		return
	}
	p.Uint(uint64(m.Type))
	if !m.isAnyCode() {
		p.Byte('/')
		p.Uint(uint64(m.CodeFrom))
	}
}

func (m *ICMP) List(p *Printer) {
	p.Byte(' ')
	if m.V6 {
		p.Str("ipv6-")
	}
	p.Str("icmp")
	if name := m.TypeName(); name != "" && !p.Numeric {
		p.Byte(' ')
		p.notMark(m.Not)
		p.Str(name)
		return
	}
	if m.Not {
		p.Str(" !")
	}
	p.Str("type ")
	p.Uint(uint64(m.Type))
	if !m.isAnyCode() {
		p.Str(" code ")
		p.Uint(uint64(m.CodeFrom))
	}
}

// notMark prints "!" if not.
func (p *Printer) notMark(not bool) {
	if not {
		p.Byte('!')
	}
}

// TypeName is the name of the type and code; "" if they have none.
func (m *ICMP) TypeName() string {
	for _, n := range m.names() {
		if n.typ == m.Type && n.from == m.CodeFrom && n.to == m.CodeTo {
			return n.name
		}
	}
	return ""
}

// xtICMPInv is IPT_ICMP_INV and IP6T_ICMP_INV.
const xtICMPInv = 1

// Info writes struct ipt_icmp or ip6t_icmp.
func (m *ICMP) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Type)
	w.U8(m.CodeFrom)
	w.U8(m.CodeTo)
	w.U8(flag[uint8](m.Not, xtICMPInv))
}

// Read reads struct ipt_icmp or ip6t_icmp. A range of codes has no words in iptables.
func (m *ICMP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Type, m.CodeFrom, m.CodeTo = r.U8(), r.U8(), r.U8()
	m.Not = r.U8()&xtICMPInv != 0
	if m.CodeFrom != m.CodeTo && !m.isAnyCode() {
		return nft.ErrMalformed
	}
	return nil
}

// icmpNative reads conditions on type and code of a rule for protocol 1.
func icmpNative(d *Decoder, def *Def, t *nft.Term) bool {
	return d.Rule.Proto.Is(1) && readICMPTerm(d, def, t)
}

// icmp6Native reads conditions on type and code of a rule for protocol 58.
func icmp6Native(d *Decoder, def *Def, t *nft.Term) bool {
	return d.Rule.Proto.Is(58) && readICMPTerm(d, def, t)
}

// readICMPTerm reads a comparison of the type, of the code after a comparison
// of the type, or of both at once. A code alone has no words in iptables (1.8.9
// takes it for any type), nor has an inverted code; an inverted type, which
// 1.8.9 prints without its "!", is read as it is.
func readICMPTerm(d *Decoder, def *Def, t *nft.Term) bool {
	l := &t.Load
	if t.Kind != nft.TermCompare || t.Op > nft.NFT_CMP_NEQ || l.Kind != nft.LoadPayload ||
		l.Base != nft.NFT_PAYLOAD_TRANSPORT_HEADER || l.Mask != nil || int(l.Len) != len(t.Value) {
		return false
	}
	not := t.Op == nft.NFT_CMP_NEQ
	switch {
	case l.Offset == 0 && l.Len <= 2 && l.Len > 0:
		m := def.New(d.Family).(*ICMP)
		if m.Type, m.Not = t.Value[0], not; m.isAny() { // the packet's type is 255, which iptables takes for any
			return false
		}
		if l.Len == 2 {
			m.CodeFrom, m.CodeTo = t.Value[1], t.Value[1]
		}
		d.Add(m)
		return true
	case l.Offset == 1 && l.Len == 1:
		m, ok := d.NativeMatch(def).(*ICMP)
		if !ok || !m.isAnyCode() || m.Not || not {
			return false
		}
		m.CodeFrom, m.CodeTo = t.Value[0], t.Value[0]
		return true
	}
	return false
}

// icmpHelp lists the names as iptables -p icmp --help does: codes below their type.
func icmpHelp(head string, names []icmpName) string {
	var b strings.Builder
	b.WriteString(head)
	for _, n := range names {
		if n.from == n.to {
			b.WriteString("   ")
		}
		b.WriteString(n.name)
		if n.alias != "" {
			b.WriteString(" (" + n.alias + ")")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Match compares type and code; a later fragment has none and does not match,
// even inverted.
func (m *ICMP) Match(p *packet.Packet) packet.Answer {
	proto := uint8(1)
	if m.V6 {
		proto = 58
	}
	switch {
	case p.Proto != proto || p.Fragment:
		return packet.No
	case m.isAny():
		return packet.Of(!m.Not)
	case !p.Has(packet.KnowICMP):
		return packet.Unknown
	}
	t := &p.Transport
	return packet.Of((t.Type == m.Type && t.Code >= m.CodeFrom && t.Code <= m.CodeTo) != m.Not)
}

// Space is what Match lets through.
func (m *ICMP) Space(rule.Family) space.Set {
	proto := uint8(1)
	if m.V6 {
		proto = 58
	}
	s := spanSpace(space.Proto, proto, proto, false).And(notAFragment())
	if m.isAny() {
		return s.And(everyOr(!m.Not))
	}
	typ := uint16(m.Type) << 8
	return s.And(spanSpace(space.ICMP, typ|uint16(m.CodeFrom), typ|uint16(m.CodeTo), m.Not))
}
