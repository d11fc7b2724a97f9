package secure

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestProposalsReadAsInTheGoldenFiles(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		_, _, p := s.propose(t)
		var b bytes.Buffer
		if err := WriteText(&b, p); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", s.name+".golden")
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant %s:\n%s", s.name, b.Bytes(), path, want)
		}
	}
}

// TestTheManualShowsAProposal compares the example of docs/secure.md.
func TestTheManualShowsAProposal(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/secure.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples() {
		if s.name != "database" {
			continue
		}
		_, _, p := s.propose(t)
		for line := range bytes.Lines(p.Families[0].Text()) {
			if !bytes.Contains(doc, append([]byte("    "), line...)) {
				t.Errorf("docs/secure.md does not show %s", line)
			}
		}
	}
}
