package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moat/internal/ext"
)

func TestCommittedFilesAreWhatTheTablesSay(t *testing.T) {
	for _, f := range Files() {
		got, err := os.ReadFile(filepath.Join("../..", f.Path))
		if err != nil || string(got) != f.Text {
			t.Errorf("%s is stale (%v): run \"make generate\"", f.Path, err)
		}
	}
}

func TestFormIsTakenApart(t *testing.T) {
	for _, c := range []struct{ form, want string }{
		{"--append  -A chain", `\fB\-A\fR, \fB\-\-append\fR \fIchain\fR`},
		{"[!] --source	-s address[/mask][...]", `[\fB!\fR] \fB\-s\fR, \fB\-\-source\fR \fIaddress[/mask][...]\fR`},
		{"    --modprobe=<command>", `\fB\-\-modprobe\fR \fIcommand\fR`},
		{"    --line-numbers", `\fB\-\-line\-numbers\fR`},
		{"    --set-counters -c PKTS BYTES", `\fB\-c\fR, \fB\-\-set\-counters\fR \fIPKTS BYTES\fR`},
	} {
		if got := term(splitForm(c.form)); got != c.want {
			t.Errorf("%q: %q, must be %q", c.form, got, c.want)
		}
	}
}

// What a table says must not become a request of roff.
func TestPagesHoldNoStrangeRequest(t *testing.T) {
	requests := []string{".TH", ".SH", ".SS", ".PP", ".TP", ".BR", ".nf", ".fi", ".so", `.\"`}
	for _, f := range Files() {
		if !strings.HasSuffix(f.Path, ".8") {
			continue
		}
		for i, line := range strings.Split(f.Text, "\n") {
			word, _, _ := strings.Cut(line, " ")
			if (strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'")) && !slices.Contains(requests, word) {
				t.Errorf("%s:%d: %q", f.Path, i+1, line)
			}
		}
	}
}

func TestEveryExtensionIsInManualCompletionAndReference(t *testing.T) {
	manual, shell, table := extensionsPage(), completion(), reference()
	for _, d := range ext.All() {
		if d.Summary == "" {
			t.Errorf("%s has no Summary", d.Name)
		}
		if !strings.Contains(manual, ".SS "+escape(d.Name)) || !strings.Contains(table, "| "+d.Name) || !strings.Contains(shell, d.Name) {
			t.Errorf("%s is missing", d.Name)
		}
		for _, o := range d.Options {
			if !strings.Contains(manual, bold("--"+o.Name)) || !strings.Contains(table, "`--"+o.Name) || !strings.Contains(shell, "--"+o.Name) {
				t.Errorf("%s: --%s is missing", d.Name, o.Name)
			}
		}
	}
}

// complete gives what the completion offers at the end of a line. A program
// beside it stands for the kernel's chains.
func complete(t *testing.T, line string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "iptables")
	const chains = "#!/bin/sh\nprintf '%s\\n' '-P INPUT ACCEPT' '-N mine' '-N $(touch hit)'\n"
	if err := os.WriteFile(program, []byte(chains), 0o755); err != nil {
		t.Fatal(err)
	}
	const script = `. /dev/stdin; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); ` +
		`function=_moat_${1##*/}; COMP_WORDS[0]=$0; "${function//-/_}"; echo "${COMPREPLY[*]}"`
	cmd := exec.Command("bash", append([]string{"-c", script, program}, strings.Split(line, " ")...)...)
	cmd.Stdin, cmd.Dir = strings.NewReader(completion()), t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	if _, err := os.Stat(filepath.Join(cmd.Dir, "hit")); err == nil {
		t.Errorf("%s: the name of a chain was run as a command", line)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func TestCompletionOffersWhatFits(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"iptables -t m", "mangle"},
		{"iptables -A I", "INPUT"},
		{"iptables -t nat -A P", "PREROUTING POSTROUTING"},
		{"iptables -A m", "mine"},
		{"iptables -j mi", "mine"},
		{"iptables -X $", "$(touch hit)"},
		{"iptables -P INPUT D", "DROP"},
		{"iptables -A INPUT -m conn", "conntrack"},
		{"iptables -A INPUT -m conntrack --cts", "--ctstate --ctstatus"},
		{"iptables -A INPUT -p tcp --dp", "--dport"},
		{"iptables -A INPUT -p 17 --dp", "--dport"},
		{"iptables -A INPUT --dp", ""},
		{"iptables -A INPUT -j LOG --log-l", "--log-level"},
		{"iptables -A INPUT --line", "--line-numbers"},
		{"iptables -A INPUT -i l", "lo"},
		{"iptables-save -t ra", "raw"},
		{"iptables-save --c", "--counters"},
		{"iptables-restore --nof", "--noflush"},
		{"iptables-restore nofile", ""},
	} {
		got := complete(t, c.line)
		if strings.HasSuffix(c.line, "-m conn") { // further extensions may begin so
			got = strings.Join(slices.DeleteFunc(strings.Fields(got), func(s string) bool { return s != c.want }), " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, must be %q", c.line, got, c.want)
		}
	}
}
