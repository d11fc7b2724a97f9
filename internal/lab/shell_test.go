package lab

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runScript runs a script in a lab whose helper commands are this test
// program (TestMain), and gives its output and exit code.
func runScript(t *testing.T, script string, color bool) (string, int) {
	t.Helper()
	New(t) // skips where there can be no lab
	file := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code, err := RunScript(context.Background(), file, Options{Program: program, Stdout: &out, Stderr: &out, Color: color})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String(), code
}

// squeeze makes columns comparable.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestScriptShowsWhatGetsThrough(t *testing.T) {
	t.Parallel()
	out, code := runScript(t, `set -e
# moat: listen tcp 22,80 udp 53
# moat: probe tcp 22 expect open
# moat: probe tcp 80 from loopback over 6 expect open
# moat: probe udp 53 from blocked expect silent
probe hold A tcp 22 expect open
probe tcp 80 expect open
nft add table inet f
nft 'add chain inet f in { type filter hook input priority 0; }'
nft add rule inet f in ip saddr 203.0.113.66 drop
nft add rule inet f in iifname eth0 tcp dport 80 reject
probe tcp 80 && exit 9
probe alive A
client ip -br addr show eth0 | grep -q 203.0.113.7
router ip route | grep -q 198.51.100.0/24
`, false)
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for _, want := range []string{
		"connection A, tcp 22 from client open as expected",
		"tcp 80 from client refused",
		"connection A open as expected",
		"Probes the script asks for tcp 22 from client open as expected tcp 80 from loopback over IPv6 open as expected udp 53 from blocked silent as expected",
		"IPv4 client blocked loopback 203.0.113.7 203.0.113.66 127.0.0.1 icmp open silent open tcp 22 open silent open tcp 80 refused silent open udp 53 open silent open",
		"IPv6 client blocked loopback 2001:db8:1::7 2001:db8:1::66 ::1 icmp open open open tcp 22 open open open tcp 80 refused refused open udp 53 open open open",
	} {
		if !strings.Contains(squeeze(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("colour in a pipe:\n%q", out)
	}
}

func TestScriptFailsWhenAProbeIsNotAsExpected(t *testing.T) {
	t.Parallel()
	out, code := runScript(t, "# moat: listen tcp 22\n# moat: probe tcp 23 expect open\nprobe tcp 22 expect refused\nexit 0\n", true)
	if code != 1 || strings.Count(out, "WRONG") != 2 || !strings.Contains(out, "2 of the probes were not as expected") || !strings.Contains(out, "\x1b[31m") {
		t.Errorf("exit code %d, want 1 and two red lines:\n%s", code, out)
	}
}

func TestScriptGivesItsExitCode(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137} {
		if _, code := runScript(t, "# moat: listen tcp 22\n"+script+"\n", false); code != want {
			t.Errorf("%s: exit code %d, want %d", script, code, want)
		}
	}
}

func TestScriptSeesPrivateFiles(t *testing.T) {
	t.Parallel()
	out, code := runScript(t, `# moat: listen tcp 22
set -e
test -z "$(ls -A /etc/iptables /etc/default | grep -v :)"
echo mine > /etc/iptables/rules.v4
echo mine > /etc/default/netfilter-persistent
getent hosts server
grep -q root /etc/passwd
`, false)
	if code != 0 || !strings.Contains(out, "2001:db8:2::2") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for _, f := range []string{"/etc/iptables/rules.v4", "/etc/default/netfilter-persistent"} {
		if b, err := os.ReadFile(f); err == nil && string(b) == "mine\n" {
			t.Errorf("the machine's %s was written", f)
		}
	}
}

func TestSessionLeavesNoDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if _, code := runScript(t, "# moat: listen tcp 22\nexit 0\n", false); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, err := filepath.Glob(os.TempDir() + "/moat-lab-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEndedSessionEndsItsScript(t *testing.T) {
	t.Parallel()
	New(t)
	dir := t.TempDir()
	file, mark := filepath.Join(dir, "s.sh"), filepath.Join(dir, "started")
	if err := os.WriteFile(file, []byte("echo > "+mark+"\nexec sleep 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := RunScript(ctx, file, Options{Program: "/bin/false", Stdout: os.Stderr, Stderr: os.Stderr})
		ended <- err
	}()
	err := WaitFor(LongWait, func() (bool, error) { _, err := os.Stat(mark); return err == nil, nil })
	cancel()
	if err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the session ended without an error")
		}
	case <-time.After(LongWait):
		t.Error("the session does not end")
	}
}

func TestShellReadsCommands(t *testing.T) {
	t.Parallel()
	New(t)
	var out, banner bytes.Buffer
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, err := RunShell(context.Background(), Options{
		Program: program, Stdin: strings.NewReader("probe tcp 22\nprobe tcp 23\nexit 3\n"), Stdout: &out, Stderr: &banner,
	})
	got := squeeze(out.String())
	if err != nil || code != 3 || got != "tcp 22 from client open tcp 23 from client refused" {
		t.Errorf("code %d, %v:\n%s%s", code, err, banner.String(), out.String())
	}
	if !strings.Contains(banner.String(), "client COMMAND") {
		t.Errorf("banner: %s", banner.String())
	}
}

func TestWrongDirectivesAreNamedByLine(t *testing.T) {
	for line, want := range map[string]string{
		"# moat: listen tcp":                       `f:2: services "tcp": want protocol and ports, as in "tcp 22,80 udp 53"`,
		"# moat: listen sctp 22":                   `f:2: services "sctp 22": protocol "sctp": want tcp or udp`,
		"# moat: listen tcp 22,70000":              `f:2: services "tcp 22,70000": port "70000": want 1-65535`,
		"# moat: probe":                            `f:2: probe: want "tcp PORT", "udp PORT" or "icmp"`,
		"# moat: probe tcp 0":                      `f:2: port "0": want 1-65535`,
		"# moat: probe tcp 22 from mars":           `f:2: probe from "mars": want one of [client blocked loopback]`,
		"# moat: probe tcp 22 expect":              `f:2: probe: "expect" stands alone: want from, over or expect with a value`,
		"# moat: probe icmp expect shut":           `f:2: state "shut": want one of [open refused unreachable silent unsent]`,
		"# moat: probe udp 1 over 5":               `f:2: probe over "5": want 4 or 6`,
		"# moat: go home":                          `f:2: directive "go": want listen or probe`,
		"# moat:":                                  `f:2: empty directive: want listen or probe`,
		"# moat: probe tcp 22 at client expect up": `f:2: probe: "at": want from, over or expect`,
	} {
		_, err := ParseDirectives("f", strings.NewReader("#!/bin/sh\n"+line+"\n"))
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", line, err, want)
		}
	}
}

func TestHelperOutsideALabSaysSo(t *testing.T) {
	t.Setenv(envSession, "")
	if code := Helper([]string{"probe", "tcp", "22"}); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
}
