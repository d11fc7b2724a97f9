package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"moat/internal/host"
	"moat/internal/rule"
)

// Severity is how much a finding matters.
type Severity uint8

const (
	Note    Severity = iota + 1 // it does no harm but to the reader
	Warning                     // probably not what was meant
	Error                       // certainly not what was meant, or an open door
)

// String is the severity as it is printed.
func (s Severity) String() string { return [...]string{"none", "note", "warning", "error"}[s%4] }

// ParseSeverity reads what String prints; false for anything else.
func ParseSeverity(name string) (Severity, bool) {
	for s := Note; s <= Error; s++ {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// Finding is one thing that is wrong with a ruleset. It has a proof or an
// example, or both; without either it is dropped before anybody sees it.
type Finding struct {
	Name     string   // of its row in the table of findings: "shadowed"
	Severity Severity // that of the row, if the finder left it 0
	Place    Ref
	// Says is one sentence: what is wrong, without the place.
	Says string
	// Proof are the rules by which it holds: those that take all packets, that
	// stand in the way, that are never reached … in the order of the walk.
	Proof   []Ref
	Because string // what Proof shows, as the beginning of "because: RULES"; may be ""
	Example *Example
	Fix     *Fix
	// Silenced says by what the finding is silenced: a rule's comment or a line
	// of the config. "" if it is not.
	Silenced string

	subject *Subject // nil for a finding about all of them
}

// AuditInput is what an audit looks at.
type AuditInput struct {
	// Subjects are the rulesets, at most one of each family.
	Subjects []*Subject
	// Facts are what the host knows, with its interfaces; nil: not told.
	Facts *host.Facts
	// Listeners are the programs that listen on the host; nil: not told.
	Listeners []host.Listener
	// Interfaces are the names of all interfaces that there are; nil: not told
	// (those of Facts are taken, if there are Facts).
	Interfaces []string
	Silences   Silences
	// Legacy is what iptables-legacy has in force, by family; nil: none, or not told.
	Legacy []Legacy
}

// Report is the outcome of an audit.
type Report struct {
	// Findings are sorted by family, table, chain and rule. Those that are
	// silenced are among them, with Silenced set.
	Findings []Finding
	// Warnings are about the audit itself, such as a name in "moat:ok" that is
	// no finding's; one line each.
	Warnings []string
	Subjects []*Subject
}

// Count gives how many findings of a severity there are that are not silenced.
func (r *Report) Count(s Severity) (n int) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Silenced == "" && f.Severity == s {
			n++
		}
	}
	return n
}

// Silenced gives how many findings are silenced.
func (r *Report) Silenced() (n int) {
	for i := range r.Findings {
		if r.Findings[i].Silenced != "" {
			n++
		}
	}
	return n
}

// Worst is the greatest severity of a finding that is not silenced; 0 for none.
func (r *Report) Worst() Severity {
	for s := Error; s > 0; s-- {
		if r.Count(s) > 0 {
			return s
		}
	}
	return 0
}

// Auditor is what finders are given: the rulesets, and what is known beside them.
type Auditor struct {
	AuditInput
}

// Subject gives the ruleset of a family; nil if that was not given.
func (a *Auditor) Subject(f rule.Family) *Subject {
	for _, s := range a.Subjects {
		if s.Family == f {
			return s
		}
	}
	return nil
}

// Audit looks for everything that the table of findings lists.
func Audit(in AuditInput) (*Report, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	a := &Auditor{AuditInput: in}
	out := &Report{Subjects: in.Subjects}
	for i := range findings {
		kind := &findings[i]
		if kind.all != nil {
			out.take(kind, nil, kind.all(a))
		}
		for _, s := range in.Subjects {
			if kind.one != nil {
				out.take(kind, s, kind.one(a, s))
			}
		}
	}
	out.silence(in)
	for i := range in.Legacy {
		out.Warnings = append(out.Warnings, in.Legacy[i].unread()...)
	}
	slices.SortStableFunc(out.Findings, func(x, y Finding) int { return x.compare(&y) })
	return out, nil
}

// check refuses two rulesets of one family.
func (in *AuditInput) check() error {
	for i, s := range in.Subjects {
		for _, other := range in.Subjects[:i] {
			if s.Family == other.Family {
				return fmt.Errorf("%s and %s are both rules of %s; one ruleset of each family can be looked at", other.Source, s.Source, s.Family.Program())
			}
		}
	}
	for _, s := range in.Subjects {
		s.interfaces = in.Interfaces
		if s.interfaces == nil && in.Facts != nil {
			for i := range in.Facts.Interfaces {
				s.interfaces = append(s.interfaces, in.Facts.Interfaces[i].Name)
			}
		}
		if in.Facts != nil {
			s.host = in.Facts
		}
	}
	return nil
}

// take adds findings of a kind that are proved or shown.
func (r *Report) take(kind *FindingKind, s *Subject, list []Finding) {
	for _, f := range list {
		if len(f.Proof) == 0 && f.Example == nil {
			continue
		}
		f.Name, f.Severity = kind.Name, cmp.Or(f.Severity, kind.Severity)
		if f.subject == nil {
			f.subject = s
		}
		r.Findings = append(r.Findings, f)
	}
}

// compare orders findings by place: IPv4 first, those about both families last;
// tables as packets meet them, rules by number.
func (f *Finding) compare(g *Finding) int {
	return cmp.Or(cmp.Compare(f.Place.familyOrder(), g.Place.familyOrder()), cmp.Compare(tableOrder(f.Place.Table), tableOrder(g.Place.Table)),
		cmp.Compare(f.Place.chainOrder, g.Place.chainOrder), cmp.Compare(f.Place.Chain, g.Place.Chain),
		cmp.Compare(f.Place.Rule, g.Place.Rule), cmp.Compare(g.Severity, f.Severity), cmp.Compare(f.Name, g.Name))
}

// tableOrder is a table's place in a packet's way; filter, which most findings
// are about, comes first all the same.
func tableOrder(name string) int {
	return slices.Index([]string{"filter", "raw", "mangle", "nat", "security"}, name)
}
