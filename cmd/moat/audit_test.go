package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
)

// TestAuditExitCodes: 0 without findings, 1 with, 2 for trouble.
func TestAuditExitCodes(t *testing.T) {
	h := lab.Netns(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead := write("dead", "*filter\n:INPUT DROP\n-A INPUT -p tcp -j ACCEPT\n-A INPUT -p tcp --dport 22 -j REJECT\nCOMMIT\n")
	broken := write("broken", "*filter\n-A INPUT -p tpc -j ACCEPT\nCOMMIT\n")
	config := write("config", "all # it is a test\n")
	wrong := write("wrong", "shadwed\n")
	for _, c := range []struct {
		args   []string
		stdout string // contains
		stderr string // begins so
		code   int
	}{
		{[]string{"--rules", dead}, "never matches: the rule before it takes all of its packets", "", 1},
		{[]string{"--rules", dead, "--fail-on", "never"}, "shadowed", "", 0},
		{[]string{"--rules", dead, "--config", config}, "no findings; ", "", 0},
		{[]string{"--rules", dead, "--config", config, "--silenced"}, "silenced", "", 0},
		{[]string{"--rules", dead, "--json"}, `"name": "shadowed"`, "", 1},
		{[]string{"--list"}, "late-block", "", 0},
		{[]string{"--rules", broken}, "", "moat: audit: " + broken + ":2", 2},
		{[]string{"--rules", filepath.Join(dir, "none")}, "", "moat: audit: open ", 2},
		{[]string{"--rules", dead, "--rules", dead}, "", "moat: audit: " + dead + " and " + dead, 2},
		{[]string{"--rules", dead, "--config", wrong}, "", "moat: audit: " + wrong + ":1: there is no finding", 2},
		{[]string{"--rules", dead, "--fail-on", "x"}, "", "moat: audit: --fail-on x: ", 2},
		{[]string{"--interfaces", "eth0"}, "", "moat: audit: --interfaces goes with --rules", 2},
		{[]string{"--nosuch"}, "", "moat: audit: unknown flag", 2},
	} {
		got := call(t, h, "moat", append([]string{"audit"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.stdout) || !strings.HasPrefix(got.stderr, c.stderr) || c.stderr == "" && got.stderr != "" {
			t.Errorf("audit %q: %+v", c.args, got)
		}
	}
}

// TestAuditLive audits a namespace's own rules, with its interfaces.
func TestAuditLive(t *testing.T) {
	h := lab.Netns(t)
	for _, args := range [][]string{
		{"iptables", "-A", "INPUT", "-i", "eth7", "-p", "tcp", "--dport", "22", "-j", "DROP"},
		{"iptables", "-A", "INPUT", "-s", "192.0.2.0/24", "-j", "ACCEPT"},
		{"iptables", "-A", "INPUT", "-s", "192.0.2.7", "-j", "DROP"},
		{"ip6tables", "-N", "IDLE"},
	} {
		if got := call(t, h, "moat", args...); got.code != 0 {
			t.Fatalf("%q: %+v", args, got)
		}
	}
	got := call(t, h, "moat", "audit", "--json")
	var read struct {
		Findings []struct {
			Name  string
			Place struct {
				Family, Chain string
				Rule          int
			}
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &read); err != nil || got.code != 1 || got.stderr != "" {
		t.Fatalf("%v, %+v", err, got)
	}
	found := map[string]string{}
	for _, f := range read.Findings {
		found[f.Name] = f.Place.Family + " " + f.Place.Chain
	}
	for name, place := range map[string]string{"no-such-interface": "ipv4 INPUT", "shadowed": "ipv4 INPUT", "unreached-chain": "ipv6 IDLE"} {
		if found[name] != place {
			t.Errorf("%s is found at %q, want %q", name, found[name], place)
		}
	}
}
