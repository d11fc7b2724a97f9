package lockout

import (
	"context"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// loopRules let ssh in, from this host itself too.
const loopRules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"

// sshConfig is the client's configuration, which is a file of the server too.
func sshConfig(l *sshlab.Lab) string { return l.Private("ssh_config") }

// inner is an ssh from the server, to itself.
func inner(l *sshlab.Lab) string { return "ssh -T -F " + sshConfig(l) + " " }

// TestConfirmationThroughThisHostItselfIsThatOfWhoMadeTheConnection: from an old
// session, "ssh localhost" makes none that is new.
func TestConfirmationThroughThisHostItselfIsThatOfWhoMadeTheConnection(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	old, other := l.Login("4"), l.Login("6")
	const how = "ssh -o ControlPath=none root@198.51.100.2 moat confirm\n"
	// Connections from here to port 2222 are translated.
	l.MustConsole("for i in iptables ip6tables; do $i -t nat -A OUTPUT -p tcp --dport 2222 -j REDIRECT --to-ports 22; done")
	applyInBackground(t, l, old, loopRules, "--confirm-within 10m")
	ssh := inner(l)
	for _, to := range []string{
		"127.0.0.1", "localhost", "::1", lab.ServerAddr, lab.ServerAddr6, "-p 2222 127.0.0.1", "-p 2222 " + lab.ServerAddr,
		"-b " + lab.ServerAddr + " 127.0.0.1", "127.0.0.1 " + ssh + lab.ServerAddr, "127.0.0.1 env -i PATH=/usr/local/sbin",
	} {
		r := old.Run(ssh + to + " moat confirm")
		if r.Code != 1 || !strings.Contains(r.Stderr, "older than the change") || !strings.HasSuffix(r.Stdout, how+"  or insist       moat confirm --from-here\n") {
			t.Errorf("ssh %s: %+v", to, r)
		}
	}
	if r := other.Run(ssh + "127.0.0.1 moat confirm"); r.Code != 1 || !strings.Contains(r.Stderr, "older than the change") {
		t.Errorf("from another old session: %+v", r)
	}
	// The connection is gone when the command comes.
	old.Run(ssh + "127.0.0.1 'setsid sh -c \"while ss -Htn state established src 127.0.0.1 | grep -q .; do sleep 0.05; done; moat confirm; echo \\$?\" >/root/gone 2>&1 </dev/null &'")
	until(t, l, "grep -q '^[0-9]$' /root/gone")
	if out := l.MustConsole("cat /root/gone"); !strings.Contains(out, "it is not known by which connection you work here") || !strings.HasSuffix(out, "\n1\n") {
		t.Errorf("from a connection that is gone:\n%s", out)
	}
	if r := old.Run(ssh + "127.0.0.1 moat confirm --from-here"); r.Code != 0 {
		t.Errorf("insisting: %+v", r)
	}
}

// TestConfirmationThroughAnotherHostOrANewTunnelCounts has logins that are new, on
// their way through something else.
func TestConfirmationThroughAnotherHostOrANewTunnelCounts(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	old := l.Login("4")
	ssh := func(from *lab.Host, args ...string) lab.Output {
		c := from.CommandContext(context.Background(), "ssh", append([]string{"-T", "-F", sshConfig(l)}, args...)...)
		c.Dir, c.Env = "/", sshlab.Env()
		out, err := c.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l.MustConsole("iptables -t nat -A PREROUTING -p tcp --dport 2222 -j REDIRECT --to-ports 22")
	for name, confirm := range map[string]func() lab.Output{
		"as ProxyJump through another host does": func() lab.Output { return ssh(l.Router, lab.ServerAddr, "moat confirm") },
		"ProxyJump through this host":            func() lab.Output { return ssh(l.Client, "-J", lab.ServerAddr, "127.0.0.1", "moat confirm") },
		"a port that is translated":              func() lab.Output { return ssh(l.Client, "-p", "2222", lab.ServerAddr, "moat confirm") },
		"new session, then this host": func() lab.Output {
			return ssh(l.Client, lab.ServerAddr, inner(l)+"127.0.0.1 moat confirm")
		},
		"console, then this host": func() lab.Output {
			return l.Console(inner(l) + "127.0.0.1 moat confirm")
		},
	} {
		applyInBackground(t, l, old, loopRules, "--confirm-within 10m")
		if r := confirm(); r.Code != 0 || !strings.HasPrefix(r.Stdout, "confirmed") {
			t.Errorf("%s: %+v", name, r)
			l.Console("moat rollback")
		}
	}
}

// TestConfirmationThroughAnOldConnectionFromAConsoleDoesNotCount: neither does that
// of a daemon that lets people in by a tunnel of its own, which is no other thing
// for sshd.
func TestConfirmationThroughAnOldConnectionFromAConsoleDoesNotCount(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	l.MustConsole(inner(l) + "127.0.0.1 'echo >/root/in; until [ -e /root/go ]; do sleep 0.05; done; moat confirm; echo $?' >/root/old 2>&1 &")
	until(t, l, "[ -e /root/in ]")
	applyInBackground(t, l, l.Login("4"), loopRules, "--confirm-within 10m")
	l.MustConsole("echo >/root/go")
	until(t, l, "grep -q '^[0-9]$' /root/old")
	if out := l.MustConsole("cat /root/old"); !strings.Contains(out, "older than the change") || !strings.Contains(out, "root@HOST moat confirm\n") || !strings.Contains(out, "\n1\n") {
		t.Errorf("it says:\n%s", out)
	}
}

// TestGuardSeesThroughAConnectionFromThisHostItself: who became root by "ssh
// root@localhost" is cut off where he came from.
func TestGuardSeesThroughAConnectionFromThisHostItself(t *testing.T) {
	t.Parallel()
	l := sshlab.New(t)
	sh := l.Login("4")
	before := l.State()
	r := sh.Run(inner(l) + "127.0.0.1 iptables -A INPUT -s 203.0.113.7 -j DROP")
	if r.Code != 1 || !strings.Contains(r.Stderr, "session  203.0.113.7:") || l.State() != before {
		t.Errorf("%+v\nstate:\n%s", r, l.State())
	}
}
