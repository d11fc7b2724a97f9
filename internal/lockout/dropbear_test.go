package lockout

import (
	"os/exec"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// TestDropbear holds that sessions of another sshd are known, by their
// environment and by their ancestors.
func TestDropbear(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dropbear"); err != nil {
		t.Skipf("needs dropbear (dropbear-bin): %v", err)
	}
	l := sshlab.New(t)
	l.MustConsole(`mkdir -p /root/.ssh && chmod 700 /root /root/.ssh && dropbearkey -t ed25519 -f /root/key >/dev/null 2>&1 &&
		ssh-keygen -q -t ed25519 -N '' -f /root/user && cp /root/user.pub /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys &&
		dropbear -r /root/key -p 2222 -P /root/dropbear.pid`)
	options := []string{"-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", l.Private("/root/user")}
	err := lab.WaitFor(lab.LongWait, func() (bool, error) { return l.Greets("4", "2222"), nil })
	if err != nil {
		t.Fatal(err)
	}
	sh := l.Login("4", options...)
	for _, way := range []string{"iptables -P INPUT DROP", "env -i /usr/sbin/iptables -P INPUT DROP", "iptables -A INPUT -p tcp --dport 2222 -j DROP"} {
		o := sh.Run(way)
		if o.Code != 1 || !strings.Contains(o.Stderr, "moat: refused, nothing was changed") || !strings.Contains(o.Stderr, ":2222 tcp") {
			t.Errorf("%s: %+v", way, o)
		}
	}
	if o := sh.Run("iptables -A INPUT -p tcp --dport 22 -j DROP"); o.Code != 0 || !sh.Alive() || !l.CanLogin("4", options...) {
		t.Errorf("dropping the other sshd's port: %+v", o)
	}
}
