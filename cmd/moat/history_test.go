package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestHistoryListsShowsAndRestores(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	a := m.apply(m.file("v4"), "-m", "the first")
	if out := m.moat(0, "history"); !strings.Contains(out, "pending") {
		t.Errorf("while it waits:\n%s", out)
	}
	m.moat(0, "confirm")
	a.end(0)
	a = m.apply(m.file("v6"))
	m.moat(0, "rollback")
	a.end(1)
	var list []struct {
		Number        int
		Reason, Ended string
	}
	if err := json.Unmarshal([]byte(m.moat(0, "history", "--json")), &list); err != nil || len(list) != 2 ||
		list[0].Number != 2 || list[0].Ended != "taken back: moat rollback" || list[1].Reason != "the first" || list[1].Ended != "confirmed" {
		t.Errorf("%+v, %v", list, err)
	}
	if out := m.moat(0, "history", "show", "1", "-4"); !strings.Contains(out, "10.2.2.2") || strings.Contains(out, "fc00::1") {
		t.Errorf("show 1 -4:\n%s", out)
	}
	m.moat(2, "history", "show", "9")
	m.shell("iptables-nft -F; iptables-nft -t raw -A OUTPUT -j NOTRACK")
	self := m.command("history", "restore", "1")
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("the change waits", func() bool { return strings.Contains(m.moatAny("status"), "left to confirm") })
	m.moat(0, "confirm")
	if err := self.Wait(); err != nil {
		t.Error(err)
	}
	if got := m.saved(); !strings.Contains(got, "10.2.2.2") || strings.Contains(got, "CT") || strings.Contains(got, "NOTRACK") {
		t.Errorf("rules:\n%s", got)
	}
}
