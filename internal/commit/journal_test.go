package commit

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/persist"
	"moat/internal/rule"
)

// allSteps are the moments of a change, with what ends it.
var allSteps = []step{
	stepFilled, stepBegun, stepWatched, stepOneFamily, stepChanged, stepRecorded, stepApplied,
	stepOneBack, stepBack, stepDecided, stepOneSaved, stepSaved, stepFiled, stepClosed,
}

func TestProcessKilledAtAnyMomentLeavesOldOrConfirmedRules(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"confirm", "rollback"} {
		for _, s := range allSteps {
			for _, isReboot := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, reboot %v", end, s, isReboot), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					if died := w.dieAt(s, func() { w.apply(change(true)) }); !died {
						died = w.dieAt(s, func() {
							if end == "confirm" {
								Confirm(w.env, false)
							} else {
								Rollback(w.env)
							}
						})
						if !died {
							return // the step is not on this way
						}
					}
					w.nextStart(isReboot)
				})
			}
		}
	}
}

// nextStart finishes what a killed process left, and looks at what came of it.
func (w *world) nextStart(isReboot bool) {
	w.t.Helper()
	isConfirmed := false
	if p, err := w.env.open(pendingDir); err == nil {
		isConfirmed = p.state == stateConfirmed
	} else if last, err := w.env.open(lastDir); err == nil {
		isConfirmed = last.state == stateConfirmed
	}
	if isReboot {
		w.fw = newMemory("", "")
		w.env.Firewall, w.env.boot, w.time = w.fw, "another boot", 0
	} else {
		w.time += 2 * time.Minute
	}
	Finish(w.env)
	if IsPending(w.env.Root) {
		w.t.Fatalf("still pending: %s", &w.out)
	}
	if n := w.savedForBoot(); isConfirmed && n != 2 || !isConfirmed && n != 0 {
		w.t.Errorf("confirmed: %v, but %d boot files", isConfirmed, n)
	}
	if !isReboot && (isConfirmed && !w.isNew() || !isConfirmed && !w.isOld()) {
		w.t.Errorf("confirmed: %v, but rules:\n%s%s", isConfirmed, w.fw.text(rule.IPv4), w.fw.text(rule.IPv6))
	}
	if w.apply(change(false)) != ExitNot || !IsPending(w.env.Root) { // hung up while it waits
		w.t.Errorf("the next change was not made: %s", &w.out)
	}
}

func TestDeadlineIsOfAClockThatNobodySets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	for _, c := range []struct {
		after   time.Duration
		pending bool
	}{{0, true}, {59 * time.Second, true}, {60 * time.Second, false}} {
		w.time = time.Hour + c.after
		Finish(w.env)
		if IsPending(w.env.Root) != c.pending {
			t.Errorf("after %v: pending %v", c.after, !c.pending)
		}
	}
	if !w.isOld() || !strings.Contains(w.out.String(), endedTimeOver) {
		t.Errorf("rules:\n%s, output:\n%s", w.fw.text(rule.IPv4), &w.out)
	}
}

func TestChangeOfAnotherNamespaceIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.env.network, w.time = 2, 2*time.Hour
	Finish(w.env)
	if code := Confirm(w.env, false); code != ExitTrouble {
		t.Errorf("confirm: exit code %d", code)
	}
	if code := Rollback(w.env); code != ExitTrouble {
		t.Errorf("rollback: exit code %d", code)
	}
	if !IsPending(w.env.Root) || !w.isNew() {
		t.Error("it is not pending any more")
	}
}

func TestSecondFamilyThatFailsBringsTheFirstBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fw.refuse = "fc00::2"
	if code := w.apply(change(false)); code != ExitNot {
		t.Errorf("exit code %d", code)
	}
	if !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), "nothing was changed: the old rules are back") {
		t.Errorf("rules:\n%s%s, output:\n%s", w.fw.text(rule.IPv4), w.fw.text(rule.IPv6), &w.out)
	}
}

func TestConfirmationFromAnOldConnectionDoesNotCount(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddrPort("198.51.100.2:22")
	from := func(port uint16) Connection {
		return Connection{Proto: 6, Client: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.7"), port), Server: server}
	}
	gone := from(3)
	gone.Gone = true
	for _, c := range []struct {
		name     string
		sessions []Connection
		unknown  bool
		fromHere bool
		want     int
	}{
		{"console", nil, false, false, ExitDone},
		{"nobody knows", nil, true, false, ExitNot},
		{"the session that made the change", []Connection{from(1)}, false, false, ExitNot},
		{"another that was there", []Connection{from(2)}, false, false, ExitNot},
		{"a new one", []Connection{from(3)}, false, false, ExitDone},
		{"an old and a new one", []Connection{from(1), from(3)}, false, false, ExitDone},
		{"one that is gone", []Connection{gone}, false, false, ExitNot},
		{"the old one, insisting", []Connection{from(1)}, false, true, ExitDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.env.Who = Who{User: "root", SudoUser: "alice", Sessions: []Connection{from(1)}}
			w.env.Existing = func() ([]Connection, error) { return []Connection{from(2)}, nil }
			w.apply(change(false))
			w.env.Who.Sessions, w.env.Who.Unknown = c.sessions, c.unknown
			if code := Confirm(w.env, c.fromHere); code != c.want || IsPending(w.env.Root) != (c.want != ExitDone) {
				t.Errorf("exit code %d: %s", code, &w.out)
			}
			const how = "ssh -o ControlPath=none -t alice@198.51.100.2 sudo moat confirm\n"
			if c.want != ExitDone && len(c.sessions) > 0 && !strings.Contains(w.out.String(), how) {
				t.Errorf("no %q in:\n%s", how, &w.out)
			}
		})
	}
}

func TestConnectionsThatCannotBeListedAllCountAsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.Existing = func() ([]Connection, error) { return nil, errFault }
	w.apply(change(false))
	w.env.Who.Sessions = []Connection{{Proto: 6, Client: netip.MustParseAddrPort("203.0.113.7:5"), Server: netip.MustParseAddrPort("198.51.100.2:22")}}
	if code := Confirm(w.env, false); code != ExitNot {
		t.Errorf("exit code %d", code)
	}
}

func TestRefusedMergeFallsBackToExactlyTheOldRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	theirs := "*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n:theirs - [0:0]\n-A INPUT -j mine\n-A INPUT -j theirs\n-A mine -s 10.2.2.2/32 -j ACCEPT\nCOMMIT\n"
	if err := w.fw.Restore(rule.IPv4, "theirs", strings.NewReader(theirs), persist.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	w.fw.refuse = "theirs"
	if code := Rollback(w.env); code != ExitDone || !w.isOld() || !strings.Contains(w.out.String(), "could not be kept") {
		t.Errorf("exit code %d, rules:\n%soutput:\n%s", code, w.fw.text(rule.IPv4), &w.out)
	}
}

func TestFailedRollbackIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.fw.refuse = "10.1.1.1"
	if code := Rollback(w.env); code != ExitStranded || !strings.Contains(w.out.String(), "iptables-restore -c < "+w.env.Root+pendingDir+"/old.v4") {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
	if w.fw.text(rule.IPv6) != before6 {
		t.Errorf("the other family did not come back:\n%s", w.fw.text(rule.IPv6))
	}
	w.fw.refuse = ""
	if code := Rollback(w.env); code != ExitDone || !w.isOld() {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
}

func TestDamagedJournalIsTakenBackByWhoReadItBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	e := w.env.ready()
	p, err := e.open(pendingDir)
	if err != nil {
		t.Fatal(err)
	}
	w.damage(journalFile, copyDir+"/"+journalFile)
	if code := Rollback(w.env); code != ExitTrouble || !strings.Contains(w.out.String(), "is damaged") || !strings.Contains(w.out.String(), "remove "+p.dir) {
		t.Errorf("who did not: exit code %d: %s", code, &w.out)
	}
	if err := e.tend(p, 0, false); err != nil || !w.isNew() {
		t.Errorf("before the time was over: %v, rules:\n%s", err, w.fw.text(rule.IPv4))
	}
	w.time += time.Minute
	if err := e.tend(p, 0, false); err != nil || !w.isOld() || IsPending(w.env.Root) {
		t.Errorf("%v, rules:\n%s", err, w.fw.text(rule.IPv4))
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// fullDisk mounts a file system for the state that a test can fill.
func (w *world) fullDisk(size string) (fill func()) {
	w.t.Helper()
	dir := w.env.Root + "/var"
	if err := errors.Join(os.Mkdir(dir, 0o700), syscall.Mount("none", dir, "tmpfs", 0, "size="+size)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			w.t.Error(err)
		}
	})
	return func() {
		w.t.Helper()
		if err := os.WriteFile(dir+"/filler", make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			w.t.Fatalf("the disk is not full: %v", err)
		}
	}
}

func TestFullDiskPreventsTheChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fullDisk("256k")()
	if code := w.apply(change(false)); code != ExitTrouble || !w.isOld() || IsPending(w.env.Root) {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
}

func TestDiskThatFillsDuringTheChangeTakesItBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fill := w.fullDisk("256k")
	w.env.after = func(s step) {
		if s == stepChanged {
			fill()
		}
	}
	if code := w.apply(change(false)); code != ExitNot || !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), "no space left") {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
}

func TestFullDiskKeepsNobodyFromConfirmingOrRollingBack(t *testing.T) {
	t.Parallel()
	for _, isConfirm := range []bool{false, true} {
		w := newWorld(t)
		fill := w.fullDisk("256k")
		w.apply(change(false))
		fill()
		if isConfirm {
			Confirm(w.env, false)
		} else {
			Rollback(w.env)
		}
		if IsPending(w.env.Root) || isConfirm && !w.isNew() || !isConfirm && !w.isOld() {
			t.Errorf("confirm %v: rules:\n%s, output:\n%s", isConfirm, w.fw.text(rule.IPv4), &w.out)
		}
	}
}

func TestHistoryKeepsTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const more = 3
	for range mostEntries + more {
		w.apply(change(false))
		if code := Confirm(w.env, false); code != ExitDone {
			t.Fatalf("exit code %d: %s", code, &w.out)
		}
	}
	list, err := History(w.env.Root)
	if err != nil || len(list) != mostEntries || list[0].Number != mostEntries+more || list[mostEntries-1].Number != more+1 {
		t.Errorf("%d entries from %d to %d: %v", len(list), list[0].Number, list[len(list)-1].Number, err)
	}
	entry, texts, err := HistoryEntry(w.env.Root, mostEntries)
	if err != nil || entry.Ended != endedConfirmed || !strings.Contains(string(texts[rule.IPv4]), "10.2.2.2") || len(texts) != 2 {
		t.Errorf("%+v, %s, %v", entry, texts[rule.IPv4], err)
	}
	if _, _, err := HistoryEntry(w.env.Root, 1); !errors.Is(err, ErrNoEntry) {
		t.Errorf("an entry that is gone: %v", err)
	}
}

func TestDamagedEntryHidesNoOthersOfTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 {
		w.apply(change(false))
		Rollback(w.env)
	}
	damaged := w.env.Root + historyDir + "/2"
	if err := os.WriteFile(filepath.Join(damaged, entryFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := History(w.env.Root)
	if len(list) != 1 || list[0].Number != 1 || err == nil || !strings.Contains(err.Error(), damaged) {
		t.Errorf("%v, %v", list, err)
	}
}

func TestDamagedRulesOfTheHistoryAreNotGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	Confirm(w.env, false)
	path := w.env.Root + historyDir + "/1/"
	if err := os.Truncate(path+"rules.v6", 20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := HistoryEntry(w.env.Root, 1); err == nil || !strings.Contains(err.Error(), path+"rules.v6 is damaged") {
		t.Errorf("cut off: %v", err)
	}
	if err := errors.Join(os.Remove(path+"rules.v4"), os.Remove(path+"rules.v6")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := HistoryEntry(w.env.Root, 1); err == nil || !strings.Contains(err.Error(), "its rules are missing") {
		t.Errorf("gone: %v", err)
	}
}

func TestWhoCannotLookIsNotToldThatNothingIsPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// As without root's rights: that the folder is not there cannot be said.
	if err := os.WriteFile(w.env.Root+"/var", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]int{"confirm": Confirm(w.env, false), "rollback": Rollback(w.env)} {
		if code != ExitTrouble {
			t.Errorf("%s: exit code %d: %s", name, code, &w.out)
		}
	}
}

func TestConfirmationThatComesTooLateIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(change(false))
	w.time += time.Minute
	if code := Confirm(w.env, false); code != ExitNot || !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), "the time to confirm was over: the old rules are back") {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
}

func TestTablesAreFoundInFilesThatWereWrittenByHand(t *testing.T) {
	t.Parallel()
	const text = "# mine\n\n* filter \n:INPUT DROP\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n*nat\nCOMMIT\n"
	if got := tablesOf([]byte(text)); !slices.Equal(got, []string{"filter", "nat"}) {
		t.Errorf("tables %q", got)
	}
}

func TestWithoutAWatchdogNothingIsChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.Watchdog = []string{"moat-test-none"} // the test binary does not know the watchdog's argument
	if code := w.apply(change(false)); code != ExitTrouble || !w.isOld() || IsPending(w.env.Root) || !strings.Contains(w.out.String(), "did not start") {
		t.Errorf("exit code %d: %s", code, &w.out)
	}
}

func TestCountdownIsDrawnOverItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := countdown{t: &timed{Env: w.env.ready(), pending: &pending{journal: journal{Deadline: w.time + 2*time.Second}}}, isTerminal: true}
	for range 2 {
		c.draw()
		w.time += 900 * time.Millisecond
		c.draw() // the same second is not drawn again
		w.time += 100 * time.Millisecond
	}
	c.clear()
	if got, want := w.out.String(), "\r\x1b[K2 seconds left to confirm\r\x1b[K1 second left to confirm\r\x1b[K"; got != want {
		t.Errorf("got %q", got)
	}
}
