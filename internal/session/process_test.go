package session

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"moat/internal/lab"
)

func TestStatIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stat string
		want process
		ok   bool
	}{
		{"12 (sshd-session) S 11 12 12 0 -1 4194560 1", process{12, 11, 12, 0, "sshd-session"}, true},
		{"12 (tmux: server) S 1 12 13 34816 -1 4194560 1", process{12, 1, 13, 34816, "tmux: server"}, true},
		{"12 (a) R 7 (b) S 11 12 12 0 -1", process{12, 11, 12, 0, "a) R 7 (b"}, true},
		{"12 () S 11 12 12 -2147483648 -1", process{12, 11, 12, 1 << 31, ""}, true},
		{"12 (sshd) S 11 12", process{}, false},
		{"x (sshd) S 11 12 12 0 -1", process{}, false},
		{"12 (sshd) S -1 12 12 0 -1", process{}, false},
		{"12 )sshd( S 11 12 12 0 -1", process{}, false},
		{"", process{}, false},
	} {
		got, ok := parseStat([]byte(c.stat))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v, %v", c.stat, got, ok)
		}
	}
}

// Numbers of terminals as stat has them.
const (
	tty1  = 4<<8 | 1
	ttyS0 = 4<<8 | 64
	hvc0  = 229 << 8
	pts0  = 136 << 8
	pts1  = 136<<8 | 1
	ttyp0 = 3 << 8
)

func TestConsolesAreNoPseudoTerminals(t *testing.T) {
	t.Parallel()
	for tty, want := range map[uint32]bool{tty1: true, ttyS0: true, hvc0: true, pts0: false, 143<<8 | 255: false, ttyp0: false, 0: false} {
		if isConsole(tty) != want {
			t.Errorf("%#x: %v", tty, !want)
		}
	}
}

// procOf writes the stat files of a made-up /proc. The first process is number 10,
// each is the parent of the next.
func procOf(t *testing.T, list []process) Caller {
	t.Helper()
	c := Caller{Proc: t.TempDir()}
	for n, p := range list {
		c.PID = 10 + n
		dir := filepath.Join(c.Proc, fmt.Sprint(c.PID))
		parent := c.PID - 1
		if n == 0 {
			parent = 0
		}
		stat := fmt.Sprintf("%d (%s) S %d %d %d %d -1 0", c.PID, p.comm, parent, c.PID, c.PID, int32(p.tty))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestConsoleIsFoundBehindSudo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		processes []process
		want      bool
	}{
		"console":               {[]process{{comm: "login"}, {comm: "bash", tty: tty1}, {comm: "moat", tty: tty1}}, true},
		"serial line":           {[]process{{comm: "login"}, {comm: "bash", tty: ttyS0}, {comm: "moat", tty: ttyS0}}, true},
		"sudo":                  {[]process{{comm: "bash", tty: tty1}, {comm: "sudo", tty: tty1}, {comm: "sudo", tty: pts0}, {comm: "moat", tty: pts0}}, true},
		"pseudo terminal":       {[]process{{comm: "init"}, {comm: "xterm"}, {comm: "bash", tty: pts0}, {comm: "moat", tty: pts0}}, false},
		"multiplexer":           {[]process{{comm: "tmux: server"}, {comm: "bash", tty: pts1}, {comm: "moat", tty: pts1}}, false},
		"background of console": {[]process{{comm: "bash", tty: tty1}, {comm: "moat"}}, false},
		"none":                  {[]process{{comm: "systemd"}, {comm: "moat"}}, false},
	} {
		if got := procOf(t, c.processes).OnConsole(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The server runs in the foreground of a console: its client is not there.
func TestSessionIsNoConsole(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	listen(t, n.Server, ":22")
	client := connect(t, n, atServer)
	c := procOf(t, []process{{comm: "bash", tty: tty1}, {comm: "sshd", tty: tty1}, {comm: "moat", tty: pts0}})
	onConsole := func() (got bool) {
		if err := n.Server.Do(func() error { got = c.OnConsole(); return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if !onConsole() {
		t.Error("without a session: not on a console")
	}
	c.Environ = []string{"SSH_CONNECTION=" + lab.ClientAddr + " " + port(client) + " " + lab.ServerAddr + " 22"}
	if onConsole() {
		t.Error("with a session: on a console")
	}
}

func TestLoginIsReadFromAuditAndControlGroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		audit, cgroup string
		want          mark
	}{
		{"4294967295", "0::/system.slice/cron.service\n", mark{}},
		{"3", "0::/user.slice/user-0.slice/session-3.scope\n", mark{"3", "session-3.scope"}},
		{"4294967295", "1:name=systemd:/user.slice/user-0.slice/session-c2.scope\n0::/\n", mark{scope: "session-c2.scope"}},
		{"", "", mark{}},
	} {
		caller := procOf(t, []process{{comm: "moat"}})
		for name, text := range map[string]string{"sessionid": c.audit, "cgroup": c.cgroup} {
			if err := os.WriteFile(filepath.Join(caller.Proc, "10", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := newFinder(caller).login(10); got != c.want || got.shares(mark{"4", "session-4.scope"}) || got.isSet() != got.shares(got) {
			t.Errorf("%q %q: %+v", c.audit, c.cgroup, got)
		}
	}
}
