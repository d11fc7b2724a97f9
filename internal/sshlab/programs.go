package sshlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"moat/internal/lab"
)

// Main runs a package's tests as lab.Main does and removes what the labs shared.
// It gives the exit code. m is a *testing.M.
func Main(m interface{ Run() int }) int { return lab.Main(suite{m}) }

type suite struct{ m interface{ Run() int } }

// Run implements what lab.Main takes.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "moat-sshlab-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sshlab:", err)
		return 1
	}
	shared.dir = dir
	code := s.m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "sshlab:", err)
		return 1
	}
	return code
}

// programs is what all labs of a test binary share: Moat's binary with its
// links, and keys.
type programs struct {
	dir  string // set by Main
	once sync.Once
	err  error

	moat string // the binary
	bin  string // directory of links to it
	more []string
}

// shared is made by the first lab.
var shared programs

// links are the names of Moat's binary. iptables-nft and its kin are left out:
// Debian's links lead to the binary too.
var links = []string{
	"moat", "iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore",
	"iptables-apply", "ip6tables-apply", "netfilter-persistent",
}

func (p *programs) get() (*programs, error) {
	p.once.Do(func() { p.err = p.make() })
	return p, p.err
}

func (p *programs) make() error {
	if p.dir == "" {
		return errors.New("TestMain has to call sshlab.Main")
	}
	p.moat, p.bin = filepath.Join(p.dir, "moat"), filepath.Join(p.dir, "bin")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", p.moat, "moat/cmd/moat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building cmd/moat: %w\n%s", err, out)
	}
	if err := os.Mkdir(p.bin, 0o755); err != nil {
		return err
	}
	for _, name := range links {
		if err := os.Symlink(p.moat, filepath.Join(p.bin, name)); err != nil {
			return err
		}
	}
	return p.makeKeys()
}

// makeKeys makes the host's key and the client's, and the files that go with
// them.
func (p *programs) makeKeys() error {
	for _, name := range []string{"host_key", "user_key"} {
		cmd := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(p.dir, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	host, err := os.ReadFile(filepath.Join(p.dir, "host_key.pub"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "known_hosts"), append([]byte("* "), host...), 0o644); err != nil {
		return err
	}
	p.more = penaltyOptions()
	return nil
}

// penaltyOptions switches off what sshd of OpenSSH 9.8 and later does to clients
// whose logins fail; sshd before does not know the option.
func penaltyOptions() []string {
	const option = "PerSourcePenalties no"
	if out, err := exec.Command(sshd, "-G", "-f", "/dev/null", "-o", option).CombinedOutput(); err != nil || len(out) == 0 {
		return nil
	}
	return []string{option}
}
