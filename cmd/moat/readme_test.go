package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeShowsWhatIsPrinted runs the commands that README.md shows on the
// tutorial's rules, those of testdata/readme.
func TestReadmeShowsWhatIsPrinted(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	took := regexp.MustCompile(`\b0\.\d\d+s\b`)
	readme := took.ReplaceAllString(string(data), "0.000s")
	want := map[string]bool{"explain": true, "check": true, "audit": true, "diff": true, "exposure": true}
	for line := range strings.Lines(readme) {
		command, is := strings.CutPrefix(line, "$ ")
		words := strings.Fields(command)
		if !is || len(words) < 2 || words[0] != "moat" {
			continue
		}
		delete(want, words[1])
		printed := took.ReplaceAllString(runIn(t, "testdata/readme", strings.TrimSpace(command)), "0.000s")
		if !strings.Contains(readme, line+printed) {
			t.Errorf("README.md shows something else; this is real:\n%s%s", line, printed)
		}
	}
	for command := range want {
		t.Errorf("README.md shows no moat %s", command)
	}
}
