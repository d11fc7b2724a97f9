package ext

// TEE: iptables-extensions(8), "TEE".
// UAPI: linux/netfilter/xt_TEE.h, struct xt_tee_tginfo, revision 1.

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Tee sends a copy of the packet to another host of the network.
type Tee struct {
	Gateway netip.Addr
	Oif     string // interface to send it through, at most 15 bytes; "": the route's
}

var tee = Def{
	Name: "TEE", Kind: Target, Families: Both,
	Summary: "send a copy of the packet to another host",
	Options: []Option{
		{Name: "gateway", Value: "ADDRESS", Required: true, Help: "host of a network of ours that gets the copy"},
		{Name: "oif", Value: "NAME", Help: "interface through which the copy leaves"},
	},
	Revisions: []Revision{{Rev: 1, Size: 40}},
	New:       func(rule.Family) Ext { return &Tee{} },
}

func init() { register(&tee) }

const xtTeeOifLen = 16 // of the member, the closing zero included

func (t *Tee) Name() string { return "TEE" }
func (t *Tee) Def() *Def    { return &tee }

func (t *Tee) Set(a *Arg) (err error) {
	if a.Is("oif") {
		t.Oif = a.cut(xtTeeOifLen - 1)
		return nil
	}
	t.Gateway, err = a.host(a.Value)
	return err
}

func (t *Tee) Save(p *Printer) {
	p.Str(" --gateway ")
	p.Addr(t.Gateway)
	if t.Oif != "" {
		p.OptionStr(false, "oif", t.Oif)
	}
}

func (t *Tee) List(p *Printer) {
	p.Str(" TEE gw:")
	name := ""
	if !p.Numeric {
		name = p.Names.HostName(t.Gateway)
	}
	if name == "" {
		p.Addr(t.Gateway)
	}
	p.Str(name)
	if t.Oif != "" {
		p.Str(" oif=" + t.Oif)
	}
}

// Info writes struct xt_tee_tginfo, whose last member is the kernel's own.
func (t *Tee) Info(w nft.Info, _ uint8, _ rule.Family) {
	inetAddr(w, t.Gateway)
	w.String(t.Oif, xtTeeOifLen)
}

// Read reads struct xt_tee_tginfo.
func (t *Tee) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	t.Gateway, t.Oif = readInetAddr(r, f, false), r.String(xtTeeOifLen)
	if len(t.Oif) >= xtTeeOifLen {
		return nft.ErrMalformed
	}
	return nil
}
