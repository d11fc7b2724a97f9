package ext

// REDIRECT: iptables-extensions(8), "REDIRECT".
// UAPI: linux/netfilter/nf_nat.h, revision 0: struct
// nf_nat_ipv4_multi_range_compat for IPv4, struct nf_nat_range for IPv6.

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Redirect changes the destination of a connection to this host.
type Redirect struct{ NATRange }

var redirect = Def{
	Name: "REDIRECT", Kind: Target, Families: Both,
	Summary: "change the destination to this host",
	Options: []Option{
		{Name: "to-ports", Value: "PORT[-PORT]", Help: "the new destination port, or a range to choose from"},
		{Name: "random", Help: "choose the port at random"},
	},
	Revisions: []Revision{{Rev: 0, Size: 20, Families: V4}, {Rev: 0, Size: 40, Families: V6}},
	New:       func(rule.Family) Ext { return &Redirect{} },
}

func init() { register(&redirect) }

func (t *Redirect) Name() string { return "REDIRECT" }
func (t *Redirect) Def() *Def    { return &redirect }

func (t *Redirect) Set(a *Arg) error {
	if t.setFlag(a.Option.Name) {
		return nil
	}
	err := t.setPorts(a, a.Value)
	if err == nil && t.HasBase {
		return a.Errorf("%q: ports cannot be shifted from a base here", a.Value)
	}
	return err
}

func (t *Redirect) Save(p *Printer) { t.savePorts(p) }

func (t *Redirect) List(p *Printer) {
	if t.HasPorts {
		p.Str(" redir ports ")
		t.ports(p)
	}
	t.flags(p, " ")
}

// Info writes the struct of the family.
func (t *Redirect) Info(w nft.Info, _ uint8, f rule.Family) { t.infoOf(w, f) }

// Read reads the struct of the family.
func (t *Redirect) Read(r *nft.InfoReader, _ uint8, f rule.Family) error { return t.readOf(r, f) }

// Mutate changes the destination to the loopback address for packets of this
// host, and to that of the incoming interface, as the host says, for others.
func (t *Redirect) Mutate(p *packet.Packet) {
	switch {
	case p.Hook != rule.Output && p.Dst.IsValid() && p.Dst.Is6() && !p.Dst.IsGlobalUnicast():
		t.translateTo(p, false, netip.Addr{}) // to an address of the destination's scope
	case p.Hook != rule.Output:
		t.translateTo(p, false, interfaceAddress(p, p.In, netip.Addr{}))
	case p.Family == rule.IPv6:
		t.translateTo(p, false, netip.IPv6Loopback())
	default:
		t.translateTo(p, false, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
}

// Translates says that it is the destination's side.
func (t *Redirect) Translates(rule.Hook) (source, destination bool) { return false, true }

// Fate of the packet is to go on its way in this hook.
func (t *Redirect) Fate() Fate { return Accepts }
