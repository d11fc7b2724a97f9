package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"moat/internal/cli"
)

// pair is two namespaces that begin alike, the left for Debian's programs and the right for Moat's.
type pair struct {
	left, right *namespace
	// history holds the commands since the last reset, to be pasted when a comparison fails.
	history []string
	// ground names the chain and set-up that resetUnlessClean made last.
	ground string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return &pair{left: newNamespace(t), right: newNamespace(t)}
}

// reset empties both namespaces and runs the setup commands, each side's by its own programs. What follows compares the kernel as well, so
// that a set-up which differs is seen.
func (p *pair) reset(t *testing.T, setup []command) {
	t.Helper()
	p.history, p.ground = nil, ""
	p.left.reset(t, debian, setup)
	p.right.reset(t, moat, setup)
	for _, c := range setup {
		p.history = append(p.history, c.String())
	}
}

// reset empties the namespace and runs the setup commands by the programs of one side.
func (n *namespace) reset(t *testing.T, side programs, setup []command) {
	t.Helper()
	var err error
	n.do(func() { err = flushKernel() })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range setup {
		if r := n.command(side, c); r.exit != 0 {
			t.Fatalf("%s: setup failed by %s: %s: exit %d: %s", c.place, side.name, c, r.exit, r.stderr)
		}
	}
}

// command runs c with the programs of one side; other programs than iptables' are the system's.
func (n *namespace) command(side programs, c command) (r result) {
	if p := cli.Find(c.words[0]); side == moat && p != nil && !starts && !c.started {
		n.do(func() { r = ran(p, c.words, c.stdin) })
		return r
	}
	if slices.Contains(programNames, c.words[0]) {
		return n.run(side.path(c.words[0]), c.words, c.stdin)
	}
	return n.run("/usr/sbin/"+c.words[0], c.words, c.stdin)
}

// both runs c on both sides and compares the answers. It gives Debian's and tells whether they agreed.
func (p *pair) both(t *testing.T, c command) (result, bool) {
	t.Helper()
	p.history = append(p.history, c.String())
	right := moat
	if c.bothDebian {
		right = debian
	}
	want := p.left.command(debian, c)
	if want.exit < 0 {
		t.Fatalf("%s: %s: Debian's program dies of signal %d, which is nothing to be held to", c.place, c, -want.exit)
	}
	got := p.right.command(right, c)
	if testing.Verbose() { // with -v the run is a transcript of what Debian's program does
		t.Logf("%s: %s\nexit %d\n%s%s", c.place, c, want.exit, want.stdout, want.stderr)
	}
	return want, p.compareAnswers(t, c, want, got)
}

// compareAnswers fails the test where two answers to c differ.
func (p *pair) compareAnswers(t *testing.T, c command, want, got result) bool {
	t.Helper()
	problems := differences(c, want, got)
	if len(problems) == 0 {
		return true
	}
	t.Errorf("%s: %s\n%s\nstderr of Debian's: %q\nstderr of Moat's:   %q\n%s", c.place, c, strings.Join(problems, "\n"),
		want.stderr, got.stderr, p.reproduction())
	return false
}

// differences tells how two answers to c differ.
func differences(c command, want, got result) (problems []string) {
	if want.exit != got.exit {
		problems = append(problems, fmt.Sprintf("exit %d, want %d", got.exit, want.exit))
	}
	if asksHelp(c) {
		if text := compareHelp(want.stdout, got.stdout); text != "" {
			problems = append(problems, text)
		}
	} else if w, g := normalise(want.stdout), normalise(got.stdout); w != g {
		problems = append(problems, "stdout differs (- Debian's, + Moat's):\n"+diff(w, g))
	}
	if text := compareErrors(want.stderr, got.stderr); text != "" {
		problems = append(problems, text)
	}
	return problems
}

// reproduction gives the commands since the last reset, to be pasted.
func (p *pair) reproduction() string {
	return "to see it again:\n  unshare -n sh -s <<'SHELL'\n" + strings.Join(p.history, "\n") + "\nSHELL\n"
}

// compareState fails the test where the kernel holds other tables, chains or rules on the two sides.
func (p *pair) compareState(t *testing.T, place string) bool {
	t.Helper()
	want, got := state(t, p.left), state(t, p.right)
	if want == got {
		return true
	}
	t.Errorf("%s: the kernel holds something else (- Debian's, + Moat's); as nft shows it:\n%s\nattribute by attribute:\n%s\n%s", place,
		diff(nftText(p.left), nftText(p.right)), diff(want, got), p.reproduction())
	return false
}

// state gives the namespace's snapshot as one text.
func state(t *testing.T, n *namespace) string {
	t.Helper()
	var objects []string
	var err error
	n.do(func() { objects, err = snapshot() })
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(objects, "\n") + "\n"
}

// nftText gives nft's listing with every rule's expressions, without handles.
func nftText(n *namespace) string {
	r := n.run("/usr/sbin/nft", []string{"nft", "--debug=netlink", "list", "ruleset"}, "")
	return ruleHandles.ReplaceAllString(r.stdout+r.stderr, "$1")
}

var (
	// Debug output heads a rule with "family table chain handle [position]".
	ruleHandles = regexp.MustCompile(`(?m)^((?:ip|ip6|inet) \S+ \S+) \d+(?: \d+)?`)
	saveDates   = regexp.MustCompile(`(?m)^(# (?:Generated by .* on|Completed on)) .*$`)
)

// normalise replaces what may differ between two runs in standard output: the dates of save's comments.
func normalise(text string) string { return saveDates.ReplaceAllString(text, "$1 DATE") }

// scriptTexts are the error texts that programs driving iptables look for; where Debian's program prints one, Moat must as well.
var scriptTexts = []string{
	"No chain/target/match by that name", "Bad rule (does a matching rule exist in that chain?)", "Chain already exists",
	"is incompatible, use 'nft' tool", "does not exist", "Couldn't load match", "Couldn't load target", "No such file or directory",
	"table '", "RULE_APPEND failed", "RULE_INSERT failed", "RULE_REPLACE failed", "RULE_DELETE failed", "CHAIN_DEL failed",
	"CHAIN_USER_DEL failed", "Permission denied", "Index of insertion too big", "Index of deletion too big", "Index of replacement too big",
	"File exists", "wait seconds not numeric", "invalid policy counters", "failed", "Bad argument", "unknown option",
	"unknown protocol", "host/network", "multiple -", "Flag `", "Bad built-in chain name", "Bad policy name", "Too many levels",
}

// compareErrors tells how two standard errors differ in what scripts can see; empty when they do not.
func compareErrors(want, got string) string {
	if (want == "") != (got == "") {
		return "stderr: only one of them prints something"
	}
	for _, text := range scriptTexts {
		if strings.Contains(want, text) && !strings.Contains(got, text) {
			return fmt.Sprintf("stderr lacks %q", text)
		}
	}
	for _, line := range failedLine.FindAllString(want, -1) {
		if !strings.Contains(got, line) {
			return fmt.Sprintf("stderr lacks %q", line)
		}
	}
	return ""
}

// failedLine is what kube-proxy parses at the end of a failed restore. "Error occurred at line: N" is not held to the same number: for a jump
// to a missing chain 1.8.9 gives the line of COMMIT, where it noticed.
var failedLine = regexp.MustCompile(`line \d+ failed`)

// diff gives the lines of two texts that differ, with - and +, and those around them as a count.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
			continue
		}
		di, dj := nextEqual(a[i:], b[j:])
		for _, line := range a[i : i+di] {
			out = append(out, "- "+line)
		}
		for _, line := range b[j : j+dj] {
			out = append(out, "+ "+line)
		}
		i, j = i+di, j+dj
	}
	const most = 60
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("… and %d lines more", len(out)-most))
	}
	return strings.Join(out, "\n")
}

// nextEqual gives how many lines of a and of b to pass until both stand at the same line: fewest in all; all where they never do.
func nextEqual(a, b []string) (int, int) {
	for sum := 1; sum < len(a)+len(b); sum++ {
		for di := max(0, sum-len(b)+1); di <= sum && di < len(a); di++ {
			if a[di] == b[sum-di] {
				return di, sum - di
			}
		}
	}
	return len(a), len(b)
}

func TestDiffShowsWhatDiffers(t *testing.T) {
	if got, want := diff("a\nb\nc\n", "a\nx\nc\nd\n"), "- b\n+ x\n+ d"; got != want {
		t.Errorf("diff = %q, want %q", got, want)
	}
	if got := diff("same\n", "same\n"); got != "" {
		t.Errorf("diff of equal texts = %q", got)
	}
}
