package ext

// connlimit: iptables-extensions(8), "connlimit".
// UAPI: linux/netfilter/xt_connlimit.h, struct xt_connlimit_info, revision 1.
// Its pointer is the kernel's own.

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ConnLimit matches by how many connections a group of addresses has. What else
// goes on decides it, so a packet alone cannot.
type ConnLimit struct {
	Limit uint32
	UpTo  bool       // match up to Limit connections instead of more than Limit
	ByDst bool       // group by destination instead of source
	Mask  netip.Addr // of the group; any bits; the zero Addr is a full mask
}

var connlimit = Def{
	Name: "connlimit", Kind: Match, Families: Both,
	Summary: "number of connections of a client or a network",
	Options: []Option{
		{Name: "connlimit-upto", Value: "N", Not: true, Excludes: []string{"connlimit-above"}, Help: "N connections exist at most"},
		{Name: "connlimit-above", Value: "N", Not: true, Excludes: []string{"connlimit-upto"}, Help: "more than N connections exist"},
		{Name: "connlimit-mask", Value: "LENGTH", Help: "prefix length or mask that makes a group of hosts (default: each host)"},
		{Name: "connlimit-saddr", Excludes: []string{"connlimit-daddr"}, Help: "group by source (default)"},
		{Name: "connlimit-daddr", Excludes: []string{"connlimit-saddr"}, Help: "group by destination"},
	},
	AnyOf:     []string{"connlimit-above", "connlimit-upto"},
	Revisions: []Revision{{Rev: 1, Size: 32}},
	New:       func(rule.Family) Ext { return &ConnLimit{} },
}

func init() { register(&connlimit) }

func (m *ConnLimit) Name() string { return "connlimit" }
func (m *ConnLimit) Def() *Def    { return &connlimit }

func (m *ConnLimit) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "connlimit-upto", "connlimit-above":
		var n uint64
		n, err = a.Uint(0, 1<<32-1)
		m.Limit, m.UpTo = uint32(n), a.Is("connlimit-upto") != a.Not
	case "connlimit-mask":
		m.Mask, err = a.maskOf(a.Value)
		m.settle()
	case "connlimit-daddr":
		m.ByDst = true
	}
	return err
}

// settle gives the full mask its one form.
func (m *ConnLimit) settle() {
	if m.Mask.IsValid() && maskLen(m.Mask) == m.Mask.BitLen() {
		m.Mask = netip.Addr{}
	}
}

// maskBits counts the ones before the first zero, as 1.8.9 prints any mask.
func (m *ConnLimit) maskBits(f rule.Family) int {
	if !m.Mask.IsValid() {
		return 8 * f.AddrLen()
	}
	n := 0
	for _, b := range m.Mask.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			if b>>bit&1 == 0 {
				return n
			}
			n++
		}
	}
	return n
}

func (m *ConnLimit) Save(p *Printer) {
	name := "connlimit-above"
	if m.UpTo {
		name = "connlimit-upto"
	}
	p.OptionUint(false, name, uint64(m.Limit))
	p.OptionUint(false, "connlimit-mask", uint64(m.maskBits(p.Family)))
	if m.ByDst {
		p.Option(false, "connlimit-daddr")
	} else {
		p.Option(false, "connlimit-saddr")
	}
}

func (m *ConnLimit) List(p *Printer) {
	p.Str(" #conn ")
	if m.ByDst {
		p.Str("dst/")
	} else {
		p.Str("src/")
	}
	p.Uint(uint64(m.maskBits(p.Family)))
	if m.UpTo {
		p.Str(" <= ")
	} else {
		p.Str(" > ")
	}
	p.Uint(uint64(m.Limit))
}

// Flags of struct xt_connlimit_info: XT_CONNLIMIT_*.
const (
	xtConnLimitInvert = 1
	xtConnLimitDst    = 2
)

// Info writes struct xt_connlimit_info. A full mask fills its whole union.
func (m *ConnLimit) Info(w nft.Info, _ uint8, _ rule.Family) {
	if m.Mask.IsValid() {
		inetAddr(w, m.Mask)
	} else {
		w.Bytes([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	}
	w.Host32(m.Limit)
	w.Host32(flag[uint32](m.UpTo, xtConnLimitInvert) | flag[uint32](m.ByDst, xtConnLimitDst))
}

// Read reads struct xt_connlimit_info.
func (m *ConnLimit) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	m.Mask = readInetAddr(r, f, true)
	m.settle()
	m.Limit = r.Host32()
	flags := r.Host32()
	if flags&^(xtConnLimitInvert|xtConnLimitDst) != 0 {
		return nft.ErrMalformed
	}
	m.UpTo, m.ByDst = flags&xtConnLimitInvert != 0, flags&xtConnLimitDst != 0
	return nil
}
