package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestConfirmedRulesStay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), m.file("v6"))
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || !strings.Contains(got, "fc00::2") || strings.Contains(got, "10.1.1.1") {
		t.Errorf("rules:\n%s", got)
	}
	m.moat(0, "confirm")
	a.await("confirmed: the new rules stay.\n")
	a.end(0)
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
	m.moat(1, "confirm")
	m.moat(1, "rollback")
}

func TestUnconfirmedRulesAreTakenBackWithTheirCounters(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"), m.file("v6"), "--confirm-within", "1s")
	a.end(1)
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestRollbackIsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"))
	m.moat(0, "rollback")
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
	a.end(1)
}

func TestRollbackReplacesWhatIptablesCannotExpress(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	a := m.apply(m.file("v4"))
	m.shell("nft add rule ip filter INPUT ip ttl set 9")
	if out := m.moat(0, "rollback"); !strings.Contains(out, "iptables cannot express") {
		t.Errorf("it says:\n%s", out)
	}
	a.end(1)
	if got := m.saved(); got != before {
		t.Errorf("rules:\n%s\nmust be:\n%s", got, before)
	}
}

func TestTableThatCouldNotComeBackIsNotReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell("nft add table ip mangle; nft 'add chain ip mangle PREROUTING { type filter hook prerouting priority mangle; }'; nft add rule ip mangle PREROUTING ip ttl set 9 counter; nft add rule ip mangle PREROUTING meta nftrace set 1")
	before := m.shell("nft list ruleset")
	if out := m.moat(2, "apply", m.file("v4")); !strings.Contains(out, "table mangle") {
		t.Errorf("it says:\n%s", out)
	}
	if got := m.shell("nft list ruleset"); got != before {
		t.Errorf("rules:\n%s", got)
	}
}

func TestSecondApplyIsRefusedAndTold(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"))
	out := m.moat(2, "apply", m.file("v6"))
	for _, want := range []string{"nothing was changed", "pending since", "by root", `"moat confirm"`, `"moat rollback"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	m.moat(0, "rollback")
	a.end(1)
}

func TestStatusTellsWhatIsPending(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out := m.moat(1, "status"); out != "nothing is pending\n" {
		t.Errorf("it says:\n%s", out)
	}
	a := m.apply(m.file("v4"), "-m", "for the test", "--save")
	out := m.moat(0, "status")
	for _, want := range []string{"moat apply, ", " seconds left", "by        ", "v4 (IPv4)", "for the test", "when it is confirmed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	var s struct {
		Pending bool
		Left    float64 `json:"seconds_left"`
		Reason  string
		Watched bool
	}
	if err := json.Unmarshal([]byte(m.moat(0, "status", "--json")), &s); err != nil || !s.Pending || !s.Watched || s.Left <= 0 || s.Left > 60 || s.Reason != "for the test" {
		t.Errorf("%+v, %v", s, err)
	}
	m.moat(0, "rollback")
	a.end(1)
}

func TestBootFilesAreWrittenWhenConfirmedAndNotBefore(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), "--save")
	if files, err := os.ReadDir(m.etc); err != nil || len(files) > 0 {
		t.Errorf("before it is confirmed: %v, %v", files, err)
	}
	m.moat(0, "confirm")
	a.end(0)
	text, err := os.ReadFile(m.etc + "/rules.v4")
	if err != nil || !strings.Contains(string(text), "\n-A mine -s 10.2.2.2/32 -j DROP\n") {
		t.Errorf("%v, rules.v4:\n%s", err, text)
	}
	if _, err := os.Stat(m.etc + "/rules.v6"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rules.v6, which was not applied: %v", err)
	}
}

func TestWhatOthersDidMeanwhileIsKept(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell("nft 'add table inet theirs { chain c { type filter hook input priority 5; } ; }'")
	a := m.apply(m.file("v4"))
	m.shell("iptables-nft -N f2b; iptables-nft -A f2b -s 10.9.9.9 -j REJECT; iptables-nft -I INPUT -p tcp -j f2b; iptables-nft -A mine -j f2b; iptables-nft -t nat -A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE")
	out := m.moat(0, "rollback")
	a.end(1)
	got := m.saved()
	for _, want := range []string{
		":f2b - [0:0]", "-A f2b -s 10.9.9.9/32 -j REJECT", "[0:0] -A INPUT -p tcp -j f2b\n[7:700] -A INPUT -s 10.1.1.1/32 -j DROP", "-j MASQUERADE",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "mine") || strings.Contains(got, "10.2.2.2") || strings.Contains(got, "extra") {
		t.Errorf("rules of the change in:\n%s", got)
	}
	for _, want := range []string{"kept chain f2b with 1 rule", "kept -A INPUT -p tcp -j f2b", "chain mine is gone with the change, and with it 1 rule"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	m.shell("nft list table inet theirs")
}

func TestFilesWithErrorsChangeNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{m.file("bad")}, m.file("bad") + ":8:9: "},
		{[]string{m.file("v6"), m.file("bad")}, m.file("bad") + ":8:9: "},
		{[]string{m.file("crlf")}, m.file("crlf") + ":2: the line ends in CR LF"},
		{[]string{m.file("empty")}, m.file("empty") + ": there is no table in it"},
		{[]string{m.file("v4"), m.file("v4")}, "one file a family"},
		{[]string{m.file("none")}, "no such file"},
		{[]string{m.file("v4"), "--confirm-within", "0"}, "1s to 24h"},
		{[]string{m.file("v4"), "--protect", "tcp"}, "moat: apply: "},
		{nil, "one file of rules is wanted"},
	} {
		if out := m.moat(2, append([]string{"apply"}, c.args...)...); !strings.Contains(out, c.says) {
			t.Errorf("%q: no %q in:\n%s", c.args, c.says, out)
		}
	}
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
}

func TestDryRunShowsWhatWouldChange(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.saved()
	out := m.moat(0, "apply", "--dry-run", m.file("v4"), m.file("v6"))
	for _, want := range []string{"closed  to this host  ACCEPT -> DROP", "IPv4, live and " + m.file("v4"), "IPv6, live and " + m.file("v6")} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if got := m.saved(); got != before || m.isPending() {
		t.Errorf("rules:\n%s", got)
	}
}
