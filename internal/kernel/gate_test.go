package kernel

import (
	"errors"
	"math/rand/v2"
	"testing"

	"moat/internal/change"
	"moat/internal/rule"
)

// recorder is a gate that watches everything, keeps what it was shown, and
// refuses with err.
type recorder struct {
	err   error
	seen  *Change
	made  int
	asked int
}

func (r *recorder) Watches(*change.Script) bool { return true }

func (r *recorder) Judge(c *Change) (func(), error) {
	r.seen = c
	r.asked++
	return func() { r.made++ }, r.err
}

// uncounted prints a ruleset without counters, which go on while a change is judged.
func uncounted(rs *rule.Ruleset) string {
	out := &rule.Ruleset{Family: rs.Family}
	for _, t := range rs.Tables {
		table := &rule.Table{Name: t.Name}
		for _, c := range t.Chains {
			chain := &rule.Chain{Name: c.Name, Base: c.Base}
			for _, r := range c.Rules {
				plain := *r
				plain.Counters = rule.Counters{}
				chain.Rules = append(chain.Rules, &plain)
			}
			table.Chains = append(table.Chains, chain)
		}
		out.Tables = append(out.Tables, table)
	}
	return saved(out)
}

// TestGateSeesWhatTheTransactionMakes compares what the gate is shown of random
// scripts with what the kernel has before and after them, and with Predict.
func TestGateSeesWhatTheTransactionMakes(t *testing.T) {
	for _, f := range families {
		t.Run(f.Program(), func(t *testing.T) {
			t.Parallel()
			k, _ := newKernel(t)
			applySeedWorld(t, k, f)
			world := read(t, k, f)
			g := &recorder{}
			k.gate = g
			shown := 0
			for seed := range uint64(rounds(800)) {
				m := &scriptMaker{rand.New(rand.NewPCG(seed, 2)), f}
				s := m.script()
				if _, err := change.Apply(world, s); err != nil {
					continue // the kernel refuses it too: TestScriptsDoWhatTheModelSays
				}
				apply(t, k, f, "*filter\n-F\n-X\nCOMMIT\n*mangle\n-F\n-X\nCOMMIT\n")
				apply(t, k, f, seedWorld(f))
				before := read(t, k, f)
				*g = recorder{}
				err := k.Apply(&s)
				if err != nil || g.seen == nil {
					continue
				}
				shown++
				if got, want := uncounted(g.seen.Before), uncounted(before); got != want {
					t.Fatalf("seed %d: before, the gate saw\n%s\nthe kernel had\n%s", seed, got, want)
				}
				after := uncounted(read(t, k, f))
				if got := uncounted(g.seen.After); got != after {
					t.Fatalf("seed %d:\n%s\nafter, the gate saw\n%s\nthe kernel has\n%s", seed, describe(s), got, after)
				}
				predicted, err := k.Predict(before, &s)
				if err != nil || uncounted(predicted) != after {
					t.Fatalf("seed %d: %v: predicted\n%s\nthe kernel has\n%s", seed, err, uncounted(predicted), after)
				}
				if g.made > 1 || g.made == 0 && after != uncounted(before) {
					t.Fatalf("seed %d: the gate was told %d times that the change was made", seed, g.made)
				}
			}
			if shown < rounds(60) {
				t.Errorf("only %d scripts were made", shown)
			}
		})
	}
}

// TestPredictFindsRulesAsTheKernelSpellsThem deletes a rule by another spelling
// of it.
func TestPredictFindsRulesAsTheKernelSpellsThem(t *testing.T) {
	t.Parallel()
	k, _ := newKernel(t)
	apply(t, k, rule.IPv4, "*filter\n-A INPUT -p tcp ! --dport :1023 -j DROP\nCOMMIT\n")
	got, err := k.Predict(read(t, k, rule.IPv4), restoreScript(t, rule.IPv4, "*filter\n-D INPUT -p tcp --dport 1024: -j DROP\nCOMMIT\n", true))
	if err != nil || len(got.Table("filter").Chain("INPUT").Rules) != 0 {
		t.Errorf("%v, left: %s", err, saved(got))
	}
}

func TestRefusalOfTheGateChangesNothing(t *testing.T) {
	t.Parallel()
	k, _ := newKernel(t)
	refusal := errors.New("no")
	k.gate = &recorder{err: refusal}
	s := &change.Script{Family: rule.IPv4, Ops: []change.Op{{Kind: change.SetPolicy, Table: "filter", Chain: "INPUT", Policy: rule.Drop}}}
	if err := k.Apply(s); !errors.Is(err, refusal) {
		t.Errorf("Apply: %v", err)
	}
	if err := k.Judge(s); !errors.Is(err, refusal) {
		t.Errorf("Judge: %v", err)
	}
	if _, err := k.ApplyVerbosely(s); !errors.Is(err, refusal) {
		t.Errorf("ApplyVerbosely: %v", err)
	}
	if _, _, err := k.ApplyTraced(s); !errors.Is(err, refusal) {
		t.Errorf("ApplyTraced: %v", err)
	}
	if rs := read(t, k, rule.IPv4); len(rs.Tables) != 0 {
		t.Errorf("the kernel has %v", saved(rs))
	}
}

func TestOpenedToReadChangesNothing(t *testing.T) {
	t.Parallel()
	k, _ := newKernel(t)
	k.gate = nil
	s := &change.Script{Family: rule.IPv4, Ops: []change.Op{{Kind: change.Append, Table: "filter", Chain: "INPUT", Rule: &rule.Rule{}}}}
	if err := k.Apply(s); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Apply: %v", err)
	}
	if rs := read(t, k, rule.IPv4); len(rs.Tables) != 0 {
		t.Errorf("the kernel has %v", saved(rs))
	}
}
