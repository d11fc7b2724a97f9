package ext

// pkttype: iptables-extensions(8), "pkttype".
// UAPI: linux/netfilter/xt_pkttype.h, struct xt_pkttype_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// PktType matches whom the link layer meant the packet for.
type PktType struct {
	Type packet.PacketType
	Not  bool
}

var pktType = Def{
	Name: "pkttype", Kind: Match, Families: Both,
	Summary: "link-layer packet type",
	Options: []Option{
		{Name: "pkt-type", Value: "TYPE", Not: true, Required: true, Help: "unicast (to us), broadcast, multicast or otherhost"},
	},
	Revisions: []Revision{{Rev: 0, Size: 8}},
	New:       func(rule.Family) Ext { return &PktType{} },
	Native:    pktTypeNative,
}

func init() { register(&pktType) }

// pktTypes are the names of the types; the first of a type is printed.
var pktTypes = [...]struct {
	name  string
	value packet.PacketType
}{
	{"unicast", packet.ToHost}, {"broadcast", packet.ToBroadcast}, {"multicast", packet.ToMulticast}, {"otherhost", packet.ToOther},
	{"host", packet.ToHost}, {"bcast", packet.ToBroadcast}, {"mcast", packet.ToMulticast},
}

func (m *PktType) Name() string { return "pkttype" }
func (m *PktType) Def() *Def    { return &pktType }

func (m *PktType) Set(a *Arg) error {
	m.Not = a.Not
	for _, t := range pktTypes {
		if strings.EqualFold(t.name, a.Value) {
			m.Type = t.value
			return nil
		}
	}
	return a.Bad("unicast, broadcast, multicast or otherhost")
}

func (m *PktType) Save(p *Printer) { p.OptionStr(m.Not, "pkt-type", pktTypes[m.Type].name) }

func (m *PktType) List(p *Printer) {
	p.Str(" PKTTYPE ")
	if m.Not {
		p.Byte('!')
	}
	p.Str("= ")
	p.Str(pktTypes[m.Type].name)
}

// Info writes struct xt_pkttype_info.
func (m *PktType) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(uint32(m.Type))
	w.Host32(flag[uint32](m.Not, 1))
}

// Read reads struct xt_pkttype_info.
func (m *PktType) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t := r.Host32()
	m.Not = r.Host32() != 0
	return m.take(t)
}

// take takes a number of linux/if_packet.h, PACKET_*, that iptables has a name for.
func (m *PktType) take(t uint32) error {
	if t > uint32(packet.ToOther) {
		return nft.ErrMalformed
	}
	m.Type = packet.PacketType(t)
	return nil
}

// pktTypeNative reads a comparison of the packet type.
func pktTypeNative(d *Decoder, _ *Def, t *nft.Term) bool {
	if t.Kind != nft.TermCompare || !t.Load.IsMeta(nft.NFT_META_PKTTYPE) || t.Load.Mask != nil || t.Op > nft.NFT_CMP_NEQ || len(t.Value) != 1 {
		return false
	}
	m := &PktType{Not: t.Op == nft.NFT_CMP_NEQ}
	if m.take(uint32(t.Value[0])) != nil {
		return false
	}
	d.Add(m)
	return true
}

// Match decides for a packet whose type was told.
func (m *PktType) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowPacketType) {
		return packet.Unknown
	}
	return packet.Of(p.PacketType == m.Type).Invert(m.Not)
}

// Space is what Match lets through.
func (m *PktType) Space(rule.Family) space.Set {
	return spanSpace(space.PktType, m.Type, m.Type, m.Not)
}
