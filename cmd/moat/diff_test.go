package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
)

// ruleFiles writes rules to files of a new folder and gives their paths.
func ruleFiles(t *testing.T, files map[string]string) func(name string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

func TestDiff(t *testing.T) {
	h := lab.Netns(t)
	const ssh = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"
	file := ruleFiles(t, map[string]string{
		"closed": "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "ssh": "*filter\n:INPUT DROP [0:0]\n" + ssh + "COMMIT\n",
		"twice": "*filter\n:INPUT DROP [5:300]\n" + ssh + ssh + "COMMIT\n", "six.v6": "*filter\n:INPUT DROP [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n",
		"broken": "*filter\n-A INPUT --dport\nCOMMIT\n", "none": "*filter\nCOMMIT\n",
	})
	for _, c := range []struct {
		args   []string
		stdout string // is in it
		stderr string // is in it
		code   int
	}{
		{[]string{file("ssh"), file("twice")}, "same behaviour (IPv4, ", "", 0},
		{[]string{file("ssh"), file("twice"), "--text"}, "\n+-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "", 0},
		{[]string{file("closed"), file("ssh")}, "opened  to this host  DROP -> ACCEPT\n    packets tcp from any to any port 22\n", "", 1},
		{[]string{file("closed"), file("ssh"), "--json"}, `"same": false`, "", 1},
		{[]string{file("none"), "live"}, "same behaviour (IPv4, ", "", 0},
		{[]string{"live", file("closed")}, "closed  to this host  ACCEPT -> DROP\n    packets everything\n", "", 1},
		{[]string{"live", "live", "-6"}, "same behaviour (IPv6, live and live)", "", 0},
		{[]string{file("six.v6"), "live"}, "opened  to this host  DROP -> ACCEPT\n    packets any but icmpv6\n", "", 1},
		{[]string{file("six.v6"), file("ssh")}, "", "rules of one family can be compared", 2},
		{[]string{file("ssh")}, "", "two rulesets are wanted", 2},
		{[]string{file("ssh"), file("missing")}, "", "no such file", 2},
		{[]string{file("ssh"), file("broken")}, "", file("broken") + ":2", 2},
		{[]string{"-", "-"}, "", "only one of both can be standard input", 2},
		{[]string{file("ssh"), file("ssh"), "--nosuch"}, "", "moat: diff: unknown flag: --nosuch", 2},
	} {
		got := call(t, h, "moat", append([]string{"diff"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.Contains(got.stderr, c.stderr) || (c.stderr == "") != (got.stderr == "") {
			t.Errorf("moat diff %q: %+v, want %+v", c.args, got, c)
		}
	}
}
