package report

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/analyze"
	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// subject loads a ruleset of text.
func subject(t *testing.T, name, text string) *analyze.Subject {
	t.Helper()
	r, err := load.Text(name, []byte(text), load.Auto)
	if err != nil {
		t.Fatal(err)
	}
	return analyze.NewSubject(r, false)
}

// The tutorial's rules, and what it adds to block an address: at the end.
const (
	tutorial = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT
COMMIT
`
	block = "-A INPUT -s 203.0.113.51/32 -j DROP\n"
)

// blockedLast and blockedFirst are the tutorial's rules with the block.
func blockedLast() string { return strings.Replace(tutorial, "COMMIT", block+"COMMIT", 1) }

func blockedFirst() string {
	return strings.Replace(tutorial, "-A INPUT -i lo", block+"-A INPUT -i lo", 1)
}

func TestDiffText(t *testing.T) {
	docker, err := rulesets.Get("docker", rule.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	limited := strings.Replace(tutorial, "--dport 22 -j", "--dport 22 -m limit --limit 5/min -j", 1)
	published := strings.Replace(docker.Text, "--to-destination 172.17.0.3:5432", "--to-destination 172.17.0.4:5432", 1)
	for _, c := range []struct {
		file     string
		old, now string
		o        DiffOptions
	}{
		{"late.txt", tutorial, blockedLast(), DiffOptions{Lines: true}},
		{"first.txt", tutorial, blockedFirst(), DiffOptions{Lines: true}},
		{"moved.txt", blockedLast(), blockedFirst(), DiffOptions{}},
		{"limit.txt", tutorial, limited, DiffOptions{}},
		{"open.txt", tutorial, strings.Replace(tutorial, "80,443", "80,443,5432", 1), DiffOptions{Color: true}},
		{"docker.txt", docker.Text, published, DiffOptions{}},
	} {
		d, err := analyze.NewDiff(subject(t, "old.v4", c.old), subject(t, "new.v4", c.now))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := DiffText(&out, d, c.o); err != nil {
			t.Fatal(err)
		}
		golden(t, "diff/"+c.file, out.Bytes())
		out.Reset()
		if err := DiffJSON(&out, d, c.o); err != nil {
			t.Fatal(err)
		}
		if c.o.Lines {
			golden(t, "diff/"+strings.Replace(c.file, ".txt", ".json", 1), out.Bytes())
		}
	}
}
