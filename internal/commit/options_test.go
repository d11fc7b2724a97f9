package commit

import (
	"strings"
	"testing"
	"time"

	"moat/internal/rule"
)

func TestOptionsAreReadAsGetoptDoes(t *testing.T) {
	const defaultFile = "/etc/network/iptables.up.rules"
	ten := 10 * time.Second
	for _, c := range []struct {
		line string
		want request
	}{
		{"", request{timeout: ten, rulesFile: defaultFile}},
		{"f", request{timeout: ten, rulesFile: "f"}},
		{"f ignored", request{timeout: ten, rulesFile: "f"}},
		{"-t 2 f", request{timeout: 2 * time.Second, rulesFile: "f"}},
		{"-t2 f", request{timeout: 2 * time.Second, rulesFile: "f"}},
		{"f -t 0", request{rulesFile: "f"}},
		{"--timeout 3 f", request{timeout: 3 * time.Second, rulesFile: "f"}},
		{"--timeout=3 f", request{timeout: 3 * time.Second, rulesFile: "f"}},
		{"--time 3", request{timeout: 3 * time.Second, rulesFile: defaultFile}},
		{"-w s f", request{timeout: ten, rulesFile: "f", saveFile: "s"}},
		{"--write= f", request{timeout: ten, rulesFile: "f", saveFile: defaultFile}},
		{"-c", request{timeout: ten, useCommand: true, command: "/etc/network/iptables.up.run"}},
		{"-c run", request{timeout: ten, useCommand: true, command: "run"}},
		{"-ct5 run", request{timeout: 5 * time.Second, useCommand: true, command: "run"}},
		{"run --command", request{timeout: ten, useCommand: true, command: "run"}},
		{"--command=run", request{timeout: ten, useCommand: true, command: "run"}},
		{"-- -t", request{timeout: ten, rulesFile: "-t"}},
	} {
		got, err := parseArgs(rule.IPv4, strings.Fields(c.line))
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; must be %+v", c.line, got, err, c.want)
		}
	}
	if q, err := parseArgs(rule.IPv6, []string{"-w", ""}); err != nil || q.saveFile != "/etc/network/ip6tables.up.rules" {
		t.Errorf("ip6tables-apply -w '': %+v, %v", q, err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"--bogus":       "unrecognized option '--bogus'",
		"-x":            "invalid option -- 'x'",
		"-t":            "option requires an argument -- 't'",
		"--timeout":     "option '--timeout' requires an argument",
		"--help=1":      "option '--help' doesn't allow an argument",
		"-t abc":        "timeout must be a positive number",
		"-t -1":         "timeout must be a positive number",
		"-t 99999999":   "timeout must be a positive number",
		"--=":           "is ambiguous",
		"-c -t 0x10 ru": "timeout must be a positive number",
	} {
		if _, err := parseArgs(rule.IPv4, strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; must say %q", line, err, want)
		}
	}
}

func TestHelpNamesEveryOptionAndTheFamilysFiles(t *testing.T) {
	help := helpText(rule.IPv6)
	for _, want := range []string{"ip6tables-apply", "/etc/network/ip6tables.up.rules", "/etc/network/ip6tables.up.run"} {
		if !strings.Contains(help, want) {
			t.Errorf("no %q in the help", want)
		}
	}
	for _, o := range options {
		if !strings.Contains(help, "--"+o.long) {
			t.Errorf("no --%s in the help", o.long)
		}
	}
}
