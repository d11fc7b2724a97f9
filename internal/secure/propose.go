package secure

import (
	"fmt"
	"slices"

	"moat/internal/change"
	"moat/internal/host"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/session"
	"moat/internal/simulate"
	"moat/internal/text"
)

// Input is what a proposal is made from.
type Input struct {
	// Rules are the rulesets that are in force, one a family for which there is to
	// be a proposal.
	Rules     []*rule.Ruleset
	Facts     *host.Facts // nil: not known; nothing that forwards is touched then
	Listeners []host.Listener
	Sessions  []session.Session
	Names     *netdb.DB // of services; nil reads /etc
}

// names is Names, or the host's own.
func (in *Input) names() *netdb.DB {
	if in.Names == nil {
		in.Names = &netdb.DB{}
	}
	return in.Names
}

// Options are what was asked for.
type Options struct {
	Allow    []Service
	LimitSSH bool // logins from one address are limited
	Log      bool // some of what is dropped is logged
	KeepAll  bool // rules of INPUT that are not ours stay, also those that open ports
}

// Proposal is a small ruleset for both families.
type Proposal struct {
	Services []Service // that are let in
	Closed   []Offer   // that listen and are not
	Families []*FamilyProposal
	// Manager is a program that looks after the firewall and loads its own rules at
	// boot, so that they must not be saved by others: "ufw"; "" for none.
	Manager string
	Notes   []string // what the admin should know beyond the rules, a sentence each
}

// FamilyProposal is what a proposal makes of one family.
type FamilyProposal struct {
	Family rule.Family
	// Lines are the file for iptables-restore --noflush, comments included.
	Lines []string
	// Stay are the rules of INPUT that were there and stay, and Replaced those
	// that do not, in save format.
	Stay, Replaced []string
	// After is the ruleset as it is with the proposal in force.
	After *rule.Ruleset
}

// Text is the file for iptables-restore --noflush, or its twin for IPv6.
func (f *FamilyProposal) Text() []byte {
	var b []byte
	for _, line := range f.Lines {
		b = append(append(b, line...), '\n')
	}
	return b
}

// Propose makes a proposal. An error says that the rules in force cannot be
// changed so, which no ruleset that the kernel has should come to.
func Propose(in *Input, o *Options) (*Proposal, error) {
	p := &Proposal{Services: services(in, o), Closed: Offers(in, o)}
	for _, rs := range in.Rules {
		f, err := p.family(in, o, rs)
		if err != nil {
			return nil, err
		}
		p.Families = append(p.Families, f)
		p.note(refusedNotes(in, p, f)...)
	}
	for i := range p.Closed {
		if p.Closed[i].ByContainers {
			p.note("ports that Docker publishes do not pass INPUT, but its own chains: DOCKER-USER is the place to close them")
		}
	}
	return p, nil
}

// note adds notes that are not there yet.
func (p *Proposal) note(notes ...string) {
	for _, n := range notes {
		if !slices.Contains(p.Notes, n) {
			p.Notes = append(p.Notes, n)
		}
	}
}

// family proposes for one family.
func (p *Proposal) family(in *Input, o *Options, rs *rule.Ruleset) (*FamilyProposal, error) {
	t := rs.Table("filter")
	if t == nil {
		t = &rule.Table{Name: "filter"}
	}
	k := keeper{keepAll: o.KeepAll, manager: managerOf(t), facts: in.Facts}
	if k.manager != "" {
		p.Manager = k.manager
		p.note(fmt.Sprintf("%s looks after this firewall: its rules stay, what it lets in stays open, and what is let in here comes to that; "+
			"it loads its own rules at boot, so that these are not saved. If they are to stand alone, stop it first", k.manager))
	}
	stay, replaced := k.part(t.Chain("INPUT"))
	f := &FamilyProposal{Family: rs.Family}
	for _, r := range stay {
		f.Stay = append(f.Stay, lineOf(rs.Family, "INPUT", r))
	}
	for _, r := range replaced {
		f.Replaced = append(f.Replaced, lineOf(rs.Family, "INPUT", r))
	}
	w := writer{in: in, o: o, p: p, f: f}
	w.head(t)
	w.chain()
	w.input(t.Chain("INPUT"), place(in, rs, stay, p.Services))
	w.foot()
	var err error
	f.After, err = applied(rs, f.Text())
	return f, err
}

// applied is a ruleset after a file for iptables-restore --noflush.
func applied(rs *rule.Ruleset, file []byte) (*rule.Ruleset, error) {
	program := rs.Family.Program() + "-restore"
	s, err := text.ParseRestore(rs.Family, program, file, text.RestoreOptions{NoFlush: true}, &netdb.DB{})
	if err != nil {
		return nil, err
	}
	return change.Apply(rs, *s)
}

// refusedNotes tell of services that do not get in though a proposal lets them:
// by rules that stay, or by another table.
func refusedNotes(in *Input, p *Proposal, f *FamilyProposal) (notes []string) {
	w := newWays(in, f.After)
	for i := range p.Services {
		s := &p.Services[i]
		for _, from := range s.sources(f.Family) {
			r := w.arrive(s, from)
			if mayPass(r) || r.By == (simulate.Place{}) {
				continue
			}
			by := "the policy of " + r.By.Chain
			if r.What != nil {
				by = fmt.Sprintf("rule %d, %s", r.By.Rule, lineOf(f.Family, r.By.Chain, r.What))
			}
			notes = append(notes, fmt.Sprintf("%s does not get in over %s all the same: table %s, %s", s.Port(), f.Family.Name(), r.By.Table, by))
		}
	}
	return notes
}
