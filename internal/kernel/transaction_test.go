package kernel

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// manyLines is a restore file of one table whose lines are rules from line 2 on.
func manyLines(n int) []string {
	lines := []string{"*filter"}
	for i := range n {
		lines = append(lines, fmt.Sprintf("-A INPUT -s 10.%d.%d.%d/32 -p tcp -m tcp --dport %d -j DROP", i>>16, i>>8&255, i&255, 1+i%65535))
	}
	return append(lines, "COMMIT", "")
}

// TestTheLastLineFails refuses a file of 1,000 lines for its last one, for
// reasons that the plan finds and for reasons that only the kernel knows: the
// line is named and all tables are as they were.
func TestTheLastLineFails(t *testing.T) {
	cases := map[string]struct{ line, want string }{
		"missing chain":   {"-A nosuch -j DROP", change.NoChain},
		"missing target":  {"-A INPUT -j nosuch", change.NoTarget("nosuch")},
		"missing rule":    {"-D INPUT -s 192.0.2.1 -j DROP", change.BadRule},
		"index":           {"-I INPUT 5000 -j DROP", change.InsertTooBig},
		"chain there":     {"-N INPUT", change.ChainExists},
		"built-in target": {"-A INPUT -j FORWARD", "RULE_APPEND failed (No such file or directory): rule in chain INPUT"},
		"wrong chain":     {"-A INPUT -p tcp -j REDIRECT", "RULE_APPEND failed (Invalid argument): rule in chain INPUT"},
		"loop":            {"-A INPUT -j round", "RULE_APPEND failed (Too many links): rule in chain INPUT"},
	}
	k, _ := newKernel(t)
	apply(t, k, rule.IPv4, "*mangle\n[1:1] -A INPUT -j ACCEPT\nCOMMIT\n*filter\n:INPUT DROP [3:4]\n:round - [0:0]\n"+
		"[2:2] -A INPUT -j DROP\n-A round -j round\nCOMMIT\n")
	before := read(t, k, rule.IPv4)
	for name, c := range cases {
		for _, verbose := range []bool{false, true} {
			lines := append([]string{"*mangle", "-F", "-A OUTPUT -j DROP", "COMMIT"}, manyLines(1000)...)
			at := len(lines) - 2
			lines = append(lines[:at], append([]string{c.line}, lines[at:]...)...)
			s := restoreScript(t, rule.IPv4, strings.Join(lines, "\n"), true)
			err := k.Apply(s)
			if verbose {
				_, err = k.ApplyVerbosely(s)
			}
			var e *Error
			if !errors.As(err, &e) || e.Op == nil {
				t.Fatalf("%s: %v (%#v)", name, err, err)
			}
			if e.Error() != c.want || e.Op.Place.Line != at+1 {
				t.Errorf("%s: %q at line %d, want %q at line %d", name, e, e.Op.Place.Line, c.want, at+1)
			}
			equal(t, name, read(t, k, rule.IPv4), before)
		}
	}
}

// TestSeveralTablesAreOneTransaction changes all tables at once: the generation
// moves on by one.
func TestSeveralTablesAreOneTransaction(t *testing.T) {
	for _, f := range families {
		k, _ := newKernel(t)
		var file strings.Builder
		for i := range rule.Layouts {
			chain := rule.Layouts[i].Chains[0].Hook.Chain()
			fmt.Fprintf(&file, "*%s\n:%s ACCEPT [1:2]\n:user - [0:0]\n[3:4] -A %s -j user\nCOMMIT\n", rule.Layouts[i].Table, chain, chain)
		}
		before := generation(t, k)
		s := restoreScript(t, f, file.String(), false)
		if err := k.Apply(s); err != nil {
			t.Fatal(err)
		}
		if after := generation(t, k); after != before+1 {
			t.Errorf("%s: %d transactions, want 1", f.Program(), after-before)
		}
		want, err := applyToNothing(f, s)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "all tables", read(t, k, f), want)
	}
}

func generation(t *testing.T, k *Kernel) uint32 {
	t.Helper()
	g, err := k.conn.Generation()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestCheckChangesNothing dry-runs what works and what does not.
func TestCheckChangesNothing(t *testing.T) {
	k, _ := newKernel(t)
	apply(t, k, rule.IPv4, "*filter\n:INPUT DROP [0:0]\n[2:2] -A INPUT -j DROP\nCOMMIT\n")
	before, at := read(t, k, rule.IPv4), generation(t, k)
	if err := k.Check(restoreScript(t, rule.IPv4, "*filter\n-F\n-N x\n-A INPUT -j x\nCOMMIT\n", true)); err != nil {
		t.Error(err)
	}
	err := k.Check(restoreScript(t, rule.IPv4, "*filter\n-D INPUT 2\nCOMMIT\n", true))
	if err == nil || err.Error() != change.DeleteTooBig {
		t.Errorf("got %v", err)
	}
	equal(t, "after checks", read(t, k, rule.IPv4), before)
	if now := generation(t, k); now != at {
		t.Errorf("generation %d, want %d", now, at)
	}
}

// TestHundredThousandRules writes 100,000 rules in one transaction. Where the
// limits of a user namespace forbid it, the error says what to do. The kernel
// shows a chain in a time that grows with the square of its length, so the last
// 1,000 have a chain of their own, and only these are read.
func TestHundredThousandRules(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: left out of short runs")
	}
	const n, last = 100_000, 1000
	k, _ := newKernel(t)
	apply(t, k, rule.IPv4, "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n")
	lines := manyLines(n)
	for i := len(lines) - 2 - last; i < len(lines)-2; i++ {
		lines[i] = strings.Replace(lines[i], "INPUT", "OUTPUT", 1)
	}
	err := k.Apply(restoreScript(t, rule.IPv4, strings.Join(lines, "\n"), false))
	v, viewErr := k.View(rule.IPv4, "filter")
	if viewErr != nil {
		t.Fatal(viewErr)
	}
	use := v.Chain("INPUT").Use
	var large *nft.TooLargeError
	switch {
	case errors.As(err, &large):
		if use != 1 || !strings.Contains(err.Error(), "net.core.wmem_max") {
			t.Errorf("%d rules after: %v", use, err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case use != n-last:
		t.Errorf("%d rules in INPUT, want %d", use, n-last)
	}
	i := n - last
	err = v.EachRule(v.Chain("OUTPUT"), func(r *rule.Rule) error {
		if got, want := r.Src.IP.String(), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255); got != want {
			t.Errorf("rule %d is of %s, want %s", i, got, want)
		}
		i++
		return nil
	})
	if err != nil || i != n {
		t.Errorf("the last rule is number %d, want %d: %v", i, n, err)
	}
}

// TestManyInsertsKeepTheirOrder puts 20,000 rules first, one before the other,
// into a chain with rules and into a new one.
func TestManyInsertsKeepTheirOrder(t *testing.T) {
	const n = 20_000
	for _, noFlush := range []bool{true, false} {
		k, _ := newKernel(t)
		apply(t, k, rule.IPv4, "*filter\n-A INPUT -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n")
		s := &change.Script{Family: rule.IPv4}
		if !noFlush {
			s.Ops = append(s.Ops, change.Op{Kind: change.ReplaceTable, Table: "filter"})
		}
		for i := range n {
			r := &rule.Rule{Counters: rule.Counters{Packets: uint64(i)}}
			s.Ops = append(s.Ops, change.Op{Kind: change.Insert, Table: "filter", Chain: "INPUT", Rule: r})
		}
		if err := k.Apply(s); errors.As(err, new(*nft.TooLargeError)) {
			t.Skip("a user namespace's limits forbid a transaction of 20,000 rules")
		} else if err != nil {
			t.Fatal(err)
		}
		rules := read(t, k, rule.IPv4).Table("filter").Chain("INPUT").Rules
		for i, r := range rules[:n] {
			if r.Counters.Packets != uint64(n-1-i) {
				t.Fatalf("rule %d is the one put in %d-th place", i+1, r.Counters.Packets+1)
			}
		}
	}
}
