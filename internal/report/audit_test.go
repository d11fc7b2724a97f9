package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"moat/internal/analyze"
	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// auditOf audits a ruleset of the field for structural findings, which are
// those of the golden files.
func auditOf(t *testing.T, name string) *analyze.Report {
	t.Helper()
	f, err := rulesets.Get(name, rule.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := load.Text(name+".rules", []byte(f.Text), f.Family)
	if err != nil {
		t.Fatal(err)
	}
	r, err := analyze.Audit(analyze.AuditInput{Subjects: []*analyze.Subject{analyze.NewSubject(rules, false)}, Interfaces: []string{"lo", "eth0"}})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"late-block", "contradiction", "shadowed", "impossible", "useless", "nat-dropped", "unreached-chain", "empty-chain", "loop", "no-such-interface"}
	r.Findings = slices.DeleteFunc(r.Findings, func(f analyze.Finding) bool { return !slices.Contains(names, f.Name) })
	return r
}

func TestAuditText(t *testing.T) {
	for _, name := range []string{"web-append", "ufw", "router"} {
		var b bytes.Buffer
		if err := AuditText(&b, auditOf(t, name), AuditOptions{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "audit/"+name+".txt", b.Bytes())
		for line := range strings.Lines(b.String()) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > width && strings.Contains(strings.TrimLeft(line, " "), " ") {
				t.Errorf("%s: a line is too wide: %s", name, line)
			}
			if strings.Contains(line, "\x1b") {
				t.Errorf("colour where none was asked for: %q", line)
			}
		}
	}
}

func TestAuditTextInColor(t *testing.T) {
	var plain, painted bytes.Buffer
	r := auditOf(t, "web-append")
	for b, o := range map[*bytes.Buffer]AuditOptions{&plain: {}, &painted: {Color: true}} {
		if err := AuditText(b, r, o); err != nil {
			t.Fatal(err)
		}
	}
	s := painted.String()
	for _, c := range []string{bold, dim, red, cyan} {
		if !strings.Contains(s, "\x1b["+c+"m") {
			t.Errorf("no colour %s", c)
		}
		s = strings.ReplaceAll(s, "\x1b["+c+"m", "")
	}
	if s = strings.ReplaceAll(s, "\x1b[0m", ""); s != plain.String() {
		t.Errorf("the text is another in colour:\n%s", s)
	}
}

func TestAuditJSON(t *testing.T) {
	var b bytes.Buffer
	if err := AuditJSON(&b, auditOf(t, "web-append")); err != nil {
		t.Fatal(err)
	}
	golden(t, "audit/web-append.json", b.Bytes())
	var read auditReport
	if err := json.Unmarshal(b.Bytes(), &read); err != nil || read.Summary.Error != 1 || len(read.Findings) != 3 {
		t.Errorf("%v: %+v", err, read)
	}
}

func TestBreakLine(t *testing.T) {
	for _, c := range []struct {
		text       string
		room       int
		line, left string
	}{
		{"one two three", 8, "one two", "three"},
		{"one two three", 2, "one", "two three"},
		{"oneword", 3, "oneword", ""},
		{`a "b c d" e`, 6, "a", `"b c d" e`},
	} {
		if line, left := breakLine(c.text, c.room); line != c.line || left != c.left {
			t.Errorf("%q at %d: %q and %q", c.text, c.room, line, left)
		}
	}
}
