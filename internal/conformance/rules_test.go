package conformance

import (
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shardSize is how many lines of a file share a pair of namespaces. Shards run in parallel: most of a line's time is the kernel
// waiting for a grace period, which it does for all of them at once.
const shardSize = 30

// TestRulesAreWrittenListedAndFoundAlike runs every line of testdata/*.rules. Lines that are refused and a sample of the others (see
// divide) are commands of their own for both programs. All that are accepted then stand together in one chain: Debian's -A and -D are
// lines of restore files there, since what costs time is to start its program, and one listing shows them all; Moat's -A, -C and -D are
// a command for each line all the same. What Debian's own -C finds is asked of the sample alone, and of lines that do not go together.
func TestRulesAreWrittenListedAndFoundAlike(t *testing.T) {
	for _, file := range caseFiles(t, "rules") {
		rules, err := parseRules(file)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(rules, func(a, b ruleLine) int { return strings.Compare(a.ground(), b.ground()) })
		alone, good := divide(rules)
		for shard := range slices.Chunk(alone, shardSize) {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				p := newPair(t)
				for _, r := range shard {
					t.Run(r.name(), func(t *testing.T) { p.rule(t, r) })
				}
			})
		}
		for shard := range sameGround(good, togetherMost) {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				newPair(t).together(t, shard)
			})
		}
	}
}

// name is that of the line's test.
func (r ruleLine) name() string { return r.place + "/" + r.program }

// sameGround yields runs of lines of one ground, at most so many at a time.
func sameGround(rules []ruleLine, most int) iter.Seq[[]ruleLine] {
	return func(yield func([]ruleLine) bool) {
		for len(rules) > 0 {
			n := 1
			for n < min(most, len(rules)) && rules[n].ground() == rules[0].ground() {
				n++
			}
			if !yield(rules[:n:n]) {
				return
			}
			rules = rules[n:]
		}
	}
}

// ground names what a line is appended to. Lines of one ground run one after another, which saves preparing it anew.
func (r ruleLine) ground() string { return fmt.Sprint(r.program, r.table, r.chain, r.setup) }

// command gives the line as a command with the given verb, -A, -C or -D.
func (r ruleLine) command(verb string) command {
	words := append([]string{r.program, "-t", r.table, verb, r.chain}, r.specification...)
	return command{place: r.place, words: words}
}

// list gives a command that reads the line's chain.
func (r ruleLine) list(options ...string) command {
	return command{place: r.place, words: append([]string{r.program, "-t", r.table}, options...)}
}

// listings are the commands whose answers on the line's chain are compared.
func (r ruleLine) listings() []command {
	return []command{r.list("-S", r.chain), r.list("-L", r.chain, "-n", "-v"), r.list("-L", r.chain)}
}

// rule appends one line by both programs and compares everything that can be seen of it.
func (p *pair) rule(t *testing.T, r ruleLine) {
	p.resetUnlessClean(t, r)
	want, same := p.both(t, r.command("-A"))
	if accepted := want.exit == 0; accepted == r.bad {
		t.Fatalf("%s: marked bad: %v, but Debian's program exits %d: %s", r.place, r.bad, want.exit, want.stderr)
	}
	same = p.compareState(t, r.place) && same
	if !same || r.bad {
		return
	}
	if !r.isSample {
		for _, c := range r.listings() {
			p.both(t, c)
		}
	}
	p.foundByTheOther(t, r)
}

// resetUnlessClean prepares the pair for a rule. Removing base chains costs the kernel tens of milliseconds of waiting, so chains that
// the line before left empty are used again when the next line wants the same ones; the first line of each chain finds none.
func (p *pair) resetUnlessClean(t *testing.T, r ruleLine) {
	t.Helper()
	left := state(t, p.left)
	if r.ground() == p.ground && left == state(t, p.right) && !strings.Contains(left, "\nrule ") {
		p.history = p.history[:len(r.setup)]
		return
	}
	p.reset(t, r.setup)
	p.ground = r.ground()
}

// foundByTheOther has each program check and delete the rule that the other wrote. What is right is what Debian's own -C says of its
// own rule: there are rules that 1.8.9 itself does not find again.
func (p *pair) foundByTheOther(t *testing.T, r ruleLine) {
	t.Helper()
	want := p.left.command(debian, r.command("-C"))
	for _, verb := range []string{"-C", "-D"} {
		c := r.command(verb)
		byMoat, byDebian := p.left.command(moat, c), p.right.command(debian, c)
		if byMoat.exit != want.exit {
			t.Errorf("%s: Moat on a rule that Debian's program wrote: %s: exit %d, want %d: %s\n%s", r.place, c, byMoat.exit, want.exit,
				byMoat.stderr, p.reproduction())
		}
		if byDebian.exit != want.exit {
			t.Errorf("%s: Debian's program on a rule that Moat wrote: %s: exit %d, want %d: %s\n%s", r.place, c, byDebian.exit, want.exit,
				byDebian.stderr, p.reproduction())
		}
	}
	p.compareState(t, r.place+" (after -D by the other program)")
}
