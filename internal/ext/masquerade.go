package ext

// MASQUERADE: iptables-extensions(8), "MASQUERADE".
// UAPI: linux/netfilter/nf_nat.h, revision 0: struct
// nf_nat_ipv4_multi_range_compat for IPv4, struct nf_nat_range for IPv6.

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Masquerade changes the source of a connection to the address of the
// interface through which it leaves.
type Masquerade struct{ NATRange }

var masquerade = Def{
	Name: "MASQUERADE", Kind: Target, Families: Both,
	Summary: "change the source to the interface's address",
	Options: []Option{
		{Name: "to-ports", Value: "PORT[-PORT]", Help: "the new source port, or a range to choose from"},
		{Name: "random", Help: "choose the port at random"},
		{Name: "random-fully", Help: "choose the port wholly at random"},
	},
	Revisions: []Revision{{Rev: 0, Size: 20, Families: V4}, {Rev: 0, Size: 40, Families: V6}},
	New:       func(rule.Family) Ext { return &Masquerade{} },
}

func init() { register(&masquerade) }

func (t *Masquerade) Name() string { return "MASQUERADE" }
func (t *Masquerade) Def() *Def    { return &masquerade }

// Set takes a base behind the ports too and loses it, as SNAT's does.
func (t *Masquerade) Set(a *Arg) error {
	if t.setFlag(a.Option.Name) {
		return nil
	}
	err := t.setPorts(a, a.Value)
	t.Base = 0
	return err
}

func (t *Masquerade) Save(p *Printer) { t.savePorts(p) }

func (t *Masquerade) List(p *Printer) {
	if t.HasPorts {
		p.Str(" masq ports: ")
		t.ports(p)
	}
	t.flags(p, " ")
}

// savePorts prints --to-ports and the flags.
func (n *NATRange) savePorts(p *Printer) {
	if n.HasPorts {
		p.Option(false, "to-ports")
		p.Byte(' ')
		n.ports(p)
	}
	n.flags(p, " --")
}

// Info writes the struct of the family.
func (t *Masquerade) Info(w nft.Info, _ uint8, f rule.Family) { t.infoOf(w, f) }

// Read reads the struct of the family.
func (t *Masquerade) Read(r *nft.InfoReader, _ uint8, f rule.Family) error { return t.readOf(r, f) }

// infoOf writes a range in the only layout of MASQUERADE and REDIRECT for a family.
func (n *NATRange) infoOf(w nft.Info, f rule.Family) {
	if f == rule.IPv6 {
		n.infoRange(w, false)
		return
	}
	n.infoMulti(w)
}

// readOf reads what infoOf writes.
func (n *NATRange) readOf(r *nft.InfoReader, f rule.Family) error {
	if f == rule.IPv6 {
		return n.readRange(r, f, false)
	}
	return n.readMulti(r)
}

// Mutate changes the source to the address that the host says the outgoing
// interface has. An IPv4 packet that has no source yet keeps it.
func (t *Masquerade) Mutate(p *packet.Packet) {
	if p.Family != rule.IPv6 && p.Src.IsUnspecified() {
		return
	}
	t.translateTo(p, true, interfaceAddress(p, p.Out, p.Dst))
}

// interfaceAddress asks the host for an interface's address; not valid: not told.
func interfaceAddress(p *packet.Packet, dev string, peer netip.Addr) netip.Addr {
	if p.Host == nil || dev == "" {
		return netip.Addr{}
	}
	a, known := p.Host.InterfaceAddress(dev, p.Family, peer)
	if !known {
		return netip.Addr{}
	}
	return a
}

// Translates says that it is the source's side.
func (t *Masquerade) Translates(rule.Hook) (source, destination bool) { return true, false }

// Fate of the packet is to go on its way in this hook.
func (t *Masquerade) Fate() Fate { return Accepts }
