package lockout

import (
	"strings"
	"testing"

	"moat/internal/sshlab"
)

const shutPort = "iptables -A INPUT -p tcp --dport 22 --syn -j DROP"

func TestForcedCommandIsObeyedWithAWarning(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	o := sh.Run("MOAT_FORCE=1 " + shutPort)
	if o.Code != 0 || !strings.HasPrefix(o.Stderr, "moat: warning: done all the same") {
		t.Errorf("forced: %+v", o)
	}
	if !sh.Alive() || !l.ShutOut("4") {
		t.Error("the rule is not in force")
	}
	if o := sh.Run("iptables -D INPUT 1"); o.Code != 0 || o.Stderr != "" || !l.CanLogin("4") {
		t.Errorf("taken back: %+v", o)
	}
}

func TestGuardThatIsOffLetsEverythingThroughUntilItIsOn(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	if o := sh.Run("moat guard off && " + shutPort); o.Code != 0 || !l.ShutOut("4") {
		t.Errorf("off: %+v", o)
	}
	if o := sh.Run("iptables -F && moat guard on && " + shutPort); o.Code != 1 || !l.CanLogin("4") {
		t.Errorf("on again: %+v", o)
	}
}

func TestConsoleIsNeverHeldUp(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	for _, command := range []string{
		"iptables -A INPUT -p tcp --dport 22 -j DROP", "iptables -P INPUT DROP", "iptables -P OUTPUT DROP",
		"ip6tables -P INPUT DROP", "printf '*filter\n:INPUT DROP\nCOMMIT\n' | iptables-restore",
	} {
		if o := l.Console(command); o.Code != 0 || o.Stdout+o.Stderr != "" {
			t.Errorf("%s: %+v", command, o)
		}
	}
	if !sh.Cut() {
		t.Error("the rules are not in force")
	}
}
