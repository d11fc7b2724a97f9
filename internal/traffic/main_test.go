package traffic

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "moat/internal/cli" // go test then runs again when the program has changed, which is built only as the tests run
	"moat/internal/lab"
)

// oracle is Debian's binary, which tells what a kernel can do.
const oracle = "/usr/sbin/xtables-nft-multi"

// envProgram names a binary to test instead of Moat's.
const envProgram = "MOAT_TRAFFIC_PROGRAM"

func TestMain(m *testing.M) {
	os.Exit(lab.Main(suite{m}))
}

// suite is the tests with the program under test first in PATH, run by
// lab.Main as root or in a user namespace.
type suite struct{ m *testing.M }

// Run prepares the program, runs the tests and removes what it made. It gives
// the exit code.
func (s suite) Run() int {
	flag.Parse()
	// Tests wait for packets more than they compute; without this, only as
	// many run at once as there are processors.
	if err := flag.Set("test.parallel", "24"); err != nil {
		return failed(err)
	}
	dir, err := os.MkdirTemp("", "moat-traffic-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return failed(err)
	}
	return s.m.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "traffic:", err)
	return 1
}

// prepare links the program under test as iptables and ip6tables in dir and
// puts dir first in PATH, so that the hosts' shells find it. The directories
// of system programs follow, which a user's PATH may lack.
func prepare(dir string) error {
	program := os.Getenv(envProgram)
	if program == "" {
		program = filepath.Join(dir, "moat")
		build := exec.Command("go", "build", "-o", program, "moat/cmd/moat")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building cmd/moat: %w\n%s", err, out)
		}
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.Setenv("PATH", dir+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
}

// The shells of the hosts find the program under test, and no other, by its
// names. That the variable is read here tells go test which results it may
// keep.
func TestHostsRunTheProgramUnderTest(t *testing.T) {
	t.Parallel()
	h := lab.Netns(t)
	for _, name := range []string{"iptables", "ip6tables"} {
		out, err := h.Sh("readlink $(command -v " + name + ")")
		if err != nil {
			t.Fatal(err)
		}
		got, want := strings.TrimSpace(out), os.Getenv(envProgram)
		if want == "" && filepath.Base(got) != "moat" || want != "" && got != want {
			t.Errorf("%s is %q, want %q, or Moat's when that is empty", name, got, want)
		}
	}
}
