package analyze

import (
	"os"
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

// TestFindingsAreDocumented looks for each finding's row in docs/audit.md, and
// for rows that are no finding's.
func TestFindingsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.HasPrefix(cells[1], " `") {
			rows[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	for _, k := range Findings() {
		if !strings.Contains(rows[k.Name], k.Severity.String()) {
			t.Errorf("docs/audit.md says of %s that it is %q, not %v", k.Name, rows[k.Name], k.Severity)
		}
		delete(rows, k.Name)
	}
	for name := range rows {
		t.Errorf("docs/audit.md has a row for %s, which is no finding", name)
	}
}
