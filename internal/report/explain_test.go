package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// fileOf writes rules to a file.
func fileOf(t *testing.T, name, rules string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// unsure is an answer made by hand that has every kind of line.
func unsure(t *testing.T) (*question.Question, *simulate.Result) {
	t.Helper()
	q, err := question.Parse("tcp 203.0.113.7 -> 198.51.100.2:80 in eth0", question.Options{})
	if err != nil {
		t.Fatal(err)
	}
	jump := &rule.Rule{In: rule.Interface{Name: "eth0"}, Proto: rule.Protocol{Number: 6}, Target: rule.Jump{Chain: "web"}}
	count := &rule.Rule{}
	from := &rule.Rule{Out: rule.Interface{Name: "eth+", Not: true}, Target: rule.Drop}
	after := q.Packet
	after.Mark = 1
	at := func(chain string, n int) simulate.Place {
		return simulate.Place{Table: "filter", Chain: chain, Rule: n}
	}
	return q, &simulate.Result{
		Verdict: simulate.Unknown,
		Doubts: []simulate.Doubt{
			{Match: "route", IfNo: simulate.Accept},
			{Place: at("web", 12), What: from, Match: "out-interface", IfYes: simulate.Drop, IfNo: simulate.Accept},
		},
		Ends: []simulate.End{
			{Verdict: simulate.Accept, By: at("INPUT", 0), Policy: rule.Accept},
			{Verdict: simulate.Drop, By: at("web", 12), What: from},
			{Verdict: simulate.Unknown},
		},
		Trace: []simulate.Step{
			{Place: at("INPUT", 1), What: count, Match: packet.Yes, Action: "count"},
			{Place: at("INPUT", 2), What: jump, Match: packet.Yes, Action: "jump web"},
			{Place: at("web", 1), What: count, Match: packet.Yes, Action: "MARK mark 0x1", After: &after},
			{Place: at("web", 2), What: jump, Match: packet.No},
			{Place: at("web", 12), What: from, Match: packet.Unknown},
			{Place: at("INPUT", 0), Match: packet.Yes, Action: "ACCEPT"},
		},
	}
}

func TestExplainText(t *testing.T) {
	q, r := unsure(t)
	const want = `UNKNOWN  tcp 203.0.113.7:50000 -> 198.51.100.2:80 in eth0 state NEW flags SYN
         ACCEPT or DROP, which the packet alone does not decide

It hangs on
  route: is the new destination another host?
      if it is       it hangs on more
      if not         ACCEPT
      to tell it, add: out INTERFACE if it goes through
  out-interface: ! -o eth+ (filter web rule 12)
      if it matches  DROP
      if not         ACCEPT
      to tell it, add: out INTERFACE

It may end as
  ACCEPT  filter INPUT policy
  DROP    filter web rule 12: ! -o eth+ -j DROP
  or in ways too many to follow

The way, as it is if what is unknown does not match
  filter INPUT   1  yes      (every packet, counted)
                 2  yes      -i eth0 -p tcp -j web
  filter web     1  yes      (every packet, counted)
                             now mark 0x1
                12  unknown  ! -o eth+ -j DROP
  filter INPUT               policy ACCEPT
`
	var b bytes.Buffer
	if err := ExplainText(&b, q, r, ExplainOptions{}); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwanted\n%s", err, b.String(), want)
	}
	b.Reset()
	if err := ExplainText(&b, q, r, ExplainOptions{All: true}); err != nil || !strings.Contains(b.String(), "2  no       -i eth0 -p tcp -j web\n") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestExplainColor: without its colours the text is the one without colours.
func TestExplainColor(t *testing.T) {
	q, r := unsure(t)
	var plain, colored bytes.Buffer
	if err := errors.Join(ExplainText(&plain, q, r, ExplainOptions{}), ExplainText(&colored, q, r, ExplainOptions{Color: true})); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(colored.String(), "\x1b[1;33mUNKNOWN\x1b[0m  tcp") {
		t.Errorf("%q", colored.String())
	}
	var b strings.Builder
	for i, part := range strings.Split(colored.String(), "\x1b[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "m")
		}
		b.WriteString(part)
	}
	if b.String() != plain.String() {
		t.Errorf("%s\nwanted\n%s", b.String(), plain.String())
	}
}

func TestExplainJSON(t *testing.T) {
	_, r := unsure(t)
	const want = `{"verdict":"UNKNOWN","decided_by":null,"unknown_because":["route: is the new destination another host?",` +
		`"out-interface: ! -o eth+ (filter web rule 12)"],"trace":[` +
		`{"table":"filter","chain":"INPUT","rule":1,"text":"","match":"yes","action":"count"},` +
		`{"table":"filter","chain":"INPUT","rule":2,"text":"-i eth0 -p tcp -j web","match":"yes","action":"jump web"},` +
		`{"table":"filter","chain":"web","rule":1,"text":"","match":"yes","action":"MARK mark 0x1"},` +
		`{"table":"filter","chain":"web","rule":2,"text":"-i eth0 -p tcp -j web","match":"no","action":""},` +
		`{"table":"filter","chain":"web","rule":12,"text":"! -o eth+ -j DROP","match":"unknown","action":""},` +
		`{"table":"filter","chain":"INPUT","rule":0,"text":"policy ACCEPT","match":"yes","action":"ACCEPT"}]}` + "\n"
	var b bytes.Buffer
	if err := ExplainJSON(&b, rule.IPv4, r, true); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwanted\n%s", err, b.String(), want)
	}
}

// realQuestions are asked about every real ruleset.
var realQuestions = [...]struct{ v4, v6 string }{
	{"tcp 203.0.113.7 -> 198.51.100.2:22 in eth0", "tcp 2001:db8::7 -> [2001:db8::2]:22 in eth0"},
	{"tcp 203.0.113.7 -> 198.51.100.2:80 in eth0 out eth1", "tcp 2001:db8::7 -> [2001:db8::2]:80 in eth0 out eth1"},
	{"udp 10.244.1.1 -> 10.96.0.10:53 in eth0", "udp fd00::1 -> [fd00:96::a]:53 in eth0"},
	{"tcp 192.168.10.7 -> 198.51.100.2:443 hook FORWARD", "tcp 2001:db8:10::7 -> [2001:db8::2]:443 hook FORWARD"},
	{"icmp 203.0.113.7 -> 198.51.100.2 type ping in eth0", "icmpv6 fe80::7 -> fe80::2 type 135 in eth0"},
	{"udp 198.51.100.2 -> 203.0.113.7 out eth0", "udp 2001:db8::2 -> 2001:db8::7 out eth0"},
	{"tcp 203.0.113.7 -> 198.51.100.2 frag", "tcp 2001:db8::7 -> 2001:db8::2 frag"},
}

// TestRealRulesets asks about rulesets that programs wrote: the text stays
// within its width, JSON is whole, and both give the same verdict.
func TestRealRulesets(t *testing.T) {
	files, err := filepath.Glob("../rulesets/testdata/*.rules")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d rulesets, %v", len(files), err)
	}
	for _, file := range files {
		for _, ask := range realQuestions {
			text := ask.v4
			if strings.Contains(file, ".v6.") {
				text = ask.v6
			}
			var person, machine bytes.Buffer
			e := Explainer{File: file, Trace: true}
			if err := e.Ask(&person, text); err != nil {
				t.Errorf("%s: %s: %v", file, text, err)
				continue
			}
			e.JSON = true
			if err := e.Ask(&machine, text); err != nil {
				t.Errorf("%s: %s: %v", file, text, err)
				continue
			}
			checkWidth(t, person.String())
			checkJSON(t, machine.Bytes(), person.String())
		}
	}
}

// checkWidth allows a wider line only to a single word, or a quoted string.
func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if words := strings.TrimLeft(line, " "); len(line) > width && strings.Contains(words, " ") && !strings.Contains(words, `"`) {
			t.Errorf("%d columns: %s", len(line), line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("ends with a blank: %q", line)
		}
	}
}

func checkJSON(t *testing.T, data []byte, text string) {
	t.Helper()
	var got explanation
	if err := json.Unmarshal(data, &got); err != nil {
		t.Errorf("%v\n%s", err, data)
		return
	}
	if !strings.HasPrefix(text, got.Verdict+"  ") {
		t.Errorf("%s in JSON, but\n%s", got.Verdict, text)
	}
	isUnknown := got.Verdict == "UNKNOWN"
	if (got.DecidedBy == nil) != isUnknown || (len(got.UnknownBecause) > 0) != isUnknown || got.Trace == nil || bytes.Count(data, []byte("\n")) != 1 {
		t.Errorf("%s", data)
	}
}

func TestBatch(t *testing.T) {
	file := fileOf(t, "rules.v4", "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n")
	in := "# a comment\n\n tcp 192.0.2.1 -> 192.0.2.2:22 in a\nnonsense\ntcp 192.0.2.1 -> 192.0.2.2:23 in a\n"
	const allowed = `{"verdict":"ACCEPT","decided_by":{"table":"filter","chain":"INPUT","rule":1,"text":"-p tcp -m tcp --dport 22 -j ACCEPT"},"unknown_because":[]`
	const refused = `{"verdict":"DROP","decided_by":{"table":"filter","chain":"INPUT","rule":0,"text":"policy DROP"},"unknown_because":[]`
	for trace, want := range map[bool]string{
		false: allowed + "}\n" + `{"error":"column 1, \"nonsense\": `,
		true:  allowed + `,"trace":[{"table":"filter","chain":"INPUT","rule":1,"text":"-p tcp -m tcp --dport 22 -j ACCEPT","match":"yes","action":"ACCEPT"}]}` + "\n",
	} {
		var b bytes.Buffer
		e := Explainer{File: file, Trace: trace}
		wrong, err := e.Batch(&b, strings.NewReader(in))
		if err != nil || wrong != 1 || !strings.HasPrefix(b.String(), want) || !strings.Contains(b.String(), `","line":4}`+"\n"+refused) {
			t.Errorf("%d %v\n%s", wrong, err, b.String())
		}
	}
}

// TestFamilies: a file's rules are for packets of its family; -6 decides where
// the file does not say it.
func TestFamilies(t *testing.T) {
	const rules = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
	plain := fileOf(t, "saved", rules)
	v4 := fileOf(t, "saved", "# Generated by iptables-save v1.8.9 (nf_tables)\n"+rules)
	const packet4, packet6 = "tcp 192.0.2.1 -> 192.0.2.2:22 in a", "tcp ::2 -> [::3]:22 in a"
	for _, c := range []struct {
		file   string
		family rule.Family
		text   string
		want   string // "" for an answer
	}{
		{plain, 0, packet4, ""},
		{plain, 0, packet6, ""},
		{plain, rule.IPv6, packet6, ""},
		{plain, rule.IPv6, packet4, `column 5, "192.0.2.1": is an address of IPv4, and IPv6 was asked for`},
		{v4, 0, packet4, ""},
		{v4, 0, packet6, v4 + " has rules of IPv4, which say nothing of a packet of IPv6"},
		{v4, rule.IPv6, packet6, ""},
	} {
		e := Explainer{File: c.file, Family: c.family}
		if err := e.Ask(&bytes.Buffer{}, c.text); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestReadsStandardInputOnce(t *testing.T) {
	e := Explainer{File: "-", In: strings.NewReader("*filter\n:INPUT DROP [0:0]\nCOMMIT\n")}
	for range 2 {
		var b bytes.Buffer
		if err := e.Ask(&b, "tcp 192.0.2.1 -> 192.0.2.2:22 in a"); err != nil || !strings.HasPrefix(b.String(), "DROP  ") {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
	broken := Explainer{File: "-", In: strings.NewReader("*filter\n-A NOSUCH -j DROP\nCOMMIT\n")}
	if err := broken.Ask(&bytes.Buffer{}, "tcp 192.0.2.1 -> 192.0.2.2:22 in a"); err == nil || !strings.HasPrefix(err.Error(), "standard input:2") {
		t.Errorf("%v", err)
	}
}

func TestBreakRule(t *testing.T) {
	for _, c := range []struct {
		text       string
		room       int
		line, left string
	}{
		{"-p tcp -m tcp --dport 22 -j ACCEPT", 30, "-p tcp -m tcp --dport 22", "-j ACCEPT"},
		{"-p tcp ! --dport 22 -j ACCEPT", 15, "-p tcp", "! --dport 22 -j ACCEPT"},
		{`-m x --c "a -b c -d" -j ACCEPT`, 15, `-m x --c`, `"a -b c -d" -j ACCEPT`},
		{`-c "a \" -b c -d" -j ACCEPT`, 15, `-c`, `"a \" -b c -d" -j ACCEPT`},
		{"word", 2, "word", ""},
		{"longword -j x", 2, "longword", "-j x"},
	} {
		if line, left := breakRule(c.text, c.room); line != c.line || left != c.left {
			t.Errorf("%q: %q %q", c.text, line, left)
		}
	}
}

// TestExplainNamesTheWayOut: only where rules sent the packet elsewhere, and for sure.
func TestExplainNamesTheWayOut(t *testing.T) {
	q, err := question.Parse("tcp 203.0.113.7 -> 198.51.100.2:80 in eth0 out eth1", question.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verdict simulate.Verdict
		out     string
		says    bool
	}{{simulate.Accept, "eth2", true}, {simulate.Accept, "eth1", false}, {simulate.Accept, "", false}, {simulate.Drop, "eth2", false}} {
		var b bytes.Buffer
		if err := ExplainText(&b, q, &simulate.Result{Verdict: c.verdict, Packet: packet.Packet{Out: c.out}}, ExplainOptions{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "it leaves by "+c.out+"\n") != c.says {
			t.Errorf("%v out %q:\n%s", c.verdict, c.out, &b)
		}
	}
}
