package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// togetherMost is how many lines go into one restore file at most.
const togetherMost = 100

// each, from the environment, has every line run by itself, with all cross-checks. It takes some ten times as long.
func each() bool { return os.Getenv("MOAT_CONFORMANCE_EACH") != "" }

// divide parts the lines of one file: those that run by themselves, because they must be refused or are the sample, and the good ones,
// which run together, the sample among them. The sample is each program's first good line of a file and then every 25th.
func divide(rules []ruleLine) (alone, good []ruleLine) {
	count := map[string]int{}
	for _, r := range rules {
		if r.bad || each() {
			alone = append(alone, r)
			continue
		}
		good = append(good, r)
		if count[r.program]%sampleEvery == 0 {
			r.isSample = true
			alone = append(alone, r)
		}
		count[r.program]++
	}
	return alone, good
}

// together compares lines of one ground in one chain. Where that finds anything, each half is done anew, down to the line that it is
// about, which then runs by itself: that names it, and tells a mistake from a line that only does not go together with others.
func (p *pair) together(t *testing.T, rules []ruleLine) {
	if len(rules) == 1 {
		t.Run(rules[0].name(), func(t *testing.T) { p.rule(t, rules[0]) })
		return
	}
	alone, rest := p.plain(t, rules)
	for _, r := range alone {
		t.Run(r.name(), func(t *testing.T) { p.rule(t, r) })
	}
	if len(rest) == 0 {
		return
	}
	if found := p.tryTogether(t, rest); found != "" {
		if testing.Verbose() {
			t.Logf("%s … %s do not go together: %s", rest[0].name(), rest[len(rest)-1].name(), found)
		}
		half := max(1, len(rest)/2)
		p.together(t, rest[:half])
		if half < len(rest) {
			p.together(t, rest[half:])
		}
		return
	}
	for _, r := range rest {
		t.Run(r.name(), func(t *testing.T) { t.Log(r.command("-A"), "\nas Debian's, together with", len(rest)-1, "others") })
	}
}

// plain parts from lines those that Moat says anything to, or does not find again: nothing is to be compared of the others' answers
// but that Debian's program accepts and finds them too, in silence.
func (p *pair) plain(t *testing.T, rules []ruleLine) (alone, rest []ruleLine) {
	p.reset(t, rules[0].setup)
	for _, r := range rules {
		added, found := p.right.command(moat, r.command("-A")), p.right.command(moat, r.command("-C"))
		if added == (result{}) && found == (result{}) {
			rest = append(rest, r)
		} else {
			alone = append(alone, r)
		}
	}
	return alone, rest
}

// tryTogether has Debian's programs append all lines by one restore file and Moat's by a command for each, and compares the kernel and
// the listings; then each side checks and deletes what the other wrote. It gives the first difference, empty if there is none.
func (p *pair) tryTogether(t *testing.T, rules []ruleLine) string {
	t.Helper()
	p.reset(t, rules[0].setup)
	before := rulesOf(state(t, p.left))
	r := rules[0]
	if got := p.left.command(debian, restoreOf(rules, "-A")); got != (result{}) {
		return fmt.Sprintf("Debian's restore: exit %d: %s", got.exit, got.stderr)
	}
	for _, r := range rules {
		if got := p.right.command(moat, r.command("-A")); got != (result{}) {
			return fmt.Sprintf("%s: %s: exit %d: %s", r.place, r.command("-A"), got.exit, got.stderr)
		}
	}
	if want, got := state(t, p.left), state(t, p.right); want != got {
		return diff(want, got)
	}
	for _, c := range r.listings() {
		if found := differences(c, p.left.command(debian, c), p.right.command(moat, c)); len(found) > 0 {
			return c.String() + ": " + strings.Join(found, "\n")
		}
	}
	if found := p.deletedByTheOther(rules); found != "" {
		return found
	}
	want, got := state(t, p.left), state(t, p.right)
	return diff(before, rulesOf(want)) + diff(want, got)
}

// deletedByTheOther has Moat check and delete, line by line, what Debian's program wrote, and the other way round by one restore file.
func (p *pair) deletedByTheOther(rules []ruleLine) string {
	for _, r := range rules {
		for _, verb := range []string{"-C", "-D"} {
			if got := p.left.command(moat, r.command(verb)); got != (result{}) {
				return fmt.Sprintf("%s: %s: exit %d: %s", r.place, r.command(verb), got.exit, got.stderr)
			}
		}
	}
	if got := p.right.command(debian, restoreOf(rules, "-D")); got != (result{}) {
		return fmt.Sprintf("Debian's restore with -D: exit %d: %s", got.exit, got.stderr)
	}
	return ""
}

// restoreOf gives the restore, with --noflush, of lines of one ground with a verb.
func restoreOf(rules []ruleLine, verb string) command {
	r := rules[0]
	var file strings.Builder
	fmt.Fprintf(&file, "*%s\n", r.table)
	for _, r := range rules {
		fmt.Fprintf(&file, "%s %s", verb, r.chain)
		for _, w := range r.specification {
			file.WriteString(" " + restoreWord(w))
		}
		file.WriteString("\n")
	}
	file.WriteString("COMMIT\n")
	return command{place: r.place, words: []string{r.program + "-restore", "--noflush"}, stdin: file.String()}
}

// restoreWord quotes a word as a restore file has it.
func restoreWord(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\"\\'") {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}
