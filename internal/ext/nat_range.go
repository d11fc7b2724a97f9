package ext

// What DNAT, SNAT, MASQUERADE and REDIRECT have in common: the addresses and
// ports that a connection is given.
// UAPI: linux/netfilter/nf_nat.h.

import (
	"net/netip"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// NATRange is the addresses and ports that a translated connection may get.
type NATRange struct {
	Addr        AddrRange // not given: addresses stay, or the interface's is taken
	Ports       Range
	HasPorts    bool
	HasBase     bool   // ports are shifted: by their distance from Base
	Base        uint16 // only revision 2 of the kernel's structs holds it
	Random      bool
	RandomFully bool
	Persistent  bool
}

// Flags of nf_nat ranges: NF_NAT_RANGE_*.
const (
	natMapIPs      = 1 << 0
	natProto       = 1 << 1
	natRandom      = 1 << 2
	natPersistent  = 1 << 3
	natRandomFully = 1 << 4
	natOffset      = 1 << 5
	natKnown       = 1<<6 - 1
)

// setFlag takes an option without argument; false if it is none.
func (n *NATRange) setFlag(name string) bool {
	switch name {
	case "random":
		n.Random = true
	case "random-fully":
		n.RandomFully = true
	case "persistent":
		n.Persistent = true
	default:
		return false
	}
	return true
}

// setAddrPorts reads [ADDRESS[-ADDRESS]][:PORT[-PORT[/PORT]]]. IPv6 addresses
// before ports stand in brackets. What 1.8.9 lets pass by accident passes too:
// two bytes before the only colon count as no address, and so does anything
// between "]" and the colon.
func (n *NATRange) setAddrPorts(a *Arg) error {
	addr, ports, hasPorts := a.Value, "", false
	open := strings.IndexByte(a.Value, '[')
	switch {
	case open >= 0 && a.Family == rule.IPv6:
		rest := ""
		var closed bool
		if addr, rest, closed = strings.Cut(a.Value[open+1:], "]"); !closed {
			return a.Errorf("%q: the bracket is not closed", a.Value)
		}
		_, ports, hasPorts = strings.Cut(rest, ":")
	case open >= 0:
		return a.Errorf("%q: only IPv6 addresses stand in brackets", a.Value)
	case a.Family == rule.IPv4 || strings.Count(a.Value, ":") == 1:
		addr, ports, hasPorts = strings.Cut(a.Value, ":")
	}
	if hasPorts {
		if err := n.setPorts(a, ports); err != nil {
			return err
		}
		if before := len(a.Value) - len(ports) - 1; before == 0 || before == 2 {
			return nil
		}
	}
	return n.setAddr(a, addr)
}

// setAddr reads ADDRESS or ADDRESS-ADDRESS, in any order.
func (n *NATRange) setAddr(a *Arg, s string) (err error) {
	from, to, isRange := strings.Cut(s, "-")
	if n.Addr.From, err = a.addrOf(from); err != nil {
		return err
	}
	n.Addr.To = n.Addr.From
	if isRange {
		n.Addr.To, err = a.addrOf(to)
	}
	return err
}

// setPorts reads PORT, FROM-TO or FROM-TO/BASE. As in 1.8.9, the protocol must
// have been given before, though it may be inverted; only single ports and BASE
// may be names; and what follows BASE's digits is ignored.
func (n *NATRange) setPorts(a *Arg, s string) error {
	if !natProtocol(a.Rule.Proto.Number) {
		return a.Errorf("needs '-p tcp', '-p udp', '-p sctp', '-p dccp' or '-p icmp' before it to change ports")
	}
	n.HasPorts = true
	from, rest, ok := leadingUint(s, 65535)
	if !ok {
		port, err := a.namedPort(s)
		n.Ports = Range{port, port}
		return err
	}
	n.Ports = Range{uint16(from), uint16(from)}
	if rest == "" {
		return nil
	}
	after, isRange := strings.CutPrefix(rest, "-")
	if !isRange {
		return a.Errorf("%q: has %q behind its port; a range is written FROM-TO", s, rest)
	}
	to, rest, ok := leadingUint(after, 65535)
	switch {
	case !ok:
		return a.Errorf("%q: the range ends with a port from 0 to 65535, not %q", s, after)
	case to < from:
		return a.Errorf("%s: the range ends before it begins", s)
	}
	n.Ports.To = uint16(to)
	return n.setBase(a, rest)
}

// setBase reads /BASE or nothing.
func (n *NATRange) setBase(a *Arg, s string) error {
	base, has := strings.CutPrefix(s, "/")
	switch {
	case s == "":
		return nil
	case !has:
		return a.Errorf("has %q behind its range of ports", s)
	}
	n.HasBase = true
	if v, _, ok := leadingUint(base, 65535); ok && v != 0 {
		n.Base = uint16(v)
		return nil
	}
	var err error
	n.Base, err = a.namedPort(base)
	return err
}

// namedPort finds a service of any protocol.
func (a *Arg) namedPort(s string) (uint16, error) {
	if port, ok := a.Names.Service(s, ""); ok {
		return port, nil
	}
	return 0, a.Errorf("%q is neither a port (0-65535) nor a service of /etc/services", s)
}

// natProtocol reports whether NAT can change ports, or ICMP's identifiers, of a protocol.
func natProtocol(number uint16) bool {
	switch number {
	case 1, 6, 17, 33, 132:
		return true
	}
	return false
}

// text prints addresses and ports; brackets if IPv6 needs them.
func (n *NATRange) text(p *Printer) {
	if !n.Addr.IsZero() {
		brackets := n.HasPorts && n.Addr.From.Is6()
		if brackets {
			p.Byte('[')
		}
		p.Addr(n.Addr.From)
		if n.Addr.To != n.Addr.From {
			p.Byte('-')
			p.Addr(n.Addr.To)
		}
		if brackets {
			p.Byte(']')
		}
	}
	if n.HasPorts {
		p.Byte(':')
		n.ports(p)
	}
}

// ports prints PORT, FROM-TO or FROM-TO/BASE.
func (n *NATRange) ports(p *Printer) {
	p.Uint(uint64(n.Ports.From))
	if n.Ports.To != n.Ports.From {
		p.Byte('-')
		p.Uint(uint64(n.Ports.To))
	}
	if n.HasBase {
		p.Byte('/')
		p.Uint(uint64(n.Base))
	}
}

// flags prints the flags that are set, each with before in front of it.
func (n *NATRange) flags(p *Printer, before string) {
	for _, f := range [...]struct {
		on   bool
		name string
	}{{n.Random, "random"}, {n.RandomFully, "random-fully"}, {n.Persistent, "persistent"}} {
		if f.on {
			p.Str(before)
			p.Str(f.name)
		}
	}
}

// flagBits are the range's NF_NAT_RANGE_* flags.
func (n *NATRange) flagBits() uint32 {
	return flag[uint32](!n.Addr.IsZero(), natMapIPs) | flag[uint32](n.HasPorts, natProto) |
		flag[uint32](n.Random, natRandom) | flag[uint32](n.Persistent, natPersistent) |
		flag[uint32](n.RandomFully, natRandomFully) | flag[uint32](n.HasBase, natOffset)
}

// infoMulti writes struct nf_nat_ipv4_multi_range_compat, which always holds one range.
func (n *NATRange) infoMulti(w nft.Info) {
	w.Host32(1)
	w.Host32(n.flagBits())
	for _, a := range [...]netip.Addr{n.Addr.From, n.Addr.To} {
		at := w.Len()
		w.Bytes(a.AsSlice())
		w.PadTo(at + 4)
	}
	w.BE16(n.Ports.From)
	w.BE16(n.Ports.To)
}

// infoRange writes struct nf_nat_range, or nf_nat_range2, which has Base at its end.
func (n *NATRange) infoRange(w nft.Info, withBase bool) {
	w.Host32(n.flagBits())
	inetAddr(w, n.Addr.From)
	inetAddr(w, n.Addr.To)
	w.BE16(n.Ports.From)
	w.BE16(n.Ports.To)
	if withBase {
		w.BE16(n.Base)
	}
}

// readMulti reads struct nf_nat_ipv4_multi_range_compat.
func (n *NATRange) readMulti(r *nft.InfoReader) error {
	if r.Host32() != 1 {
		return nft.ErrMalformed
	}
	flags := r.Host32()
	from, _ := netip.AddrFromSlice(r.Bytes(4))
	to, _ := netip.AddrFromSlice(r.Bytes(4))
	n.Addr, n.Ports = AddrRange{from, to}, Range{r.BE16(), r.BE16()}
	return n.settle(flags)
}

// readRange reads struct nf_nat_range or nf_nat_range2.
func (n *NATRange) readRange(r *nft.InfoReader, f rule.Family, withBase bool) error {
	flags := r.Host32()
	n.Addr = AddrRange{readInetAddr(r, f, false), readInetAddr(r, f, false)}
	n.Ports = Range{r.BE16(), r.BE16()}
	if withBase {
		n.Base = r.BE16()
	}
	return n.settle(flags)
}

// settle takes the flags and forgets what they say is not used.
func (n *NATRange) settle(flags uint32) error {
	if flags&^natKnown != 0 || flags&natOffset != 0 && flags&natProto == 0 {
		return nft.ErrMalformed
	}
	if flags&natMapIPs == 0 {
		n.Addr = AddrRange{}
	}
	if n.HasPorts = flags&natProto != 0; !n.HasPorts {
		n.Ports = Range{}
	}
	if n.HasBase = flags&natOffset != 0; !n.HasBase {
		n.Base = 0
	}
	n.Random, n.RandomFully, n.Persistent = flags&natRandom != 0, flags&natRandomFully != 0, flags&natPersistent != 0
	return nil
}
