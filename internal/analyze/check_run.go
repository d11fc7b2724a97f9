package analyze

import (
	"slices"
	"strings"
	"time"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// CheckOptions say how tests are run. The zero value will do.
type CheckOptions struct {
	// Host is the live host, whose rules these are: it gives packets their way
	// and interfaces where a test does not. nil for rules of a file.
	Host packet.Host
	Now  func() time.Time // the clock; nil: time.Now
}

// Run runs all tests under rulesets, at most one of each family. A packet of
// both families is asked of all rulesets. A test that cannot be asked of these
// rulesets is an error, a SuiteErrors.
func (s *Suite) Run(subjects []*Subject, o CheckOptions) ([]TestResult, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &checker{suite: s, options: o, models: map[modelKey]*Model{}, errs: suiteReader{source: s.Source}}
	if err := (&AuditInput{Subjects: subjects}).check(); err != nil {
		return nil, err
	}
	for _, subject := range subjects {
		subject.host = o.Host
	}
	var results []TestResult
	for i := range s.Tests {
		results = append(results, c.test(&s.Tests[i], subjects))
	}
	return results, c.errs.result()
}

// checker runs the tests of a suite.
type checker struct {
	suite   *Suite
	options CheckOptions
	models  map[modelKey]*Model
	errs    suiteReader
}

func (c *checker) test(t *Test, subjects []*Subject) TestResult {
	began := c.options.Now()
	out := TestResult{Test: t}
	for i := range t.Packets {
		p := &t.Packets[i]
		asked := false
		for _, s := range subjects {
			if f := p.Family(); f != 0 && f != s.Family {
				continue
			}
			asked = true
			r := c.packets(t, p, s)
			out.Outcome = max(out.Outcome, r.Outcome)
			out.Packets = append(out.Packets, r)
		}
		if !asked {
			c.noRules(p, subjects)
		}
	}
	out.Elapsed = c.options.Now().Sub(began)
	return out
}

func (c *checker) noRules(p *TestPackets, subjects []*Subject) {
	var sources []string
	for _, s := range subjects {
		sources = append(sources, s.Source+" ("+s.Family.Name()+")")
	}
	c.errs.failAt(p.Line, p.Column, "a packet of %s, but there are only the rules of %s: name a file with rules for it too", p.Family().Name(), strings.Join(sources, ", "))
}

func (c *checker) packets(t *Test, p *TestPackets, s *Subject) PacketsResult {
	out := PacketsResult{TestPackets: p, Subject: s}
	if p.One == nil {
		c.prove(t, p, s, &out)
		return out
	}
	q := *p.One
	q.Fixed = merged(t.Assume, q.Fixed)
	if c.options.Host != nil {
		if err := q.Settle(c.options.Host); err != nil {
			c.errs.failAt(p.Line, p.Column, "%v", err)
			return out
		}
	}
	outcome, example := t.judge(&q, s)
	if out.Outcome = outcome; outcome != TestPassed {
		out.Against = []Counterexample{example}
	}
	return out
}

// judge asks the simulator what becomes of one packet, and holds that against
// what the test expects.
func (t *Test) judge(q *question.Question, s *Subject) (TestOutcome, Counterexample) {
	r := s.Firewall().Walk(q.Packet, simulate.Options{Way: q.Way, Fixed: q.Fixed, NoTrace: true, Ends: true, Loop: q.Loops})
	as, against := false, false
	for _, e := range r.Ends {
		switch {
		case e.Verdict == simulate.Unknown:
			as, against = true, true
		case t.admits(e.Verdict, e.What):
			as = true
		default:
			against = true
		}
	}
	example := Counterexample{Packet: q.String(), Verdict: r.Verdict}
	if len(r.Ends) == 1 && r.Verdict != simulate.Unknown && r.By != (simulate.Place{}) {
		example.By = s.RefOf(r.By)
	}
	for _, d := range r.Doubts {
		one := CheckDoubt{Match: d.Match, IfYes: d.IfYes, IfNo: d.IfNo}
		if d.What != nil {
			one.Rule = s.RefOf(d.Place)
		}
		example.Doubts = append(example.Doubts, one)
	}
	example.Missing, example.Nearest = t.missing(s)
	switch {
	case as && against:
		return TestUnknown, example
	case against:
		return TestFailed, example
	}
	return TestPassed, example
}

// admits reports whether an end is as expected; what is nil for a policy.
func (t *Test) admits(v simulate.Verdict, what *rule.Rule) bool {
	return t.Expect.admits(v) && (t.DecidedBy == "" || answersTo(what, t.DecidedBy))
}

// answersTo reports whether a rule, nil for a policy, is the one that "decided
// by" names.
func answersTo(r *rule.Rule, name string) bool {
	if r == nil {
		return name == ByPolicy
	}
	return slices.Contains(comments(r), name)
}

// comments are the texts of a rule's comments.
func comments(r *rule.Rule) (list []string) {
	for _, m := range r.Matches {
		if c, ok := m.(*ext.Comment); ok {
			list = append(list, c.Text)
		}
	}
	return list
}

// missing reports whether no rule has the comment that "decided by" names.
func (t *Test) missing(s *Subject) (missing bool, nearest string) {
	if t.DecidedBy == "" || t.DecidedBy == ByPolicy {
		return false, ""
	}
	var all []string
	for r := range s.eachRule() {
		all = append(all, comments(r)...)
	}
	if slices.Contains(all, t.DecidedBy) {
		return false, ""
	}
	return true, question.Nearest(t.DecidedBy, all)
}
