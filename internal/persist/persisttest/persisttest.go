// Package persisttest lets tests drive a real firewall without ours: it runs a
// test binary in fresh namespaces and has a persist.Firewall that is Debian's
// iptables-nft.
package persisttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"moat/internal/persist"
	"moat/internal/rule"
)

// inside is set in the environment of the test binary that runs in namespaces.
const inside = "MOAT_TEST_IN_NAMESPACES"

// Main runs a package's tests in network and mount namespaces of their own,
// also without root: then in a user namespace too. It gives the exit code.
func Main(m *testing.M) int {
	if os.Getenv(inside) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
			fmt.Fprintf(os.Stderr, "mounts not private: %v\n", err)
			return 1
		}
		return m.Run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "tests not run in namespaces: %v\n", err)
		return 1
	}
	return 0
}

// Debian is the firewall of the present network namespace by Debian's programs.
type Debian struct{}

// program is Debian's name for a part of iptables-nft: part is "", "-save" or
// "-restore".
func program(f rule.Family, part string) string { return f.Program() + "-nft" + part }

func execute(stdin io.Reader, stdout io.Writer, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// Save runs iptables-save.
func (Debian) Save(f rule.Family, w io.Writer, counters bool) error {
	if counters {
		return execute(nil, w, program(f, "-save"), "-c")
	}
	return execute(nil, w, program(f, "-save"))
}

// Restore runs iptables-restore.
func (Debian) Restore(f rule.Family, name string, r io.Reader, opts persist.RestoreOptions) error {
	var args []string
	if opts.NoFlush {
		args = append(args, "--noflush")
	}
	if opts.Counters {
		args = append(args, "--counters")
	}
	return named(name, execute(r, io.Discard, program(f, "-restore"), args...))
}

// Check runs iptables-restore --test.
func (Debian) Check(f rule.Family, name string, r io.Reader) error {
	return named(name, execute(r, io.Discard, program(f, "-restore"), "--test"))
}

func named(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Flush empties the tables that there are.
func (d Debian) Flush(f rule.Family) error {
	var now bytes.Buffer
	if err := d.Save(f, &now, false); err != nil {
		return err
	}
	var empty strings.Builder
	for line := range strings.Lines(now.String()) {
		switch {
		case strings.HasPrefix(line, "*"), line == "COMMIT\n":
			empty.WriteString(line)
		case strings.HasPrefix(line, ":") && !strings.Contains(line, " - "):
			chain, _, _ := strings.Cut(line, " ")
			empty.WriteString(chain + " ACCEPT [0:0]\n")
		}
	}
	return d.Restore(f, "flush", strings.NewReader(empty.String()), persist.RestoreOptions{})
}

// Iptables runs one iptables command and fails the test if it fails.
func Iptables(t testing.TB, f rule.Family, args ...string) {
	t.Helper()
	if err := execute(nil, io.Discard, program(f, ""), args...); err != nil {
		t.Fatal(err)
	}
}

// Rules gives the kernel's rules without comments and counters of chains.
func Rules(t testing.TB, f rule.Family) string {
	t.Helper()
	var now bytes.Buffer
	if err := (Debian{}).Save(f, &now, false); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(now.String()) {
		if !strings.HasPrefix(line, "#") {
			head, _, isChain := strings.Cut(line, " [")
			if isChain && strings.HasPrefix(line, ":") {
				line = head + "\n"
			}
			rules.WriteString(line)
		}
	}
	return rules.String()
}

// Reset removes every table of the namespace.
func Reset(t testing.TB) {
	t.Helper()
	if err := execute(nil, io.Discard, "nft", "flush", "ruleset"); err != nil {
		t.Fatal(err)
	}
}
