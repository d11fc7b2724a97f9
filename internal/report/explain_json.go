package report

import (
	"io"

	"moat/internal/rule"
	"moat/internal/simulate"
)

// explanation is an answer as JSON; README.md names its fields.
type explanation struct {
	Verdict string `json:"verdict"`
	// DecidedBy is null if the verdict is UNKNOWN.
	DecidedBy      *explainPlace  `json:"decided_by"`
	UnknownBecause []string       `json:"unknown_because"`
	Trace          *[]explainStep `json:"trace,omitempty"`
}

// explainPlace is a rule, or with number 0 a policy.
type explainPlace struct {
	Table string `json:"table"`
	Chain string `json:"chain"`
	Rule  int    `json:"rule"`
	Text  string `json:"text"`
}

type explainStep struct {
	explainPlace
	Match  string `json:"match"`
	Action string `json:"action"`
}

// ExplainJSON writes an answer as one JSON object in a line, its trace if asked
// for. f is the family of the rules.
func ExplainJSON(w io.Writer, f rule.Family, r *simulate.Result, trace bool) error {
	words := ruleWords{family: f}
	e := explanation{Verdict: r.Verdict.String(), UnknownBecause: []string{}}
	if r.Verdict == simulate.Unknown {
		for i := range r.Doubts {
			e.UnknownBecause = append(e.UnknownBecause, words.because(&r.Doubts[i]))
		}
	} else {
		e.DecidedBy = &explainPlace{r.By.Table, r.By.Chain, r.By.Rule, words.decided(r.By, r.What, r.Policy)}
	}
	if trace {
		steps := make([]explainStep, 0, len(r.Trace))
		for i := range r.Trace {
			s := &r.Trace[i]
			text := "policy " + s.Action
			if s.What != nil {
				text = words.spec(s.What)
			}
			steps = append(steps, explainStep{explainPlace{s.Table, s.Chain, s.Rule, text}, s.Match.String(), s.Action})
		}
		e.Trace = &steps
	}
	return writeJSON(w, e)
}

// wrongLine is a line of a batch that is no question.
type wrongLine struct {
	Error string `json:"error"`
	Line  int    `json:"line"`
}
