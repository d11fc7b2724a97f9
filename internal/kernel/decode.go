package kernel

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// decodeRule reads a rule of the kernel. What iptables cannot express sets
// Foreign: the rule's other fields then say only part of it.
func decodeRule(f rule.Family, v *nft.RuleView) (*rule.Rule, error) {
	r := &rule.Rule{}
	return r, newDecoder(f).read(v, r)
}

// newDecoder makes a decoder for many rules.
func newDecoder(f rule.Family) *decoder {
	d := &decoder{Decoder: ext.Decoder{Family: f}}
	d.src, d.dst = addressOffsets(f)
	d.take = func(t *nft.Term) bool {
		d.Rule.Foreign = !d.term(t)
		return !d.Rule.Foreign
	}
	return d
}

// read is decodeRule into r, of which it keeps the memory for matches.
func (d *decoder) read(v *nft.RuleView, r *rule.Rule) error {
	*r = rule.Rule{Handle: v.Handle, Matches: r.Matches[:0]}
	d.Begin(r)
	if err := d.terms.Terms(v.Expressions, d.take); err != nil {
		return err
	}
	if text := userComment(v.Userdata); text != "" {
		r.Matches = append(r.Matches, &ext.Comment{Text: text})
	}
	return nil
}

// udataComment is the type of nft's comment in the userdata of a rule, which is
// a list of type (1 byte), length (1 byte) and value (nft add rule … comment,
// read back with nft --debug=netlink).
const udataComment = 0

// userComment is the comment that nft gave a rule; "" if there is none.
func userComment(data []byte) string {
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		value := data[2 : 2+int(data[1])]
		if data[0] == udataComment {
			text, _, _ := strings.Cut(string(value), "\x00")
			return text
		}
		data = data[2+len(value):]
	}
	return ""
}

// decoder reads rules, one after the other.
type decoder struct {
	ext.Decoder
	src, dst uint32 // offsets of the addresses in the network header
	terms    nft.TermReader
	take     func(*nft.Term) bool
}

// term reads one condition or action; false if iptables has no word for it.
func (d *decoder) term(t *nft.Term) bool {
	r := d.Rule
	if t.Kind == nft.TermCounter {
		r.Counters = rule.Counters{Packets: t.Packets, Bytes: t.Bytes}
		return true
	}
	if r.Target != nil {
		return false // iptables has one target, and it comes last
	}
	switch t.Kind {
	case nft.TermVerdict:
		return d.verdict(t)
	case nft.TermMatch, nft.TermTarget:
		d.XT(t)
		return true
	case nft.TermCompare:
		if d.header(t) {
			return true
		}
	}
	return d.Native(t)
}

func (d *decoder) verdict(t *nft.Term) bool {
	switch t.Verdict {
	case nft.NFT_JUMP, nft.NFT_GOTO:
		d.Rule.Target = rule.Jump{Chain: string(t.Name), Goto: t.Verdict == nft.NFT_GOTO}
		return true
	}
	for v, code := range verdictCodes {
		if code == t.Verdict {
			d.Rule.Target = rule.Verdict(v)
			return true
		}
	}
	return false
}

// header reads a condition on interfaces, protocol, addresses or fragments.
func (d *decoder) header(t *nft.Term) bool {
	if t.Op > nft.NFT_CMP_NEQ || t.Load.Xor != nil || t.Load.Swap {
		return false
	}
	not := t.Op == nft.NFT_CMP_NEQ
	switch t.Load.Kind {
	case nft.LoadMeta:
		return d.meta(t, not)
	case nft.LoadPayload:
		return t.Load.Base == nft.NFT_PAYLOAD_NETWORK_HEADER && d.network(t, not)
	}
	return false
}

func (d *decoder) meta(t *nft.Term, not bool) bool {
	r := d.Rule
	if t.Load.Mask != nil {
		return false
	}
	switch t.Load.Key {
	case nft.NFT_META_IIFNAME:
		return setInterface(&r.In, namedInterface(t.Value, not))
	case nft.NFT_META_OIFNAME:
		return setInterface(&r.Out, namedInterface(t.Value, not))
	case nft.NFT_META_IIF:
		return setInterface(&r.In, rule.Interface{Name: interfaceByIndex(t.Value), Not: not})
	case nft.NFT_META_OIF:
		return setInterface(&r.Out, rule.Interface{Name: interfaceByIndex(t.Value), Not: not})
	case nft.NFT_META_L4PROTO:
		return d.protocol(t.Value, not)
	}
	return false
}

// setInterface takes a condition on an interface. A second one on the same has
// no iptables form.
func setInterface(to *rule.Interface, i rule.Interface) bool {
	if to.Name != "" && *to != i {
		return false
	}
	*to = i
	return true
}

// protocol takes a condition on the protocol. Two that contradict each other
// have no iptables form, and neither has protocol 0, which says "any" there.
func (d *decoder) protocol(value []byte, not bool) bool {
	if len(value) != 1 || value[0] == 0 {
		return false
	}
	p := rule.Protocol{Number: uint16(value[0]), Not: not}
	if old := d.Rule.Proto; !old.IsAny() && old != p {
		return false
	}
	d.Rule.Proto = p
	return true
}

// namedInterface reads a comparison with a name.
func namedInterface(value []byte, not bool) rule.Interface {
	if string(value) == noInterface && !not {
		return rule.Interface{Name: "+", Not: true}
	}
	return rule.Interface{Name: interfaceName(value), Not: not}
}

// interfaceName reads a compared name: without a closing zero it is a beginning.
func interfaceName(value []byte) string {
	for i, c := range value {
		if c == 0 {
			return string(value[:i])
		}
	}
	return string(value) + "+"
}

// interfaceByIndex names an interface that a rule gives by index; an index
// without an interface is shown as a number.
func interfaceByIndex(value []byte) string {
	if len(value) != 4 {
		return "?"
	}
	index := int(binary.NativeEndian.Uint32(value))
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

// Offsets of the protocol in struct iphdr and struct ipv6hdr.
const (
	ipProtocolOffset = 9
	ip6NextHdrOffset = 6
)

func (d *decoder) network(t *nft.Term, not bool) bool {
	r, l := d.Rule, &t.Load
	switch {
	case l.Offset == d.src:
		return d.address(&r.Src, t, not)
	case l.Offset == d.dst:
		return d.address(&r.Dst, t, not)
	case l.Len == 1 && l.Mask == nil &&
		(d.Family == rule.IPv4 && l.Offset == ipProtocolOffset || d.Family == rule.IPv6 && l.Offset == ip6NextHdrOffset):
		return d.protocol(t.Value, not)
	case d.Family == rule.IPv4 && l.Offset == fragmentOffset && l.Len == 2:
		return d.fragment(t, not)
	}
	return false
}

func (d *decoder) fragment(t *nft.Term, not bool) bool {
	if string(t.Load.Mask) != string(fragmentMask[:]) || string(t.Value) != "\x00\x00" {
		return false
	}
	d.Rule.Fragment = rule.NotAFragment
	if not {
		d.Rule.Fragment = rule.OnlyFragments
	}
	return true
}

// address reads a comparison of an address or of its first bytes. A second
// condition on the same address has no iptables form.
func (d *decoder) address(a *rule.Address, t *nft.Term, not bool) bool {
	n := d.Family.AddrLen()
	if int(t.Load.Len) > n || len(t.Value) != int(t.Load.Len) || !a.IsAny() {
		return false
	}
	var ip, mask [16]byte
	copy(ip[:], t.Value)
	for i := range len(t.Value) {
		mask[i] = 0xff
	}
	if m := t.Load.Mask; m != nil {
		copy(mask[:n], m)
	}
	*a = rule.Address{IP: toAddr(ip, n), Mask: toAddr(mask, n), Not: not}
	return true
}

func toAddr(b [16]byte, n int) netip.Addr {
	if n == 4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}
