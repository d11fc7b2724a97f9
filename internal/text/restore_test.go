package text

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"moat/internal/rule"
)

// TestRestore reads files that Debian's iptables-nft-restore takes.
func TestRestore(t *testing.T) {
	const replace = "replace-table filter\n"
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", ""},
		{"comments", "\n# c\n\n", ""},
		{"no newline at the end", "*filter\nCOMMIT", "replace-table filter"},
		{"blank after star", "* filter x\nCOMMIT\n", "replace-table filter"},
		{"policies", "*filter\n:INPUT DROP [1:2]\n:FORWARD -\n: OUTPUT ACCEPT\nCOMMIT\n",
			replace + "policy filter INPUT DROP\npolicy filter FORWARD ACCEPT\npolicy filter OUTPUT ACCEPT"},
		{"user chains", "*filter\n:foo - [5:6]\n:bar ACCEPT\n:LOG X\n:a!b -\n:a\"b -\nCOMMIT\n",
			replace + "declare filter foo\ndeclare filter bar\ndeclare filter LOG\ndeclare filter a!b\ndeclare filter a\"b"},
		{"two tables", "*filter\n-A INPUT\nCOMMIT\n*nat\n-A OUTPUT\nCOMMIT\n*filter\nCOMMIT\n",
			replace + "append filter -A INPUT\nreplace-table nat\nappend nat -A OUTPUT\nreplace-table filter"},
		{"counters ignored", "*filter\n[1:2] -A INPUT\n[a:b]-A INPUT\n[1:] -A INPUT\nCOMMIT\n",
			replace + "append filter -A INPUT\nappend filter -A INPUT\nappend filter -A INPUT"},
		{"counters of -c", "*filter\n-A INPUT -c 3 4\nCOMMIT\n", replace + "append filter -A INPUT -c 3 4"},
		{"blanks", "*filter\n \t-A  INPUT\t-j DROP  \nCOMMIT\n", replace + "append filter -A INPUT -j DROP"},
		{"quotation", `*filter
-A INPUT -m comment --comment "a b"
-A INPUT -m comment --comment "a \"q\" \\ b"
-A INPUT -m comment --comment it's -j DROP
-A INPUT -m comment --comment a\\b
-A INPUT -m comment --comment "-j" -j DROP
-A INPUT -m comment --comment a"b c"
"-A" "INPUT" "!" -s 1.2.3.4 -j "DROP"
COMMIT
`, replace + `append filter -A INPUT -m comment --comment "a b"
append filter -A INPUT -m comment --comment "a \"q\" \\ b"
append filter -A INPUT -m comment --comment "it\'s" -j DROP
append filter -A INPUT -m comment --comment "a\\\\b"
append filter -A INPUT -m comment --comment -j -j DROP
append filter -A INPUT -m comment --comment "ab c"
append filter -A INPUT ! -s 1.2.3.4/32 -j DROP`},
		{"commands", "*filter\n-N u\n-I INPUT 2 -j u\n-R u 1\n-D u 1\n-D u -j DROP\n-F\n-X u\n-Z\n-P INPUT DROP\n-E a b\n-C INPUT -j u\nCOMMIT\n",
			replace + `new filter u
insert filter 2 -A INPUT -j u
replace filter 1 -A u
delete-num filter u 1
delete filter -A u -j DROP
flush filter
delete-chain filter u
zero filter
policy filter INPUT DROP
rename filter a b
check filter -A INPUT -j u`},
		{"families", "*filter\n-4 -A INPUT -j DROP\n-6 -A INPUT --nonsense\n-A INPUT -s ::1 -6\n-46 -A INPUT\n-6\nCOMMIT\n",
			replace + "append filter -A INPUT -j DROP"},
		{"lists", "*filter\n-A INPUT -s 1.1.1.1,2.2.2.2 -j DROP\nCOMMIT\n",
			replace + "append filter -A INPUT -s 1.1.1.1/32 -j DROP\nappend filter -A INPUT -s 2.2.2.2/32 -j DROP"},
		{"what looks like -t", "*filter\n-A INPUT -m comment --comment -tx\n-A INPUT -m comment --comment \"-t x\"\nCOMMIT\n",
			replace + "append filter -A INPUT -m comment --comment -tx\nappend filter -A INPUT -m comment --comment \"-t x\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := someNames()
			s, err := ParseRestore(rule.IPv4, "iptables-restore", []byte(c.file), RestoreOptions{}, names)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(rule.IPv4, s.Ops, names); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestRestoreOptions reads files under -c, -n and -T.
func TestRestoreOptions(t *testing.T) {
	for _, c := range []struct {
		o          RestoreOptions
		file, want string
	}{
		{RestoreOptions{Counters: true}, "*filter\n:INPUT DROP [1:2]\n:foo -\n[5:6] -A INPUT -j DROP\n-A foo\n[7:8] -P OUTPUT DROP\nCOMMIT\n",
			"replace-table filter\npolicy filter INPUT DROP [1:2]\ndeclare filter foo\nappend filter -A INPUT -c 5 6 -j DROP\nappend filter -A foo\npolicy filter OUTPUT DROP"},
		{RestoreOptions{NoFlush: true}, "*filter\n:INPUT DROP [1:2]\n:OUTPUT - [0:0]\n:foo - [0:0]\nCOMMIT\n",
			"open-table filter\npolicy filter INPUT DROP\ndeclare filter foo"},
		{RestoreOptions{Table: "nat"}, "*filter\ngarbage\n:INPUT FOO\n-A INPUT --bad\nCOMMIT\n*nat\n-A OUTPUT\nCOMMIT\n",
			"replace-table nat\nappend nat -A OUTPUT"},
		{RestoreOptions{Table: "foo"}, "*filter\n-A INPUT\nCOMMIT\n", ""},
	} {
		names := someNames()
		s, err := ParseRestore(rule.IPv4, "iptables-restore", []byte(c.file), c.o, names)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(rule.IPv4, s.Ops, names); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.o, got, c.want)
		}
	}
}

// TestRestoreBad reads files that must be refused, and looks for the line.
func TestRestoreBad(t *testing.T) {
	hint := "\nTry `iptables-restore -h' or 'iptables-restore --help' for more information."
	const version = "iptables-restore v1.8.9 (nf_tables): "
	for _, c := range []struct {
		file string
		code int
		text string // the whole of it
	}{
		{" # foo\n", 1, "iptables-restore: line 1 failed"},
		{"\nfoo\n", 1, "iptables-restore: line 2 failed"},
		{"   \n*filter\nCOMMIT\n", 1, "iptables-restore: line 1 failed"},
		{"*filter\nCOMMIT\n-A INPUT\n", 1, "iptables-restore: line 3 failed"},
		{"*filter\n", 1, "iptables-restore: COMMIT expected at line 2"},
		{"*filter", 1, "iptables-restore: COMMIT expected at line 2"},
		{"*filter\n-A INPUT\n#x\n", 1, "iptables-restore: COMMIT expected at line 4"},
		{"*filter\n*nat\nCOMMIT\n", 2, "Bad argument `*nat' (column 1)\nError occurred at line: 2" + hint},
		{"*filter\nCOMMIT \n", 2, "Bad argument `COMMIT' (column 1)\nError occurred at line: 2" + hint},
		{"*filter\n  COMMIT\n", 2, "Bad argument `COMMIT' (column 3)\nError occurred at line: 2" + hint},
		{"*foo\nCOMMIT\n", 2, version + "iptables-restore: line 1 table name 'foo' invalid\nError occurred at line: 1" + hint},
		{"*\nCOMMIT\n", 2, version + "iptables-restore: line 1 table name invalid\nError occurred at line: 1" + hint},
		{"*filter\n:INPUT\nCOMMIT\n", 2, version + "iptables-restore: line 2 policy invalid\nError occurred at line: 2" + hint},
		{"*filter\n:\nCOMMIT\n", 2, version + "iptables-restore: line 2 chain name invalid\nError occurred at line: 2" + hint},
		{"*filter\n:INPUT X [0:0]\nCOMMIT\n", 1, "iptables-restore: line 2 failed: Bad policy name."},
		{"*filter\n:INPUT RETURN\nCOMMIT\n", 1, "iptables-restore: line 2 failed: Bad policy name."},
		{"*filter\n-P INPUT FOO\nCOMMIT\n", 1, "iptables-restore: line 2 failed: Bad policy name."},
		{"*filter\n:ACCEPT -\nCOMMIT\n", 2, version + "chain name may not clash with target name\nError occurred at line: 2" + hint},
		{"*filter\n:-x -\nCOMMIT\n", 2, version + "chain name not allowed to start with `-'\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT\n-A INPUT -s 1..2 -j DROP\nCOMMIT\n", 2, version + "host/network `1..2' not found (column 10)\nError occurred at line: 3" + hint},
		{"*filter\n[1:2] -A INPUT --foo\nCOMMIT\n", 2, version + "unknown option \"--foo\" (column 16)\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT -t filter\nCOMMIT\n", 2, version + "The -t option cannot be used in iptables-restore. (column 10)\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT --tab=filter\nCOMMIT\n", 2, version + "The -t option cannot be used in iptables-restore. (column 10)\nError occurred at line: 2" + hint},
		{"*filter\n-w -A INPUT\nCOMMIT\n", 2, version + "You cannot use `-w' from iptables-restore (column 1)\nError occurred at line: 2" + hint},
		{"*filter\n-L\nCOMMIT\n", 2, version + "You cannot use `-L' from iptables-restore\nError occurred at line: 2" + hint},
		{"*filter\n-h\nCOMMIT\n", 2, version + "You cannot use `-h' from iptables-restore (column 1)\nError occurred at line: 2" + hint},
		{"*filter\n   \nCOMMIT\n", 2, version + "no command specified\nError occurred at line: 2" + hint},
		{"*filter\n[1] -A INPUT\nCOMMIT\n", 2, version + "Bad line 2: need ]\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT -m comment --comment \"a -j DROP\nCOMMIT\n", 2,
			version + "the quotation that begins here does not end (column 31)\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT -m comment --comment \"a\\\nCOMMIT\n", 2,
			version + "the quotation that begins here does not end (column 31)\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT\x00 -j DROP\nCOMMIT\n", 2, version + "a zero byte stands in column 9\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT -m nosuch\nCOMMIT\n", 2,
			version + "Couldn't load match `nosuch':No such file or directory (column 10)\nError occurred at line: 2" + hint},
		{"*filter\n-A INPUT -j DROP\r\nCOMMIT\n", 2, version + "Invalid target name `DROP\r' (column 10)\nError occurred at line: 2" + hint},
	} {
		t.Run(fmt.Sprintf("%q", c.file), func(t *testing.T) {
			_, err := ParseRestore(rule.IPv4, "iptables-restore", []byte(c.file), RestoreOptions{}, someNames())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Code != c.code || err.Error() != c.text {
				t.Errorf("got code %d and\n%s\nwant code %d and\n%s", e.Code, err, c.code, c.text)
			}
		})
	}
}

// TestRestoreBadCounters reads what only -c refuses.
func TestRestoreBadCounters(t *testing.T) {
	for _, line := range []string{
		":INPUT DROP", ":INPUT DROP 1:2", ":INPUT DROP [1]", ":INPUT DROP [x:y]", ":INPUT DROP [0x10:010]",
		"[a:b] -A INPUT", "[1:] -A INPUT", "[1:2] -D INPUT -j DROP", "[1:2] -A INPUT -c 3 4", "[1:2] -N foo", "[1:2]",
	} {
		_, err := ParseRestore(rule.IPv4, "iptables-restore", []byte("*filter\n"+line+"\nCOMMIT\n"), RestoreOptions{Counters: true}, someNames())
		if ExitCode(err) != CodeParameter {
			t.Errorf("%s: got %v, want a parameter problem", line, err)
		}
	}
}

// TestRestoreWarn hands warnings on.
func TestRestoreWarn(t *testing.T) {
	var got []string
	o := RestoreOptions{Warn: func(w string) { got = append(got, w) }}
	_, err := ParseRestore(rule.IPv4, "iptables-restore", []byte("*filter\n-A INPUT -i a/b\n-A INPUT\nCOMMIT\n"), o, someNames())
	if err != nil || len(got) != 1 || !strings.Contains(got[0], "weird character") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestRestoreRulesApart looks for rules that share what they must not share:
// they come from one allocation.
func TestRestoreRulesApart(t *testing.T) {
	var b strings.Builder
	b.WriteString("*filter\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "-A INPUT -s 10.0.%d.%d -p tcp -m tcp --dport %d -m mark --mark %d -j DROP\n", i>>8, i&255, i+1, i)
	}
	b.WriteString("COMMIT\n")
	names := someNames()
	s, err := ParseRestore(rule.IPv4, "iptables-restore", []byte(b.String()), RestoreOptions{}, names)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		want := fmt.Sprintf("append filter -A INPUT -s 10.0.%d.%d/32 -p tcp -m tcp --dport %d -m mark --mark 0x%x -j DROP", i>>8, i&255, i+1, i)
		if got := show(rule.IPv4, s.Ops[i+1:i+2], names); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// TestArgs reads the options of restore and save.
func TestArgs(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", "{false false  false 0 false false  []}"},
		{"-cnv -t f", "{true true  true 1 false false f []}"},
		{"f --noflush --table=nat --verbose -v", "{false true nat false 2 false false f []}"},
		{"-w 5 -W 100000 --noflush --counters", "{true true  false 0 false false  []}"},
		{"-w -n", "{false true  false 0 false false  []}"},
		{"--wait 60", "{false false  false 0 false false  []}"},
		{"--wait=5 --wait-interval=7 -M x --no", "{false true  false 0 false false  []}"},
		{"-T nat -- -f", "{false false nat false 0 false false -f []}"},
		{"-h -x", "{false false  false 0 true false  []}"},
		{"-V", "{false false  false 0 false true  []}"},
		{"-b --ipv4", "{false false  false 0 false false  [-b/--binary has no effect: there is only the text form]}"},
	} {
		a, err := ParseRestoreArgs(rule.IPv4, "iptables-restore", words(c.line))
		if err != nil {
			t.Errorf("restore %s: %v", c.line, err)
			continue
		}
		if got := fmt.Sprint(*a); got != c.want {
			t.Errorf("restore %s: got %s, want %s", c.line, got, c.want)
		}
	}
	for _, line := range []string{"-x", "-T", "a b", "-4", "--ipv6", "--binary", "--counters=1", "--t", "-M"} {
		if _, err := ParseRestoreArgs(rule.IPv4, "iptables-restore", words(line)); ExitCode(err) != CodeFailed {
			t.Errorf("restore %s: got %v, want exit code 1", line, err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"-cf /dev/null", "{true  /dev/null false []}"},
		{"-t nat -t filter -d -M x", "{false filter  false []}"},
		{"--counters --file=x --tab nat", "{true nat x false []}"},
		{"-V foo", "{false   true []}"},
	} {
		a, err := ParseSaveArgs(rule.IPv4, "iptables-save", words(c.line))
		if err != nil {
			t.Errorf("save %s: %v", c.line, err)
			continue
		}
		if got := fmt.Sprint(*a); got != c.want {
			t.Errorf("save %s: got %s, want %s", c.line, got, c.want)
		}
	}
	for _, line := range []string{"-h", "-x", "foo", "-t", "-4", "--counters=1", "-f"} {
		if _, err := ParseSaveArgs(rule.IPv4, "iptables-save", words(line)); ExitCode(err) != CodeFailed {
			t.Errorf("save %s: got %v, want exit code 1", line, err)
		}
	}
}

func BenchmarkParseRestore(b *testing.B) {
	const rules = 100_000
	var text strings.Builder
	text.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range rules {
		fmt.Fprintf(&text, "-A INPUT -s 10.%d.%d.%d/32 -p tcp -m tcp --dport %d -j DROP\n", i>>16, i>>8&255, i&255, i%65535+1)
	}
	text.WriteString("COMMIT\n")
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := ParseRestore(rule.IPv4, "iptables-restore", data, RestoreOptions{}, someNames())
		if err != nil || len(s.Ops) != rules+2 {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseCommand(b *testing.B) {
	args := words("-A INPUT -s 10.1.2.3/32 -p tcp -m tcp --dport 22 -j DROP")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCommand(rule.IPv4, "iptables", args, someNames()); err != nil {
			b.Fatal(err)
		}
	}
}
