package lockout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// ownUFW gives a lab its own files of ufw. It leaves IPv6 alone and logs nothing,
// which spares half of the hundreds of commands that it gives: the session is one
// of IPv4.
func ownUFW(t *testing.T) []lab.Mount {
	t.Helper()
	m := append(private(t, "/etc/ufw", "/etc/default/ufw"), emptyFile(t, "/run/ufw.lock"))
	for file, line := range map[string]string{filepath.Join(m[0].From, "ufw.conf"): "LOGLEVEL=off", m[1].From: "IPV6=no"} {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, append(text, "\n"+line+"\n"...), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestUFWDoesNotNoticeTheGuard(t *testing.T) {
	t.Parallel()
	needs(t, "ufw")
	b := newBoth(t, func() []lab.Mount { return ownUFW(t) })
	for _, command := range []string{
		"ufw allow ssh", "ufw --force enable", "ufw allow 80/tcp", "ufw deny from 203.0.113.66",
		"ufw delete deny from 203.0.113.66", "ufw status",
	} {
		b.run(t, command, obeyed)
	}
	b.run(t, "ufw limit ssh", warned) // nobody can tell how many logins there will be
	b.run(t, "ufw disable", obeyed)   // "ufw reload" does this, and then what enable does
	if s := b.guarded.State(); strings.Contains(s, "DROP") {
		t.Errorf("after ufw disable:\n%s", s)
	}
}

// ufw reports what it is refused, and can be told to do better.
func TestUFWThatCutsOffIsRefused(t *testing.T) {
	t.Parallel()
	needs(t, "ufw")
	l := sshlab.New(t, ownUFW(t)...)
	sh := l.Login("4")
	for _, step := range []struct {
		command string
		code    int
	}{
		{"ufw --force enable", 1},
		{"ufw allow ssh && ufw disable && ufw --force enable", 0}, // it believes that it was enabled
		{"ufw deny from 203.0.113.7", 0},                          // comes after the rule for ssh
		{"ufw delete allow ssh", 1},
	} {
		o := sh.RunWithin(programWait, step.command)
		isRefused := strings.Contains(o.Stdout+o.Stderr, "moat: refused, nothing was changed")
		if o.Code != step.code || isRefused != (step.code != 0) {
			t.Errorf("%s: %s", step.command, show(o))
		}
		if !sh.Alive() || !l.CanLogin("4") {
			t.Fatalf("%s: the session is cut off, or new ones are", step.command)
		}
	}
}
