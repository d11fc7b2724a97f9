package commit

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/persist"
	"moat/internal/rule"
)

// TestWatchdogDoesNotGiveUp has a kernel that refuses the old rules for long.
func TestWatchdogDoesNotGiveUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.fw.refuse = "10.1.1.1"
	var pauses []time.Duration
	w.env.pause = func(d time.Duration) <-chan time.Time {
		if pauses = append(pauses, d); len(pauses) == watchdogTries+3 {
			w.fw.refuse = ""
		}
		return time.After(0)
	}
	w.time += time.Hour
	if code := Watchdog(w.env, false); code != 0 || !w.isOld() || IsPending(w.env.Root) {
		t.Errorf("exit code %d, rules:\n%s", code, w.fw.text(rule.IPv4))
	}
	if n := strings.Count(w.out.String(), "ROLLBACK FAILED, the new IPv4"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &w.out)
	}
	if pauses[0] != watchdogTick || pauses[len(pauses)-1] != watchdogPause {
		t.Errorf("pauses %v", pauses)
	}
}

// TestFamilyThatIsBackIsLeftAloneByTheNextTry has one family's old rules refused.
func TestFamilyThatIsBackIsLeftAloneByTheNextTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.fw.refuse = "10.1.1.1"
	if code := Rollback(w.env); code != ExitStranded || w.fw.text(rule.IPv6) != before6 {
		t.Fatalf("exit code %d:\n%s", code, &w.out)
	}
	const later = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n" // the change's policy, by somebody's own wish
	if err := w.fw.Restore(rule.IPv6, "later", strings.NewReader(later), persist.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	w.fw.refuse = ""
	if code := Rollback(w.env); code != ExitDone || w.fw.text(rule.IPv4) != before4 || w.fw.text(rule.IPv6) != later {
		t.Errorf("exit code %d, rules:\n%s%soutput:\n%s", code, w.fw.text(rule.IPv4), w.fw.text(rule.IPv6), &w.out)
	}
}

// TestEndIsToldAsItWas has a process killed before it could close the journal.
func TestEndIsToldAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.dieAt(stepFiled, func() { Rollback(w.env) })
	Finish(w.env)
	if list, err := History(w.env.Root); err != nil || len(list) != 1 || list[0].Ended != endedAsked || !strings.Contains(w.out.String(), endedAsked) {
		t.Errorf("history %+v, %v:\n%s", list, err, &w.out)
	}
}

// TestChangeThatOthersEndAtThisMomentIsNoError has it end while a program that is
// being started looks at it.
func TestChangeThatOthersEndAtThisMomentIsNoError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		run  func(Env) int
		look int // at the clock, from 1, at which it ends
	}{
		{"start", func(e Env) int { Finish(e); return ExitNot }, 1},
		{"status", func(e Env) int { return Status(e, false) }, 1},
		{"status, which saw it", func(e Env) int { return Status(e, false) }, 3},
	} {
		w := newWorld(t)
		w.apply(change(false))
		env, looks := w.env, 0
		env.clock = func() time.Duration {
			if looks++; looks == c.look {
				Rollback(w.env)
				w.out.Reset()
			}
			return w.time
		}
		if code := c.run(env); code != ExitNot || looks < c.look || w.out.Len() > 0 && w.out.String() != "nothing is pending\n" {
			t.Errorf("%s: exit code %d, %d looks, it says:\n%s", c.name, code, looks, &w.out)
		}
	}
}

// TestChangeOfANamespaceThatIsGoneIsClosed has nobody left there to do it.
func TestChangeOfANamespaceThatIsGoneIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.env.network, w.env.Watchdog = 2, []string{"moat-test-none"}
	for _, c := range []struct {
		after  time.Duration
		starts bool // a watchdog
	}{{time.Minute, false}, {time.Minute + watchdogLate, true}} {
		w.out.Reset()
		w.time = time.Hour + c.after
		Finish(w.env)
		if starts := strings.Contains(w.out.String(), "it says"); starts != c.starts { // what the test's binary says
			t.Errorf("after %v: started a watchdog: %v:\n%s", c.after, starts, &w.out)
		}
	}
	if code := Watchdog(w.env, false); code != 0 || IsPending(w.env.Root) || !strings.Contains(w.out.String(), endedNamespace) {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
}

func TestSecondChangeInAnotherNamespaceIsToldWhereTheFirstIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.env.network = 2
	if code := w.apply(change(false)); code != ExitTrouble || !strings.Contains(w.out.String(), "of another network namespace: the command has to be given there") {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
}

// TestBootFilesAreNotEmptied has the new rules lost before they were saved.
func TestBootFilesAreNotEmptied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(true))
	w.cut("new.v4", -1)
	w.cut("copy/new.v4", -1)
	if code := Confirm(w.env, false); code != ExitUnsaved || w.savedForBoot() != 1 || !strings.Contains(w.out.String(), "new.v4 and its copy are missing") {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
	if _, err := os.Stat(w.env.Root + "/etc/iptables/rules.v4"); !os.IsNotExist(err) {
		t.Errorf("rules.v4: %v", err)
	}
}

// TestIgnoredSignalsStayIgnored: a watchdog ignores the hang-up of who started it.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	holdSignals()()
	if !signal.Ignored(syscall.SIGUSR2) {
		t.Error("it is not ignored any more")
	}
}

func TestWhoseWayIsLostIsToldToLogInAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.Who.Unknown = true
	w.apply(change(false))
	if !strings.Contains(w.out.String(), "confirm  ssh -o ControlPath=none root@HOST moat confirm\n") {
		t.Errorf("apply says:\n%s", &w.out)
	}
	w.out.Reset()
	if code := Confirm(w.env, false); code != ExitNot || !strings.Contains(w.out.String(), errNoSession.Error()) {
		t.Errorf("confirm: exit code %d:\n%s", code, &w.out)
	}
}

// TestChangeHalfMadeIsTakenBackPastAStoppedWatchdog was left by a killed process.
func TestChangeHalfMadeIsTakenBackPastAStoppedWatchdog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dieAt(stepOneFamily, func() { w.apply(change(false)) })
	f, err := os.Open(w.env.Root + pendingDir + "/" + watchdogFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isOurs, err := tryLock(f, syscall.LOCK_EX); err != nil || !isOurs {
		t.Fatal(isOurs, err)
	}
	Finish(w.env)
	if !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), endedKilled) {
		t.Errorf("rules:\n%soutput:\n%s", w.fw.text(rule.IPv4), &w.out)
	}
}
