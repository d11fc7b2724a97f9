package ext

// SNAT: iptables-extensions(8), "SNAT".
// UAPI: linux/netfilter/nf_nat.h: revision 0 (IPv4) struct
// nf_nat_ipv4_multi_range_compat, 1 struct nf_nat_range, 2 struct
// nf_nat_range2. iptables-nft 1.8.9 writes 0 for IPv4 and 1 for IPv6.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// SNAT changes the source of a connection.
type SNAT struct{ NATRange }

var snat = Def{
	Name: "SNAT", Kind: Target, Families: Both,
	Summary: "change the source of a connection",
	Options: []Option{
		{Name: "to-source", Value: "[ADDRESS[-ADDRESS]][:PORT[-PORT]]", Required: true, Help: "the new source"},
		{Name: "random", Help: "choose the port at random"},
		{Name: "random-fully", Help: "choose the port wholly at random"},
		{Name: "persistent", Help: "give a client the same address for each connection"},
	},
	Revisions: []Revision{
		{Rev: 0, Size: 20, Families: V4},
		{Rev: 1, Size: 40, Families: V6}, {Rev: 1, Size: 40, Families: V4, ReadOnly: true},
		{Rev: 2, Size: 44, ReadOnly: true},
	},
	New: func(rule.Family) Ext { return &SNAT{} },
}

func init() { register(&snat) }

func (t *SNAT) Name() string { return "SNAT" }
func (t *SNAT) Def() *Def    { return &snat }

// Set takes a base behind the ports too, as 1.8.9 does, which then loses it:
// the kernel's structs that it writes have no place for it.
func (t *SNAT) Set(a *Arg) error {
	if t.setFlag(a.Option.Name) {
		return nil
	}
	err := t.setAddrPorts(a)
	t.Base = 0
	return err
}

func (t *SNAT) Save(p *Printer) {
	p.Option(false, "to-source")
	p.Byte(' ')
	t.text(p)
	t.flags(p, " --")
}

func (t *SNAT) List(p *Printer) {
	p.Str(" to:")
	t.text(p)
	t.flags(p, " ")
}

// Info writes the struct of the revision.
func (t *SNAT) Info(w nft.Info, rev uint8, _ rule.Family) { t.info(w, rev) }

// Read reads the struct of the revision.
func (t *SNAT) Read(r *nft.InfoReader, rev uint8, f rule.Family) error { return t.read(r, rev, f) }

// Mutate changes the source.
func (t *SNAT) Mutate(p *packet.Packet) { t.translate(p, true) }

// Translates says that it is the source's side.
func (t *SNAT) Translates(rule.Hook) (source, destination bool) { return true, false }

// Fate of the packet is to go on its way in this hook.
func (t *SNAT) Fate() Fate { return Accepts }
