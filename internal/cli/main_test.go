package cli_test

import (
	"os"
	"testing"

	"moat/internal/cli"
	"moat/internal/commit"
	"moat/internal/lab"
)

// TestMain makes the test's own binary one of the programs when it is called by
// the name of one: the tests run it so on the hosts of a lab.
func TestMain(m *testing.M) {
	if os.Args[0] == "moat" { // the watchdog of a timed change, which is started by that name in an empty environment
		os.Exit(commit.Watchdog(cli.Rescue(os.Stdout, os.Stderr), true))
	}
	if name := os.Getenv(envProgram); name != "" {
		p := cli.Find(name)
		os.Exit(p.Run(cli.Env{Program: name, Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
	}
	os.Exit(lab.Main(m))
}

// envProgram names the program that the test's binary is to be.
const envProgram = "MOAT_CLI_TEST_PROGRAM"
