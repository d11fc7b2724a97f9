package sshlab

import (
	"os"
	"strings"
	"testing"

	_ "moat/internal/cli" // go test then runs again when the program has changed, which is built only as the tests run
	"moat/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestSessionsRunCommandsOverBothFamilies(t *testing.T) {
	t.Parallel()
	l := New(t)
	for family, client := range map[string]string{"4": lab.ClientAddr, "6": lab.ClientAddr6} {
		sh := l.Login(family)
		r := sh.Run("echo $SSH_CONNECTION; echo trouble >&2; printf unfinished; exit 3")
		if !strings.HasPrefix(r.Stdout, client+" ") || !strings.HasSuffix(r.Stdout, "\nunfinished") || r.Stderr != "trouble\n" || r.Code != 3 {
			t.Errorf("IPv%s: %+v", family, r)
		}
		if !sh.Alive() || !l.CanLogin(family) || !l.Greets(family, "22") {
			t.Errorf("IPv%s: no new session, or this one is dead", family)
		}
	}
}

func TestServerHasMoatUnderEveryName(t *testing.T) {
	t.Parallel()
	l := New(t)
	sh := l.Login("4")
	const ask = "moat --help >/dev/null && for p in iptables /usr/sbin/iptables /usr/sbin/ip6tables-restore; do md5sum $(command -v $p) | cut -d' ' -f1; done"
	r := sh.Run(ask)
	console := l.Console(ask)
	sums := strings.Fields(r.Stdout)
	if r.Code != 0 || len(sums) != 3 || sums[0] != sums[1] || sums[1] != sums[2] || console != r {
		t.Errorf("session: %+v\nconsole: %+v", r, console)
	}
}

func TestConsoleIsInNoSession(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
	l := New(t)
	if out := l.MustConsole("env; moat guard"); strings.Contains(out, "SSH_CONNECTION") || !strings.Contains(out, "none") {
		t.Errorf("console: %s", out)
	}
}

func TestCutSessionIsReportedAndComesBack(t *testing.T) {
	t.Parallel()
	l := New(t)
	sh := l.Login("4")
	l.MustConsole("iptables -A INPUT -p tcp --dport 22 -j DROP")
	if !sh.Cut() || !l.ShutOut("4") {
		t.Error("a dropped session answers")
	}
	if other := l.Login("6"); !other.Alive() {
		t.Error("the IPv6 session is dead too")
	}
	l.Reset()
	if r := sh.Run("echo back"); r.Stdout != "back\n" || r.Code != 0 {
		t.Errorf("after the reset: %+v", r)
	}
}

func TestResetLeavesNothing(t *testing.T) {
	t.Parallel()
	l := New(t)
	empty := l.State()
	l.MustConsole("iptables -P FORWARD DROP; ip6tables -t nat -N mine; iptables -A INPUT -s 192.0.2.1 -j DROP; moat guard off")
	if s := l.State(); !strings.Contains(s, ":FORWARD DROP\n") || !strings.Contains(s, ":mine -\n") || !strings.Contains(s, "-A INPUT -s 192.0.2.1/32 -j DROP\n") {
		t.Errorf("state:\n%s", s)
	}
	l.Reset()
	if s := l.State(); s != empty || strings.Contains(l.MustConsole("moat guard"), "off") {
		t.Errorf("after the reset:\n%s", s)
	}
}

func TestMachineDoesNotSeeTheLabsFiles(t *testing.T) {
	t.Parallel()
	l := New(t)
	l.MustConsole("echo mine >/etc/iptables/sshlab; mkdir -p /run/moat; echo mine >/run/moat/sshlab")
	for _, path := range []string{"/etc/iptables/sshlab", "/run/moat/sshlab"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is on the machine", path)
		}
		if _, err := os.Stat(l.Private(path)); err != nil {
			t.Error(err)
		}
	}
}
