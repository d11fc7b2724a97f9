package guard

import (
	"net/netip"
	"slices"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
)

// facts is the host, read only when a rule asks for more of it than that the
// server's address is its own.
type facts struct {
	here netip.Addr
	read *host.Facts // nil: not read, or not to be had
	done bool
	// filled are sets that rules change: what is in them now says nothing.
	filled []string
}

var _ packet.Host = (*facts)(nil)

// real gives the host's facts; false if they cannot be read, and every question
// is then not known.
func (f *facts) real() (*host.Facts, bool) {
	if !f.done {
		f.done = true
		if read, err := host.Read(); err == nil {
			f.read = read
		}
	}
	return f.read, f.read != nil
}

// AddressType implements packet.Host.
func (f *facts) AddressType(a netip.Addr, dev string) (packet.AddressType, bool) {
	if a == f.here && dev == "" {
		return packet.AddressLocal, true
	}
	if r, ok := f.real(); ok {
		return r.AddressType(a, dev)
	}
	return 0, false
}

// ReversePath implements packet.Host.
func (f *facts) ReversePath(src netip.Addr, dev string, loose bool) (ok, known bool) {
	if r, has := f.real(); has {
		return r.ReversePath(src, dev, loose)
	}
	return false, false
}

// InSet implements packet.Host.
func (f *facts) InSet(set string, dirs []string, p *packet.Packet) (in, known bool) {
	if r, ok := f.real(); ok && !slices.Contains(f.filled, set) {
		return r.InSet(set, dirs, p)
	}
	return false, false
}

// filledSets are the sets that rules put packets' addresses into, or take them out of.
func filledSets(rulesets ...*rule.Ruleset) (names []string) {
	eachRule(func(r *rule.Rule) {
		if s, ok := r.Target.(*ext.SetTarget); ok {
			names = append(names, s.Add.SetName, s.Del.SetName)
		}
	}, rulesets...)
	return names
}

// zonesNamed are the zones of connection tracking to which rules give packets;
// anyZone says that a packet's mark may name others.
func zonesNamed(rulesets ...*rule.Ruleset) (zones []uint16, anyZone bool) {
	eachRule(func(r *rule.Rule) {
		t, ok := r.Target.(*ext.CT)
		switch {
		case !ok:
		case t.ZoneMark:
			anyZone = true
		case t.Zone != 0 && !slices.Contains(zones, t.Zone):
			zones = append(zones, t.Zone)
		}
	}, rulesets...)
	return zones, anyZone
}

func eachRule(each func(*rule.Rule), rulesets ...*rule.Ruleset) {
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					each(r)
				}
			}
		}
	}
}

// InterfaceAddress implements packet.Host.
func (f *facts) InterfaceAddress(dev string, family rule.Family, peer netip.Addr) (netip.Addr, bool) {
	if r, ok := f.real(); ok {
		return r.InterfaceAddress(dev, family, peer)
	}
	return netip.Addr{}, false
}

// Route implements packet.Host.
func (f *facts) Route(p *packet.Packet) (packet.Route, bool) {
	if r, ok := f.real(); ok {
		return r.Route(p)
	}
	return packet.Route{}, false
}
