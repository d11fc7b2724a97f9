package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
)

var update = flag.Bool("update", false, "write what the commands print to testdata/explain")

// TestExplainSessions runs the commands of testdata/explain/*.session, in which
// "$ COMMAND" is followed by what it prints, "[N]" standing for an exit code
// other than 0. A command's "< FILE" is its standard input.
func TestExplainSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.session")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(data)) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				got.WriteString(line + runLine(t, strings.TrimSpace(command)))
			} else if line[0] == '#' {
				got.WriteString(line)
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != string(data) && !*update {
			t.Errorf("%s: prints\n%s\nwanted\n%s", file, got.String(), data)
		}
	}
}

// runLine runs a command line of a session in its folder and gives what it printed.
func runLine(t *testing.T, line string) string {
	t.Helper()
	return runIn(t, "testdata/explain", line)
}

// runIn runs a command of moat in a folder two below this one and gives what it
// prints, with its exit code.
func runIn(t *testing.T, folder, line string) string {
	t.Helper()
	words := shellWords(line)
	if words[0] != "moat" {
		t.Fatalf("%s: not moat", line)
	}
	t.Chdir(folder)
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	args := words[1:]
	if n := len(args); n > 2 && args[n-2] == "<" {
		in, err := os.Open(args[n-1])
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		root.SetIn(in)
		args = args[:n-2]
	}
	root.SetArgs(args)
	err := root.Execute()
	var code exitCode
	if err != nil && !errors.As(err, &code) {
		fmt.Fprintln(&out, "moat: "+err.Error())
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(&out, "[%d]\n", int(code))
	}
	t.Chdir("../..")
	return out.String()
}

// shellWords cuts a line into words; double quotation marks keep blanks.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// TestExplainLive asks a router's kernel: its rules, its addresses and routes.
func TestExplainLive(t *testing.T) {
	h := lab.Netns(t)
	setup := `
		ip link set lo up
		ip link add wan type veth peer name wan1
		ip link add lan type veth peer name lan1
		for i in wan wan1 lan lan1; do ip link set $i up; done
		ip addr add 203.0.113.1/24 dev wan
		ip addr add 10.0.0.1/24 dev lan
		ip -6 addr add 2001:db8::1/64 dev wan nodad
		ip route add default via 203.0.113.254
		echo 1 > /proc/sys/net/ipv4/ip_forward
	`
	if out, err := h.Command("sh", "-ec", setup).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, rule := range []string{"INPUT -i wan -p tcp --dport 22 -j ACCEPT", "FORWARD -i lan -o wan -j ACCEPT", "INPUT -i lo -j ACCEPT"} {
		if got := call(t, h, "iptables", append([]string{"-A"}, strings.Fields(rule)...)...); got.code != 0 {
			t.Fatalf("%s: %+v", rule, got)
		}
	}
	for _, c := range []struct {
		packet string
		stdout string // begins so
		code   int
	}{
		{"tcp 198.51.100.7 -> 203.0.113.1:22", "ACCEPT  tcp 198.51.100.7:50000 -> 203.0.113.1:22 in wan state NEW flags SYN\n        by rule 1 of INPUT,", 0},
		{"tcp 10.0.0.7 -> 203.0.113.1:22", "ACCEPT  tcp 10.0.0.7:50000 -> 203.0.113.1:22 in lan state NEW flags SYN\n        by the policy ACCEPT of INPUT,", 0},
		{"tcp 10.0.0.7 -> 198.51.100.7:80", "ACCEPT  tcp 10.0.0.7:50000 -> 198.51.100.7:80 in lan out wan state NEW flags SYN\n        by rule 1 of FORWARD,", 0},
		{"udp 203.0.113.1 -> 198.51.100.7:53", "ACCEPT  udp 203.0.113.1:50000 -> 198.51.100.7:53 out wan state NEW\n        by the policy ACCEPT of OUTPUT,", 0},
		{"udp 203.0.113.1 -> 10.0.0.1:53", "ACCEPT  udp 203.0.113.1:50000 -> 10.0.0.1:53 state NEW\n        by rule 2 of INPUT,", 0},
		{"tcp 198.51.100.7 -> 10.0.0.7:22 in wan", "ACCEPT  tcp 198.51.100.7:50000 -> 10.0.0.7:22 in wan out lan state NEW flags SYN\n        by the policy ACCEPT of FORWARD,", 0},
		{"tcp 198.51.100.7 -> 127.0.0.1:22 in wan", "DROP  tcp 198.51.100.7:50000 -> 127.0.0.1:22 in wan state NEW flags SYN\n      by the kernel itself:", 0},
		{"udp 2001:db8::7 -> [2001:db8::1]:53", "ACCEPT  udp [2001:db8::7]:50000 -> [2001:db8::1]:53 in wan state NEW\n        by the policy ACCEPT of INPUT,", 0},
		{"udp 2001:db8::1 -> [2001:db9::1]:53", "", 2},
	} {
		got := call(t, h, "moat", "explain", c.packet)
		if got.code != c.code || !strings.HasPrefix(got.stdout, c.stdout) || (got.stderr == "") != (c.code == 0) {
			t.Errorf("%s: %+v", c.packet, got)
		}
	}
}

// TestSessionFilesAreUsed: no file of testdata/explain lies there for nothing.
func TestSessionFilesAreUsed(t *testing.T) {
	var sessions strings.Builder
	root := os.DirFS("testdata/explain")
	names, err := fs.Glob(root, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if data, err := fs.ReadFile(root, name); err == nil && strings.HasSuffix(name, ".session") {
			sessions.Write(data)
		}
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".session") && !strings.Contains(sessions.String(), name) {
			t.Errorf("%s is in no session", name)
		}
	}
}
