package lockout

import (
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// Rules that shut everybody out, and some that do not.
const (
	shutRules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
	openRules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
)

// applyInBackground runs moat apply in a session, and waits until it is made.
func applyInBackground(t *testing.T, l *sshlab.Lab, sh *sshlab.Shell, rules, options string) {
	t.Helper()
	l.MustConsole("cat > /root/rules <<'END'\n" + rules + "END")
	sh.Run("MOAT_FORCE=1 moat apply /root/rules " + options + " >/root/log 2>&1 &")
	until(t, l, "moat status | grep -q 'left to confirm'")
}

// until waits for a command on the console to succeed.
func until(t *testing.T, l *sshlab.Lab, script string) {
	t.Helper()
	for end := time.Now().Add(lab.LongWait); l.Console(script).Code != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came: %s\n%s", script, l.MustConsole("cat /root/log; moat history"))
		}
	}
}

func TestTimedApplyBringsALostSessionBack(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	applyInBackground(t, l, sh, shutRules, "--confirm-within 8s")
	if !sh.Cut() {
		t.Error("the rules shut nobody out")
	}
	until(t, l, "! moat status")
	if !l.CanLogin("4") || sh.Run("true").Code != 0 { // TCP tries again after some seconds
		t.Error("the session is dead, or there is no new one")
	}
	if got := l.State(); strings.Contains(got, "DROP") {
		t.Errorf("state:\n%s", got)
	}
}

func TestTimedApplySurvivesTheEndOfItsSession(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	applyInBackground(t, l, sh, shutRules, "--confirm-within 8s")
	if err := sh.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, l, "! moat status")
	if !l.CanLogin("4") {
		t.Errorf("no login:\n%s", l.State())
	}
}

func TestConfirmationCountsFromANewLoginOnly(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh, other := l.Login("4"), l.Login("4")
	applyInBackground(t, l, sh, openRules, "--confirm-within 10m --save")
	for _, old := range []*sshlab.Shell{sh, other} {
		r := old.Run("moat confirm")
		if r.Code != 1 || !strings.Contains(r.Stdout, "ssh -o ControlPath=none root@198.51.100.2 moat confirm\n") || !strings.Contains(r.Stderr, "older than the change") {
			t.Errorf("from an old session: %+v", r)
		}
	}
	if r := l.Login("4").Run("moat confirm"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "confirmed") {
		t.Errorf("from a new session: %+v", r)
	}
	if s := l.MustConsole("cat /etc/iptables/rules.v4; moat history"); !strings.Contains(s, "--dport 22 -j ACCEPT") || !strings.Contains(s, "confirmed") {
		t.Errorf("boot file and history:\n%s", s)
	}
}

func TestGuardRefusesATimedApplyBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	before := l.State()
	l.MustConsole("cat > /root/rules <<'END'\n" + shutRules + "END")
	r := sh.Run("moat apply /root/rules")
	if r.Code != 1 || !strings.HasPrefix(r.Stderr, "moat: refused, nothing was changed") {
		t.Errorf("%+v", r)
	}
	r = sh.Run("iptables-apply /root/rules")
	if r.Code != 1 || !strings.Contains(r.Stderr, "moat: refused, nothing was changed") {
		t.Errorf("iptables-apply: %+v", r)
	}
	if got := l.State(); got != before || l.Console("moat status").Code != 1 {
		t.Errorf("state:\n%s", got)
	}
}
