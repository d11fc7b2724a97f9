package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// xml runs our iptables-xml and gives what it prints and its exit code.
func xml(t *testing.T, input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out, complaints bytes.Buffer
	code = Find("iptables-xml").Run(Env{Program: "iptables-xml", Args: args, Stdin: in, Stdout: &out, Stderr: &complaints})
	return out.String(), complaints.String(), code
}

// TestXMLIsDebians compares rulesets and options with Debian's program.
func TestXMLIsDebians(t *testing.T) {
	files, err := filepath.Glob("testdata/xml/*.rules")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rulesets: %v", err)
	}
	for _, file := range files {
		rules, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{nil, {"-c"}, {"-v"}, {"-cv"}, {"--combine", "--verb"}, {file}} {
			cmd := exec.Command("/usr/bin/iptables-xml", args...)
			cmd.Stdin = bytes.NewReader(rules)
			want, err := cmd.Output()
			if err != nil {
				t.Fatalf("Debian's iptables-xml (apt-get install iptables) %v %s: %v", args, file, err)
			}
			got, complaints, code := xml(t, string(rules), args...)
			if got != string(want) || code != 0 {
				t.Errorf("%s %v: exit %d %s, prints\n%s\nwant\n%s", file, args, code, complaints, got, want)
			}
		}
	}
}

// TestXMLOfWhatIsNoRuleset holds it to the exit codes of Debian's program.
func TestXMLOfWhatIsNoRuleset(t *testing.T) {
	for _, c := range []struct {
		input  string
		args   []string
		stderr string
	}{
		{"-A INPUT -j ACCEPT\n", nil, "line 1 failed"},
		{"*filter\n", nil, "COMMIT expected at line 2"},
		{"*filter\n:INPUT ACCEPT [0:0]\ngarbage\n", nil, "line 3 failed - no chain found"},
		{"*filter\n:INPUT ACCEPT [0:0]\n-I INPUT -j ACCEPT\n", nil, "line 3 failed - no chain found"},
		{"*filter\n:INPUT ACCEPT [0:0]\n[1:2 -A INPUT -j ACCEPT\n", nil, "line 3"},
		{"*\n", nil, "line 1 table name invalid"},
		{"*filter\n:\n", nil, "line 2 chain name invalid"},
		{"*filter\n:INPUT\n", nil, "line 2 policy invalid"},
		{"*filter\nCOMMIT\nCOMMIT\n", nil, "line 3 failed"},
		{"", []string{"-h"}, "Usage: iptables-xml"},
		{"", []string{"--help"}, "Usage: iptables-xml"},
		{"", []string{"a", "b"}, "Unknown arguments found on commandline"},
		{"", []string{"/nonexistent"}, "o such file or directory"},
		{"", []string{"-x"}, "invalid option -- 'x'"},
		{"", []string{"--foo"}, "unrecognized option '--foo'"},
		{"*filter\n:INPUT ACCEPT [a:b]\n*nat\nCOMMIT\n", nil, ""},
	} {
		cmd := exec.Command("/usr/bin/iptables-xml", c.args...)
		cmd.Stdin = strings.NewReader(c.input)
		_ = cmd.Run() // the exit code is compared below
		_, stderr, code := xml(t, c.input, c.args...)
		if want := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%q %v: exit %d, want %d", c.input, c.args, code, want)
		}
		if !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%q %v: stderr %q, want %q", c.input, c.args, stderr, c.stderr)
		}
	}
}
