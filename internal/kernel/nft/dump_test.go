package nft

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// withRules gives a Conn to a namespace with n rules in INPUT.
func withRules(t testing.TB, n int) *Conn {
	t.Helper()
	c := testConn(t)
	var b Batch
	addFilter(&b)
	addRules(&b, n)
	must(t, c.Commit(&b))
	return c
}

func countRules(t testing.TB, c *Conn) int {
	t.Helper()
	n := 0
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(*RuleView) error { n++; return nil }))
	return n
}

func TestDumpEndsWhereTheCallbackSays(t *testing.T) {
	const n = 5000 // enough for the receiving goroutine
	c := withRules(t, n)
	failure := errors.New("failure of the callback")
	for _, at := range []int{1, 50, 1500, n} {
		for _, want := range []error{ErrStop, failure} {
			seen := 0
			err := c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(*RuleView) error {
				if seen++; seen == at {
					return want
				}
				return nil
			})
			if want == ErrStop && err != nil || want == failure && !errors.Is(err, failure) || seen != at {
				t.Errorf("%v at rule %d: dump ends with %v at %d", want, at, err, seen)
			}
			if got := countRules(t, c); got != n {
				t.Errorf("after that a dump gives %d rules, want %d", got, n)
			}
		}
	}
}

func TestStoppedDumpStaysInItsNamespace(t *testing.T) {
	c := withRules(t, 2000)
	stop := func(*RuleView) error { return ErrStop }
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", stop))
	must(t, unix.Unshare(unix.CLONE_NEWNET)) // a new socket would be of this namespace
	if got := countRules(t, c); got != 2000 {
		t.Errorf("the connection went over to another namespace: %d rules, want 2000", got)
	}
}

func TestDumpSaysThatItWasInterrupted(t *testing.T) {
	c := withRules(t, 5000)
	other, err := Open()
	must(t, err)
	defer other.Close()
	seen := 0
	err = c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(*RuleView) error {
		if seen++; seen != 10 {
			return nil
		}
		var b Batch
		b.AddTable(0, &Table{Family: NFPROTO_IPV4, Name: "other"})
		return other.Commit(&b)
	})
	if !errors.Is(err, ErrInterrupted) {
		t.Errorf("a dump that another writer overtook gives %v", err)
	}
	if got := countRules(t, c); got != 5000 {
		t.Errorf("the next dump gives %d rules", got)
	}
}

func TestDumpLeavesNoGoroutine(t *testing.T) {
	c := withRules(t, 5000)
	before := runtime.NumGoroutine()
	if got := countRules(t, c); got != 5000 {
		t.Errorf("dump gives %d rules", got)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestDumpOfRulesDoesNotAllocatePerRule(t *testing.T) {
	c := withRules(t, 500)
	var sum uint64
	dump := func() {
		must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error { sum += r.Handle; return nil }))
	}
	dump()
	if n := testing.AllocsPerRun(5, dump); n > 100 {
		t.Errorf("a dump of 500 rules makes %v allocations", n)
	}
}
