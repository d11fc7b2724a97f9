package ext

// ipv6header: iptables-extensions(8), "ipv6header".
// UAPI: linux/netfilter_ipv6/ip6t_ipv6header.h, struct ip6t_ipv6header_info, revision 0.

import (
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// IPv6Header matches which extension headers a packet has.
type IPv6Header struct {
	Headers uint8 // bits of ipv6Headers
	Not     bool
	Soft    bool // any of Headers, not exactly these
}

// ipv6Headers are MASK_* by name, in the order in which they are printed, with
// the number of the header.
var ipv6Headers = [...]struct {
	name, short string
	number      uint8
	bit         uint8
}{
	{"hop-by-hop", "hop", headerHop, 128}, {"ipv6-opts", "dst", headerDst, 64},
	{"ipv6-route", "route", headerRouting, 32}, {"ipv6-frag", "frag", headerFragment, 16},
	{"ah", "auth", headerAH, 8}, {"esp", "esp", headerESP, 4},
	{"ipv6-nonxt", "none", headerNone, 2}, {"protocol", "prot", 255, ipv6HeaderProto},
}

// ipv6HeaderProto is MASK_PROTO: any header of an upper layer.
const ipv6HeaderProto = 1

var ipv6header = Def{
	Name: "ipv6header", Kind: Match, Families: V6,
	Summary: "which extension headers the packet has",
	Options: []Option{
		{Name: "header", Value: "HEADER[,...]", Not: true, Required: true, Help: "hop, dst, route, frag, auth, esp, none or prot, by name or number: exactly these"},
		{Name: "soft", Help: "at least the headers of --header"},
	},
	Revisions: []Revision{{Rev: 0, Size: 3}},
	New:       func(rule.Family) Ext { return &IPv6Header{} },
	HelpText:  func(rule.Family) string { return ipv6HeaderHelp() },
}

func init() { register(&ipv6header) }

// ipv6HeaderHelp lists the names.
func ipv6HeaderHelp() string {
	var p Printer
	p.Str("Headers:\n")
	for _, h := range ipv6Headers {
		p.Str("                                ")
		p.Str(h.short)
		p.Str(", ")
		p.Str(h.name)
		p.Str(", ")
		p.Uint(uint64(h.number))
		p.Byte('\n')
	}
	return string(p.B)
}

func (m *IPv6Header) Name() string { return "ipv6header" }
func (m *IPv6Header) Def() *Def    { return &ipv6header }

func (m *IPv6Header) Set(a *Arg) error {
	if a.Is("soft") {
		m.Soft = true
		return nil
	}
	m.Not = a.Not
	for word := range strings.SplitSeq(a.Value, ",") {
		if word == "" { // 1.8.9 does not mind
			continue
		}
		bit := a.ipv6Header(word)
		if bit == 0 {
			return a.Errorf("%q is no header: hop, dst, route, frag, auth, esp, none, prot, or one of their numbers", word)
		}
		m.Headers |= bit
	}
	if m.Headers == 0 {
		return a.Bad("a comma list of headers")
	}
	return nil
}

// ipv6Header gives the bit of a header; 0 if there is no such header.
func (a *Arg) ipv6Header(word string) uint8 {
	if number, ok := a.Names.Protocol(word); ok {
		word = strconv.Itoa(int(number))
	}
	for _, h := range ipv6Headers {
		if word == h.name || word == h.short || word == strconv.Itoa(int(h.number)) {
			return h.bit
		}
	}
	return 0
}

func (m *IPv6Header) Save(p *Printer) {
	p.Option(m.Not, "header")
	p.Byte(' ')
	m.list(p)
	if m.Soft {
		p.Option(false, "soft")
	}
}

func (m *IPv6Header) List(p *Printer) {
	p.Str(" ipv6header flags:")
	p.notMark(m.Not)
	if p.Numeric {
		p.hexByte(m.Headers)
	} else {
		m.list(p)
	}
	if m.Soft {
		p.Str(" soft")
	}
}

// list prints the headers' names with commas.
func (m *IPv6Header) list(p *Printer) {
	comma := false
	for _, h := range ipv6Headers {
		if m.Headers&h.bit == 0 {
			continue
		}
		if comma {
			p.Byte(',')
		}
		p.Str(h.name)
		comma = true
	}
}

// Info writes struct ip6t_ipv6header_info, whose flags are all ones or none.
func (m *IPv6Header) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Headers)
	w.U8(flag[uint8](m.Not, 0xff))
	w.U8(flag[uint8](m.Soft, 0xff))
}

// Read reads struct ip6t_ipv6header_info.
func (m *IPv6Header) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Headers = r.U8()
	inv, soft := r.U8(), r.U8()
	m.Not, m.Soft = inv != 0, soft != 0
	if inv != 0 && inv != 0xff || soft != 0 && soft != 0xff {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares sets of headers. Soft, each of those asked for must be there,
// or inverted, each must be missing; otherwise these must be there and no others.
func (m *IPv6Header) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowExtensions) {
		return packet.Unknown
	}
	var has uint8
	for _, x := range p.Extensions {
		has |= ipv6HeaderBit(x.Proto)
	}
	last := p.Proto
	if n := len(p.Extensions) - 1; last == headerAH && n >= 0 { // what is behind it is no protocol of rules
		if len(p.Extensions[n].Data) == 0 {
			return packet.Unknown
		}
		last = p.Extensions[n].Data[0]
	}
	if bit := ipv6HeaderBit(last); bit != 0 {
		has |= bit
	} else {
		has |= ipv6HeaderProto
	}
	if m.Soft {
		return packet.Of((has^flag[uint8](m.Not, 0xff))&m.Headers == m.Headers)
	}
	return packet.Of((has == m.Headers) != m.Not)
}

// ipv6HeaderBit is the bit of a header's number; 0 for an upper layer's.
func ipv6HeaderBit(number uint8) uint8 {
	for _, h := range ipv6Headers[:len(ipv6Headers)-1] {
		if h.number == number {
			return h.bit
		}
	}
	return 0
}
