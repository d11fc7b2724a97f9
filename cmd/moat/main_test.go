package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"moat/internal/cli"
	"moat/internal/lab"
)

// envArgv0 makes the test's binary moat itself, called by that name.
const envArgv0 = "MOAT_TEST_ARGV0"

func TestMain(m *testing.M) {
	if name, is := os.LookupEnv(envArgv0); is {
		os.Exit(run(append([]string{name}, os.Args[1:]...)))
	}
	if os.Args[0] == "moat" { // the watchdog, which is started by that name in an empty environment
		os.Exit(run(os.Args))
	}
	flag.Parse()
	// Most tests wait, for the end of a time, more than they compute.
	if err := flag.Set("test.parallel", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(lab.Main(m))
}

// answer is what a program left.
type answer struct {
	stdout, stderr string
	code           int
}

// call runs moat under a name on a host.
func call(t *testing.T, h *lab.Host, argv0 string, args ...string) answer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := h.Command(self, args...)
	c.Env = append(os.Environ(), envArgv0+"="+argv0)
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

// TestDispatch finds the program by the name of the call and then by the first argument.
func TestDispatch(t *testing.T) {
	h := lab.Netns(t)
	const listing = "-P INPUT ACCEPT\n"
	cases := []struct {
		argv0  string
		args   []string
		stdout string // begins so
		stderr string // begins so
		code   int
	}{
		{"iptables", []string{"-S", "INPUT"}, listing, "", 0},
		{"/usr/sbin/iptables-nft", []string{"-S", "INPUT"}, listing, "", 0},
		{"./ip6tables", []string{"-S", "INPUT"}, listing, "", 0},
		{"moat", []string{"iptables", "-S", "INPUT"}, listing, "", 0},
		{"moat", []string{"ip6tables-nft", "-S", "INPUT"}, listing, "", 0},
		{"moat-1.0", []string{"iptables", "-S", "INPUT"}, listing, "", 0},
		{"xtables-nft-multi", []string{"iptables", "-S", "INPUT"}, listing, "", 0},
		{"/x/xtables-nft-multi", []string{"iptables-save"}, "", "", 0},
		{"xtables-nft-multi", []string{"ip6tables", "-V"}, "ip6tables v1.8.9 (nf_tables)\n", "", 0},
		{"xtables-nft-multi", nil, "", "ERROR: No valid subcommand given.", 1},
		{"xtables-nft-multi", []string{"version"}, "", "ERROR: No valid subcommand given", 1},
		{"iptables", []string{"iptables", "-V"}, "", "Bad argument `iptables'", 2},
		{"iptables-restore", []string{"-V"}, "iptables-restore v1.8.9 (nf_tables)\n", "", 0},
		{"ip6tables-save", []string{"-V"}, "ip6tables-save v1.8.9 (nf_tables)\n", "", 0},
		{"iptables", []string{"-t", "nosuch", "-L"}, "", "iptables v1.8.9 (nf_tables): table 'nosuch' does not exist", 3},
		{"moat", []string{"iptables", "-N", "INPUT"}, "", "iptables: Chain already exists.", 1},
		{"moat", []string{"version"}, "moat " + cli.Version, "", 0},
		{"moat", []string{"nosuch"}, "", "moat: unknown command \"nosuch\"", 1},
		{"", []string{"version"}, "moat " + cli.Version, "", 0},
	}
	for _, c := range cases {
		got := call(t, h, c.argv0, c.args...)
		if got.code != c.code || !strings.HasPrefix(got.stdout, c.stdout) || !strings.HasPrefix(got.stderr, c.stderr) ||
			(c.stderr == "") != (got.stderr == "") || (c.stdout == "") != (got.stdout == "") {
			t.Errorf("%s %q: got %+v, want %+v", c.argv0, c.args, got, c)
		}
	}
}

// TestMoatAloneShowsItsCommands wants the help to name every command and program.
func TestMoatAloneShowsItsCommands(t *testing.T) {
	h := lab.Netns(t)
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		got := call(t, h, "moat", args...)
		if got.code != 0 || got.stderr != "" {
			t.Errorf("moat %q: %+v", args, got)
		}
		for _, c := range newRootCommand().Commands() {
			if !c.Hidden && !strings.Contains(got.stdout, "\n  "+c.Name()+" ") {
				t.Errorf("moat %q does not show %s:\n%s", args, c.Name(), got.stdout)
			}
		}
		for i := range cli.Programs {
			if name := cli.Programs[i].Name; !strings.Contains(got.stdout, name) {
				t.Errorf("moat %q does not show %s", args, name)
			}
		}
	}
}

// TestEachCommandHasHelp wants one line and usage of every command.
func TestEachCommandHasHelp(t *testing.T) {
	h := lab.Netns(t)
	for _, c := range newRootCommand().Commands() {
		if c.Hidden || c.DisableFlagParsing {
			continue
		}
		if got := call(t, h, "moat", c.Name(), "--help"); got.code != 0 || !strings.Contains(got.stdout, "Usage:") {
			t.Errorf("moat %s --help: %+v", c.Name(), got)
		}
	}
}
