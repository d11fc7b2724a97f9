package lockout

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// moshShell is a shell behind a real mosh-client and mosh-server. What is typed
// there reaches the server by UDP only.
type moshShell struct {
	*sshlab.Lab
	keys io.Writer // the client's terminal
	n    int       // commands so far
}

// newMosh begins a session as mosh(1) does: ssh starts mosh-server and ends.
func newMosh(t *testing.T) *moshShell {
	t.Helper()
	for _, program := range []string{"mosh-server", "mosh-client", "script"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs mosh: %v", err)
		}
	}
	m := &moshShell{Lab: sshlab.New(t)}
	sh := m.Login("4")
	o := sh.Run("LANG=C.UTF-8 mosh-server new -s -p 60001 -- sh")
	key := regexp.MustCompile(`MOSH CONNECT 60001 (\S+)`).FindStringSubmatch(o.Stdout)
	if key == nil {
		t.Fatalf("mosh-server: %+v", o)
	}
	if err := sh.Close(); err != nil {
		t.Fatal(err)
	}
	// A client whose terminal has no size draws nothing and reads nothing.
	c := m.Client.Command("script", "-qfc", "stty rows 24 cols 80; exec mosh-client "+lab.ServerAddr+" 60001", "/dev/null")
	c.Dir, c.Env = "/", append(sshlab.Env(), "TERM=xterm", "MOSH_KEY="+key[1])
	keys, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = io.Discard, io.Discard
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	m.keys = keys
	return m
}

// run types a script and gives what it printed; the code is NoAnswer if it did
// not begin in time.
func (m *moshShell) run(t *testing.T, wait time.Duration, script string) (o lab.Output) {
	t.Helper()
	m.n++
	o.Code = sshlab.NoAnswer
	file := fmt.Sprintf("/root/mosh-%d", m.n)
	m.MustConsole(fmt.Sprintf("cat >%s <<'END'\n%s\nEND", file, script))
	if _, err := fmt.Fprintf(m.keys, "sh %s >%[1]s.out 2>&1; echo $? >%[1]s.code\r", file); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(wait)
	for time.Now().Before(end) {
		if code := m.MustConsole("cat " + file + ".code 2>/dev/null || true"); strings.HasSuffix(code, "\n") {
			if _, err := fmt.Sscan(code, &o.Code); err != nil {
				t.Fatal(err)
			}
			o.Stderr = m.MustConsole("cat " + file + ".out")
			return o
		}
		time.Sleep(20 * time.Millisecond)
	}
	return o
}

// TestMoshSession holds that the guard knows a session of mosh, whose server has
// no connected socket, with connection tracking and without.
func TestMoshSession(t *testing.T) {
	t.Parallel()
	m := newMosh(t)
	if o := m.run(t, lab.LongWait, "moat guard"); o.Code != 0 || !strings.Contains(o.Stderr, lab.ClientAddr) || !strings.Contains(o.Stderr, ":60001 udp") {
		t.Fatalf("moat guard: %+v", o)
	}
	const track = "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP" // tracks from here on
	for _, c := range []struct{ setup, run, want string }{
		{"", "iptables -A INPUT -p udp --dport 60001 -j DROP", "-A INPUT"},
		{"", "iptables -A OUTPUT -p udp --sport 60000:61000 -j DROP", "-A OUTPUT"},
		{"", "iptables -t raw -A PREROUTING -p udp -j DROP", "-A PREROUTING"},
		{"", "iptables -A INPUT -s " + lab.ClientAddr + " -j REJECT", "-A INPUT"},
		{"", "iptables -P INPUT DROP", "INPUT"},
		{"iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -P INPUT DROP", "INPUT"},
		{track, "iptables -A INPUT -p udp --dport 60001 -j DROP", "-A INPUT"},
		{track, "env -i /usr/sbin/iptables -P OUTPUT DROP", "OUTPUT"},
		{"", "iptables -A INPUT -p udp --dport 53 -j DROP", ""},
		{"", "iptables -A INPUT -p tcp --dport 80 -j DROP", ""},
		{"", "iptables -A INPUT -s 192.0.2.7 -j DROP", ""},
		{track + "; iptables -A INPUT -p udp --dport 60000:61000 -j ACCEPT; iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -P INPUT DROP", ""},
	} {
		m.Reset()
		if c.setup != "" {
			m.MustConsole(c.setup)
		}
		o := m.run(t, lab.LongWait, c.run)
		isRefused := o.Code == 1 && strings.Contains(o.Stderr, "moat: refused, nothing was changed") && strings.Contains(o.Stderr, "60001 udp") && strings.Contains(o.Stderr, c.want)
		if c.want == "" && (o.Code != 0 || o.Stderr != "") || c.want != "" && !isRefused {
			t.Errorf("%s; %s: %+v", c.setup, c.run, o)
		}
		if o := m.run(t, lab.LongWait, "true"); o.Code != 0 {
			t.Fatalf("%s; %s: the session is cut off", c.setup, c.run)
		}
	}
	// What was refused would have cut it off.
	m.Reset()
	m.MustConsole("iptables -A INPUT -p udp --dport 60001 -j DROP")
	if o := m.run(t, 3*time.Second, "true"); o.Code != sshlab.NoAnswer {
		t.Error("a dropped session answers")
	}
}
