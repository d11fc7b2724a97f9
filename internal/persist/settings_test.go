package persist_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"moat/internal/persist"
)

func run(name string, args ...string) error { return exec.Command(name, args...).Run() }

func TestPlainSettingsAreReadWithoutShell(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"# comment\n\n  # indented\n", nil},
		{"A=1", []string{"A=1"}},
		{"A=1 # why", []string{"A=1"}},
		{"A=1#2", []string{"A=1#2"}},
		{"A='x y' # why\nB=\"z\"\n", []string{"A=x y", "B=z"}},
		{"  A=\nA=2", []string{"A=", "A=2"}},
		{"A= # empty", []string{"A="}},
	} {
		got, isPlain := persist.ParseAssignments(c.text)
		if !isPlain || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, plain %v; must be %q", c.text, got, isPlain, c.want)
		}
	}
}

func TestEverythingElseIsLeftToTheShell(t *testing.T) {
	for _, text := range []string{
		"A=$B", "A=`x`", "A=x;B=y", "A=x B=y", "export A=1", ". /other", "A='x'y", `A="a\"b"`, "A='open",
		"1A=2", "A = 1", "=1", "A=~/x", "A=(1 2)", `A="$B"`, "if true; then A=1; fi", "A=1 && B=2", "A=1\\\n2",
	} {
		if got, isPlain := persist.ParseAssignments(text); isPlain {
			t.Errorf("%q: read as %q", text, got)
		}
	}
}

// FuzzParseAssignments holds that what we read as plain is what the shell reads.
func FuzzParseAssignments(f *testing.F) {
	for _, s := range []string{"A=1", "A='x y'", `A="z" # c`, "A=\n#\n", "A=1#2", "A=a{b,c}", "A=!x", "A=%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, isPlain := persist.ParseAssignments(text)
		if !isPlain || len(lines) == 0 || strings.Contains(text, "\x00") {
			return
		}
		name, want, _ := strings.Cut(lines[len(lines)-1], "=")
		cmd := exec.Command("/bin/sh", "-c", text+"\nprintf %s \"$"+name+"\"")
		// Should we take more for plain than is, it can at least run nothing.
		cmd.Env, cmd.Dir = []string{"PATH=/nonexistent"}, t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Skipf("a name that the shell keeps to itself: %s", out)
		}
		if string(out) != want {
			t.Errorf("%q: we read %q, the shell %q", text, want, out)
		}
	})
}
