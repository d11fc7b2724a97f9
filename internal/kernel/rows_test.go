package kernel

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
)

// extensionRows reads the rows files of package ext (see rows_test.go there):
// for each table and chain of a family, rules in save format that iptables 1.8.9
// takes, and which extensions they are of.
func extensionRows(t testing.TB, f rule.Family) (rules map[[2]string][]string, names []string) {
	t.Helper()
	paths, err := filepath.Glob("../ext/testdata/ext/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rows files: %v", err)
	}
	rules = map[[2]string][]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		before := count(rules)
		collect(data, name, f, rules)
		if count(rules) > before {
			names = append(names, name)
		}
	}
	return rules, names
}

func count(rules map[[2]string][]string) (n int) {
	for _, r := range rules {
		n += len(r)
	}
	return n
}

// collect adds the rules of one rows file: what stands in the head of its
// section and behind "save" of each row.
func collect(data []byte, name string, f rule.Family, rules map[[2]string][]string) {
	var place [2]string
	var head string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "[") {
			words := strings.Fields(strings.Trim(line, "[]"))
			place, head = [2]string{}, strings.Join(words[3:], " ")
			if words[0] == f.Program() {
				place = [2]string{words[1], words[2]}
			}
		}
		saved, ok := strings.CutPrefix(line, "\tsave ")
		if !ok || place[0] == "" {
			continue
		}
		rules[place] = append(rules[place], rowRule(head, saved, name, f))
	}
}

// rowRule puts a row's rule together. What Debian's program shows of a row is
// either options alone or "-m NAME options".
func rowRule(head, saved, name string, f rule.Family) string {
	saved = strings.TrimSpace(saved)
	if ext.Find(ext.Target, name, f) != nil {
		if !strings.HasPrefix(saved, "-j ") {
			saved = "-j " + name + " " + saved
		}
	} else if !strings.Contains(" "+saved, " -m ") {
		saved = "-m " + name + " " + saved
	}
	return strings.TrimSpace(head + " " + saved)
}

// TestEveryExtensionReadsBack writes the rules of all rows of package ext with
// counters in one transaction and reads the same values back.
func TestEveryExtensionReadsBack(t *testing.T) {
	for _, f := range families {
		t.Run(f.Program(), func(t *testing.T) {
			k, _ := newKernel(t)
			rows, names := extensionRows(t, f)
			total := 0
			for place, rules := range rows {
				taken := takenRules(t, k, f, place, rules)
				s := restoreScript(t, f, fileOf(place, taken), false)
				if err := k.Apply(s); err != nil {
					t.Fatalf("%v: %v", place, err)
				}
				got := read(t, k, f, place[0])
				want, err := applyToNothing(f, s)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, fmt.Sprint(place), got, want)
				total += len(taken)
			}
			slices.Sort(names)
			t.Logf("%d rules of %d extensions: %s", total, len(names), strings.Join(names, " "))
			if n := count(rows); total < 100 || 10*total < 9*n {
				t.Errorf("the kernel took %d of %d rules, want at least 100, and nine of ten", total, n)
			}
		})
	}
}

// fileOf is a restore file that appends rules to one chain, each with counters.
func fileOf(place [2]string, rules []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", place[0])
	if rule.FindLayout(place[0]).Builtin(place[1]) == nil {
		fmt.Fprintf(&b, ":%s - [0:0]\n", place[1])
	}
	for i, r := range rules {
		fmt.Fprintf(&b, "[%d:%d] -A %s %s\n", i, 1<<40+i, place[1], r)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// takenRules gives the rules that can be read from the save format (1.8.9 prints
// a few that it does not read itself) and that this kernel takes; of all that
// iptables takes it may lack a module for one in ten.
func takenRules(t testing.TB, k *Kernel, f rule.Family, place [2]string, rules []string) []string {
	t.Helper()
	if len(rules) == 0 {
		return nil
	}
	s, err := parse(f, fileOf(place, rules), true)
	if err == nil {
		err = k.Apply(s)
	}
	switch half := len(rules) / 2; {
	case err == nil:
		return rules
	case half == 0:
		t.Logf("not taken: %s: %v", rules[0], err)
		return nil
	default:
		return slices.Concat(takenRules(t, k, f, place, rules[:half]), takenRules(t, k, f, place, rules[half:]))
	}
}

func applyToNothing(f rule.Family, s *change.Script) (*rule.Ruleset, error) {
	return change.Apply(&rule.Ruleset{Family: f}, *s)
}
