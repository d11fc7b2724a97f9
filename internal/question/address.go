package question

import (
	"net/netip"
	"strings"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
)

// addresses reads source and destination with their ports, in one of the forms
// "A -> B", "A to B" and "from A to B".
func (p *parser) addresses() (err error) {
	p.isNext("from")
	src, ok := p.next()
	if !ok || src.isArrow() {
		return src.errorf("the source is missing, as in: tcp 203.0.113.7 -> 198.51.100.2:22")
	}
	if p.r.Src, p.r.SrcPort, err = p.side(src); err != nil {
		return err
	}
	t, ok := p.next()
	switch {
	case ok && (t.isArrow() || t.text == "to"):
	case ok && t.text == "-":
		return t.errorf("a shell takes > for itself: put quotation marks around the packet, or write \"to\" in place of ->")
	default:
		return t.errorf("behind the source come -> (or \"to\") and the destination")
	}
	dst, ok := p.next()
	if !ok {
		return dst.errorf("the destination is missing behind %q", t.text)
	}
	p.r.Dst, p.r.DstPort, err = p.side(dst)
	return err
}

// side reads ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT.
func (p *parser) side(t token) ([]Addrs, Spans, error) {
	host, ports, hasPorts, err := cutPorts(t)
	if err != nil {
		return nil, nil, err
	}
	addrs, err := p.hosts(t, host)
	if err != nil || !hasPorts {
		return addrs, nil, err
	}
	spans, err := p.portList(t, ports)
	return addrs, spans, err
}

// cutPorts cuts the ports off an address.
func cutPorts(t token) (host, ports string, has bool, err error) {
	if rest, bracket := strings.CutPrefix(t.text, "["); bracket {
		host, rest, closed := strings.Cut(rest, "]")
		ports, has := strings.CutPrefix(rest, ":")
		if !closed || rest != "" && !has {
			return "", "", false, t.errorf("an address in brackets is written [2001:db8::7] or [2001:db8::7]:50000")
		}
		return host, ports, has, nil
	}
	if strings.Count(t.text, ":") == 1 {
		host, ports, _ := strings.Cut(t.text, ":")
		return host, ports, true, nil
	}
	return t.text, "", false, nil
}

// hosts reads an address; in a range also "any" and lists of prefixes and of
// runs from one address to another.
func (p *parser) hosts(t token, s string) (list []Addrs, err error) {
	if s == "any" {
		p.any = true
		return nil, p.noAny(t)
	}
	for part := range strings.SplitSeq(s, ",") {
		a, ok := parseAddrs(part)
		if !ok {
			return nil, t.errorf("%q is no address; one is written 198.51.100.2 or 2001:db8::2, with a port 198.51.100.2:22 or [2001:db8::2]:22", part)
		}
		if err := p.family(t, a.From); err != nil {
			return nil, err
		}
		if p.single && a.From != a.To {
			err = p.noList(t, 2)
		}
		list = append(list, a)
	}
	if err == nil {
		err = p.noList(t, len(list))
	}
	return list, err
}

// parseAddrs reads ADDRESS, ADDRESS/LENGTH or ADDRESS-ADDRESS.
func parseAddrs(s string) (r Addrs, ok bool) {
	if from, to, isRun := strings.Cut(s, "-"); isRun {
		a, err := netip.ParseAddr(from)
		b, err2 := netip.ParseAddr(to)
		ok = err == nil && err2 == nil && a.BitLen() == b.BitLen() && !b.Less(a) && a.Zone() == "" && b.Zone() == ""
		return Addrs{a, b}, ok
	}
	if strings.Contains(s, "/") {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			return r, false
		}
		n = n.Masked()
		return Addrs{n.Addr(), rule.LastAddr(n)}, true
	}
	a, err := netip.ParseAddr(s)
	return Addrs{a, a}, err == nil && a.Zone() == ""
}

// family holds all addresses to one family.
func (p *parser) family(t token, a netip.Addr) error {
	f := rule.IPv4
	if a.Is6() {
		f = rule.IPv6
	}
	if p.r.Family != 0 && p.r.Family != f {
		return t.errorf("the other address is of %s: both must be of one family", p.r.Family.Name())
	}
	if want := p.options.Family; want != 0 && want != f {
		return t.errorf("is an address of %s, and %s was asked for", f.Name(), want.Name())
	}
	p.r.Family = f
	return nil
}

// portList reads a port; in a range also "any" and lists of ports and of runs
// FROM-TO. A service's name may have dashes itself.
func (p *parser) portList(t token, s string) (list Spans, err error) {
	if p.r.Proto == nil { // any protocol: then any that has ports
		for n := range uint32(256) {
			if packet.HasPorts(uint8(n)) {
				p.r.Proto = append(p.r.Proto, Span{n, n})
			}
		}
	}
	for _, n := range p.r.Proto {
		if !packet.HasPorts(uint8(n.From)) {
			return nil, t.errorf("%s has no ports: leave :%s out", protocolName(uint8(n.From), p.r.Family), s)
		}
	}
	if s == "any" {
		p.any = true
		return nil, p.noAny(t)
	}
	for part := range strings.SplitSeq(s, ",") {
		span, ok := p.portSpan(part)
		if !ok {
			return nil, t.errorf("%q is neither a port (0 to 65535) nor a service of /etc/services%s", part, p.orRange())
		}
		if p.single && span.From != span.To {
			return nil, p.noList(t, 2)
		}
		list = append(list, span)
	}
	return list, p.noList(t, len(list))
}

func (p *parser) orRange() string {
	if p.single {
		return ""
	}
	return ", nor a range FROM-TO of them"
}

// portSpan reads PORT or FROM-TO.
func (p *parser) portSpan(s string) (Span, bool) {
	if n, ok := p.port(s); ok {
		return Span{n, n}, true
	}
	for i := range len(s) {
		if s[i] != '-' {
			continue
		}
		from, ok := p.port(s[:i])
		to, ok2 := p.port(s[i+1:])
		if ok && ok2 && from <= to {
			return Span{from, to}, true
		}
	}
	return Span{}, false
}

// port reads a number, or a service's name for the protocol.
func (p *parser) port(s string) (uint32, bool) {
	if n, ok := number(s, 65535); ok {
		return n, true
	}
	proto := ""
	if n, one := p.r.Proto.one(); one {
		proto = netdb.BuiltinProtocolName(uint8(n))
	}
	n, ok := p.options.Names.Service(s, proto)
	return uint32(n), ok && s != ""
}

// number reads a whole number up to max, in decimal, 0x hexadecimal or 0 octal
// as everywhere in iptables.
func number(s string, max uint64) (uint32, bool) {
	if strings.TrimLeft(s, " \t+") != s {
		return 0, false
	}
	n, ok := ext.ParseUint(s)
	return uint32(n), ok && n <= max
}
