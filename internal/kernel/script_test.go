package kernel

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/rule"
)

// scriptMaker makes random scripts over a small world, so that operations meet:
// three user chains, six rules, two tables.
type scriptMaker struct {
	*rand.Rand
	f rule.Family
}

var (
	userChains  = [...]string{"a", "b", "c"}
	testTables  = [...]string{"filter", "mangle"}
	testTargets = [...]rule.Target{nil, rule.Accept, rule.Drop, rule.Return}
)

func (m *scriptMaker) chain() string {
	if m.IntN(3) == 0 {
		return [...]string{"INPUT", "FORWARD", "OUTPUT"}[m.IntN(3)]
	}
	return userChains[m.IntN(len(userChains))]
}

func (m *scriptMaker) rule(chain string) *rule.Rule {
	r := &rule.Rule{Target: testTargets[m.IntN(len(testTargets))]}
	if ip := byte(m.IntN(3)); ip > 0 {
		addr, mask := netip.AddrFrom4([4]byte{10, 0, 0, ip}), netip.AddrFrom4([4]byte{255, 255, 255, 255})
		if m.f == rule.IPv6 {
			addr = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: ip})
			mask = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		}
		r.Src = rule.Address{IP: addr, Mask: mask}
	}
	// Jumps go up the alphabet, so that there is no loop, which only the kernel finds.
	if to := userChains[m.IntN(len(userChains))]; m.IntN(3) == 0 && (len(chain) > 1 || chain < to) {
		r.Target = rule.Jump{Chain: to, Goto: m.IntN(2) == 0}
	}
	if m.IntN(2) == 0 {
		r.Counters = rule.Counters{Packets: uint64(m.IntN(9)), Bytes: uint64(m.IntN(900))}
	}
	return r
}

// kinds are the operations of random scripts, the more frequent ones repeatedly.
// A chain gets a new name only at the end of the alphabet, for want of loops.
var kinds = [...]change.Kind{
	change.Append, change.Append, change.Append, change.Append, change.Insert, change.Insert, change.Insert,
	change.Replace, change.Replace, change.Delete, change.Delete, change.DeleteNum, change.DeleteNum, change.Check,
	change.Flush, change.Zero, change.Zero, change.NewChain, change.NewChain, change.NewChain, change.DeclareChain,
	change.DeleteChain, change.DeleteChain, change.SetPolicy, change.Rename, change.OpenTable, change.OpenChain, change.ReplaceTable,
}

func (m *scriptMaker) op(line int) change.Op {
	op := change.Op{Kind: kinds[m.IntN(len(kinds))], Table: testTables[m.IntN(2)], Chain: m.chain(), Place: change.Place{Line: line}}
	switch op.Kind {
	case change.Append, change.Delete, change.Check:
		op.Rule = m.rule(op.Chain)
	case change.Insert, change.Replace:
		op.Rule, op.Num = m.rule(op.Chain), 1+m.IntN(4)
	case change.DeleteNum:
		op.Num = 1 + m.IntN(4)
	case change.Zero:
		op.Num = m.IntN(3)
		if op.Num == 0 && m.IntN(2) == 0 {
			op.Chain = ""
		}
	case change.Flush:
		if m.IntN(4) == 0 {
			op.Chain = ""
		}
	case change.SetPolicy:
		op.Policy = rule.Verdict(m.IntN(2))
		if m.IntN(2) == 0 {
			op.Counters = &rule.Counters{Packets: uint64(m.IntN(5)), Bytes: uint64(m.IntN(5))}
		}
	case change.NewChain, change.DeclareChain:
		op.Chain = userChains[m.IntN(len(userChains))]
	case change.DeleteChain:
		op.Chain = userChains[m.IntN(len(userChains))]
		if m.IntN(6) == 0 {
			op.Chain = ""
		}
	case change.Rename:
		op.Chain = userChains[m.IntN(len(userChains))]
		op.NewName = [...]string{"c", "x", "a"}[m.IntN(3)]
		if op.NewName < op.Chain {
			op.NewName = "x"
		}
	case change.OpenChain:
		op.Chain = "INPUT"
	}
	return op
}

// seedWorld is a ruleset in which most operations find something.
func seedWorld(f rule.Family) string {
	ip := "10.0.0."
	if f == rule.IPv6 {
		ip = "2001::"
	}
	var b strings.Builder
	for _, table := range testTables {
		fmt.Fprintf(&b, "*%s\n:INPUT DROP [7:70]\n:FORWARD ACCEPT [1:1]\n:OUTPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n", table)
		fmt.Fprintf(&b, "[1:2] -A INPUT -s %s1 -j ACCEPT\n[3:4] -A INPUT -j a\n[0:0] -A INPUT -s %s2 -j DROP\n[5:6] -A a -j b\n", ip, ip)
		fmt.Fprintf(&b, "[7:8] -A a -j RETURN\n[9:9] -A OUTPUT -s %s1 -g a\nCOMMIT\n", ip)
	}
	return b.String()
}

// script is a random script of up to seven operations.
func (m *scriptMaker) script() change.Script {
	s := change.Script{Family: m.f}
	for i := range 1 + m.IntN(7) {
		s.Ops = append(s.Ops, m.op(i+1))
	}
	return s
}

// applySeedWorld makes the kernel's ruleset that of seedWorld.
func applySeedWorld(t *testing.T, k *Kernel, f rule.Family) {
	t.Helper()
	if err := k.Apply(restoreScript(t, f, seedWorld(f), false)); err != nil {
		t.Fatal(err)
	}
}

var everyScript = flag.Bool("everyscript", false, "give the kernel each random script that the model refuses, not a sample of them")

// TestScriptsDoWhatTheModelSays runs random scripts in one transaction each:
// the kernel then holds what change.Apply gives, or both refuse with the same
// words and the kernel is as it was. Most scripts are refused, for few reasons:
// of these the kernel gets the first ten for each reason and every twentieth, and
// with -everyscript all.
func TestScriptsDoWhatTheModelSays(t *testing.T) {
	for _, f := range families {
		t.Run(f.Program(), func(t *testing.T) {
			t.Parallel()
			k, _ := newKernel(t)
			applySeedWorld(t, k, f)
			world, changed := read(t, k, f), false
			done, tried, refused := 0, 0, map[string]int{}
			for seed := range uint64(rounds(3000)) {
				m := &scriptMaker{rand.New(rand.NewPCG(seed, 1)), f}
				s := m.script()
				if _, err := change.Apply(world, s); err != nil {
					n := refused[err.Error()]
					refused[err.Error()]++
					if n >= 10 && n%20 != 0 && !*everyScript {
						continue
					}
				}
				if changed {
					applySeedWorld(t, k, f)
				}
				if changed = oneScript(t, k, s, seed); changed {
					done++
				}
				tried++
			}
			t.Logf("%d scripts done of %d tried, refused by the model: %v", done, tried, refused)
			if done < 100 && !testing.Short() {
				t.Errorf("only %d scripts were done: they refuse too much to say anything", done)
			}
		})
	}
}

// rounds is how often a random test goes round.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// oneScript applies one script and reports whether it was done, not refused.
func oneScript(t *testing.T, k *Kernel, s change.Script, seed uint64) bool {
	t.Helper()
	// All built-in chains are there, so that the model knows what the kernel has.
	before := read(t, k, s.Family)
	was := saved(before)
	want, wantErr := change.Apply(before, s)
	if saved(before) != was {
		t.Fatalf("seed %d: change.Apply changed its argument", seed)
	}
	err := k.Apply(&s)
	after := read(t, k, s.Family)
	if err == nil && wantErr == nil {
		equal(t, fmt.Sprintf("seed %d:\n%s\nafter", seed, describe(s)), after, want)
		return true
	}
	if err == nil || wantErr == nil || err.Error() != wantErr.Error() {
		t.Fatalf("seed %d: the kernel says %v, the model %v\nbefore:\n%s\nscript:\n%s", seed, err, wantErr, saved(before), describe(s))
	}
	var e *Error
	var r *change.Refused
	if !errors.As(err, &e) || !errors.As(wantErr, &r) || e.Op == nil || e.Op.Place != r.Op.Place {
		t.Fatalf("seed %d: %v: another operation is blamed: %+v, want %+v\n%s", seed, err, e.Op, r, describe(s))
	}
	equal(t, fmt.Sprintf("seed %d: refused (%v) but changed:\n%s", seed, err, describe(s)), after, before)
	return false
}

// describe prints a script for the reader of a failure.
func describe(s change.Script) string {
	names := [...]string{
		"append", "insert", "replace", "delete", "delete number", "check", "flush", "zero", "new", "delete chain",
		"policy", "rename", "replace table", "declare", "open table", "open chain",
	}
	var b strings.Builder
	for _, op := range s.Ops {
		fmt.Fprintf(&b, "%d: %s %s %s %d %s %v", op.Place.Line, names[op.Kind], op.Table, op.Chain, op.Num, op.NewName, op.Policy)
		if op.Counters != nil {
			fmt.Fprintf(&b, " %v", *op.Counters)
		}
		if op.Rule != nil {
			fmt.Fprintf(&b, " src %v target %v counters %v", op.Rule.Src.IP, op.Rule.Target, op.Rule.Counters)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
