package ext

// mac: iptables-extensions(8), "mac".
// UAPI: linux/netfilter/xt_mac.h, struct xt_mac_info, revision 0.

import (
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// MAC matches the Ethernet address of the sender.
type MAC struct {
	Addr [6]byte
	Not  bool
}

var mac = Def{
	Name: "mac", Kind: Match, Families: Both,
	Summary: "the sender's Ethernet address",
	Options: []Option{
		{Name: "mac-source", Value: "XX:XX:XX:XX:XX:XX", Not: true, Required: true, Help: "the sender's Ethernet address"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &MAC{} },
}

func init() { register(&mac) }

func (m *MAC) Name() string { return "mac" }
func (m *MAC) Def() *Def    { return &mac }

func (m *MAC) Set(a *Arg) (err error) {
	m.Not = a.Not
	m.Addr, err = a.mac()
	return err
}

// mac reads six hexadecimal numbers of at most two digits; as in 1.8.9, none at
// all between two colons is 0, and blanks may stand before the first.
func (a *Arg) mac() (m [6]byte, err error) {
	parts := strings.Split(a.Value, ":")
	if len(parts) != len(m) {
		return m, a.Bad("an Ethernet address such as 00:11:22:aa:bb:cc")
	}
	for i, part := range parts {
		part = strings.TrimLeft(part, " ")
		if part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 16, 8)
		if err != nil || len(part) > 2 {
			return m, a.Bad("an Ethernet address such as 00:11:22:aa:bb:cc")
		}
		m[i] = byte(n)
	}
	return m, nil
}

func (m *MAC) Save(p *Printer) {
	p.Option(m.Not, "mac-source")
	p.Byte(' ')
	p.mac(m.Addr)
}

// mac prints an Ethernet address.
func (p *Printer) mac(a [6]byte) {
	const digits = "0123456789abcdef"
	for i, b := range a {
		if i > 0 {
			p.Byte(':')
		}
		p.Byte(digits[b>>4])
		p.Byte(digits[b&15])
	}
}

func (m *MAC) List(p *Printer) {
	p.Str(" MAC ")
	if m.Not {
		p.Str("! ")
	}
	p.mac(m.Addr)
}

// Info writes struct xt_mac_info.
func (m *MAC) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Bytes(m.Addr[:])
	w.Host32(flag[uint32](m.Not, 1))
}

// Read reads struct xt_mac_info.
func (m *MAC) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	copy(m.Addr[:], r.Bytes(len(m.Addr)))
	m.Not = r.Host32() != 0
	return nil
}

// Match compares the sender's address. Packets of the loopback interface have
// none and do not match, even inverted.
func (m *MAC) Match(p *packet.Packet) packet.Answer {
	switch {
	case p.In == "lo":
		return packet.No
	case !p.Has(packet.KnowMAC):
		return packet.Unknown
	}
	return packet.Of((p.SrcMAC == m.Addr) != m.Not)
}
