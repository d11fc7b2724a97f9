package commit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

const (
	oldRules = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n"
	newRules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.2.2.2/32 -j DROP\nCOMMIT\n" +
		"*mangle\n:PREROUTING ACCEPT [0:0]\n:user - [0:0]\n-A PREROUTING -j user\nCOMMIT\n"
)

// child is a run of iptables-apply in a process of its own.
type child struct {
	t      *testing.T
	root   string
	cmd    *exec.Cmd
	answer *os.File // what is written here is the input
	out    *os.File // what comes out, both streams
	seen   bytes.Buffer
}

// start begins with oldRules in the kernel. With pty the child has a terminal
// of its own and is its session's leader, as under sshd.
func start(t *testing.T, isTerminal bool, args ...string) *child {
	t.Helper()
	persisttest.Reset(t)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	return startAgain(t, t.TempDir(), isTerminal, args...)
}

func startAgain(t *testing.T, root string, isTerminal bool, args ...string) *child {
	t.Helper()
	return launch(t, root, isTerminal, exec.Command("/proc/self/exe", args...))
}

// launch starts a command that is iptables-apply, or leads to it.
func launch(t *testing.T, root string, isTerminal bool, cmd *exec.Cmd) *child {
	t.Helper()
	c := &child{t: t, root: root, cmd: cmd}
	c.cmd.Env = append(os.Environ(), childRoot+"="+root)
	var theirs []*os.File
	if isTerminal {
		master, slave := openPty(t)
		c.answer, c.out, theirs = master, master, []*os.File{slave}
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	} else {
		inR, inW := pipe(t)
		outR, outW := pipe(t)
		c.answer, c.out, theirs = inW, outR, []*os.File{inR, outW}
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = inR, outW, outW
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // ended long before, if the test went well
		c.awaitWatchdog()
	})
	for _, f := range theirs {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() }) // a second close is no matter
	return r, w
}

// openPty gives the two ends of a new terminal. Source: pts(4).
func openPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Close ends a Read
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() }) // a second close is no matter
	return master, slave
}

// awaitWatchdog waits for the watchdog to end, which may look for the lock of the
// change once more and so make a file where the test's folder is being removed.
func (c *child) awaitWatchdog() {
	f, err := os.Open(c.root + lastDir + "/" + watchdogFile)
	if err != nil {
		return // nothing ended, and nobody is left to look
	}
	defer f.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if isFree, err := tryLock(f, syscall.LOCK_SH); isFree || err != nil {
			return
		}
	}
	c.t.Error("the watchdog goes on")
}

// await reads the child's output until the text came.
func (c *child) await(text string) {
	c.t.Helper()
	if err := c.out.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for !strings.Contains(c.seen.String(), text) {
		n, err := c.out.Read(buf)
		c.seen.Write(buf[:n])
		if err != nil {
			c.t.Fatalf("no %q came: %v; but:\n%s", text, err, &c.seen)
		}
	}
}

func (c *child) awaitQuestion() {
	c.t.Helper()
	c.await("Can you establish NEW connections to the machine? (y/N) ")
	if got := persisttest.Rules(c.t, rule.IPv4); got == oldRules {
		c.t.Fatal("the question came before the change")
	}
}

func (c *child) enter(keys string) {
	c.t.Helper()
	if _, err := c.answer.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the child and wants its exit code.
func (c *child) end(wantCode int) {
	c.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		c.t.Fatalf("still running; output:\n%s", &c.seen)
	}
	if got := c.cmd.ProcessState.ExitCode(); got != wantCode {
		rest := make([]byte, 4096)
		n, _ := c.out.Read(rest) // whatever is left to see
		c.t.Errorf("exit code %d, must be %d; output:\n%s%s", got, wantCode, &c.seen, rest[:n])
	}
}

func (c *child) wantOld() {
	c.t.Helper()
	if got := withoutEmptyTables(persisttest.Rules(c.t, rule.IPv4)); got != oldRules {
		c.t.Errorf("rules:\n%s", got)
	}
	c.wantNoJournal()
}

// withoutEmptyTables leaves out tables that do nothing: a table that the change
// made may stay, but with no rule, no user-defined chain and policies ACCEPT.
func withoutEmptyTables(rules string) string {
	var kept strings.Builder
	for table := range strings.SplitAfterSeq(rules, "COMMIT\n") {
		for line := range strings.Lines(table) {
			isHead := strings.HasPrefix(line, "*") || line == "COMMIT\n"
			if !isHead && !(strings.HasPrefix(line, ":") && strings.HasSuffix(line, " ACCEPT\n")) {
				kept.WriteString(table)
				break
			}
		}
	}
	return kept.String()
}

func (c *child) wantNew() {
	c.t.Helper()
	got := persisttest.Rules(c.t, rule.IPv4)
	if !strings.Contains(got, "10.2.2.2") || strings.Contains(got, "10.1.1.1") {
		c.t.Errorf("rules:\n%s", got)
	}
	c.wantNoJournal()
}

func (c *child) wantNoJournal() {
	c.t.Helper()
	if _, err := os.Stat(c.journal()); !errors.Is(err, os.ErrNotExist) {
		c.t.Errorf("the journal is still there: %v", err)
	}
}

func (c *child) journal() string { return c.root + pendingDir }

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnswerDecides(t *testing.T) {
	for _, c := range []struct {
		keys string
		code int
	}{{"y", 0}, {"Y\n", 0}, {"yes\n", 0}, {"n", 255}, {"no\n", 255}, {"\n", 255}, {" y", 255}, {"x", 255}} {
		for _, isTerminal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q terminal=%v", c.keys, isTerminal), func(t *testing.T) {
				run := start(t, isTerminal, "-t", "15", fileOf(t, newRules))
				run.awaitQuestion()
				run.enter(c.keys)
				run.end(c.code)
				if c.code == 0 {
					run.wantNew()
				} else {
					run.wantOld()
				}
			})
		}
	}
}

func TestKeysTypedBeforeTheQuestionOnATerminalDoNotCount(t *testing.T) {
	run := start(t, true, "-t", "1", fileOf(t, newRules))
	run.enter("y")
	run.awaitQuestion()
	run.end(255)
	run.wantOld()
}

func TestNoAnswerInTimeRollsBack(t *testing.T) {
	for _, isTerminal := range []bool{false, true} {
		begin := time.Now()
		run := start(t, isTerminal, "--timeout=1", fileOf(t, newRules))
		run.awaitQuestion()
		run.end(255)
		run.wantOld()
		if took := time.Since(begin); took < time.Second {
			t.Errorf("rolled back after %v, before its time", took)
		}
	}
}

func TestEndOfInputRollsBackAtOnce(t *testing.T) {
	run := start(t, false, "-t", "60", fileOf(t, newRules))
	run.awaitQuestion()
	if err := run.answer.Close(); err != nil {
		t.Fatal(err)
	}
	run.end(255)
	run.wantOld()
}

func TestHangUpOfTheTerminalRollsBack(t *testing.T) {
	run := start(t, true, "-t", "60", fileOf(t, newRules))
	run.awaitQuestion()
	if err := run.answer.Close(); err != nil { // what sshd does when the connection is gone
		t.Fatal(err)
	}
	run.end(255)
	run.wantOld()
}

func TestSignalRollsBack(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			run := start(t, false, "-t", "60", fileOf(t, newRules))
			run.awaitQuestion()
			if err := run.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			run.end(255)
			run.wantOld()
		})
	}
}

// TestBackgroundJobDoesNotHangOnItsTerminal has a shell that keeps the terminal
// for itself: settings and questions are not the job's to make.
func TestBackgroundJobDoesNotHangOnItsTerminal(t *testing.T) {
	persisttest.Reset(t)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("bash", "-c", `set -m; stty tostop; "$0" "$@" & wait $!`, self, "-t", "1", fileOf(t, newRules))
	run := launch(t, t.TempDir(), true, shell)
	run.await("Timeout! No answer came.")
	run.end(255)
	run.wantOld()
}

func TestSuspendKeyCannotStopTheTimer(t *testing.T) {
	run := start(t, true, "-t", "1", fileOf(t, newRules))
	run.awaitQuestion()
	run.enter("\x1a") // ^Z
	run.end(255)
	run.wantOld()
}

func TestClosedStdoutCannotPreventRollback(t *testing.T) {
	run := start(t, false, "-t", "1", fileOf(t, newRules))
	run.awaitQuestion()
	if err := run.out.Close(); err != nil {
		t.Fatal(err)
	}
	run.end(255)
	run.wantOld()
}

func TestRefusedRulesFileChangesNothing(t *testing.T) {
	run := start(t, false, fileOf(t, strings.Replace(newRules, "10.2.2.2", "10.2.2.777", 1)))
	run.await("10.2.2.777")
	run.end(exitRulesRefused)
	run.wantOld()
}

func TestMistakesEndWithDebiansExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--bogus"}, 1, "unrecognized option"},
		{[]string{"/nonexistent"}, 2, "rulesfile not readable: open /nonexistent"},
		{[]string{"-c", "/nonexistent"}, 6, "runcmd not executable"},
		{[]string{"-c", fileOf(t, "")}, 6, "is no executable file"},
		{[]string{"-c", "/bin/false"}, 7, "/bin/false: exit status 1"},
		{[]string{"-h"}, 0, "Usage: iptables-apply"},
		{[]string{"-V"}, 0, "iptables-apply 1.1 (moat 0)"},
	} {
		run := start(t, false, c.args...)
		run.await(c.says)
		run.end(c.code)
		run.wantOld()
	}
}

func TestCommandIsRunAndRolledBack(t *testing.T) {
	for _, c := range []struct {
		key  string
		code int
	}{{"y", 0}, {"n", 255}} {
		run := start(t, false, "-c", script(t, "iptables-nft -F INPUT; iptables-nft -A INPUT -s 10.2.2.2 -j DROP; echo ran\n"))
		run.await("ran\n")
		run.awaitQuestion()
		run.enter(c.key)
		run.end(c.code)
		if c.code == 0 {
			run.wantNew()
		} else {
			run.wantOld()
		}
	}
}

func TestFailedCommandIsRolledBack(t *testing.T) {
	run := start(t, false, "-c", script(t, "iptables-nft -F INPUT; exit 3\n"))
	run.await("exit status 3")
	run.end(exitCommandFailed)
	run.wantOld()
}

func TestSignalDuringCommandEndsItAndRollsBack(t *testing.T) {
	run := start(t, false, "-c", script(t, "iptables-nft -F INPUT; echo half; exec sleep 300\n"))
	run.await("half\n")
	if err := run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	run.end(exitCommandFailed)
	run.wantOld()
}

func TestConfirmedRulesGoToSavefileAndOnlyThen(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved")
	for _, c := range []struct {
		key   string
		code  int
		isNew bool
	}{{"n", 255, false}, {"y", 0, true}} {
		run := start(t, false, "-w", saved, fileOf(t, newRules))
		run.awaitQuestion()
		run.enter(c.key)
		run.end(c.code)
		text, err := os.ReadFile(saved)
		if isThere := err == nil; isThere != c.isNew {
			t.Fatalf("after %s: %v", c.key, err)
		}
		if c.isNew && !strings.Contains(string(text), "-A INPUT -s 10.2.2.2/32 -j DROP\n") {
			t.Errorf("savefile:\n%s", text)
		}
	}
}

func TestSavefileThatCannotBeWrittenKeepsConfirmedRules(t *testing.T) {
	run := start(t, false, "-w", "/nonexistent/saved", fileOf(t, newRules))
	run.awaitQuestion()
	run.enter("y")
	run.end(exitSaveFileFailed)
	run.wantNew()
}

func TestRollbackKeepsCountersOfOldRules(t *testing.T) {
	run := start(t, false, "-t", "15", fileOf(t, newRules))
	run.awaitQuestion()
	run.enter("n")
	run.end(255)
	text, err := exec.Command("sh", "-c", "printf '*filter\n[7:700] -A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n' | iptables-nft-restore -c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	run = startAgain(t, t.TempDir(), false, "-t", "15", fileOf(t, newRules))
	run.awaitQuestion()
	run.enter("n")
	run.end(255)
	var now bytes.Buffer
	if err := (persisttest.Debian{}).Save(rule.IPv4, &now, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(now.String(), "[7:700] -A INPUT -s 10.1.1.1/32 -j DROP") {
		t.Errorf("rules:\n%s", &now)
	}
}

func TestSecondRunIsRefusedWhileOneWaits(t *testing.T) {
	first := start(t, false, "-t", "60", fileOf(t, newRules))
	first.awaitQuestion()
	second := startAgain(t, first.root, false, fileOf(t, newRules))
	second.await("another timed change is waiting")
	second.end(exitNoWayBack)
	first.enter("n")
	first.end(255)
	first.wantOld()
}

func TestKilledRunIsRolledBackByTheWatchdog(t *testing.T) {
	killed := start(t, false, "-t", "1", fileOf(t, newRules))
	killed.awaitQuestion()
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.end(-1)
	killed.awaitSettled()
	killed.wantOld()
}

// awaitSettled waits until nothing is pending.
func (c *child) awaitSettled() {
	c.t.Helper()
	for end := time.Now().Add(2 * time.Minute); IsPending(c.root); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the change is still pending")
		}
	}
}

func TestQuestionIsAnsweredByMoatConfirm(t *testing.T) {
	run := start(t, false, "-t", "60", fileOf(t, newRules))
	run.awaitQuestion()
	if code := Confirm(Env{Root: run.root, Stdout: io.Discard, Stderr: os.Stderr}, false); code != ExitDone {
		t.Errorf("exit code %d", code)
	}
	run.await("Confirmed")
	run.end(0)
	run.wantNew()
}

func TestQuestionIsAnsweredByMoatRollback(t *testing.T) {
	run := start(t, false, "-t", "60", fileOf(t, newRules))
	run.awaitQuestion()
	if code := Rollback(Env{Root: run.root, Stdout: io.Discard, Stderr: os.Stderr, Firewall: debian{}}); code != ExitDone {
		t.Errorf("exit code %d", code)
	}
	run.end(255)
	run.wantOld()
}
