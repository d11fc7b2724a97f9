package ext

// DNAT: iptables-extensions(8), "DNAT".
// UAPI: linux/netfilter/nf_nat.h: revision 0 (IPv4) struct
// nf_nat_ipv4_multi_range_compat, 1 struct nf_nat_range, 2 struct nf_nat_range2.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// DNAT changes the destination of a connection.
type DNAT struct{ NATRange }

var dnat = Def{
	Name: "DNAT", Kind: Target, Families: Both,
	Summary: "change the destination of a connection",
	Options: []Option{
		{
			Name: "to-destination", Value: "[ADDRESS[-ADDRESS]][:PORT[-PORT[/PORT]]]", Required: true,
			Help: "the new destination; the last port is the base from which ports are shifted",
		},
		{Name: "random", Help: "choose the port at random"},
		{Name: "persistent", Help: "give a client the same address for each connection"},
	},
	Revisions: []Revision{
		{Rev: 0, Size: 20, Families: V4},
		{Rev: 1, Size: 40, Families: V6}, {Rev: 1, Size: 40, Families: V4, ReadOnly: true},
		{Rev: 2, Size: 44},
	},
	New: func(rule.Family) Ext { return &DNAT{} },
}

func init() { register(&dnat) }

func (t *DNAT) Name() string { return "DNAT" }
func (t *DNAT) Def() *Def    { return &dnat }

func (t *DNAT) Set(a *Arg) error {
	if t.setFlag(a.Option.Name) {
		return nil
	}
	return t.setAddrPorts(a)
}

func (t *DNAT) Save(p *Printer) {
	p.Option(false, "to-destination")
	p.Byte(' ')
	t.text(p)
	t.flags(p, " --")
}

func (t *DNAT) List(p *Printer) {
	p.Str(" to:")
	t.text(p)
	t.flags(p, " ")
}

// Info writes the struct of the revision.
func (t *DNAT) Info(w nft.Info, rev uint8, _ rule.Family) { t.info(w, rev) }

// Read reads the struct of the revision. Revision 2 may hold a flag that is SNAT's.
func (t *DNAT) Read(r *nft.InfoReader, rev uint8, f rule.Family) error { return t.read(r, rev, f) }

// info writes a range in the layout of DNAT's and SNAT's revision rev.
func (n *NATRange) info(w nft.Info, rev uint8) {
	if rev == 0 {
		n.infoMulti(w)
		return
	}
	n.infoRange(w, rev == 2)
}

// read reads a range in the layout of DNAT's and SNAT's revision rev.
func (n *NATRange) read(r *nft.InfoReader, rev uint8, f rule.Family) error {
	if rev == 0 {
		return n.readMulti(r)
	}
	return n.readRange(r, f, rev == 2)
}

// Mutate changes the destination.
func (t *DNAT) Mutate(p *packet.Packet) { t.translate(p, false) }

// Translates says that it is the destination's side.
func (t *DNAT) Translates(rule.Hook) (source, destination bool) { return false, true }

// Fate of the packet is to go on its way in this hook.
func (t *DNAT) Fate() Fate { return Accepts }
