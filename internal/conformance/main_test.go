package conformance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"moat/internal/lab"
)

// programs is one side of the comparison: a directory in which iptables, ip6tables and their kin are all the same binary.
type programs struct {
	name string // "debian" or "moat"
	dir  string
}

// path gives the file of one program, such as iptables-save.
func (p programs) path(program string) string { return filepath.Join(p.dir, program) }

// The two sides, set once by TestMain.
var debian, moat programs

// programNames are the names that Debian's package installs for its one binary.
var programNames = []string{
	"iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore",
	"iptables-nft", "ip6tables-nft", "iptables-nft-save", "ip6tables-nft-save", "iptables-nft-restore",
	"ip6tables-nft-restore", "xtables-nft-multi",
}

func TestMain(m *testing.M) {
	os.Exit(lab.Main(suite{m}))
}

// suite is the tests with both sides prepared, run by lab.Main as root or in a user namespace.
type suite struct{ m *testing.M }

// Run prepares both sides, runs the tests and removes what it made. It gives the exit code.
func (s suite) Run() int {
	flag.Parse()
	// Cases wait for the kernel more than they compute; without this, only as many run at once as there are processors.
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "moat-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the tests without rights run these programs as nobody
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := errors.Join(prepare(dir), beLikeAProgram()); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 1
	}
	return s.m.Run()
}

// prepare finds Debian's binary, builds Moat's, and links each under all its names below dir.
func prepare(dir string) error {
	const oracle = "/usr/sbin/xtables-nft-multi"
	if _, err := os.Stat(oracle); err != nil {
		return fmt.Errorf("no Debian iptables to compare with (apt-get install iptables nftables): %w", err)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return fmt.Errorf("no nft to read the kernel with (apt-get install nftables): %w", err)
	}
	ours := os.Getenv("MOAT_CONFORMANCE_PROGRAM")
	starts = ours != ""
	if ours == "" {
		ours = filepath.Join(dir, "moat-binary")
		build := exec.Command("go", "build", "-o", ours, "moat/cmd/moat")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building cmd/moat: %w\n%s", err, out)
		}
	}
	var err error
	if debian, err = link(dir, "debian", oracle); err != nil {
		return err
	}
	moat, err = link(dir, "moat", ours)
	return err
}

// link makes dir/name with every program name pointing at binary.
func link(dir, name, binary string) (programs, error) {
	p := programs{name: name, dir: filepath.Join(dir, name)}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return p, err
	}
	for _, n := range programNames {
		if err := os.Symlink(binary, p.path(n)); err != nil {
			return p, err
		}
	}
	return p, nil
}
