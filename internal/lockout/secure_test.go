package lockout

import (
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// secured runs moat secure in a session, in the background, and waits until its
// rules are in force.
func secured(t *testing.T, l *sshlab.Lab, sh *sshlab.Shell, options string) {
	t.Helper()
	sh.Run("moat secure --yes " + options + " >/root/log 2>&1 &")
	until(t, l, "moat status | grep -q 'left to confirm'")
}

func TestSecureOverSSHIsConfirmedFromANewLogin(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"4", "6"} {
		t.Run("IPv"+family, func(t *testing.T) {
			t.Parallel()
			l := sshlab.New(t)
			if err := l.Server.Echo("tcp 80,5432"); err != nil {
				t.Fatal(err)
			}
			sh := l.Login(family)
			secured(t, l, sh, "--confirm-within 10m --limit-ssh --log --allow http")
			if r := sh.Run("moat confirm"); r.Code != 1 {
				t.Errorf("from the old session: %+v", r)
			}
			if r := l.Login(family).Run("moat confirm"); r.Code != 0 {
				t.Errorf("from a new session: %+v", r)
			}
			if !sh.Alive() || !l.CanLogin("4") || !l.CanLogin("6") {
				t.Errorf("somebody is cut off:\n%s", l.State())
			}
			for _, server := range []string{lab.ServerAddr, lab.ServerAddr6} {
				l.Client.Expect(lab.TCP(lab.At(server, 80)), lab.Open)
				l.Client.Expect(lab.TCP(lab.At(server, 5432)), lab.Silent)
			}
			for _, file := range []string{"rules.v4", "rules.v6"} {
				if boot := l.MustConsole("cat /etc/iptables/" + file); !strings.Contains(boot, "-A INPUT -j MOAT-INPUT\n") {
					t.Errorf("%s:\n%s", file, boot)
				}
			}
		})
	}
}

func TestSecureKeepsTheAdminWhomItsOwnListLeavesOut(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	secured(t, l, sh, "--allow 'ssh from 10.0.0.0/8'")
	if !sh.Alive() || !l.CanLogin("4") {
		t.Errorf("cut off:\n%s", l.State())
	}
	l.Client.Expect(lab.TCP(lab.At(lab.ServerAddr6, 22)), lab.Silent)
	if r := sh.Run("moat rollback"); r.Code != 0 {
		t.Errorf("rollback: %+v", r)
	}
	until(t, l, "! moat status")
	if s := l.State(); strings.Contains(s, "MOAT") || strings.Contains(s, "DROP") {
		t.Errorf("state:\n%s", s)
	}
}

func TestSecureLeavesBansInForceThatFail2banMade(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	l.MustConsole("iptables -N f2b-sshd; iptables -A f2b-sshd -s " + lab.BlockedAddr + " -j REJECT; iptables -A f2b-sshd -j RETURN; " +
		"iptables -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd; iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -P INPUT DROP")
	sh := l.Login("4")
	secured(t, l, sh, "")
	if r := l.Login("4").Run("moat confirm"); r.Code != 0 {
		t.Errorf("confirm: %+v", r)
	}
	l.Client.Expect(lab.TCP(lab.At(lab.ServerAddr, 22)).From(lab.BlockedAddr), lab.Refused)
	if !sh.Alive() || !l.CanLogin("4") {
		t.Errorf("cut off:\n%s", l.State())
	}
	want := "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n-A INPUT -j MOAT-INPUT\n"
	if s := l.State(); !strings.Contains(s, want) {
		t.Errorf("state:\n%s", s)
	}
}
