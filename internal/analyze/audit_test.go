package analyze

import (
	"slices"
	"strings"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
)

// subject reads rules of the filter table, or a whole file if they begin with "*".
func subject(t testing.TB, f rule.Family, rules string) *Subject {
	t.Helper()
	if !strings.HasPrefix(rules, "*") {
		rules = "*filter\n" + rules + "\nCOMMIT\n"
	}
	r, err := load.Text("rules", []byte(rules), f)
	if err != nil {
		t.Fatal(err)
	}
	return &Subject{Ruleset: r.Ruleset, Source: r.Source, LineOf: r.Line}
}

// audit looks for the findings of some names.
func audit(t testing.TB, in AuditInput, names ...string) []Finding {
	t.Helper()
	if err := in.check(); err != nil {
		t.Fatal(err)
	}
	var r Report
	for _, k := range Findings() {
		if slices.Contains(names, k.Name) && k.all != nil {
			r.take(&k, nil, k.all(&Auditor{AuditInput: in}))
		}
		for _, s := range in.Subjects {
			if slices.Contains(names, k.Name) && k.one != nil {
				r.take(&k, s, k.one(&Auditor{AuditInput: in}, s))
			}
		}
	}
	return r.Findings
}

func TestFindingsAreNamedOnceAndInOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Findings() {
		if seen[k.Name] || k.Name != strings.ToLower(k.Name) || strings.ContainsAny(k.Name, " _,;") || k.Name == allFindings {
			t.Errorf("%q is no good name, or is there twice", k.Name)
		}
		seen[k.Name] = true
		if k.What == "" || k.Severity == 0 || (k.one == nil) == (k.all == nil) {
			t.Errorf("%s: the row is not complete", k.Name)
		}
	}
}
