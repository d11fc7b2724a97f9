package analyze

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
)

func TestSuiteIsReadWhole(t *testing.T) {
	const file = `rules: [rules.v4, rules.v6]
assume: {limit: yes, recent: no}
tests:
  - name: ssh from the office
    packet: tcp 198.51.100.9 -> 203.0.113.5:22 in eth0
    expect: ACCEPT
  - name: nothing else below 1024
    packets:
      - tcp from any to any:1-1024 in eth0
      - "udp from any to any:1-1024 in eth0"
    except: tcp from any to any:22
    family: ipv6
    expect: blocked
    decided by: policy
    assume: {limit: no}
`
	s, err := ReadSuite("t.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tests) != 2 || strings.Join(s.Rules, " ") != "rules.v4 rules.v6" {
		t.Fatalf("read as %+v", s)
	}
	a, b := &s.Tests[0], &s.Tests[1]
	if a.Name != "ssh from the office" || a.Line != 4 || a.Expect != ExpectAccept || a.DecidedBy != "" || len(a.Packets) != 1 ||
		a.Packets[0].One == nil || a.Packets[0].Line != 5 || a.Packets[0].Column != 13 ||
		a.Assume["limit"] != packet.Yes || a.Assume["recent"] != packet.No {
		t.Errorf("first test read as %+v", a)
	}
	if b.Family != rule.IPv6 || b.Expect != ExpectBlocked || b.DecidedBy != "policy" || len(b.Packets) != 2 || len(b.Except) != 1 ||
		b.Packets[1].Many == nil || b.Packets[1].Family() != rule.IPv6 || b.Assume["limit"] != packet.No || b.Assume["recent"] != packet.No {
		t.Errorf("second test read as %+v", b)
	}
	if got, want := b.Expected(), "blocked, decided by a policy"; got != want {
		t.Errorf("expected is told as %q, want %q", got, want)
	}
}

// Lines of a file with one test, to be changed by the cases below.
const goodSuite = `tests:
  - name: ssh
    packet: tcp 198.51.100.9 -> 203.0.113.5:22 in eth0
    expect: accept
`

func TestBrokenSuiteIsAnErrorWithItsPlace(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(goodSuite, old, new, 1) }
	cases := []struct{ name, file, want string }{
		{"empty", "", `t.yaml:1:1: there is nothing in the file; it needs a list under "tests:"`},
		{"only a comment", "# nothing\n", `t.yaml:1:1: there is nothing in the file`},
		{"null", "---\n", `t.yaml:1:1: there is nothing in the file`},
		{"no tests", "rules: a\n", `t.yaml:1:1: there are no tests; they are a list under the key "tests:"`},
		{"tests empty", "tests: []\n", `t.yaml:1:8: a list of tests is wanted here, each with a name, a packet and what to expect, not an empty one`},
		{"tests nothing", "tests:\n", `t.yaml:1:7: a list of tests is wanted here, each with a name, a packet and what to expect, not nothing`},
		{"tests a mapping", "tests: {name: x}\n", `t.yaml:1:8: a list of tests is wanted here, each with a name, a packet and what to expect, not a mapping`},
		{"list at the top", "- name: x\n", `t.yaml:1:1: a file of tests is wanted here, with the keys rules, assume, tests, not a list`},
		{"unknown key", change("expect", "expects"), `t.yaml:4:5: unknown key "expects": is "expect" meant? a test has name, packet, packets, except, family, expect, decided by, assume`},
		{"unknown key at the top", "test: 3\n" + goodSuite, `t.yaml:1:1: unknown key "test": is "tests" meant? a file of tests has rules, assume, tests`},
		{"key twice", change("expect: accept", "expect: accept\n    expect: drop"), `t.yaml:5:5: "expect" stands here twice, first in line 4`},
		{"no name", change("- name: ssh\n    packet", "- packet"), `t.yaml:2:5: this test has no name`},
		{"empty name", change("ssh", ""), `t.yaml:2:10: a name is wanted here, not nothing`},
		{"name a list", change("ssh", "[a]"), `t.yaml:2:11: a name is wanted here, not a list`},
		{"same name", goodSuite + strings.TrimPrefix(goodSuite, "tests:\n"), `t.yaml:5:11: a test has this name already, in line 2; each needs its own`},
		{"no packet", change("packet: tcp 198.51.100.9 -> 203.0.113.5:22 in eth0\n    ", ""), `t.yaml:2:5: this test has no packet`},
		{"both packets", change("expect", "packets: [tcp 1.2.3.4 -> 1.2.3.5:22]\n    expect"), `t.yaml:2:5: this test has both packet and packets`},
		{"packets empty", change("packet: tcp 198.51.100.9 -> 203.0.113.5:22 in eth0", "packets: []"), `t.yaml:3:14: the list is empty; a packet is wanted in it`},
		{"expects nothing", change("    expect: accept\n", ""), `t.yaml:2:5: this test expects nothing; add expect: accept, drop, reject, queue, blocked, or decided by`},
		{"wrong expectation", change("accept", "allow"), `t.yaml:4:13: expected can be accept, drop, reject, queue, blocked (drop or reject), not "allow"`},
		{"wrong word in a packet", change("in eth0", "inn eth0"), `t.yaml:3:48: "inn": not known; is "in" meant?`},
		{"wrong word in quotes", change("tcp 198.51.100.9 -> 203.0.113.5:22 in eth0", `"tcp 198.51.100.9 -> 203.0.113.5:22 inn eth0"`), `t.yaml:3:49: "inn": not known`},
		{"word missing at the end", change("in eth0", "in"), `t.yaml:3:50: at the end of the packet: an interface is missing behind "in"`},
		{"wrong word in a block", change("packet: tcp 198.51.100.9 -> 203.0.113.5:22 in eth0", "packet: >\n      tcp 198.51.100.9 -> 203.0.113.5:22\n      inn eth0"), `t.yaml:3:13: column 36, "inn": not known`},
		{"wrong family", change("accept", "accept\n    family: v6"), `t.yaml:5:13: a family is ipv4 or ipv6 (both if there is none), not "v6"`},
		{"family against the packet", change("expect", "family: ipv6\n    expect"), `t.yaml:3:17: "198.51.100.9": is an address of IPv4, and IPv6 was asked for`},
		{"unknown match", change("accept", "accept\n    assume: {limits: yes}"), `t.yaml:5:14: there is no match "limits"; is "limit" meant?`},
		{"match says what", change("accept", "accept\n    assume: {limit: 3}"), `t.yaml:5:21: a match says yes or no, not "3"`},
		{"assume a list", change("accept", "accept\n    assume: [limit]"), `t.yaml:5:13: names of matches with yes or no are wanted here, as in {limit: yes}, not a list`},
		{"except of one packet", change("accept", "accept\n    except: tcp from any to any:22"), `t.yaml:3:13: except takes packets out of a set, and this is one packet`},
		{"two documents", goodSuite + "---\n" + goodSuite, `t.yaml:6:1: a second document begins here`},
		{"a tab", "tests:\n\t- name: x\n", `t.yaml:2:1: a tab; YAML is indented with blanks`},
		{"a tab below a blank", "tests:\n \t- name: x\n", `t.yaml:2:2: a tab; YAML is indented with blanks`},
		{"bracket not closed", "tests:\n  - name: [x\n    packet: y\n", `t.yaml:3:5: no YAML: ',' or ']' must be specified`},
		{"string not closed", "tests:\n  - name: \"x\n", `t.yaml:2:11: no YAML: could not find end character of double-quoted text`},
		{"key and value twice", change("expect: accept", "expect: accept: drop"), `t.yaml:4:13: no YAML: mapping value is not allowed`},
		{"blanks behind a wrong word", change("accept", "allow  "), `t.yaml:4:13: expected can be`},
		{"tab in front of a wrong word", change("in eth0", "in\teth0\tinn"), `t.yaml:3:56: "inn"`},
		{"no UTF-8", change("ssh", "s\xffh"), `t.yaml:2:12: no UTF-8: the byte 0xff`},
		{"control character", change("ssh", "é\x1bh"), `t.yaml:2:12: the control character U+001B`},
		{"a tag", change("ssh", "!!str ssh"), `t.yaml:2:11: a tag; `},
		{"a directive", "%YAML 1.2\n---\n" + goodSuite, `t.yaml:1:1: a line that begins with %`},
		{"key with a question mark", "? tests\n: []\n", `t.yaml:1:1: "? " in front of a key`},
		{"a list as key", "tests:\n  - [a]: b\n", `t.yaml:2:`},
		{"value not indented", "rules:\na\n" + goodSuite, `t.yaml:2:1: what belongs to "rules" has to be indented more than it`},
		{"line indented too deep", change("    expect: accept", "      expect: accept"), `t.yaml:3:13: no YAML: mapping value is not allowed`},
		{"list below a text", change("    expect", "      - udp\n    expect"), `text that goes on in a line that begins with "- " has to stand in quotes, or is indented wrong`},
		{"colon within brackets", "tests: [{name: a: b}]\n", `t.yaml:1:16: text with a colon before a blank or the end has to stand in quotes`},
		{"bracket within brackets", "tests: {name: b]}\n", `t.yaml:1:15: text with brackets, within brackets, has to stand in quotes`},
		{"alias without anchor", change("ssh", "*ssh"), `t.yaml:2:11: there is no anchor &ssh above that *ssh could stand for`},
		{"alias in its own anchor", "tests: &t [*t]\n", `t.yaml:1:12: there is no anchor &t above`},
		{"nested too deep", "tests: " + strings.Repeat("[", 100), `t.yaml:1:57: nested more than 50 deep`},
		{"too many keys", "tests:\n" + strings.Repeat("  a: b\n", 2000), `t.yaml:1002:4: more than 1000 keys in one mapping`},
		{"too much is empty", strings.Repeat("-\n", 200), `t.yaml:101:1: more than 100 values are empty`},
		{"too much is empty in braces", "{" + strings.Repeat("a,", 200) + "}", `t.yaml:1:203: more than 100 values are empty`},
		{"aliases of aliases", bombs(), `more than 1048576 values, counted with all that aliases repeat`},
		{"too large", "# " + strings.Repeat("x", 4<<20), `t.yaml:1:1: more than 4 MiB of tests`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadSuite("t.yaml", []byte(c.file), nil)
			var list SuiteErrors
			if !errors.As(err, &list) {
				t.Fatalf("error is %v, want %s", err, c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, c.want)
			}
			if len(list) != 1 {
				t.Errorf("more than one error:\n%v", err)
			}
		})
	}
}

// bombs is a file of 20 lines that stands for 2 to the 100 values.
func bombs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 x\n")
	for i := range 20 {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 31), i)
	}
	return b.String()
}

// TestSuiteIsReadHoweverItIsWritten reads the same test from YAML of all styles.
func TestSuiteIsReadHoweverItIsWritten(t *testing.T) {
	cases := []struct{ name, file string }{
		{"block", "tests:\n  - name: a b\n    packet: tcp 2001:db8::2 -> [2001:db8::1]:22 in eth0\n    expect: accept\n"},
		{"list not indented", "tests:\n- name: a b\n  packet: tcp 2001:db8::2 -> [2001:db8::1]:22 in eth0\n  expect: accept\n"},
		{"braces", `tests: [{name: a b, packet: "tcp 2001:db8::2 -> [2001:db8::1]:22 in eth0", expect: accept}]`},
		{"ports in brackets", "tests:\n  - {name: a b, packets: [tcp 192.0.2.1:1024 -> 192.0.2.2:22 in eth0, udp 2001:db8::2 -> 2001:db8::1], expect: accept}\n"},
		{"brackets over lines", "tests: [\n  {name: a b, # who\n   packet: tcp 192.0.2.1 -> 192.0.2.2:22 in eth0,\n   'expect':accept},\n]\n"},
		{"CR LF", "tests:\r\n  - name: a b\r\n    packet: tcp 192.0.2.1 -> 192.0.2.2:22\r\n    expect: accept\r\n"},
		{"byte order mark", "\ufefftests:\n  - name: a b\n    packet: tcp 192.0.2.1 -> 192.0.2.2:22\n    expect: accept\n"},
		{"document marks", "---\ntests:\n  - name: a b\n    packet: tcp 192.0.2.1 -> 192.0.2.2:22\n    expect: accept\n...\n"},
		{"folded", "tests:\n  - name: >-\n      a\n      b\n    packet: tcp 192.0.2.1\n      -> 192.0.2.2:22\n    expect: |\n      accept\n"},
		{"tabs and comments", "# c\ntests: # c\n\t# c\n  -\tname:\ta\tb # c\n    packet:\t\ttcp 192.0.2.1 ->\t192.0.2.2:22\n \t\n    expect: accept\t# c\n"},
		{"aliases", "rules: &r rules.v4\ntests:\n  - name: a b\n    packet: tcp 192.0.2.1 -> 192.0.2.2:22\n    expect: accept\n    decided by: *r\n"},
	}
	for _, c := range cases {
		s, err := ReadSuite("t.yaml", []byte(c.file), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if one := &s.Tests[0]; len(s.Tests) != 1 || one.Name != "a b" || len(one.Packets) == 0 || strings.Contains(one.Packets[0].Text, "\t") {
			t.Errorf("%s: read as %+v", c.name, s.Tests)
		}
	}
}

func TestAllErrorsOfASuiteAreTold(t *testing.T) {
	_, err := ReadSuite("t.yaml", []byte("tests:\n  - {name: a, packet: tpc, expect: accept}\n  - {name: b, packets: [udp], expect: allow}\n"), nil)
	var list SuiteErrors
	if !errors.As(err, &list) || len(list) != 3 {
		t.Fatalf("%v", err)
	}
	for i, line := range []int{2, 3, 3} {
		if list[i].Line != line {
			t.Errorf("error %d is in line %d, want %d: %v", i, list[i].Line, line, list[i])
		}
	}
}

// TestSuitesOfTheManualAreRead reads what docs/check.md shows.
func TestSuitesOfTheManualAreRead(t *testing.T) {
	data, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("docs/check.md shows %d files of tests", len(blocks))
	}
	for _, block := range blocks {
		file, _, _ := strings.Cut(block, "```")
		if !strings.Contains(file, "tests:") {
			file = "tests:\n" + file
		}
		if _, err := ReadSuite("docs/check.md", []byte(file), nil); err != nil {
			t.Error(err)
		}
	}
	sets := 0
	for line := range strings.Lines(string(data)) {
		if packet, is := strings.CutPrefix(line, "    "); is && strings.Contains(packet, " from ") && strings.Contains(packet, " to ") && !strings.Contains(packet, ": ") && packet[0] != ' ' {
			sets++
			if _, many, err := question.ParseEither(strings.TrimSpace(packet), question.Options{}); err != nil || many == nil {
				t.Errorf("%s: %v", packet, err)
			}
		}
	}
	if sets < 5 {
		t.Errorf("docs/check.md shows %d sets of packets", sets)
	}
}

// FuzzReadSuite holds that no file makes the reader fail otherwise than by
// errors that have a place in it.
func FuzzReadSuite(f *testing.F) {
	f.Add([]byte(goodSuite))
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadSuite("t.yaml", data, nil)
		if err == nil {
			if len(s.Tests) == 0 {
				t.Error("a suite without tests was taken")
			}
			for i := range s.Tests {
				if one := &s.Tests[i]; one.Name == "" || len(one.Packets) == 0 || one.Expect == 0 && one.DecidedBy == "" {
					t.Errorf("a test was taken that tests nothing: %+v", one)
				}
			}
			return
		}
		var list SuiteErrors
		if !errors.As(err, &list) || len(list) == 0 {
			t.Fatalf("an error without a place: %v", err)
		}
		lines := len(yamlLines(data))
		for _, e := range list {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Msg == "" || strings.Contains(e.Msg, "\n") {
				t.Errorf("an error outside of the file's %d lines: %v", lines, e)
			}
		}
	})
}
