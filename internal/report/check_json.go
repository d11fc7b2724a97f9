package report

import (
	"io"

	"moat/internal/analyze"
)

// checkTest is a test in JSON.
type checkTest struct {
	Name     string         `json:"name"`
	File     string         `json:"file"`
	Line     int            `json:"line"`
	Result   string         `json:"result"` // pass, fail, unknown
	Expected string         `json:"expected"`
	Seconds  float64        `json:"seconds"`
	Packets  []checkPackets `json:"packets"`
}

// checkPackets is one of a test's packets, or sets of packets, in one family.
type checkPackets struct {
	Packet  string         `json:"packet"`
	Line    int            `json:"line"`
	Family  string         `json:"family"` // ipv4, ipv6
	Rules   string         `json:"rules"`  // the file, or live
	Result  string         `json:"result"`
	Proved  bool           `json:"proved"`            // by all packets of a set
	Classes int            `json:"classes,omitempty"` // of a set
	Against []checkExample `json:"counterexamples"`
	More    int            `json:"more,omitempty"` // rules that also decide otherwise
}

type checkExample struct {
	Packet  string       `json:"packet"`
	Verdict string       `json:"verdict"`
	By      *checkPlace  `json:"decided_by"` // null if that is unknown
	Because []checkWhich `json:"unknown_because"`
	Missing bool         `json:"comment_missing,omitempty"` // no rule has the comment of "decided by"
}

// checkPlace is a rule or, with number 0, a policy.
type checkPlace struct {
	Table string `json:"table"`
	Chain string `json:"chain"`
	Rule  int    `json:"rule"`
	Text  string `json:"text"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
}

// checkWhich is a match that no packet decides.
type checkWhich struct {
	Match string      `json:"match"`
	Rule  *checkPlace `json:"at"` // null for what is no rule's
	IfYes string      `json:"if_yes"`
	IfNo  string      `json:"if_no"`
}

// CheckJSON writes the results of a file of tests as an array with an object
// for each test.
func CheckJSON(w io.Writer, source string, results []analyze.TestResult) error {
	list := []checkTest{}
	for i := range results {
		r := &results[i]
		t := checkTest{
			Name: r.Name, File: source, Line: r.Line, Result: r.Outcome.String(), Expected: r.Expected(),
			Seconds: r.Elapsed.Seconds(), Packets: []checkPackets{},
		}
		for j := range r.Packets {
			t.Packets = append(t.Packets, jsonPackets(&r.Packets[j]))
		}
		list = append(list, t)
	}
	return writeIndented(w, list)
}

func jsonPackets(p *analyze.PacketsResult) checkPackets {
	out := checkPackets{
		Packet: oneLine(p.Text), Line: p.Line, Family: familyJSON(p.Subject.Family),
		Rules: p.Subject.Source, Result: p.Outcome.String(),
		Proved: p.Classes > 0 && p.Outcome == analyze.TestPassed, Classes: p.Classes, Against: []checkExample{}, More: p.More,
	}
	for i := range p.Against {
		e := &p.Against[i]
		one := checkExample{Packet: e.Packet, Verdict: e.Verdict.String(), By: jsonPlace(e.By), Because: []checkWhich{}, Missing: e.Missing}
		for _, d := range e.Doubts {
			one.Because = append(one.Because, checkWhich{d.Match, jsonPlace(d.Rule), d.IfYes.String(), d.IfNo.String()})
		}
		out.Against = append(out.Against, one)
	}
	return out
}

// jsonPlace is nil for the zero Ref.
func jsonPlace(r analyze.Ref) *checkPlace {
	if r == (analyze.Ref{}) {
		return nil
	}
	return &checkPlace{r.Table, r.Chain, r.Rule, r.Text, r.File, r.Line}
}
