package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/lab"
)

const (
	firstRules  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n"
	secondRules = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j mine\n-A mine -s 10.2.2.2/32 -j DROP\nCOMMIT\n" +
		"*mangle\n:PREROUTING ACCEPT [0:0]\n:extra - [0:0]\n-A PREROUTING -j extra\nCOMMIT\n"
	secondRules6 = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s fc00::2/128 -j ACCEPT\nCOMMIT\n"
)

// machine is a host with its own state and boot files, and firstRules loaded.
type machine struct {
	t          *testing.T
	host       *lab.Host
	state, etc string
	program    string // the file of moat; "" for that of this test
	boot       string // a file with another boot's id; "" for this boot
	file       func(string) string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, host: lab.Netns(t), state: t.TempDir(), etc: t.TempDir()}
	m.file = ruleFiles(t, map[string]string{
		"v4": secondRules, "v6": secondRules6, "bad": strings.Replace(secondRules, "10.2.2.2", "10.2.2.777", 1),
		"crlf": "# from elsewhere\n" + strings.ReplaceAll(secondRules, "\n", "\r\n"), "empty": "# nothing\n",
	})
	m.shell("printf '" + strings.Replace(firstRules, "-A INPUT -s", "[7:700] -A INPUT -s", 1) + "' | iptables-nft-restore -c; ip6tables-nft -A INPUT -s fc00::1 -j DROP")
	return m
}

func (m *machine) shell(script string) string {
	m.t.Helper()
	out, err := m.host.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// saved is what both save programs print with counters, without comments and
// without tables that do nothing.
func (m *machine) saved() string {
	m.t.Helper()
	var kept strings.Builder
	for table := range strings.SplitAfterSeq(m.shell("iptables-nft-save -c | grep -v ^#; ip6tables-nft-save -c | grep -v ^#"), "COMMIT\n") {
		for line := range strings.Lines(table) {
			if !strings.HasPrefix(line, "*") && line != "COMMIT\n" && !strings.HasSuffix(line, " ACCEPT [0:0]\n") {
				kept.WriteString(table)
				break
			}
		}
	}
	return kept.String()
}

func (m *machine) command(args ...string) *lab.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	if m.program != "" {
		self = m.program
	}
	c := m.host.Command(self, args...)
	c.Env = append(os.Environ(), envArgv0+"=moat")
	c.Mounts = []lab.Mount{{From: m.state, To: "/var/lib/moat"}, {From: m.etc, To: "/etc/iptables"}}
	if m.boot != "" {
		c.Mounts = append(c.Mounts, lab.Mount{From: m.boot, To: "/proc/sys/kernel/random/boot_id"})
	}
	return c
}

// moat runs a command of moat and wants its exit code.
func (m *machine) moat(wantCode int, args ...string) string {
	m.t.Helper()
	var out bytes.Buffer
	c := m.command(args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	if code := c.ProcessState.ExitCode(); code != wantCode {
		m.t.Errorf("moat %q: exit code %d, must be %d:\n%s", args, code, wantCode, &out)
	}
	return out.String()
}

// applying is a moat apply that waits.
type applying struct {
	*machine
	cmd *lab.Cmd
	out *bufio.Reader
}

// apply starts moat apply and waits until the change is made.
func (m *machine) apply(args ...string) *applying {
	m.t.Helper()
	return m.applyBy(append([]string{"apply"}, args...)...)
}

// applyBy is apply with another command that ends in a change on the timer.
func (m *machine) applyBy(args ...string) *applying {
	m.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = r.Close() }) // a second close is no matter
	a := &applying{machine: m, cmd: m.command(args...), out: bufio.NewReader(r)}
	a.cmd.Stdout, a.cmd.Stderr = w, w
	if err := errors.Join(a.cmd.Start(), w.Close(), r.SetReadDeadline(time.Now().Add(2*time.Minute))); err != nil {
		m.t.Fatal(err)
	}
	a.await("  undo     moat rollback, or ^C here\n")
	return a
}

// await reads until a line came.
func (a *applying) await(want string) {
	a.t.Helper()
	var seen strings.Builder
	for {
		line, err := a.out.ReadString('\n')
		seen.WriteString(line)
		switch {
		case line == want:
			return
		case err != nil:
			a.t.Fatalf("no %q came: %v; but:\n%s", want, err, &seen)
		}
	}
}

// end waits for moat apply to end and wants its exit code.
func (a *applying) end(wantCode int) {
	a.t.Helper()
	err := a.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	if code := a.cmd.ProcessState.ExitCode(); code != wantCode {
		rest, _ := a.out.ReadString(0) // whatever is left to see
		a.t.Errorf("exit code %d, must be %d:\n%s", code, wantCode, rest)
	}
}

func (a *applying) signal(s syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
}

// until waits for a condition.
func (m *machine) until(what string, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("it never came that %s", what)
		}
	}
}

func (m *machine) isPending() bool {
	_, err := os.Stat(m.state + "/pending")
	return err == nil
}

// moatAny runs a command whose exit code does not matter.
func (m *machine) moatAny(args ...string) string {
	m.t.Helper()
	out, _ := m.command(args...).CombinedOutput() // the exit code
	return string(out)
}
