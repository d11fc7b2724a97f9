package sshlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"moat/internal/lab"
)

// Lab is a client, a router and a server on which sshd runs.
type Lab struct {
	*lab.Net
	tb     lab.TB
	dir    string // what stands in for directories of the machine
	mounts []lab.Mount

	console *Shell
}

// New makes a lab and starts its sshd. Further mounts are seen by all that runs
// on the server. The test is skipped where there can be no sshd.
func New(tb lab.TB, mounts ...lab.Mount) *Lab {
	tb.Helper()
	if err := prerequisites(); err != nil {
		tb.Skipf("%v", err)
	}
	p, err := shared.get()
	if err != nil {
		tb.Fatalf("sshlab: %v", err)
	}
	l := &Lab{Net: lab.NewRouted(tb), tb: tb}
	if l.dir, err = os.MkdirTemp(p.dir, "lab-"); err != nil {
		tb.Fatalf("sshlab: %v", err)
	}
	if l.mounts, err = privateMounts(l.dir, p); err != nil {
		tb.Fatalf("sshlab: %v", err)
	}
	l.mounts = append(l.mounts, mounts...)
	tb.Cleanup(l.killAll)
	if err := l.startServer(p); err != nil {
		tb.Fatalf("sshlab: start sshd: %v", err)
	}
	// One shell for all commands, since it is dear to mount so much.
	if l.console, err = newShell(l.ConsoleCommand(context.Background(), "exec sh")); err != nil {
		tb.Fatalf("sshlab: start a console: %v", err)
	}
	return l
}

// prerequisites says why there can be no sshd here.
func prerequisites() error {
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err
	}
	if f := strings.Fields(string(m)); os.Getuid() != 0 || len(f) != 3 || f[0] != "0" || f[1] != "0" || f[2] == "1" {
		return errors.New("sshd changes users, which needs a real root")
	}
	for _, program := range []string{sshd, "ssh", "ssh-keygen", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("needs sshd, ssh and nft: %w", err)
		}
	}
	return nil
}

// privateDirs are directories that the server has empty copies of.
var privateDirs = []string{
	"/etc/iptables", "/etc/default", "/etc/moat", "/var/lib/moat", "/run/moat", "/run/sshd", "/root",
}

// debianProgram is what all names of Debian's iptables lead to.
const debianProgram = "/usr/sbin/xtables-nft-multi"

// privateMounts makes the server's own directories below dir. One directory in
// place of /run and /var/lib would hide what sudo and others need there.
func privateMounts(dir string, p *programs) ([]lab.Mount, error) {
	list := []lab.Mount{{From: p.bin, To: binDir}, {From: p.moat, To: debianProgram}}
	for _, path := range privateDirs {
		own := filepath.Join(dir, path)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return nil, err
		}
		list = append(list, lab.Mount{From: own, To: path})
	}
	return list, nil
}

// Private gives where a path of the server that is the lab's own (in
// /etc/iptables, /etc/moat, /root …) lies on the machine.
func (l *Lab) Private(path string) string { return filepath.Join(l.dir, path) }

// Mounts are what programs on the server see, for children that a test starts
// itself.
func (l *Lab) Mounts() []lab.Mount { return l.mounts }

// binDir is the first directory in PATH, and in sudo's.
const binDir = "/usr/local/sbin"

// Env is the environment on the server without a session. Nothing is taken from
// the test's own environment, in which there may be an SSH_CONNECTION.
func Env() []string {
	return []string{"PATH=" + path, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8"}
}

const path = binDir + ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// consoleWait bounds a command on the console.
const consoleWait = 5 * time.Minute

// Console runs a shell script as root on the server, in no session. Scripts run
// one after another; ConsoleCommand is for what runs meanwhile.
func (l *Lab) Console(script string) lab.Output {
	l.tb.Helper()
	out := l.console.RunWithin(consoleWait, script)
	if out.Code == NoAnswer {
		l.tb.Fatalf("sshlab: console: %s: %s%s", script, out.Stdout, out.Stderr)
	}
	return out
}

// MustConsole runs a script as Console does, which has to exit with 0, and gives
// its standard output.
func (l *Lab) MustConsole(script string) string {
	l.tb.Helper()
	out := l.Console(script)
	if out.Code != 0 {
		l.tb.Fatalf("sshlab: console: %s: exit code %d\n%s%s", script, out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

// ConsoleCommand prepares a shell script as a child of its own, which sees what
// Console sees.
func (l *Lab) ConsoleCommand(ctx context.Context, script string) *lab.Cmd {
	c := l.Server.CommandContext(ctx, "sh", "-c", script)
	c.Dir, c.Env, c.Mounts = "/", Env(), l.mounts
	return c
}
