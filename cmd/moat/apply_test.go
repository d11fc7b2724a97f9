package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/lab"
)

const (
	firstRules  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n"
	secondRules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j mine\n-A mine -s 10.2.2.2/32 -j DROP\nCOMMIT\n" +
		"*mangle\n:PREROUTING ACCEPT [0:0]\n:extra - [0:0]\n-A PREROUTING -j extra\nCOMMIT\n"
	secondRules6 = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s fc00::2/128 -j ACCEPT\nCOMMIT\n"
)

// machine is a host with its own state and boot files, and firstRules loaded.
type machine struct {
	t          *testing.T
	host       *lab.Host
	state, etc string
	file       func(string) string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, host: lab.Netns(t), state: t.TempDir(), etc: t.TempDir()}
	m.file = ruleFiles(t, map[string]string{"v4": secondRules, "v6": secondRules6, "bad": strings.Replace(secondRules, "10.2.2.2", "10.2.2.777", 1)})
	m.shell("printf '" + strings.Replace(firstRules, "-A INPUT -s", "[7:700] -A INPUT -s", 1) + "' | iptables-nft-restore -c; ip6tables-nft -A INPUT -s fc00::1 -j DROP")
	return m
}

func (m *machine) shell(script string) string {
	m.t.Helper()
	out, err := m.host.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// saved is what both save programs print with counters, without comments and
// without tables that do nothing.
func (m *machine) saved() string {
	m.t.Helper()
	var kept strings.Builder
	for table := range strings.SplitAfterSeq(m.shell("iptables-nft-save -c | grep -v ^#; ip6tables-nft-save -c | grep -v ^#"), "COMMIT\n") {
		for line := range strings.Lines(table) {
			if !strings.HasPrefix(line, "*") && line != "COMMIT\n" && !strings.HasSuffix(line, " ACCEPT [0:0]\n") {
				kept.WriteString(table)
				break
			}
		}
	}
	return kept.String()
}

func (m *machine) command(args ...string) *lab.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	c := m.host.Command(self, args...)
	c.Env = append(os.Environ(), envArgv0+"=moat")
	c.Mounts = []lab.Mount{{From: m.state, To: "/var/lib/moat"}, {From: m.etc, To: "/etc/iptables"}}
	return c
}

// moat runs a command of moat and wants its exit code.
func (m *machine) moat(wantCode int, args ...string) string {
	m.t.Helper()
	var out bytes.Buffer
	c := m.command(args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	if code := c.ProcessState.ExitCode(); code != wantCode {
		m.t.Errorf("moat %q: exit code %d, must be %d:\n%s", args, code, wantCode, &out)
	}
	return out.String()
}

// applying is a moat apply that waits.
type applying struct {
	*machine
	cmd *lab.Cmd
	out *bufio.Reader
}

// apply starts moat apply and waits until the change is made.
func (m *machine) apply(args ...string) *applying {
	m.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = r.Close() }) // a second close is no matter
	a := &applying{machine: m, cmd: m.command(append([]string{"apply"}, args...)...), out: bufio.NewReader(r)}
	a.cmd.Stdout, a.cmd.Stderr = w, w
	if err := errors.Join(a.cmd.Start(), w.Close(), r.SetReadDeadline(time.Now().Add(30*time.Second))); err != nil {
		m.t.Fatal(err)
	}
	a.await("  undo     moat rollback, or ^C here\n")
	return a
}

// await reads until a line came.
func (a *applying) await(want string) {
	a.t.Helper()
	var seen strings.Builder
	for {
		line, err := a.out.ReadString('\n')
		seen.WriteString(line)
		switch {
		case line == want:
			return
		case err != nil:
			a.t.Fatalf("no %q came: %v; but:\n%s", want, err, &seen)
		}
	}
}

// end waits for moat apply to end and wants its exit code.
func (a *applying) end(wantCode int) {
	a.t.Helper()
	err := a.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	if code := a.cmd.ProcessState.ExitCode(); code != wantCode {
		rest, _ := a.out.ReadString(0) // whatever is left to see
		a.t.Errorf("exit code %d, must be %d:\n%s", code, wantCode, rest)
	}
}

func (a *applying) signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
}

// until waits for a condition.
func (m *machine) until(what string, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("it never came that %s", what)
		}
	}
}

func (m *machine) isPending() bool {
	_, err := os.Stat(m.state + "/pending")
	return err == nil
}

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
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
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

func TestConfirmedRulesStay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), m.file("v6"))
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || !strings.Contains(got, "fc00::2") || strings.Contains(got, "10.1.1.1") {
		t.Errorf("rules:\n%s", got)
	}
	m.moat(0, "confirm")
	a.await("confirmed: the new rules stay.\n")
	a.end(0)
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
	m.moat(1, "confirm")
	m.moat(1, "rollback")
}

func TestUnconfirmedRulesAreTakenBackWithTheirCounters(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), m.file("v6"), "--confirm-within", "1s")
	a.end(1)
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestRollbackIsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"))
	m.moat(0, "rollback")
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
	a.end(1)
}

func TestSignalsOfTheWaitingProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal syscall.Signal
		within string // long: the rollback comes at once
	}{{syscall.SIGINT, "60s"}, {syscall.SIGTERM, "60s"}, {syscall.SIGHUP, "2s"}, {syscall.SIGKILL, "2s"}} {
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
	a := m.apply(m.file("v4"), "--confirm-within", "2s")
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
	a := m.apply(m.file("v4"), m.file("v6"), "--confirm-within", "1s")
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

func TestRollbackReplacesWhatIptablesCannotExpress(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"))
	m.shell("nft add rule ip filter INPUT ip ttl set 9")
	if out := m.moat(0, "rollback"); !strings.Contains(out, "iptables cannot express") {
		t.Errorf("it says:\n%s", out)
	}
	a.end(1)
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestUnitsWatchdogStandsInForTheKilledOne(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), "--confirm-within", "2s")
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
	there := m.host.Command("sleep", "60") // a process by which the namespace is found
	if err := there.Start(); err != nil {
		t.Fatal(err)
	}
	a := m.apply(m.file("v4"), "--confirm-within", "2s")
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

func TestTableThatCouldNotComeBackIsNotReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell("nft add table ip mangle; nft 'add chain ip mangle PREROUTING { type filter hook prerouting priority mangle; }'; nft add rule ip mangle PREROUTING ip ttl set 9 counter; nft add rule ip mangle PREROUTING meta nftrace set 1")
	before := m.shell("nft list ruleset")
	if out := m.moat(2, "apply", m.file("v4")); !strings.Contains(out, "table mangle") {
		t.Errorf("it says:\n%s", out)
	}
	if got := m.shell("nft list ruleset"); got != before {
		t.Errorf("rules:\n%s", got)
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
	a := m.apply(m.file("v4"), "--confirm-within", "60s")
	if err := unit.Process.Signal(syscall.SIGTERM); err != nil { // whichever it is: it stops, or takes the change back
		t.Fatal(err)
	}
	if err := unit.Wait(); err != nil {
		t.Error(err)
	}
	m.moatAny("rollback")
	a.end(1)
}

func TestSecondApplyIsRefusedAndTold(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"))
	out := m.moat(2, "apply", m.file("v6"))
	for _, want := range []string{"nothing was changed", "pending since", "by root", `"moat confirm"`, `"moat rollback"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	m.moat(0, "rollback")
	a.end(1)
}

func TestStatusTellsWhatIsPending(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out := m.moat(1, "status"); out != "nothing is pending\n" {
		t.Errorf("it says:\n%s", out)
	}
	a := m.apply(m.file("v4"), "-m", "for the test", "--save")
	out := m.moat(0, "status")
	for _, want := range []string{"moat apply, ", " seconds left", "by        ", "v4 (IPv4)", "for the test", "when it is confirmed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	var s struct {
		Pending bool
		Left    float64 `json:"seconds_left"`
		Reason  string
		Watched bool
	}
	if err := json.Unmarshal([]byte(m.moat(0, "status", "--json")), &s); err != nil || !s.Pending || !s.Watched || s.Left <= 0 || s.Left > 60 || s.Reason != "for the test" {
		t.Errorf("%+v, %v", s, err)
	}
	m.moat(0, "rollback")
	a.end(1)
}

func TestBootFilesAreWrittenWhenConfirmedAndNotBefore(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), "--save")
	if files, err := os.ReadDir(m.etc); err != nil || len(files) > 0 {
		t.Errorf("before it is confirmed: %v, %v", files, err)
	}
	m.moat(0, "confirm")
	a.end(0)
	text, err := os.ReadFile(m.etc + "/rules.v4")
	if err != nil || !strings.Contains(string(text), "\n-A mine -s 10.2.2.2/32 -j DROP\n") {
		t.Errorf("%v, rules.v4:\n%s", err, text)
	}
	if _, err := os.Stat(m.etc + "/rules.v6"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rules.v6, which was not applied: %v", err)
	}
}

func TestWhatOthersDidMeanwhileIsKept(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell("nft 'add table inet theirs { chain c { type filter hook input priority 5; } ; }'")
	a := m.apply(m.file("v4"))
	m.shell("iptables-nft -N f2b; iptables-nft -A f2b -s 10.9.9.9 -j REJECT; iptables-nft -I INPUT -p tcp -j f2b; iptables-nft -A mine -j f2b; iptables-nft -t nat -A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE")
	out := m.moat(0, "rollback")
	a.end(1)
	got := m.saved()
	for _, want := range []string{
		":f2b - [0:0]", "-A f2b -s 10.9.9.9/32 -j REJECT", "[0:0] -A INPUT -p tcp -j f2b\n[7:700] -A INPUT -s 10.1.1.1/32 -j DROP", "-j MASQUERADE",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "mine") || strings.Contains(got, "10.2.2.2") || strings.Contains(got, "extra") {
		t.Errorf("rules of the change in:\n%s", got)
	}
	for _, want := range []string{"kept chain f2b with 1 rule", "kept -A INPUT -p tcp -j f2b", "chain mine is gone with the change, and with it 1 rule"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	m.shell("nft list table inet theirs")
}

func TestFilesWithErrorsChangeNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{m.file("bad")}, m.file("bad") + ":8:9: "},
		{[]string{m.file("v6"), m.file("bad")}, m.file("bad") + ":8:9: "},
		{[]string{m.file("v4"), m.file("v4")}, "one file a family"},
		{[]string{m.file("none")}, "no such file"},
		{[]string{m.file("v4"), "--confirm-within", "0"}, "1s to 24h"},
		{[]string{m.file("v4"), "--protect", "tcp"}, "moat: apply: "},
		{nil, "one file of rules is wanted"},
	} {
		if out := m.moat(2, append([]string{"apply"}, c.args...)...); !strings.Contains(out, c.says) {
			t.Errorf("%q: no %q in:\n%s", c.args, c.says, out)
		}
	}
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
}

func TestDryRunShowsWhatWouldChange(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	out := m.moat(0, "apply", "--dry-run", m.file("v4"), m.file("v6"))
	for _, want := range []string{"closed  to this host  ACCEPT -> DROP", "IPv4, live and " + m.file("v4"), "IPv6, live and " + m.file("v6")} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
}

func TestHistoryListsShowsAndRestores(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), "-m", "the first")
	if out := m.moat(0, "history"); !strings.Contains(out, "pending") {
		t.Errorf("while it waits:\n%s", out)
	}
	m.moat(0, "confirm")
	a.end(0)
	a = m.apply(m.file("v6"))
	m.moat(0, "rollback")
	a.end(1)
	var list []struct {
		Number        int
		Reason, Ended string
	}
	if err := json.Unmarshal([]byte(m.moat(0, "history", "--json")), &list); err != nil || len(list) != 2 ||
		list[0].Number != 2 || list[0].Ended != "taken back: moat rollback" || list[1].Reason != "the first" || list[1].Ended != "confirmed" {
		t.Errorf("%+v, %v", list, err)
	}
	if out := m.moat(0, "history", "show", "1", "-4"); !strings.Contains(out, "10.2.2.2") || strings.Contains(out, "fc00::1") {
		t.Errorf("show 1 -4:\n%s", out)
	}
	m.moat(2, "history", "show", "9")
	m.shell("iptables-nft -F; iptables-nft -t raw -A OUTPUT -j NOTRACK")
	self := m.command("history", "restore", "1")
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("the change waits", func() bool { return strings.Contains(m.moatAny("status"), "left to confirm") })
	m.moat(0, "confirm")
	if err := self.Wait(); err != nil {
		t.Error(err)
	}
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || strings.Contains(got, "CT") || strings.Contains(got, "NOTRACK") {
		t.Errorf("rules:\n%s", got)
	}
}

// moatAny runs a command whose exit code does not matter.
func (m *machine) moatAny(args ...string) string {
	m.t.Helper()
	out, _ := m.command(args...).CombinedOutput() // the exit code
	return string(out)
}

func TestIptablesApplyIsTakenBackWhenKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	c := m.command("iptables-apply", "-t", "2", m.file("v4"))
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
