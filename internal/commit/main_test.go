package commit

import (
	"os"
	"testing"

	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

// childRoot makes the test binary be iptables-apply with the given root folder.
const childRoot = "MOAT_TEST_APPLY_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(childRoot); root != "" {
		os.Exit(Main(Env{
			Family: rule.IPv4, Args: os.Args[1:], Root: root, Environ: os.Environ(), Version: "0",
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Firewall: persisttest.Debian{},
		}))
	}
	os.Exit(persisttest.Main(m))
}
