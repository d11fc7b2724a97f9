package commit

import (
	"io"
	"os"
	"testing"

	"moat/internal/persist"
	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

const (
	// childRoot makes the test binary be iptables-apply with the given root folder.
	childRoot = "MOAT_TEST_APPLY_ROOT"
	// watchdogName as argv[0] makes it the watchdog; its root folder comes next.
	watchdogName = "moat-test-watchdog"
)

// debian is the firewall of the tests: Debian's programs, and no guard.
type debian struct{ persisttest.Debian }

func (d debian) Judge(f rule.Family, name string, r io.Reader, _ persist.RestoreOptions) error {
	return d.Check(f, name, r)
}

func TestMain(m *testing.M) {
	env := Env{
		Environ: os.Environ(), Version: "0", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Firewall: debian{},
	}
	if os.Args[0] == watchdogName {
		env.Root = os.Args[1]
		os.Exit(Watchdog(env, true))
	}
	if root := os.Getenv(childRoot); root != "" {
		env.Root, env.Watchdog = root, []string{watchdogName, root}
		os.Exit(Main(env, rule.IPv4, os.Args[1:]))
	}
	os.Exit(persisttest.Main(m))
}
