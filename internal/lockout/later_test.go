package lockout

import (
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// A job that outlives its session (in tmux, by nohup) belongs to somebody who
// wants to log in again.
func TestJobWhoseSessionHasEndedKeepsTheWayIn(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	sh.Run("nohup sh -c 'until [ -e /root/go ]; do sleep 0.02; done; iptables -P INPUT DROP 2>/root/errors; echo $? >/root/code' >/dev/null 2>&1 &")
	if err := sh.Close(); err != nil {
		t.Fatal(err)
	}
	socket := "ss -Htn state established sport = :22"
	waitFor(t, l, func(shown string) bool { return shown == "" }, socket)
	l.MustConsole("touch /root/go")
	waitFor(t, l, func(code string) bool { return code != "" }, "cat /root/code 2>/dev/null || true")
	errors := l.MustConsole("cat /root/errors")
	if code := l.MustConsole("cat /root/code"); code != "1\n" || !strings.Contains(errors, "moat: refused, nothing was changed") || !strings.Contains(errors, "new connections from 203.0.113.7 to port 22") {
		t.Errorf("exit code %s%s", code, errors)
	}
	if !l.CanLogin("4") {
		t.Errorf("no new login\n%s", l.State())
	}
}

// waitFor waits for what a command on the console prints.
func waitFor(t *testing.T, l *sshlab.Lab, ok func(string) bool, command string) {
	t.Helper()
	var out string
	err := lab.WaitFor(lab.LongWait, func() (bool, error) { out = l.MustConsole(command); return ok(out), nil })
	if err != nil {
		t.Fatalf("%s: %v: %q", command, err, out)
	}
}
