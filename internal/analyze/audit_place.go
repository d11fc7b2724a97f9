package analyze

import (
	"slices"
	"strconv"
	"strings"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// Subject is a ruleset under audit, and where it comes from. Findings about it
// are made by its methods, which remember what is costly.
type Subject struct {
	*rule.Ruleset
	Source string // the file's path, or "live"
	// LineOf gives the line of the file on which a rule stands, 0 for none; nil
	// for a ruleset that is not from a file.
	LineOf func(*rule.Rule) int

	host       packet.Host // nil: not told
	interfaces []string    // nil: not told
	before     *Subject    // of which a change has made this; nil: of none
	firewall   *simulate.Firewall
	indexed    *simulate.Firewall
	probes     []Probe
	world      *world // what posture findings ask; nil until they do
	model      *Model
	rollouts   []*rollout

	warnings []string // of the audit

	// What finders share, and whether it was looked for.
	dead                            []dead
	useless                         []useless
	late                            []late
	deadDone, uselessDone, lateDone bool
	removable                       map[simulate.Place]bool
}

// Firewall is the ruleset ready for walks that leave a trace.
func (s *Subject) Firewall() *simulate.Firewall {
	if s.firewall == nil {
		s.firewall = simulate.New(s.Ruleset)
	}
	return s.firewall
}

// Indexed is the ruleset ready for many walks.
func (s *Subject) Indexed() *simulate.Firewall {
	switch {
	case s.indexed != nil:
	case s.before != nil:
		s.indexed = s.before.Indexed().Again(s.Ruleset)
	default:
		s.indexed = simulate.NewIndexed(s.Ruleset)
	}
	return s.indexed
}

// Model is the ruleset with its rules' sets.
func (s *Subject) Model() *Model {
	if s.model == nil {
		s.model = NewModel(s.Ruleset)
	}
	return s.model
}

// Ref is a rule, a chain or a policy as a person finds it again.
type Ref struct {
	Family rule.Family // 0: both
	Table  string      // "": the whole ruleset
	Chain  string      // "": the whole table
	Rule   int         // number as -L --line-numbers shows it; 0 for the chain or its policy
	Text   string      // the rule in save format, "-P CHAIN POLICY" or "-N CHAIN"
	File   string      // "" for the live rules
	Line   int         // in File, from 1; 0 if it is not known

	chainOrder int // built-in chains by hook, then the others
}

func (r Ref) familyOrder() int {
	if r.Family == 0 {
		return 1 << 8
	}
	return int(r.Family)
}

// String is the place as findings name it: "filter INPUT rule 3".
func (r Ref) String() string {
	words := make([]string, 0, 4)
	for _, w := range []string{r.Table, r.Chain} {
		if w != "" {
			words = append(words, w)
		}
	}
	if r.Rule > 0 {
		words = append(words, "rule", strconv.Itoa(r.Rule))
	}
	if len(words) == 0 {
		return "the ruleset"
	}
	return strings.Join(words, " ")
}

// At is the file and line, "" if there is none.
func (r Ref) At() string {
	if r.File == "" || r.Line == 0 {
		return r.File
	}
	return r.File + ":" + strconv.Itoa(r.Line)
}

// Ref gives the place of a rule, by its number from 1, or with 0 that of the chain
// and its policy. Table and chain have to be the ruleset's, or "".
func (s *Subject) Ref(table, chain string, number int) Ref {
	r := Ref{Family: s.Family, Table: table, Chain: chain, Rule: number}
	if s.LineOf != nil {
		r.File = s.Source
	}
	t := s.Table(table)
	if t == nil {
		return r
	}
	c := t.Chain(chain)
	if c == nil {
		return r
	}
	r.chainOrder = chainOrder(c)
	switch {
	case number > 0 && number <= len(c.Rules):
		r.Text = s.RuleText(chain, c.Rules[number-1])
		if s.LineOf != nil {
			r.Line = s.LineOf(c.Rules[number-1])
		}
	case number == 0:
		r.Text = strings.TrimSuffix(string(text.AppendSpecChain(nil, c, false)), "\n")
	}
	return r
}

// RefOf is Ref for a place that a simulation named.
func (s *Subject) RefOf(p simulate.Place) Ref { return s.Ref(p.Table, p.Chain, p.Rule) }

// chainOrder is a chain's place in a listing: built-in ones by hook, then the others.
func chainOrder(c *rule.Chain) int {
	if c.Base == nil {
		return int(rule.Postrouting) + 1
	}
	return int(c.Base.Hook)
}

// RuleText is a rule in save format, "-A CHAIN …".
func (s *Subject) RuleText(chain string, r *rule.Rule) string {
	p := ext.Printer{Family: s.Family}
	text.AppendRule(&p, chain, r, text.NoCounters)
	return strings.TrimSuffix(string(p.B), "\n")
}

// commentOf is the text of a rule's comments.
func commentOf(r *rule.Rule) string {
	var words []string
	for _, m := range r.Matches {
		if c, ok := m.(*ext.Comment); ok {
			words = append(words, c.Text)
		}
	}
	return strings.Join(words, " ")
}

// HasInterface reports whether there is an interface that a condition of a rule means;
// known is false where nobody told which there are.
func (s *Subject) HasInterface(i rule.Interface) (has, known bool) {
	if s.interfaces == nil {
		return false, false
	}
	return slices.ContainsFunc(s.interfaces, func(name string) bool { return namesInterface(i.Name, name) }), true
}

// namesInterface reports whether a name of a rule, which may end in "+", means an interface.
func namesInterface(pattern, name string) bool {
	if begin, ok := strings.CutSuffix(pattern, "+"); ok {
		return strings.HasPrefix(name, begin)
	}
	return pattern == name
}
