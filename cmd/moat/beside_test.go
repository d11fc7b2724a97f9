package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
)

// TestWhatElseFiltersIsTold: an answer about the live host that leaves out others'
// rules says so, and a table that does nothing is not spoken of.
func TestWhatElseFiltersIsTold(t *testing.T) {
	h := lab.Netns(t)
	nft := func(script string) {
		if out, err := h.Command("nft", script).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	tests := filepath.Join(t.TempDir(), "tests.yaml")
	if err := os.WriteFile(tests, []byte("tests:\n  - {name: x, packet: tcp from any to any in eth0, expect: accept}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	commands := [][]string{{"explain", "tcp 203.0.113.7 -> 203.0.113.1:22 hook INPUT in eth0"}, {"exposure"}, {"check", tests}, {"audit", "--fail-on", "never"}, {"diff", "live", "live"}}
	told := func(want string) {
		t.Helper()
		for _, args := range commands {
			got := call(t, h, "moat", args...)
			if n := strings.Count(got.stderr, "\n"); got.code != 0 || want == "" && n > 0 || want != "" && (n != 1 || !strings.Contains(got.stderr, want)) {
				t.Errorf("%s: %+v, wanted %q", args[0], got, want)
			}
		}
	}
	call(t, h, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
	told("")
	nft("add table inet other; add chain inet other in { type filter hook input priority 0; policy accept; }; add chain inet other later")
	told("")
	nft("add rule inet other in tcp dport 22 drop")
	told("table inet other of nf_tables")
	nft("delete table inet other; add chain ip filter mine { type filter hook input priority 7; policy drop; }")
	told("table ip filter of nf_tables")
}
