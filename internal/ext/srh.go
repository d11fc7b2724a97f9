package ext

// srh: iptables-extensions(8), "srh (IPv6-specific)".
// UAPI: linux/netfilter_ipv6/ip6t_srh.h, struct ip6t_srh, revision 0, without
// the segments, and ip6t_srh1, revision 1.

import (
	"encoding/binary"
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// SRH matches the IPv6 segment routing header.
type SRH struct {
	Given, Not uint16 // bit n is srhParts[n], and above them the segments
	Numbers    [4]uint8
	Tag        uint16
	Segments   [3]AddrMask // previous, next and last
}

// The last conditions of IP6T_SRH_*: the tag and the three segments.
const (
	srhTag     = 1 << 10
	srhSegment = 1 << 11
	srhAll     = 1<<14 - 1
)

// srhPart is a condition on one byte of the header.
type srhPart struct {
	name   string
	number int // index in SRH.Numbers
	op     byte
}

// srhParts are the conditions on bytes in the order of their bits IP6T_SRH_*.
// Those of one byte share their number, as in the kernel's struct.
var srhParts = [...]srhPart{
	{"next-hdr", 0, '='},
	{"hdr-len-eq", 1, '='}, {"hdr-len-gt", 1, '>'}, {"hdr-len-lt", 1, '<'},
	{"segs-left-eq", 2, '='}, {"segs-left-gt", 2, '>'}, {"segs-left-lt", 2, '<'},
	{"last-entry-eq", 3, '='}, {"last-entry-gt", 3, '>'}, {"last-entry-lt", 3, '<'},
}

// srhSegments are the names of the segments.
var srhSegments = [...]string{"psid", "nsid", "lsid"}

var srh = Def{
	Name: "srh", Kind: Match, Families: V6,
	Summary: "IPv6 segment routing header",
	Options: []Option{
		{Name: "srh-next-hdr", Value: "NUMBER", Not: true, Help: "next header (0-255)"},
		{Name: "srh-hdr-len-eq", Value: "LENGTH", Not: true, Help: "header extension length is LENGTH (0-255)"},
		{Name: "srh-hdr-len-gt", Value: "LENGTH", Not: true, Help: "header extension length is greater than LENGTH"},
		{Name: "srh-hdr-len-lt", Value: "LENGTH", Not: true, Help: "header extension length is less than LENGTH"},
		{Name: "srh-segs-left-eq", Value: "NUMBER", Not: true, Help: "segments left are NUMBER (0-255)"},
		{Name: "srh-segs-left-gt", Value: "NUMBER", Not: true, Help: "segments left are more than NUMBER"},
		{Name: "srh-segs-left-lt", Value: "NUMBER", Not: true, Help: "segments left are fewer than NUMBER"},
		{Name: "srh-last-entry-eq", Value: "NUMBER", Not: true, Help: "last entry is NUMBER (0-255)"},
		{Name: "srh-last-entry-gt", Value: "NUMBER", Not: true, Help: "last entry is greater than NUMBER"},
		{Name: "srh-last-entry-lt", Value: "NUMBER", Not: true, Help: "last entry is less than NUMBER"},
		{Name: "srh-tag", Value: "TAG", Not: true, Help: "tag (0-65535)"},
		{Name: "srh-psid", Value: "ADDRESS[/MASK]", Not: true, Help: "previous segment"},
		{Name: "srh-nsid", Value: "ADDRESS[/MASK]", Not: true, Help: "next segment"},
		{Name: "srh-lsid", Value: "ADDRESS[/MASK]", Not: true, Help: "last segment"},
	},
	Revisions: []Revision{{Rev: 0, Size: 10}, {Rev: 1, Size: 108}},
	New:       func(rule.Family) Ext { return &SRH{} },
}

func init() { register(&srh) }

func (m *SRH) Name() string { return "srh" }
func (m *SRH) Def() *Def    { return &srh }

func (m *SRH) Set(a *Arg) (err error) {
	name := a.Option.Name[len("srh-"):]
	bit := uint16(srhTag)
	var n uint64
	for i, part := range srhParts {
		if part.name == name {
			bit = 1 << i
			n, err = a.Uint(0, 255)
			m.Numbers[part.number] = uint8(n)
		}
	}
	for i, segment := range srhSegments {
		if segment == name {
			bit = srhSegment << i
			m.Segments[i], err = a.addrMask()
		}
	}
	if bit == srhTag {
		n, err = a.Uint(0, 65535)
		m.Tag = uint16(n)
	}
	m.Given |= bit
	m.Not |= flag(a.Not, bit)
	return err
}

func (m *SRH) Save(p *Printer) {
	for i, part := range srhParts {
		if bit := uint16(1) << i; m.Given&bit != 0 {
			p.OptionUint(m.Not&bit != 0, "srh-"+part.name, uint64(m.Numbers[part.number]))
		}
	}
	if m.Given&srhTag != 0 {
		p.OptionUint(m.Not&srhTag != 0, "srh-tag", uint64(m.Tag))
	}
	for i, name := range srhSegments {
		if bit := uint16(srhSegment) << i; m.Given&bit != 0 {
			p.Option(m.Not&bit != 0, "srh-"+name)
			p.Byte(' ')
			p.segment(m.Segments[i])
		}
	}
}

// segment prints an address with its prefix length, also that of a single address.
func (p *Printer) segment(a AddrMask) {
	p.Addr(a.IP)
	p.Byte('/')
	if !a.Mask.IsValid() {
		p.Str("128")
	} else if n := maskLen(a.Mask); n >= 0 {
		p.Uint(uint64(n))
	} else {
		p.Addr(a.Mask)
	}
}

func (m *SRH) List(p *Printer) {
	p.Str(" srh")
	for i, part := range srhParts {
		if bit := uint16(1) << i; m.Given&bit != 0 {
			p.Byte(' ')
			p.Str(part.name)
			p.Byte(':')
			p.notMark(m.Not&bit != 0)
			p.Uint(uint64(m.Numbers[part.number]))
		}
	}
	if m.Given&srhTag != 0 {
		p.Str(" tag:")
		p.notMark(m.Not&srhTag != 0)
		p.Uint(uint64(m.Tag))
	}
	for i, name := range srhSegments {
		if bit := uint16(srhSegment) << i; m.Given&bit != 0 {
			p.Byte(' ')
			p.Str(name)
			p.Byte(' ')
			p.notMark(m.Not&bit != 0)
			p.Byte(' ')
			p.segment(m.Segments[i])
		}
	}
}

// Info writes struct ip6t_srh, which has no place for the segments, or ip6t_srh1.
func (m *SRH) Info(w nft.Info, rev uint8, _ rule.Family) {
	for _, n := range m.Numbers {
		w.U8(n)
	}
	w.Host16(m.Tag)
	if rev == 0 {
		w.Host16(m.Given & (srhSegment - 1))
		w.Host16(m.Not & (srhSegment - 1))
		return
	}
	w.Align(4)
	for _, a := range m.Segments {
		inetAddr(w, a.IP)
	}
	for i, a := range m.Segments {
		if m.Given&(srhSegment<<i) != 0 && !a.Mask.IsValid() {
			a.Mask = prefixMask(128, rule.IPv6)
		}
		inetAddr(w, a.Mask)
	}
	w.Host16(m.Given)
	w.Host16(m.Not)
}

// Read reads struct ip6t_srh or ip6t_srh1.
func (m *SRH) Read(r *nft.InfoReader, rev uint8, f rule.Family) error {
	m.Numbers = [4]uint8{r.U8(), r.U8(), r.U8(), r.U8()}
	m.Tag = r.Host16()
	if rev > 0 {
		r.Align(4)
		for i := range m.Segments {
			m.Segments[i].IP = readInetAddr(r, f, false)
		}
		for i := range m.Segments {
			m.Segments[i].Mask = readInetAddr(r, f, true)
		}
	}
	m.Given, m.Not = r.Host16(), r.Host16()
	if m.Given&^srhAll != 0 || m.Not&^m.Given != 0 || rev == 0 && m.Given >= srhSegment {
		return nft.ErrMalformed
	}
	m.settle()
	return nil
}

// settle forgets what stands in fields that no condition uses.
func (m *SRH) settle() {
	for i := range m.Segments {
		if m.Given&(srhSegment<<i) == 0 {
			m.Segments[i] = AddrMask{}
		}
	}
	clearUnless(&m.Tag, m.Given&srhTag)
	var used [len(m.Numbers)]bool
	for i, part := range srhParts {
		used[part.number] = used[part.number] || m.Given&(1<<i) != 0
	}
	for i := range used {
		if !used[i] {
			m.Numbers[i] = 0
		}
	}
}

// Equal takes a full mask of a segment for none.
func (m *SRH) Equal(other Ext) bool {
	o, ok := other.(*SRH)
	if !ok {
		return false
	}
	a, b := *m, *o
	for i := range a.Segments {
		a.Segments[i], b.Segments[i] = a.Segments[i].normal(), b.Segments[i].normal()
	}
	return a == b
}

// headerTypeSRH is the type of routing header that is for segment routing, RFC 8754.
const headerTypeSRH = 4

// Match looks at the segment routing header. A packet without one meets
// nothing, not even inverted conditions.
func (m *SRH) Match(p *packet.Packet) packet.Answer {
	h, there := extensionHeader(p, headerRouting)
	if there != packet.Yes {
		return there
	}
	if len(h.Data) < 8 {
		return packet.Unknown
	}
	if h.Data[2] != headerTypeSRH {
		return packet.No
	}
	values := [...]uint8{h.Data[0], h.Data[1], h.Data[3], h.Data[4]}
	for i, part := range srhParts {
		v, n := values[part.number], m.Numbers[part.number]
		is := part.op == '=' && v == n || part.op == '>' && v > n || part.op == '<' && v < n
		if bit := uint16(1) << i; m.Given&bit != 0 && is == (m.Not&bit != 0) {
			return packet.No
		}
	}
	if m.Given&srhTag != 0 && (binary.BigEndian.Uint16(h.Data[6:]) == m.Tag) == (m.Not&srhTag != 0) {
		return packet.No
	}
	return m.matchSegments(h.Data)
}

// matchSegments compares the segments; the list's first is the last of the way.
// A previous or next segment that is not there meets nothing.
func (m *SRH) matchSegments(data []byte) packet.Answer {
	left, last := int(data[3]), int(data[4])
	for i, at := range [...]int{left + 1, left - 1, 0} {
		bit := uint16(srhSegment) << i
		switch {
		case m.Given&bit == 0:
			continue
		case at < 0 || at > last:
			return packet.No
		case len(data) < 8+16*(at+1):
			return packet.Unknown
		}
		ip, _ := netip.AddrFromSlice(data[8+16*at : 8+16*(at+1)])
		if m.Segments[i].covers(ip) == (m.Not&bit != 0) {
			return packet.No
		}
	}
	return packet.Yes
}

// covers reports whether an address is the condition's one under its mask.
func (a AddrMask) covers(ip netip.Addr) bool {
	if !a.Mask.IsValid() {
		return ip == a.IP
	}
	x, y, mask := ip.AsSlice(), a.IP.AsSlice(), a.Mask.AsSlice()
	if len(x) != len(y) || len(x) != len(mask) {
		return false
	}
	for i := range x {
		if (x[i]^y[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}
