package kernel

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"moat/internal/change"
	"moat/internal/rule"
)

// together runs f of 0, 1 … n-1 at once, each with a kernel of its own.
func together(t *testing.T, n int, kernels []*Kernel, f func(k *Kernel, i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = f(kernels[i], i) })
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

// TestWritersAtOnce appends 8 times 100 rules at once, each in its own
// transaction, half of them by the way that reads: none is lost, and each
// writer's are in its order.
func TestWritersAtOnce(t *testing.T) {
	const writers, rules = 8, 100
	k, h := newKernel(t)
	var kernels []*Kernel
	for range writers {
		kernels = append(kernels, open(t, h))
	}
	together(t, writers, kernels, func(k *Kernel, i int) error {
		for j := range rules {
			r := &rule.Rule{Counters: rule.Counters{Packets: uint64(i), Bytes: uint64(j)}}
			s := &change.Script{Family: rule.IPv4, Ops: []change.Op{{Kind: change.Append, Table: "filter", Chain: "INPUT", Rule: r}}}
			if i%2 == 1 { // a check of the chain's policy ties it to the generation
				s.Ops = append(s.Ops, change.Op{Kind: change.SetPolicy, Table: "filter", Chain: "INPUT", Policy: rule.Drop})
			}
			if err := k.Apply(s); err != nil {
				return fmt.Errorf("rule %d: %w", j, err)
			}
		}
		return nil
	})
	var next [writers]uint64
	for _, r := range read(t, k, rule.IPv4).Table("filter").Chain("INPUT").Rules {
		i := r.Counters.Packets
		if r.Counters.Bytes != next[i] {
			t.Fatalf("writer %d: rule %d stands where %d belongs", i, r.Counters.Bytes, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != rules {
			t.Errorf("writer %d: %d rules, want %d", i, n, rules)
		}
	}
}

// TestPolicyIsNotOverwritten makes INPUT by -A while another makes it by -P
// DROP: the policy stays, whoever was first.
func TestPolicyIsNotOverwritten(t *testing.T) {
	for range rounds(100) {
		k, h := newKernel(t)
		kernels := []*Kernel{k, open(t, h), open(t, h)}
		together(t, 3, kernels, func(k *Kernel, i int) error {
			op := change.Op{Kind: change.Append, Table: "filter", Chain: "INPUT", Rule: &rule.Rule{Target: rule.Accept}}
			if i == 1 {
				op = change.Op{Kind: change.SetPolicy, Table: "filter", Chain: "INPUT", Policy: rule.Drop}
			}
			return k.Apply(&change.Script{Family: rule.IPv4, Ops: []change.Op{op}})
		})
		c := read(t, k, rule.IPv4, "filter").Table("filter").Chain("INPUT")
		if c.Base.Policy != rule.Drop || len(c.Rules) != 2 {
			t.Fatalf("policy %v with %d rules, want DROP with 2", c.Base.Policy, len(c.Rules))
		}
	}
}

// TestChainIsMadeOnce makes one chain by eight writers at once: one succeeds,
// the others are told that it is there, and no rule goes astray.
func TestChainIsMadeOnce(t *testing.T) {
	const writers = 8
	k, h := newKernel(t)
	var kernels []*Kernel
	for range writers {
		kernels = append(kernels, open(t, h))
	}
	for round := range rounds(50) {
		name := fmt.Sprint("c", round)
		var mu sync.Mutex
		made := 0
		together(t, writers, kernels, func(k *Kernel, _ int) error {
			err := k.Apply(&change.Script{Family: rule.IPv4, Ops: []change.Op{
				{Kind: change.NewChain, Table: "filter", Chain: name},
				{Kind: change.Append, Table: "filter", Chain: name, Rule: &rule.Rule{}},
			}})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case err.Error() != change.ChainExists:
				return err
			}
			return nil
		})
		if n := len(read(t, k, rule.IPv4, "filter").Table("filter").Chain(name).Rules); made != 1 || n != 1 {
			t.Fatalf("made %d times with %d rules", made, n)
		}
	}
}

// TestDeleteAndZeroWhileOthersWrite runs operations that read before they write
// beside a writer that never rests: none fails, and each rule goes once.
func TestDeleteAndZeroWhileOthersWrite(t *testing.T) {
	const rules = 60
	k, h := newKernel(t)
	kernels := []*Kernel{k, open(t, h), open(t, h), open(t, h)}
	s := &change.Script{Family: rule.IPv4}
	for i := range 3 * rules {
		r := &rule.Rule{Counters: rule.Counters{Packets: 1, Bytes: uint64(i)}, Target: rule.Verdict(i % 3 % 2)}
		s.Ops = append(s.Ops, change.Op{Kind: change.Append, Table: "filter", Chain: "INPUT", Rule: r})
	}
	if err := k.Apply(s); err != nil {
		t.Fatal(err)
	}
	together(t, len(kernels), kernels, func(k *Kernel, i int) error {
		for j := range rules {
			op := change.Op{Kind: change.DeleteNum, Table: "filter", Chain: "INPUT", Num: 1 + j%7}
			switch i {
			case 0:
				op = change.Op{Kind: change.Zero, Table: "filter"}
			case 1:
				op = change.Op{Kind: change.Append, Table: "filter", Chain: "OUTPUT", Rule: &rule.Rule{}}
			}
			ops := []change.Op{op}
			if i == 3 {
				ops = append(ops, change.Op{Kind: change.Check, Table: "filter", Chain: "INPUT", Rule: &rule.Rule{Target: rule.Accept}})
			}
			if err := k.Apply(&change.Script{Family: rule.IPv4, Ops: ops}); err != nil {
				return fmt.Errorf("round %d: %w", j, err)
			}
		}
		return nil
	})
	got := read(t, k, rule.IPv4, "filter").Table("filter")
	if n := len(got.Chain("INPUT").Rules); n != rules {
		t.Errorf("%d rules are left in INPUT, want %d", n, rules)
	}
	if n := len(got.Chain("OUTPUT").Rules); n != rules {
		t.Errorf("%d rules in OUTPUT, want %d", n, rules)
	}
}

// TestRecomputeLetsNobodyBetween has another writer come between the reading and
// the transaction, twice: the script is computed a third time, from its rules.
func TestRecomputeLetsNobodyBetween(t *testing.T) {
	t.Parallel()
	k, h := newKernel(t)
	other := open(t, h)
	asked := 0
	err := k.Recompute(func() (*change.Script, error) {
		rs := read(t, k, rule.IPv4)
		seen := 0
		if table := rs.Table("filter"); table != nil {
			seen = len(table.Chain("INPUT").Rules)
		}
		if asked++; asked <= 2 {
			apply(t, other, rule.IPv4, "*filter\n-A INPUT -s 10.0.0.1 -j DROP\nCOMMIT\n")
		}
		return restoreScript(t, rule.IPv4, fmt.Sprintf("*filter\n-A OUTPUT -p tcp --dport %d\nCOMMIT\n", 1000+seen), true), nil
	})
	if err != nil || asked != 3 {
		t.Errorf("%v after %d times", err, asked)
	}
	got := saved(read(t, k, rule.IPv4))
	if !strings.Contains(got, "--dport 1002\n") || strings.Contains(got, "--dport 1000") || strings.Contains(got, "--dport 1001") {
		t.Errorf("the kernel has\n%s", got)
	}
}
