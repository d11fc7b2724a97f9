package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// secureMachine is a host without rules on which some ports are open.
func secureMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.shell("iptables-nft -F; ip6tables-nft -F")
	if err := m.host.Echo("tcp 22,80,5432"); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSecureWithoutATerminalOnlyProposes(t *testing.T) {
	t.Parallel()
	m := secureMachine(t)
	before := m.saved()
	out := m.moat(0, "secure", "--allow", "ssh from 10.0.0.0/8,http")
	for _, want := range []string{
		"-A MOAT-INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -m comment --comment ssh -j ACCEPT\n",
		"# Not let in: postgresql (5432/tcp)", "With these rules in force:", "everything else (IPv6): dropped by the policy of INPUT", "nothing was changed; --yes loads",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if after := m.saved(); after != before || m.isPending() {
		t.Errorf("changed to\n%s", after)
	}
}

func TestSecureConfirmedIsSavedAndTheSecondTimeChangesNothing(t *testing.T) {
	t.Parallel()
	m := secureMachine(t)
	for range 2 {
		a := m.applyBy("secure", "--yes", "--allow", "ssh,http", "--log", "--limit-ssh")
		m.moat(0, "confirm")
		a.end(0)
		got := m.shell("iptables-nft-save; ip6tables-nft-save")
		for _, f := range []string{"4", "6"} {
			boot, err := os.ReadFile(m.etc + "/rules.v" + f)
			if err != nil || strings.Count(string(boot), "-A INPUT -j MOAT-INPUT\n") != 1 || !strings.Contains(string(boot), ":INPUT DROP") {
				t.Errorf("rules.v%s: %v\n%s", f, err, boot)
			}
		}
		if strings.Count(got, "-A INPUT -j MOAT-INPUT\n") != 2 || strings.Count(got, "--dport 80 ") != 2 {
			t.Errorf("rules:\n%s", got)
		}
		if out := m.moat(0, "audit"); !strings.Contains(out, "no findings") {
			t.Errorf("audit:\n%s", out)
		}
	}
}

func TestSecureUnconfirmedIsTakenBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	m.applyBy("secure", "--yes", "--confirm-within", "1s").end(1)
	if after := m.saved(); after != before {
		t.Errorf("rules:\n%s\nmust be\n%s", after, before)
	}
	if _, err := os.Stat(m.etc + "/rules.v4"); err == nil {
		t.Error("it was saved")
	}
}

func TestSecureUnderUfwDoesNotSave(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell("iptables-nft -N ufw-before-input; iptables-nft -A INPUT -j ufw-before-input")
	a := m.applyBy("secure", "--yes")
	m.moat(0, "confirm")
	a.end(0)
	if _, err := os.Stat(m.etc + "/rules.v4"); err == nil {
		t.Error("it was saved")
	}
}

func TestSecureSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--protect", "tcp 22"}, `moat: secure: protect "tcp 22": want "tcp PORT from NETWORK"`},
		{[]string{"--allow", "ssh,shh"}, `moat: secure: --allow: column 5, "shh": no service of that name is known`},
		{[]string{"--json", "--yes"}, "moat: secure: --json changes nothing"},
		{[]string{"--confirm-within", "never"}, "moat: secure: --confirm-within never"},
		{[]string{"--nosuch"}, "moat: secure: unknown flag: --nosuch"},
	} {
		if out := m.moat(2, append([]string{"secure"}, c.args...)...); !strings.HasPrefix(out, c.want) {
			t.Errorf("%q: %s", c.args, out)
		}
	}
}

func TestSecureAsJSON(t *testing.T) {
	t.Parallel()
	m := secureMachine(t)
	var got struct {
		Allowed, Closed []struct{ Port string }
		Families        []struct{ Family, Restore string }
	}
	c := m.command("secure", "--json", "--allow", "http/tcp")
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil || len(got.Allowed) != 1 || got.Allowed[0].Port != "80/tcp" || len(got.Closed) != 2 || len(got.Families) != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSecureAsksOnATerminal answers one question after the other.
func TestSecureAsksOnATerminal(t *testing.T) {
	t.Parallel()
	m := secureMachine(t)
	m.shell("iptables-nft -A INPUT -p tcp --dport 3306 -j ACCEPT")
	term := m.onTerminal("secure", "--confirm-within", "59m")
	for _, q := range [][2]string{
		{"? [Y/n] ", "\n"},      // ssh is public: no sshd is here, so that it is asked for
		{"? [Y/n] ", "n\n"},     // http
		{"? [y/N] ", "maybe\n"}, // a database
		{"? [y/N] ", "\n"},
		{"Keep them? [y/N] ", "y\n"},
		{"Load these rules? Unless you confirm within 59m from a new login, the old ones come back? [y/N] ", "y\n"},
		{"undo     moat rollback", ""},
	} {
		term.await(q[0])
		term.write(q[1])
	}
	m.moat(0, "confirm")
	term.end(0)
	got := m.shell("iptables-nft-save")
	if !strings.Contains(got, "--dport 22 ") || strings.Contains(got, "--dport 80 ") || strings.Contains(got, "--dport 5432 ") || !strings.Contains(got, "-A INPUT -p tcp -m tcp --dport 3306 -j ACCEPT\n-A INPUT -j MOAT-INPUT\n") {
		t.Errorf("rules:\n%s", got)
	}
}

func TestSecureChangesNothingWhenTheAnswerIsNo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	term := m.onTerminal("secure", "--allow", "ssh")
	term.await("come back? [y/N] ")
	term.write("\n")
	term.await("nothing was changed")
	term.end(1)
	if after := m.saved(); after != before {
		t.Errorf("rules:\n%s", after)
	}
}

// terminal is a command of moat on a terminal of its own.
type terminal struct {
	t      *testing.T
	cmd    *lab.Cmd
	master *os.File
	seen   strings.Builder // since the last thing that was waited for
}

func (m *machine) onTerminal(args ...string) *terminal {
	m.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.SetNonblock(fd, true)); err != nil {
		m.t.Fatal(err)
	}
	c := &terminal{t: m.t, cmd: m.command(args...), master: os.NewFile(uintptr(fd), "ptmx")}
	m.t.Cleanup(func() { _ = c.master.Close() }) // nothing is lost
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	if err := errors.Join(c.cmd.Start(), slave.Close(), c.master.SetReadDeadline(time.Now().Add(2*time.Minute))); err != nil {
		m.t.Fatal(err)
	}
	return c
}

// await reads until a text came.
func (c *terminal) await(text string) {
	c.t.Helper()
	for buf := make([]byte, 4096); ; {
		if _, rest, ok := strings.Cut(c.seen.String(), text); ok {
			c.seen.Reset()
			c.seen.WriteString(rest)
			return
		}
		n, err := c.master.Read(buf)
		c.seen.Write(buf[:n])
		if err != nil {
			c.t.Fatalf("no %q came: %v; but:\n%s", text, err, &c.seen)
		}
	}
}

// write types a text.
func (c *terminal) write(text string) {
	c.t.Helper()
	if _, err := c.master.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the command and wants its exit code.
func (c *terminal) end(wantCode int) {
	c.t.Helper()
	err := c.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if code := c.cmd.ProcessState.ExitCode(); code != wantCode {
		c.t.Errorf("exit code %d, must be %d", code, wantCode)
	}
}
