package lockout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// ownFail2ban gives a lab fail2ban's files with one jail for each of the two ways
// in which Debian's actions ban; both watch logs in which nothing happens.
func ownFail2ban(t *testing.T) []lab.Mount {
	t.Helper()
	m := private(t, "/etc/fail2ban")
	jails := `[DEFAULT]
filter = sshd
backend = polling
logpath = /root/empty.log
bantime = 1h
[sshd]
enabled = false
[ports]
enabled = true
port = ssh,http
banaction = iptables-multiport
[all]
enabled = true
banaction_allports = iptables-allports
banaction = iptables-allports
`
	for name, text := range map[string]string{"jail.local": jails, "fail2ban.local": "[DEFAULT]\nallowipv6 = auto\ndbfile = None\n"} {
		if err := os.WriteFile(filepath.Join(m[0].From, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// client is fail2ban's, which the server is told by, too.
const client = "fail2ban-client -s /root/sock -p /root/pid "

func TestFail2banDoesNotNoticeTheGuard(t *testing.T) {
	t.Parallel()
	needs(t, "fail2ban-server", "fail2ban-client")
	b := newBoth(t, func() []lab.Mount { return ownFail2ban(t) })
	b.run(t, "touch /root/empty.log; "+client+"-x --logtarget /root/log start", obeyed)
	for _, step := range []struct{ command, ban, gone string }{
		{"set ports banip 203.0.113.66", "-A f2b-ports -s 203.0.113.66/32 -j REJECT", ""},
		{"set all banip 203.0.113.66 192.0.2.1", "-A f2b-all -s 192.0.2.1/32 -j REJECT", ""},
		{"set all unbanip 192.0.2.1", "", "192.0.2.1/32"},
		{"status ports", "", ""},
		{"reload --unban ports", "", "-A f2b-ports -s"},
		{"set all banip 2001:db8:1::66", "-s 2001:db8:1::66/128 -j REJECT", ""},
		{"stop", "", "f2b"},
	} {
		b.run(t, client+step.command, obeyed)
		b.settle(t, func(state string) bool {
			return strings.Contains(state, step.ban) && (step.gone == "" || !strings.Contains(state, step.gone))
		})
	}
	if log := b.guarded.MustConsole("cat /root/log"); strings.Contains(log, "moat") || strings.Contains(log, "ERROR") {
		t.Errorf("the log of fail2ban:\n%s", log)
	}
}

// A ban of the admin's own address does not happen, and fail2ban goes on.
func TestFail2banDoesNotBanTheAdmin(t *testing.T) {
	t.Parallel()
	needs(t, "fail2ban-server", "fail2ban-client")
	l := sshlab.New(t, ownFail2ban(t)...)
	sh := l.Login("4")
	sh.Run("touch /root/empty.log; " + client + "-x --logtarget /root/log start; " + client + "set all banip 203.0.113.7; " + client + "set all banip 203.0.113.66")
	err := lab.WaitFor(lab.LongWait, func() (bool, error) { return strings.Contains(l.State(), "203.0.113.66"), nil })
	if err != nil {
		t.Errorf("the other is not banned: %v\n%s", err, l.State())
	}
	if log := l.MustConsole("cat /root/log"); !strings.Contains(log, "moat: refused, nothing was changed") {
		t.Errorf("the log of fail2ban:\n%s", log)
	}
	if !sh.Alive() || !l.CanLogin("4") {
		t.Errorf("banned:\n%s", l.State())
	}
}
