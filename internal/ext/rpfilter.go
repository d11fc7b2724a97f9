package ext

// rpfilter: iptables-extensions(8), "rpfilter".
// UAPI: linux/netfilter/xt_rpfilter.h, struct xt_rpfilter_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// RPFilter matches packets whose answer would leave by the interface they came in by.
type RPFilter struct {
	Loose       bool // by any interface
	ValidMark   bool // look the route up with the packet's mark
	AcceptLocal bool // a source that is this host's own will do
	Invert      bool
}

// The flags: XT_RPFILTER_* of the header.
const (
	xtRPFilterLoose       = 1 << 0
	xtRPFilterValidMark   = 1 << 1
	xtRPFilterAcceptLocal = 1 << 2
	xtRPFilterInvert      = 1 << 3
)

var rpFilter = Def{
	Name: "rpfilter", Kind: Match, Families: Both,
	Summary: "reverse path: the answer would leave where the packet came in",
	Options: []Option{
		{Name: "loose", Help: "the answer may leave by any interface"},
		{Name: "validmark", Help: "use the packet's mark when looking up the route"},
		{Name: "accept-local", Help: "do not refuse a source address of this host"},
		{Name: "invert", Help: "match packets that fail the test"},
	},
	Revisions: []Revision{{Rev: 0, Size: 1}},
	New:       func(rule.Family) Ext { return &RPFilter{} },
}

func init() { register(&rpFilter) }

func (m *RPFilter) Name() string { return "rpfilter" }
func (m *RPFilter) Def() *Def    { return &rpFilter }

func (m *RPFilter) Set(a *Arg) error {
	switch a.Option.Name {
	case "loose":
		m.Loose = true
	case "validmark":
		m.ValidMark = true
	case "accept-local":
		m.AcceptLocal = true
	case "invert":
		m.Invert = true
	}
	return nil
}

func (m *RPFilter) Save(p *Printer) { m.print(p, " --") }

func (m *RPFilter) List(p *Printer) {
	p.Str(" rpfilter")
	m.print(p, " ")
}

func (m *RPFilter) print(p *Printer, before string) {
	for _, o := range [...]struct {
		on   bool
		name string
	}{{m.Loose, "loose"}, {m.ValidMark, "validmark"}, {m.AcceptLocal, "accept-local"}, {m.Invert, "invert"}} {
		if o.on {
			p.Str(before)
			p.Str(o.name)
		}
	}
}

// Info writes struct xt_rpfilter_info.
func (m *RPFilter) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(flag[uint8](m.Loose, xtRPFilterLoose) | flag[uint8](m.ValidMark, xtRPFilterValidMark) |
		flag[uint8](m.AcceptLocal, xtRPFilterAcceptLocal) | flag[uint8](m.Invert, xtRPFilterInvert))
}

// Read reads struct xt_rpfilter_info.
func (m *RPFilter) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	flags := r.U8()
	m.Loose, m.ValidMark = flags&xtRPFilterLoose != 0, flags&xtRPFilterValidMark != 0
	m.AcceptLocal, m.Invert = flags&xtRPFilterAcceptLocal != 0, flags&xtRPFilterInvert != 0
	if flags>>4 != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// Match decides where the host's routes were told. Packets of the loopback
// interface always pass the test; a route that depends on the mark is not known.
func (m *RPFilter) Match(p *packet.Packet) packet.Answer {
	if p.In == "lo" {
		return packet.Of(!m.Invert)
	}
	if p.Host == nil || p.HiddenIn || !p.Src.IsValid() || m.ValidMark && (!p.Has(packet.KnowMark) || p.Mark != 0) {
		return packet.Unknown
	}
	t, known := p.Host.AddressType(p.Src, "")
	switch {
	case !known:
		return packet.Unknown
	case t == packet.AddressLocal && m.AcceptLocal && !m.Loose && p.Src.Is4(): // IPv4: an address of that interface
		if t, known = p.Host.AddressType(p.Src, p.In); !known {
			return packet.Unknown
		}
		return packet.Of(t == packet.AddressLocal).Invert(m.Invert)
	case t == packet.AddressLocal:
		return packet.Of(m.AcceptLocal).Invert(m.Invert)
	}
	ok, known := p.Host.ReversePath(p.Src, p.In, m.Loose)
	if !known {
		return packet.Unknown
	}
	return packet.Of(ok).Invert(m.Invert)
}
