package main

import (
	"os"
	"strings"
	"testing"
)

// TestBadInputGivesOneLineThatNamesTheCommand wants exit code 2, since 1 is an
// answer of most of these commands.
func TestBadInputGivesOneLineThatNamesTheCommand(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, c := range []struct{ args, says string }{
		{"status x", `moat: status: "x" is one word too many`},
		{"status --jsn", `moat: status: unknown flag: --jsn; "moat status --help" shows the options`},
		{"confirm x", `moat: confirm: "x" is one word too many`},
		{"confirm --from", "moat: confirm: unknown flag: --from; "},
		{"rollback --now", "moat: rollback: unknown flag: --now; "},
		{"history shwo", `moat: history: there is no "shwo" here, but restore and show`},
		{"history show", `moat: history show: the number of one ruleset is wanted: "moat history" lists those that are kept`},
		{"history show x", `moat: history show: "x" is no number: "moat history" lists those that are kept`},
		{"history show 99", `moat: history show: there is no ruleset 99: "moat history" lists those that are kept`},
		{"history show 1 -5", `moat: history show: unknown shorthand flag: '5' in -5; "moat history show --help" shows the options`},
		{"history restore 99", "moat: history restore: there is no ruleset 99: "},
		{"history restore", "moat: history restore: the number of one ruleset is wanted"},
		{"guard of", `moat: guard: there is no "of" here, but off and on`},
		{"guard on now", `moat: guard on: "now" is one word too many`},
		{"guard off --quiet", "moat: guard off: unknown flag: --quiet; "},
		{"secure ssh", `moat: secure: "ssh" is one word too many`},
		{"secure --confirm-within 5x", "moat: secure: --confirm-within 5x: a time from 1s to 24h is wanted"},
		{"apply --quiet x", "moat: apply: unknown flag: --quiet; "},
		{"lab run", "moat: lab run: one script is wanted"},
		{"version x", `moat: version: "x" is one word too many`},
		{"--nope", `moat: unknown flag: --nope; "moat --help" shows the options`},
	} {
		out := m.moat(2, strings.Fields(c.args)...)
		if !strings.HasPrefix(out, c.says) || strings.Count(out, "\n") != 1 {
			t.Errorf("moat %s says:\n%s", c.args, out)
		}
	}
}

// TestDamagedJournalIsToldOnce has both of its files damaged by what one file was
// to survive.
func TestDamagedJournalIsToldOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, dir := range []string{"/pending", "/pending/copy"} {
		if err := os.Mkdir(m.state+dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.state+dir+"/journal.json", []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"status"}, 2}, {[]string{"confirm"}, 2}, {[]string{"rollback"}, 2}, {[]string{"apply", m.file("v4")}, 2},
		{[]string{"iptables-apply", m.file("v4")}, 4}, {[]string{"history"}, 0}, {[]string{"iptables", "-S"}, 0},
	} {
		if out := m.moat(c.code, c.args...); strings.Count(out, "remove /var/lib/moat/pending then") != 1 {
			t.Errorf("moat %q says:\n%s", c.args, out)
		}
	}
}

func TestOneDamagedFileOfTheJournalIsSurvived(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), "--confirm-within", "10m")
	for _, name := range []string{"journal.json", "old.v4", "copy/old.v6"} {
		if err := os.Truncate(m.state+"/pending/"+name, 30); err != nil {
			t.Fatal(err)
		}
	}
	const says = "  old.v4 was damaged, and its copy was used: its text and its checksum do not agree\n"
	if out := m.moat(0, "rollback"); !strings.Contains(out, says) {
		t.Errorf("rollback says:\n%s", out)
	}
	a.await(says)
	a.end(1)
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}
