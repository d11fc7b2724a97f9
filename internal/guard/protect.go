package guard

import (
	"net/netip"
	"slices"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/rule"
	"moat/internal/session"
)

// maxSamples bounds the clients of one entry that are tried.
const maxSamples = 64

// parties are the clients of a protected network that are tried: its first and
// last address, and one on either side of each bound that a rule draws in it, up
// to maxSamples. Bounds of the rulesets given first go first; if there is room for
// all, the rules do to any other client what they do to one of these.
func (e *Protected) parties(rulesets ...*rule.Ruleset) (list []*party, err error) {
	last := rule.LastAddr(e.From)
	samples := []netip.Addr{e.From.Addr(), last}
	add := func(a netip.Addr) {
		if a.IsValid() && e.From.Contains(a) && len(samples) < maxSamples && !slices.Contains(samples, a) {
			samples = append(samples, a)
		}
	}
	for _, rs := range rulesets {
		eachBound(rs, func(first, end netip.Addr) {
			add(first)
			add(first.Prev())
			add(end)
			add(end.Next())
		})
	}
	way, known, err := host.WayTo(usable(e.From), netip.Addr{})
	if err != nil || !known || !way.Source.IsValid() {
		return nil, err // a network to which this host has no way cannot be cut off
	}
	for _, a := range samples {
		p, err := newParty(session.Session{
			Proto: e.Proto, Client: netip.AddrPortFrom(a, 0), Server: netip.AddrPortFrom(way.Source, e.Port),
		})
		if err != nil {
			return nil, err
		}
		p.entry = e
		list = append(list, p)
	}
	return list, nil
}

// rulesOf are the rules that a change names.
func rulesOf(s *change.Script) *rule.Ruleset {
	c := &rule.Chain{}
	for i := range s.Ops {
		if r := s.Ops[i].Rule; r != nil {
			c.Rules = append(c.Rules, r)
		}
	}
	return &rule.Ruleset{Family: s.Family, Tables: []*rule.Table{{Chains: []*rule.Chain{c}}}}
}

// usable is an address of a network that a host may have.
func usable(n netip.Prefix) netip.Addr {
	if a := n.Addr().Next(); n.Bits() < n.Addr().BitLen()-1 && n.Contains(a) {
		return a
	}
	return n.Addr()
}

// eachBound gives the networks and ranges of addresses that rules name.
func eachBound(rs *rule.Ruleset, each func(first, last netip.Addr)) {
	address := func(a rule.Address) {
		if n := a.PrefixLen(); !a.IsAny() && n >= 0 {
			each(a.IP, rule.LastAddr(netip.PrefixFrom(a.IP, n)))
		}
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				address(r.Src)
				address(r.Dst)
				for _, m := range r.Matches {
					if x, ok := m.(*ext.IPRange); ok {
						each(x.Src.From, x.Src.To)
						each(x.Dst.From, x.Dst.To)
					}
				}
			}
		}
	}
}
