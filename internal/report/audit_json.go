package report

import (
	"io"

	"moat/internal/analyze"
	"moat/internal/simulate"
)

// auditReport is an audit as JSON; docs/audit.md describes it.
type auditReport struct {
	Findings []auditFinding `json:"findings"`
	Warnings []string       `json:"warnings"`
	Rulesets []auditRuleset `json:"rulesets"`
	Summary  auditSummary   `json:"summary"`
}

type auditFinding struct {
	Name     string        `json:"name"`
	Severity string        `json:"severity"`
	Place    auditPlace    `json:"place"`
	Says     string        `json:"says"`
	Because  string        `json:"because,omitempty"`
	Proof    []auditPlace  `json:"proof"`
	Example  *auditExample `json:"example,omitempty"`
	Fix      *auditFix     `json:"fix,omitempty"`
	Silenced string        `json:"silenced_by,omitempty"`
}

type auditPlace struct {
	Family string `json:"family,omitempty"`
	Table  string `json:"table,omitempty"`
	Chain  string `json:"chain,omitempty"`
	Rule   int    `json:"rule"`
	Text   string `json:"text,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

type auditExample struct {
	Packet    string      `json:"packet"`
	Verdict   string      `json:"verdict"`
	DecidedBy *auditPlace `json:"decided_by,omitempty"`
	Says      string      `json:"says,omitempty"`
}

type auditFix struct {
	Says     string   `json:"says,omitempty"`
	Commands []string `json:"commands"`
}

type auditRuleset struct {
	Family string `json:"family"`
	Source string `json:"source"`
	Chains int    `json:"chains"`
	Rules  int    `json:"rules"`
}

type auditSummary struct {
	Error    int `json:"error"`
	Warning  int `json:"warning"`
	Note     int `json:"note"`
	Silenced int `json:"silenced"`
}

// AuditJSON writes an audit's findings as one JSON object, silenced ones too.
func AuditJSON(w io.Writer, r *analyze.Report) error {
	out := auditReport{Findings: []auditFinding{}, Warnings: r.Warnings, Rulesets: []auditRuleset{}}
	if out.Warnings == nil {
		out.Warnings = []string{}
	}
	for i := range r.Findings {
		out.Findings = append(out.Findings, findingJSON(&r.Findings[i]))
	}
	for _, s := range r.Subjects {
		n := auditRuleset{Family: familyJSON(s.Family), Source: s.Source}
		for _, t := range s.Tables {
			n.Chains += len(t.Chains)
			for _, c := range t.Chains {
				n.Rules += len(c.Rules)
			}
		}
		out.Rulesets = append(out.Rulesets, n)
	}
	out.Summary = auditSummary{r.Count(analyze.Error), r.Count(analyze.Warning), r.Count(analyze.Note), r.Silenced()}
	return writeIndented(w, out)
}

func findingJSON(f *analyze.Finding) auditFinding {
	j := auditFinding{
		Name: f.Name, Severity: f.Severity.String(), Place: placeJSON(f.Place), Says: f.Says,
		Because: f.Because, Proof: []auditPlace{}, Silenced: f.Silenced,
	}
	for _, ref := range f.Proof {
		j.Proof = append(j.Proof, placeJSON(ref))
	}
	if e := f.Example; e != nil {
		j.Example = &auditExample{Packet: e.Text, Verdict: e.Verdict.String(), Says: e.Says}
		if e.Verdict != simulate.Unknown {
			by := placeJSON(e.By)
			j.Example.DecidedBy = &by
		}
	}
	if f.Fix != nil {
		j.Fix = &auditFix{Says: f.Fix.Says, Commands: f.Fix.Commands}
	}
	return j
}

func placeJSON(r analyze.Ref) auditPlace {
	p := auditPlace{Table: r.Table, Chain: r.Chain, Rule: r.Rule, Text: r.Text, File: r.File, Line: r.Line}
	if r.Family != 0 {
		p.Family = familyJSON(r.Family)
	}
	return p
}
