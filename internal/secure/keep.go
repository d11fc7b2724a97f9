package secure

import (
	"slices"
	"sort"
	"strings"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// ownChain is the chain that a proposal makes.
const ownChain = "MOAT-INPUT"

// keeper decides which rules of INPUT stay. Whoever runs moat secure wants to
// know from its proposal what is open, so rules by which somebody once opened
// something are taken out, and shown. All others stay, since they open nothing
// and may be dear to somebody: rules that drop or reject, that lead to chains of
// other programs (or of the admin's own making, which nobody can tell from
// theirs), that count or mark, and what programs let the guests on their bridges
// do. Under ufw or firewalld everything stays, since INPUT is theirs.
type keeper struct {
	keepAll bool
	manager string // the program whose INPUT is; "" for none
	facts   *host.Facts
}

// managers are programs that take the whole chain INPUT for theirs, by the
// chains that they make.
var managers = [...]struct{ chain, program string }{
	{"ufw-before-input", "ufw"},
	{"ufw6-before-input", "ufw"},
	{"INPUT_ZONES", "firewalld"},
	{"nixos-fw", "the firewall of NixOS"},
	{"shorewall", "Shorewall"},
	{"net2fw", "Shorewall"},
}

// managerOf is the program that a filter table is looked after by; "" for none.
func managerOf(t *rule.Table) string {
	c := t.Chain("INPUT")
	if c == nil {
		return ""
	}
	for _, r := range c.Rules {
		for _, m := range managers {
			if jump, is := r.Target.(rule.Jump); is && jump.Chain == m.chain {
				return m.program
			}
		}
	}
	return ""
}

// stays reports whether a rule of INPUT stays where it is.
func (k *keeper) stays(r *rule.Rule) bool {
	if jump, is := r.Target.(rule.Jump); is {
		return jump.Chain != ownChain
	}
	switch {
	case k.keepAll, k.manager != "", r.Foreign, r.Target == nil:
		return true
	case !simulate.Changes(r):
		return false // it logs what it found wanting, which is another thing now
	case k.isForGuests(r), isHousekeepingRule(r):
		return true
	}
	return r.Target != rule.Accept && r.Target != rule.Return // which was to the policy, and that to ACCEPT
}

// isHousekeepingRule reports whether a rule lets nothing in that others begin:
// it is for the host's own programs, or for connections that are there.
func isHousekeepingRule(r *rule.Rule) bool {
	if r.In.Name == "lo" && !r.In.Not {
		return true
	}
	return slices.ContainsFunc(r.Matches, func(m rule.Match) bool {
		if m.Name() != "conntrack" && m.Name() != "state" {
			return false
		}
		only := rule.Rule{Matches: []rule.Match{m}}
		for _, state := range [...]packet.State{packet.New, packet.Invalid, packet.Untracked} {
			p := packet.Packet{Hook: rule.Input, Known: packet.KnowState, Connection: packet.Connection{State: state}}
			if simulate.Match(&only, &p) != packet.No {
				return false
			}
		}
		return true
	})
}

// guestBridges are how libvirt, LXC, LXD, Incus, Docker and Podman call the
// bridges of their guests.
var guestBridges = [...]string{"virbr", "lxcbr", "lxdbr", "incusbr", "docker", "br-", "podman", "cni"}

// isForGuests reports whether a rule is about packets from a bridge on which
// guests of this host are.
func (k *keeper) isForGuests(r *rule.Rule) bool {
	if r.In.Not || r.In.Name == "" {
		return false
	}
	if slices.ContainsFunc(guestBridges[:], func(b string) bool { return strings.HasPrefix(r.In.Name, b) }) {
		return true
	}
	if k.facts == nil {
		return false
	}
	i := k.facts.Interface(r.In.Name)
	return i != nil && i.Kind == "bridge"
}

// part parts the rules of INPUT into those that stay and those that are
// replaced. Rules that lead to our own chain are in neither.
func (k *keeper) part(c *rule.Chain) (stay, replaced []*rule.Rule) {
	if c == nil {
		return nil, nil
	}
	for _, r := range c.Rules {
		switch jump, isJump := r.Target.(rule.Jump); {
		case isJump && jump.Chain == ownChain:
		case k.stays(r):
			stay = append(stay, r)
		default:
			replaced = append(replaced, r)
		}
	}
	return stay, replaced
}

// place is how many of the rules that stay stand before the jump to our chain:
// all of them, so that who is shut out stays so, but for those that would let
// nothing through of what is to be let in, such as the DROP of everything at the
// end.
func place(in *Input, rs *rule.Ruleset, stay []*rule.Rule, services []Service) int {
	arriving := func(before int) (list []bool) {
		w := newWays(in, withInput(rs, stay[:before]))
		list = w.housekeeping()
		for i := range services {
			for _, from := range services[i].sources(rs.Family) {
				list = append(list, mayPass(w.arrive(&services[i], from)))
			}
		}
		return list
	}
	best := arriving(0) // what does not arrive even so is stopped by another table
	return sort.Search(len(stay), func(i int) bool { return !slices.Equal(arriving(i+1), best) })
}

// withInput is a ruleset whose INPUT of table filter has other rules and lets the
// rest through.
func withInput(rs *rule.Ruleset, rules []*rule.Rule) *rule.Ruleset {
	out := &rule.Ruleset{Family: rs.Family}
	for _, t := range rs.Tables {
		if t.Name == "filter" {
			copied := &rule.Table{Name: t.Name}
			for _, c := range t.Chains {
				if c.Name == "INPUT" && c.Base != nil {
					base := *c.Base
					base.Policy = rule.Accept
					c = &rule.Chain{Name: c.Name, Base: &base, Rules: rules}
				}
				copied.Chains = append(copied.Chains, c)
			}
			t = copied
		}
		out.Tables = append(out.Tables, t)
	}
	return out
}

// lineOf is a rule in save format, "-A INPUT …".
func lineOf(f rule.Family, chain string, r *rule.Rule) string {
	p := ext.Printer{Family: f}
	text.AppendRule(&p, chain, r, text.NoCounters)
	return strings.TrimSuffix(string(p.B), "\n")
}
