package ext

// iprange: iptables-extensions(8), "iprange".
// UAPI: linux/netfilter/xt_iprange.h, struct xt_iprange_mtinfo, revision 1.

import (
	"net/netip"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// IPRange matches source and destination within ranges of addresses.
type IPRange struct {
	Src, Dst       AddrRange
	NotSrc, NotDst bool
}

// AddrRange is a run of addresses, both included; the zero AddrRange is none.
type AddrRange struct{ From, To netip.Addr }

// IsZero reports whether the range was not given.
func (r AddrRange) IsZero() bool { return !r.From.IsValid() }

var iprange = Def{
	Name: "iprange", Kind: Match, Families: Both,
	Summary: "ranges of addresses",
	Options: []Option{
		{Name: "src-range", Value: "FROM[-TO]", Not: true, Help: "source within the range, both ends included"},
		{Name: "dst-range", Value: "FROM[-TO]", Not: true, Help: "destination within the range, both ends included"},
	},
	AnyOf:     []string{"src-range", "dst-range"},
	Revisions: []Revision{{Rev: 1, Size: 68}},
	New:       func(rule.Family) Ext { return &IPRange{} },
}

func init() { register(&iprange) }

func (m *IPRange) Name() string { return "iprange" }
func (m *IPRange) Def() *Def    { return &iprange }

func (m *IPRange) Set(a *Arg) (err error) {
	if a.Is("src-range") {
		m.NotSrc = a.Not
		m.Src, err = a.addrRange()
		return err
	}
	m.NotDst = a.Not
	m.Dst, err = a.addrRange()
	return err
}

// addrRange reads FROM or FROM-TO. A range that ends before it begins is taken, with a warning.
func (a *Arg) addrRange() (r AddrRange, err error) {
	from, to, isRange := strings.Cut(a.Value, "-")
	if r.From, err = a.looseAddrOf(from); err != nil {
		return r, err
	}
	if r.To = r.From; !isRange {
		return r, nil
	}
	if r.To, err = a.looseAddrOf(to); err == nil && r.To.Less(r.From) {
		a.Warnf("xt_iprange: range %s-%s is reversed and will never match", r.From, r.To)
	}
	return r, err
}

func (m *IPRange) Save(p *Printer) {
	if !m.Src.IsZero() {
		p.Option(m.NotSrc, "src-range")
		p.Byte(' ')
		p.addrRange(m.Src)
	}
	if !m.Dst.IsZero() {
		p.Option(m.NotDst, "dst-range")
		p.Byte(' ')
		p.addrRange(m.Dst)
	}
}

func (p *Printer) addrRange(r AddrRange) {
	p.Addr(r.From)
	p.Byte('-')
	p.Addr(r.To)
}

func (m *IPRange) List(p *Printer) {
	m.list(p, " source IP range ", m.NotSrc, m.Src)
	m.list(p, " destination IP range ", m.NotDst, m.Dst)
}

func (m *IPRange) list(p *Printer, words string, not bool, r AddrRange) {
	if r.IsZero() {
		return
	}
	p.Str(words)
	if not {
		p.Str("! ")
	}
	p.addrRange(r)
}

// Flags of struct xt_iprange_mtinfo: IPRANGE_*.
const (
	ipRangeSrc    = 1
	ipRangeDst    = 2
	ipRangeNotSrc = 16
	ipRangeNotDst = 32
)

// Info writes struct xt_iprange_mtinfo.
func (m *IPRange) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, a := range [...]netip.Addr{m.Src.From, m.Src.To, m.Dst.From, m.Dst.To} {
		inetAddr(w, a)
	}
	w.U8(flag[uint8](!m.Src.IsZero(), ipRangeSrc) | flag[uint8](!m.Dst.IsZero(), ipRangeDst) |
		flag[uint8](m.NotSrc, ipRangeNotSrc) | flag[uint8](m.NotDst, ipRangeNotDst))
}

// Read reads struct xt_iprange_mtinfo.
func (m *IPRange) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	m.Src = AddrRange{readInetAddr(r, f, false), readInetAddr(r, f, false)}
	m.Dst = AddrRange{readInetAddr(r, f, false), readInetAddr(r, f, false)}
	flags := r.U8()
	if flags&^(ipRangeSrc|ipRangeDst|ipRangeNotSrc|ipRangeNotDst) != 0 || flags&(ipRangeSrc|ipRangeDst) == 0 {
		return nft.ErrMalformed
	}
	if flags&ipRangeSrc == 0 {
		m.Src = AddrRange{}
	}
	if flags&ipRangeDst == 0 {
		m.Dst = AddrRange{}
	}
	m.NotSrc = flags&ipRangeNotSrc != 0 && flags&ipRangeSrc != 0
	m.NotDst = flags&ipRangeNotDst != 0 && flags&ipRangeDst != 0
	return nil
}

// Match compares both addresses with their ranges.
func (m *IPRange) Match(p *packet.Packet) packet.Answer {
	return m.Src.match(p.Src, m.NotSrc).And(m.Dst.match(p.Dst, m.NotDst))
}

// match answers the condition on one address, which is met if none was given. A
// range that ends before it begins holds no address.
func (r *AddrRange) match(a netip.Addr, not bool) packet.Answer {
	switch {
	case r.IsZero():
		return packet.Yes
	case r.To.Less(r.From):
		return packet.Of(not)
	case !a.IsValid():
		return packet.Unknown
	}
	return packet.Of((a.Compare(r.From) >= 0 && a.Compare(r.To) <= 0) != not)
}

// Space is what Match lets through.
func (m *IPRange) Space(rule.Family) space.Set {
	return m.Src.space(space.Src, m.NotSrc).And(m.Dst.space(space.Dst, m.NotDst))
}

func (r *AddrRange) space(d space.Dim, not bool) space.Set {
	switch {
	case r.IsZero():
		return space.All()
	case r.To.Less(r.From):
		return everyOr(not)
	}
	return withinNot(d, space.Addrs(r.From, r.To), not)
}
