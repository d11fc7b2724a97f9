package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moat/internal/lab"
)

// killWatchdog ends the watchdog as the kernel does when memory is short: that
// one that holds the lock of the pending change.
func (m *machine) killWatchdog() {
	m.t.Helper()
	pid := m.watchdog()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	m.until("the watchdog ended", func() bool { return m.watchdog() != pid })
}

// watchdog is the process that has the file of the watchdog open; 0 for none.
func (m *machine) watchdog() int {
	m.t.Helper()
	return m.watchdogAmong("[0-9]*")
}

// watchdogAmong looks among the processes whose number has a pattern.
func (m *machine) watchdogAmong(pids string) int {
	m.t.Helper()
	links, err := filepath.Glob("/proc/" + pids + "/fd/*")
	if err != nil {
		m.t.Fatal(err)
	}
	var want, got syscall.Stat_t
	if err := syscall.Stat(m.state+"/pending/watchdog", &want); err != nil {
		m.t.Fatal(err)
	}
	for _, link := range links {
		if syscall.Stat(link, &got) == nil && got.Dev == want.Dev && got.Ino == want.Ino {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err != nil {
				m.t.Fatal(err)
			}
			return pid
		}
	}
	return 0
}

func TestSignalsOfTheWaitingProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		within string // long: the rollback comes at once
	}{{syscall.SIGINT, "10m"}, {syscall.SIGTERM, "60s"}, {syscall.SIGHUP, "10s"}, {syscall.SIGKILL, "10s"}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			before := m.saved()
			a := m.apply(m.file("v4"), m.file("v6"), "--confirm-within", c.within)
			a.signal(c.signal)
			code := 1
			if c.signal == syscall.SIGKILL {
				code = -1
			}
			a.end(code)
			m.until("nothing is pending", func() bool { return !m.isPending() })
			if got := m.saved(); got != before {
				t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
			}
		})
	}
}

func TestKilledWatchdogDoesNotKeepTheNewRules(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), "--confirm-within", "10s")
	m.killWatchdog()
	a.end(1)
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestNextStartFinishesWhenBothWereKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), m.file("v6"), "--confirm-within", "10s")
	a.signal(syscall.SIGSTOP) // so that it does not see to it first
	m.killWatchdog()
	a.signal(syscall.SIGKILL)
	a.end(-1)
	if !m.isPending() {
		t.Fatal("somebody took it back")
	}
	m.until("a start of moat takes it back", func() bool {
		m.moat(0, "iptables", "-S") // one before the deadline starts a watchdog
		return !m.isPending()
	})
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestNextStartSetsAWatchdogOnAChangeThatHasNone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"))
	a.signal(syscall.SIGSTOP)
	m.killWatchdog()
	a.signal(syscall.SIGKILL)
	a.end(-1)
	m.moat(0, "iptables", "-S")
	m.until("a watchdog is there", func() bool { return m.watchdog() != 0 })
	m.moat(0, "rollback")
}

func TestUnitsWatchdogStandsInForTheKilledOne(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), "--confirm-within", "10s")
	unit := m.command("watchdog")
	if err := unit.Start(); err != nil {
		t.Fatal(err)
	}
	a.signal(syscall.SIGSTOP)
	m.killWatchdog()
	a.signal(syscall.SIGKILL)
	a.end(-1)
	if err := unit.Wait(); err != nil {
		t.Error(err)
	}
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

// The unit runs in the machine's namespace, whatever namespace was changed.
func TestWatchdogGoesToTheNamespaceThatWasChanged(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	there := m.host.Command("sleep", "600") // a process by which the namespace is found
	if err := there.Start(); err != nil {
		t.Fatal(err)
	}
	a := m.apply(m.file("v4"), "--confirm-within", "10s")
	elsewhere := *m
	elsewhere.host = lab.Netns(t)
	unit := elsewhere.command("watchdog")
	if err := unit.Start(); err != nil {
		t.Fatal(err)
	}
	if out := elsewhere.moat(0, "status"); !strings.Contains(out, "in another network namespace") {
		t.Errorf("status elsewhere:\n%s", out)
	}
	elsewhere.moat(2, "confirm")
	a.signal(syscall.SIGSTOP)
	m.killWatchdog()
	a.signal(syscall.SIGKILL)
	a.end(-1)
	if err := unit.Wait(); err != nil {
		t.Error(err)
	}
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

// The path unit starts a watchdog as soon as a journal is there, which may be
// before the one of moat apply is.
func TestUnitsWatchdogMayBeFirst(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	unit := m.host.Command("sh", "-c", "until [ -e /var/lib/moat/pending ]; do :; done; exec \"$0\" watchdog", "/proc/self/exe")
	like := m.command()
	unit.Env, unit.Mounts, unit.Args[len(unit.Args)-1] = like.Env, like.Mounts, like.Path
	if err := unit.Start(); err != nil {
		t.Fatal(err)
	}
	a := m.apply(m.file("v4"), "--confirm-within", "10m")
	pid := strconv.Itoa(unit.Process.Pid)
	m.until("the unit's watches or stands by", func() bool { return m.watchdogAmong(pid) != 0 })
	if err := unit.Process.Signal(syscall.SIGTERM); err != nil { // whichever it is: it stops, or takes the change back
		t.Fatal(err)
	}
	if err := unit.Wait(); err != nil {
		t.Error(err)
	}
	m.moatAny("rollback")
	a.end(1)
}

func TestIptablesApplyIsTakenBackWhenKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	c := m.command("iptables-apply", "-t", "10", m.file("v4"))
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c.Stdin = in
	if err := errors.Join(c.Start(), in.Close()); err != nil {
		t.Fatal(err)
	}
	m.until("the change waits", func() bool { return strings.Contains(m.moatAny("status"), "left to confirm") })
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.until("nothing is pending", func() bool { return !m.isPending() })
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestBootFinishesWhatAPowerCutLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state string
		want  string // is loaded at the next boot
	}{{"applied", "10.1.1.1"}, {"confirmed", "10.2.2.2"}} {
		t.Run(c.state, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.moat(0, "netfilter-persistent", "save")
			a := m.apply(m.file("v4"), "--save")
			a.signal(syscall.SIGSTOP)
			m.killWatchdog()
			a.signal(syscall.SIGKILL)
			a.end(-1)
			m.boot = filepath.Join(t.TempDir(), "boot_id")
			if err := os.WriteFile(m.boot, []byte("another\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			m.shell("nft flush ruleset")
			if c.state != "applied" {
				m.shell("cd " + m.state + "/pending && mv state.applied state." + c.state)
			}
			m.moat(0, "netfilter-persistent", "start")
			if got := m.saved(); !strings.Contains(got, c.want) || m.isPending() {
				t.Errorf("pending %v, rules:\n%s", m.isPending(), got)
			}
		})
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	program, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHangUpAfterAnUpgradeLeavesAWatchdog has everything taken from the waiting
// process: the file of its program, its watchdog, its terminal.
func TestHangUpAfterAnUpgradeLeavesAWatchdog(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "moat")
	if err := os.Link(self, program); err != nil { // it is on another disk
		copyProgram(t, self, program)
	}
	m.program = program
	a := m.apply(m.file("v4"), "--confirm-within", "10s")
	m.program = ""
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	m.killWatchdog()
	a.signal(syscall.SIGHUP)
	a.end(1)
	if m.isPending() && m.watchdog() == 0 {
		t.Fatal("nobody watches")
	}
	m.until("nothing is pending", func() bool { return !m.isPending() })
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}
