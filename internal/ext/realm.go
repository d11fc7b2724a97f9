package ext

// realm: iptables-extensions(8), "realm (IPv4-specific)".
// UAPI: linux/netfilter/xt_realm.h, struct xt_realm_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Realm matches the routing realm: realm AND Mask equals ID.
type Realm struct {
	ID, Mask uint32
	Not      bool
}

var realm = Def{
	Name: "realm", Kind: Match, Families: V4,
	Summary: "routing realm",
	Options: []Option{
		{Name: "realm", Value: "VALUE[/MASK]", Not: true, Required: true, Help: "the realm, ANDed with MASK, is VALUE; or a name of /etc/iproute2/rt_realms"},
	},
	Revisions: []Revision{{Rev: 0, Size: 12}},
	New:       func(rule.Family) Ext { return &Realm{Mask: 1<<32 - 1} },
}

func init() { register(&realm) }

func (m *Realm) Name() string { return "realm" }
func (m *Realm) Def() *Def    { return &realm }

func (m *Realm) Set(a *Arg) error {
	m.Not = a.Not
	id, rest, ok := leadingUint(a.Value, 1<<32-1)
	if !ok || rest != "" && rest[0] != '/' {
		if m.ID, ok = a.Names.Realm(a.Value); !ok {
			return a.Errorf("%q is neither a number (0-%d) nor a name of /etc/iproute2/rt_realms", a.Value, uint32(1<<32-1))
		}
		return nil
	}
	m.ID = uint32(id)
	if mask, has := strings.CutPrefix(rest, "/"); has {
		n, err := a.UintOf(mask, 0, 1<<32-1)
		m.Mask = uint32(n)
		return err
	}
	return nil
}

func (m *Realm) Save(p *Printer) {
	p.Option(m.Not, "realm")
	p.Byte(' ')
	m.print(p, false)
}

func (m *Realm) List(p *Printer) {
	p.notBefore(m.Not)
	p.Str(" realm ")
	m.print(p, p.Numeric)
}

// print prints the realm by its name, where it has one and no mask, also in the save format.
func (m *Realm) print(p *Printer, numeric bool) {
	if m.Mask == 1<<32-1 && !numeric {
		if name := p.Names.RealmName(m.ID); name != "" {
			p.Str(name)
			return
		}
	}
	p.valueMask(m.ID, m.Mask)
}

// Info writes struct xt_realm_info.
func (m *Realm) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.ID)
	w.Host32(m.Mask)
	w.Bool(m.Not)
}

// Read reads struct xt_realm_info.
func (m *Realm) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.ID, m.Mask, m.Not = r.Host32(), r.Host32(), r.Bool()
	return nil
}

// Match decides for a packet whose realm was told.
func (m *Realm) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowRealm) {
		return packet.Unknown
	}
	return packet.Of(p.RouteRealm&m.Mask == m.ID).Invert(m.Not)
}
