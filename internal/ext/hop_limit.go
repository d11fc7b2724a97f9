package ext

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// HopLimit matches IPv4's time to live or IPv6's hop limit: matches ttl and hl,
// whose structs are alike.
type HopLimit struct {
	Mode  uint8 // an index of hopLimitModes
	Value uint8
	V6    bool // it is match hl
}

// hopLimitModes are enum IPT_TTL_* and IP6T_HL_*: how it is listed and which
// options say so.
var hopLimitModes = [...]struct {
	sign    string
	ttl, hl string // the options
	not     bool
}{
	{sign: " == ", ttl: "ttl-eq", hl: "hl-eq"},
	{sign: " != ", ttl: "ttl-eq", hl: "hl-eq", not: true},
	{sign: " < ", ttl: "ttl-lt", hl: "hl-lt"},
	{sign: " > ", ttl: "ttl-gt", hl: "hl-gt"},
}

// The modes by index.
const (
	hopsEqual = iota
	hopsNotEqual
	hopsLess
	hopsGreater
)

func (m *HopLimit) Name() string { return m.Def().Name }

func (m *HopLimit) Def() *Def {
	if m.V6 {
		return &hl
	}
	return &ttl
}

func (m *HopLimit) Set(a *Arg) error {
	n, err := a.Uint(0, 255)
	m.Value = uint8(n)
	for i, mode := range hopLimitModes {
		if (a.Is(mode.ttl) || a.Is(mode.hl)) && mode.not == a.Not {
			m.Mode = uint8(i)
		}
	}
	return err
}

func (m *HopLimit) Save(p *Printer) {
	mode := hopLimitModes[m.Mode]
	name := mode.ttl
	if m.V6 {
		name = mode.hl
	}
	p.OptionUint(mode.not, name, uint64(m.Value))
}

func (m *HopLimit) List(p *Printer) {
	if m.V6 {
		p.Str(" HL match HL")
	} else {
		p.Str(" TTL match TTL")
	}
	p.Str(hopLimitModes[m.Mode].sign)
	p.Uint(uint64(m.Value))
}

// Info writes struct ipt_ttl_info or ip6t_hl_info.
func (m *HopLimit) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Mode)
	w.U8(m.Value)
}

// Read reads struct ipt_ttl_info or ip6t_hl_info.
func (m *HopLimit) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Mode, m.Value = r.U8(), r.U8()
	if int(m.Mode) >= len(hopLimitModes) {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares the field.
func (m *HopLimit) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowTTL) {
		return packet.Unknown
	}
	switch m.Mode {
	case hopsLess:
		return packet.Of(p.TTL < m.Value)
	case hopsGreater:
		return packet.Of(p.TTL > m.Value)
	}
	return packet.Of((p.TTL == m.Value) == (m.Mode == hopsEqual))
}

// hopLimitNative reads a comparison of the field, as nft writes it.
func hopLimitNative(d *Decoder, def *Def, t *nft.Term) bool {
	offset := uint32(8)
	if def == &hl {
		offset = 7
	}
	if t.Kind != nft.TermCompare || len(t.Value) != 1 || t.Load.Mask != nil ||
		!t.Load.IsPayload(nft.NFT_PAYLOAD_NETWORK_HEADER, offset, 1) {
		return false
	}
	m := &HopLimit{Value: t.Value[0], V6: def == &hl}
	switch {
	case t.Op == nft.NFT_CMP_EQ:
		m.Mode = hopsEqual
	case t.Op == nft.NFT_CMP_NEQ:
		m.Mode = hopsNotEqual
	case t.Op == nft.NFT_CMP_LT:
		m.Mode = hopsLess
	case t.Op == nft.NFT_CMP_GT:
		m.Mode = hopsGreater
	case t.Op == nft.NFT_CMP_LTE && m.Value < 255:
		m.Mode = hopsLess
		m.Value++
	case t.Op == nft.NFT_CMP_GTE && m.Value > 0:
		m.Mode = hopsGreater
		m.Value--
	default:
		return false
	}
	d.Add(m)
	return true
}

// Space is what Match lets through.
func (m *HopLimit) Space(rule.Family) space.Set {
	p := packet.Packet{Known: packet.KnowTTL}
	return within(space.TTL, space.Bytes(space.TTL, func(x uint8) bool {
		p.TTL = x
		return m.Match(&p) == packet.Yes
	}))
}
