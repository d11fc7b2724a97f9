package ext

// NETMAP: iptables-extensions(8), "NETMAP".
// UAPI: linux/netfilter/nf_nat.h, revision 0: struct
// nf_nat_ipv4_multi_range_compat for IPv4, struct nf_nat_range for IPv6.

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// NetMap gives the connection's source or destination another network's
// address and keeps its host part. Net has no bits outside its length.
type NetMap struct {
	Net netip.Prefix
}

var netmap = Def{
	Name: "NETMAP", Kind: Target, Families: Both,
	Summary: "map a network onto another",
	Options: []Option{
		{Name: "to", Value: "ADDRESS[/MASK]", Required: true, Help: "the network to map to"},
	},
	Revisions: []Revision{{Rev: 0, Size: 20, Families: V4}, {Rev: 0, Size: 40, Families: V6}},
	New:       func(rule.Family) Ext { return &NetMap{} },
}

func init() { register(&netmap) }

func (t *NetMap) Name() string { return "NETMAP" }
func (t *NetMap) Def() *Def    { return &netmap }

// Set takes a mask with holes as no mask, as 1.8.9 does.
func (t *NetMap) Set(a *Arg) error {
	m, err := a.addrMask()
	if err != nil {
		return err
	}
	bits := m.IP.BitLen()
	if m.Mask.IsValid() {
		bits = maskLen(m.Mask)
	}
	t.Net = netip.PrefixFrom(m.IP, bits).Masked()
	return nil
}

func (t *NetMap) Save(p *Printer) {
	p.Option(false, "to")
	p.Byte(' ')
	p.prefix(t.Net.Addr(), t.Net.Bits())
}

// prefix prints ADDRESS/LENGTH.
func (p *Printer) prefix(a netip.Addr, bits int) {
	p.Addr(a)
	p.Byte('/')
	p.Uint(uint64(bits))
}

func (t *NetMap) List(p *Printer) {
	p.Str(" to:")
	p.prefix(t.Net.Addr(), t.Net.Bits())
}

// Info writes a range from the network's first address to its last.
func (t *NetMap) Info(w nft.Info, _ uint8, f rule.Family) {
	n := NATRange{Addr: AddrRange{t.Net.Addr(), rule.LastAddr(t.Net)}}
	n.infoOf(w, f)
}

// Read reads a range. One that is no network has no iptables form.
func (t *NetMap) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	var n NATRange
	if err := n.readOf(r, f); err != nil {
		return err
	}
	if n != (NATRange{Addr: n.Addr}) || !n.Addr.From.IsValid() || !n.Addr.To.IsValid() {
		return nft.ErrMalformed
	}
	from, to := n.Addr.From.AsSlice(), n.Addr.To.AsSlice()
	for i := range from {
		from[i] ^= ^to[i] // the mask
	}
	mask, _ := netip.AddrFromSlice(from)
	t.Net = netip.PrefixFrom(n.Addr.From, maskLen(mask))
	if !t.Net.IsValid() || t.Net != t.Net.Masked() || rule.LastAddr(t.Net) != n.Addr.To {
		return nft.ErrMalformed
	}
	return nil
}

// Fate of the packet is to go on its way in this hook.
func (t *NetMap) Fate() Fate { return Accepts }

// Mutate gives the address of the hook's side the other network's bits.
func (t *NetMap) Mutate(p *packet.Packet) {
	source, _ := natSide(p.Hook)
	var n NATRange
	n.translateTo(p, source, t.mapped(*natEndOf(p, source).addr))
}

// mapped is an address in the network; not valid if a is not, or is of another family.
func (t *NetMap) mapped(a netip.Addr) netip.Addr {
	if a.BitLen() != t.Net.Addr().BitLen() {
		return netip.Addr{}
	}
	b, net, last := a.AsSlice(), t.Net.Addr().AsSlice(), rule.LastAddr(t.Net).AsSlice()
	for i := range b {
		host := net[i] ^ last[i]
		b[i] = net[i] | b[i]&host
	}
	to, _ := netip.AddrFromSlice(b)
	return to
}

// Translates says which side it is by the hook.
func (t *NetMap) Translates(h rule.Hook) (source, destination bool) { return natSide(h) }
