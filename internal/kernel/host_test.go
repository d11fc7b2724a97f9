package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/lab"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

var families = [...]rule.Family{rule.IPv4, rule.IPv6}

// open opens the kernel of a host.
func open(t testing.TB, h *lab.Host) *Kernel {
	t.Helper()
	var k *Kernel
	err := h.Do(func() (err error) {
		k, err = Open(Unguarded)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return k
}

// newKernel opens the kernel of a host made for the test.
func newKernel(t testing.TB) (*Kernel, *lab.Host) {
	t.Helper()
	h := lab.Netns(t)
	return open(t, h), h
}

// restoreScript reads a text in save format, counters included.
func restoreScript(t testing.TB, f rule.Family, file string, noFlush bool) *change.Script {
	t.Helper()
	s, err := parse(f, file, noFlush)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return s
}

func parse(f rule.Family, file string, noFlush bool) (*change.Script, error) {
	o := text.RestoreOptions{Counters: true, NoFlush: noFlush}
	return text.ParseRestore(f, f.Program()+"-restore", []byte(file), o, &netdb.DB{})
}

// apply makes a text in save format a change of the kernel that must be taken.
func apply(t testing.TB, k *Kernel, f rule.Family, file string) {
	t.Helper()
	if err := k.Apply(restoreScript(t, f, file, true)); err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
}

// read reads the ruleset.
func read(t testing.TB, k *Kernel, f rule.Family, tables ...string) *rule.Ruleset {
	t.Helper()
	rs, err := k.Ruleset(f, tables...)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// saved prints a ruleset in save format with counters, but for the tables in
// which there is nothing: whether the kernel has those says nothing.
func saved(rs *rule.Ruleset) string {
	p := &ext.Printer{Family: rs.Family, Numeric: true, Names: &netdb.DB{}}
	tables := slices.Clone(rs.Tables)
	slices.SortFunc(tables, func(a, b *rule.Table) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range tables {
		if isIdle(t) {
			continue
		}
		p.B = fmt.Appendf(p.B, "*%s\n", t.Name)
		for _, c := range t.Chains {
			p.B = text.AppendSaveChain(p.B, c)
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if r.Foreign {
					p.B = fmt.Appendf(p.B, "foreign in %s\n", c.Name)
					continue
				}
				text.AppendRule(p, c.Name, r, text.BracketCounters)
			}
		}
		p.B = append(p.B, "COMMIT\n"...)
	}
	return string(p.B)
}

func isIdle(t *rule.Table) bool {
	for _, c := range t.Chains {
		if c.Base == nil || c.Base.Policy != rule.Accept || len(c.Rules) > 0 || c.Counters != (rule.Counters{}) {
			return false
		}
	}
	return true
}

// equal compares rulesets as values: all but handles, and tables with nothing in them.
func equal(t testing.TB, what string, got, want *rule.Ruleset) {
	t.Helper()
	if g, w := saved(got), saved(want); g != w {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, g, w)
	}
	for _, table := range want.Tables {
		if isIdle(table) {
			continue
		}
		for i, c := range table.Chains {
			for j, r := range c.Rules {
				if g := got.Table(table.Name).Chains[i].Rules[j]; !ext.EqualRules(g, r) || g.Counters != r.Counters {
					t.Fatalf("%s: table %s chain %s rule %d prints alike but differs:\n%+v\nwant\n%+v", what, table.Name, c.Name, j+1, g, r)
				}
			}
		}
	}
}
