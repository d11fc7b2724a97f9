package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCheckSessions runs the commands of testdata/check/*.session, as
// TestExplainSessions does. Times are printed as 0.
func TestCheckSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/check/*.session")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(data)) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				got.WriteString(line + withoutTimes(runIn(t, "testdata/check", strings.TrimSpace(command))))
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != string(data) && !*update {
			t.Errorf("%s: prints\n%s\nwanted\n%s", file, got.String(), data)
		}
	}
}

// withoutTimes makes all times 0.
func withoutTimes(s string) string {
	s = regexp.MustCompile(`\b\d+\.\d\d(\d?)s\b`).ReplaceAllString(s, "0.00${1}s")
	s = regexp.MustCompile(`\b0\.00\ds\b`).ReplaceAllString(s, "0.000s")
	s = regexp.MustCompile(`("seconds": )[0-9.e-]+`).ReplaceAllString(s, "${1}0")
	return regexp.MustCompile(`( time=")[0-9.]+`).ReplaceAllString(s, "${1}0")
}

// TestCheckWritesJUnit reads what --junit writes as a CI system does, and
// compares the file.
func TestCheckWritesJUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "junit.xml")
	if out := runIn(t, "testdata/check", "moat check failing.yaml --junit "+path); !strings.HasSuffix(out, "\n[1]\n") {
		t.Errorf("moat check printed %s", out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string  `xml:"name,attr"`
				Time    float64 `xml:"time,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Type    string `xml:"type,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &read); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if len(read.Suites) != 1 || read.Suites[0].Tests != 6 || read.Suites[0].Failures != 5 || len(read.Suites[0].Cases) != 6 {
		t.Fatalf("read as %+v\n%s", read, data)
	}
	for _, c := range read.Suites[0].Cases {
		want := map[string]string{"ssh only": "fail", "a typo": "fail", "pings of a set": "fail", "ping": "unknown", "names from the resolvers": "unknown"}[c.Name]
		if got := c.Failure; (got == nil) != (want == "") || got != nil && (got.Type != want || got.Message == "" || !strings.Contains(got.Text, "not so for")) {
			t.Errorf("%s: failure is %+v, want %q", c.Name, got, want)
		}
	}
	const golden = "testdata/check/junit.xml"
	got := withoutTimes(string(data))
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if wanted, err := os.ReadFile(golden); err != nil || string(wanted) != got {
		t.Errorf("%v: wrote\n%s\nwanted\n%s", err, got, wanted)
	}
}
