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

// readOnlyDisk mounts a file system for the state that a test can make read-only,
// as the kernel does after errors.
func (w *world) readOnlyDisk() (set func(isReadOnly bool)) {
	w.t.Helper()
	w.fullDisk("1m") // which nobody fills
	return func(isReadOnly bool) {
		w.t.Helper()
		flags := uintptr(syscall.MS_REMOUNT)
		if isReadOnly {
			flags |= syscall.MS_RDONLY
		}
		if err := syscall.Mount("none", w.env.Root+"/var", "tmpfs", flags, ""); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestReadOnlyDiskKeepsNobodyFromTakingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.readOnlyDisk()
	w.apply(change(false))
	set(true)
	if code := Confirm(w.env, false); code != ExitTrouble || !strings.Contains(w.out.String(), "not confirmed: that cannot be written down") {
		t.Errorf("confirm: exit code %d:\n%s", code, &w.out)
	}
	e := w.env.ready()
	p, err := e.open(pendingDir)
	if err != nil {
		t.Fatal(err)
	}
	w.time += time.Minute
	Finish(w.env)
	if !w.isOld() {
		t.Fatalf("rules:\n%soutput:\n%s", w.fw.text(rule.IPv4), &w.out)
	}
	if ended := e.settled(p.ID); ended == nil || ended.ending().Ended != endedTimeOver || !strings.Contains(strings.Join(ended.ending().Notes, "\n"), "read-only") {
		t.Errorf("who waits is told %+v", ended)
	}
	// What is done from now on is no part of the change.
	later := "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.3.3.3/32 -j ACCEPT\nCOMMIT\n"
	if err := w.fw.Restore(rule.IPv4, "later", strings.NewReader(later), persist.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func() int{
		"status": func() int { return Status(w.env, false) }, "rollback": func() int { return Rollback(w.env) }, "confirm": func() int { return Confirm(w.env, false) },
	} {
		if code := run(); code != ExitNot {
			t.Errorf("%s: exit code %d:\n%s", name, code, &w.out)
		}
	}
	w.out.Reset()
	Finish(w.env)
	if got := w.fw.text(rule.IPv4); !strings.Contains(got, "10.3.3.3") || !strings.Contains(got, ":INPUT DROP") || w.out.Len() > 0 {
		t.Errorf("rules:\n%soutput:\n%s", got, &w.out)
	}
	if code := w.apply(change(false)); code != ExitTrouble || !strings.Contains(w.out.String(), "cannot be closed") {
		t.Errorf("apply: exit code %d:\n%s", code, &w.out)
	}
	set(false)
	if w.apply(change(false)); !IsPending(w.env.Root) || !w.isNew() {
		t.Errorf("the next change was not made:\n%s", &w.out)
	}
	if list, err := History(w.env.Root); err != nil || len(list) != 2 || list[1].Ended != endedTimeOver {
		t.Errorf("history %+v, %v", list, err)
	}
}

func TestBootFilesThatCannotBeWrittenAreToldByBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(true))
	p, err := w.env.open(pendingDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.env.Root+"/etc", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := Confirm(w.env, false); code != ExitUnsaved || !strings.Contains(w.out.String(), "the IPv4 rules will not be loaded at boot") {
		t.Errorf("confirm: exit code %d:\n%s", code, &w.out)
	}
	w.out.Reset()
	e := w.env.ready()
	if code := e.report(e.settled(p.ID)); code != ExitUnsaved || !strings.Contains(w.out.String(), "the IPv6 rules will not be loaded at boot") || strings.Contains(w.out.String(), "are loaded at boot") {
		t.Errorf("who waits: exit code %d:\n%s", code, &w.out)
	}
}

// TestConnectionThatBeganBeforeTheChangeWasMadeIsOld: the journal is written long
// before, and the old rules let it in.
func TestConnectionThatBeganBeforeTheChangeWasMadeIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := Connection{Proto: 6, Client: addrPort("203.0.113.7:5"), Server: addrPort("198.51.100.2:22")}
	began := false
	w.env.Existing = func() ([]Connection, error) {
		if began {
			return []Connection{c}, nil
		}
		return nil, nil
	}
	w.env.after = func(s step) { began = began || s == stepWatched }
	w.apply(change(false))
	w.env.Who.Sessions = []Connection{c}
	if code := Confirm(w.env, false); code != ExitNot {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
}

func TestWhoWaitsLearnsTheEndAlsoWhenOthersTookThePlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	p, err := w.env.open(pendingDir)
	if err != nil {
		t.Fatal(err)
	}
	Confirm(w.env, false)
	w.apply(change(false))
	Rollback(w.env)
	e := w.env.ready()
	if code := e.report(e.settled(p.ID)); code != ExitDone {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
	if err := os.RemoveAll(w.env.Root + historyDir); err != nil {
		t.Fatal(err)
	}
	w.out.Reset()
	if code := e.report(e.settled(p.ID)); code != ExitNot || strings.Contains(w.out.String(), "in force") {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
}

// TestWatchdogThatDoesNothingIsNotWaitedFor has one that is stopped.
func TestWatchdogThatDoesNothingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	f, err := os.Open(w.env.Root + pendingDir + "/" + watchdogFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isOurs, err := tryLock(f, syscall.LOCK_EX); err != nil || !isOurs {
		t.Fatal(isOurs, err)
	}
	for _, c := range []struct {
		after   time.Duration
		pending bool
	}{{time.Minute + watchdogGrace, true}, {time.Minute + watchdogLate, false}} {
		w.time = time.Hour + c.after
		Finish(w.env)
		if IsPending(w.env.Root) != c.pending {
			t.Errorf("after %v: pending %v", c.after, !c.pending)
		}
	}
}

func TestSignalTakesADamagedChangeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.after = func(s step) {
		if s == stepApplied {
			w.damage(journalFile, copyDir+"/"+journalFile)
		}
	}
	interrupted := &watch{first: make(chan struct{}), got: syscall.SIGINT}
	close(interrupted.first)
	if code := w.env.ready().apply(change(false), interrupted); code != ExitNot || !w.isOld() || IsPending(w.env.Root) {
		t.Errorf("exit code %d, rules:\n%soutput:\n%s", code, w.fw.text(rule.IPv4), &w.out)
	}
}

func TestTerminalEndsNobodyWhoHasTheLock(t *testing.T) {
	w := newWorld(t)
	w.apply(change(false))
	came := make(chan os.Signal, 2)
	w.env.after = func(s step) {
		if s != stepOneBack {
			return
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // which would end this test
			t.Error(err)
		}
		signal.Notify(came, syscall.SIGWINCH) // delivered after that
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Error(err)
		}
		<-came
		signal.Stop(came)
	}
	if code := Rollback(w.env); code != ExitDone || !w.isOld() {
		t.Errorf("exit code %d:\n%s", code, &w.out)
	}
}
