package persist_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/persist"
	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

// host is a machine's files below a folder, with the real firewall of a fresh
// network namespace.
type host struct {
	t       *testing.T
	root    string
	environ []string
	fw      persist.Firewall
}

func newHost(t *testing.T) *host {
	t.Helper()
	persisttest.Reset(t)
	h := &host{t: t, root: t.TempDir(), environ: []string{"PATH=" + os.Getenv("PATH")}, fw: persisttest.Debian{}}
	h.file("etc/iptables/.keep", "")
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.root, name) }

func (h *host) file(name, text string) { h.t.Helper(); write(h.t, h.path(name), text) }

// plugin writes a shell program into plugins.d.
func (h *host) plugin(name, script string) {
	h.t.Helper()
	path := "usr/share/netfilter-persistent/plugins.d/" + name
	h.file(path, "#!/bin/sh\n"+script)
	if err := os.Chmod(h.path(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) settings(lines ...string) {
	h.t.Helper()
	h.file("etc/default/netfilter-persistent", strings.Join(lines, "\n")+"\n")
}

// run runs a command, wants its exit code, and gives stdout and stderr.
func (h *host) run(wantCode int, args ...string) (stdout, stderr string) {
	h.t.Helper()
	var out, errs bytes.Buffer
	code := persist.Main(persist.Env{
		Program: "/usr/sbin/netfilter-persistent", Args: args, Root: h.root, Environ: h.environ,
		Stdout: &out, Stderr: &errs, Firewall: h.fw,
	})
	if code != wantCode {
		h.t.Errorf("%v: exit code %d, must be %d\nstdout: %s\nstderr: %s", args, code, wantCode, &out, &errs)
	}
	return out.String(), errs.String()
}

const (
	v4One  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n"
	v4Two  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.2.2.2/32 -j DROP\nCOMMIT\n"
	v6One  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s fc00::1/128 -j DROP\nCOMMIT\n"
	empty4 = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
)

func (h *host) wantRules(f rule.Family, want string) {
	h.t.Helper()
	want = strings.ReplaceAll(want, " [0:0]", "") // Rules leaves counters out
	if got := persisttest.Rules(h.t, f); got != want {
		h.t.Errorf("%s rules in the kernel:\n%s\nmust be:\n%s", f.Program(), got, want)
	}
}

func wantHas(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("%s: no %q in:\n%s", what, p, got)
		}
	}
}

func TestSaveFlushStartBringsBothFamiliesBack(t *testing.T) {
	h := newHost(t)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	persisttest.Iptables(t, rule.IPv6, "-A", "INPUT", "-s", "fc00::1", "-j", "DROP")
	h.run(0, "save")
	h.run(0, "flush")
	h.wantRules(rule.IPv4, empty4)
	for _, command := range []string{"start", "restart", "reload"} {
		h.run(0, "flush")
		h.run(0, command)
		h.wantRules(rule.IPv4, v4One)
		h.wantRules(rule.IPv6, v6One)
	}
	for _, name := range []string{"rules.v4", "rules.v6", "rules.v4.good", "rules.v6.good"} {
		info, err := os.Stat(h.path("etc/iptables/" + name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o640 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestSaveMakesFolderWhenMissing(t *testing.T) {
	h := newHost(t)
	if err := os.RemoveAll(h.path("etc/iptables")); err != nil {
		t.Fatal(err)
	}
	h.run(0, "save")
	wantHas(t, "folder", names(t, h.path("etc/iptables")), "rules.v4 rules.v4.good rules.v6 rules.v6.good")
}

func TestSaveOfNoTablesIsNoEmptyFile(t *testing.T) {
	h := newHost(t)
	h.run(0, "save")
	if got := read(t, h.path("etc/iptables/rules.v4")); got != "# No tables were in the kernel.\n" {
		t.Errorf("rules.v4 holds %q", got)
	}
	h.run(0, "start")
}

func TestSaveKeepsEarlierVersionUntilRulesChange(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4Two)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	h.run(0, "save")
	h.run(0, "save") // the same rules: the earlier version must survive
	if got := read(t, h.path("etc/iptables/rules.v4.bak")); got != v4Two {
		t.Errorf("rules.v4.bak holds %q", got)
	}
	wantHas(t, "rules.v4", read(t, h.path("etc/iptables/rules.v4")), "-A INPUT -s 10.1.1.1/32 -j DROP\n")
}

// unloadable saves text that nothing can load.
type unloadable struct{ persisttest.Debian }

func (unloadable) Save(_ rule.Family, w io.Writer, _ bool) error {
	_, err := io.WriteString(w, "*filter\n-A INPUT -m nonsense\nCOMMIT\n")
	return err
}

func TestSaveRefusesTextThatCouldNotBeLoaded(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4One)
	h.fw = unloadable{}
	_, stderr := h.run(1, "save")
	wantHas(t, "stderr", stderr, "IPv4 rules not saved", "could not be loaded again")
	if got := read(t, h.path("etc/iptables/rules.v4")); got != v4One {
		t.Errorf("rules.v4 holds %q", got)
	}
}

func TestSkipSaveLeavesFileAlone(t *testing.T) {
	for _, c := range []struct {
		value string
		skips bool
	}{{"yes", true}, {"'yes'", true}, {"no", false}, {"YES", false}, {"1", false}} {
		t.Run(c.value, func(t *testing.T) {
			h := newHost(t)
			h.settings("IPTABLES_SKIP_SAVE=" + c.value)
			h.run(0, "save")
			got := names(t, h.path("etc/iptables"))
			if strings.Contains(got, "rules.v4") == c.skips || !strings.Contains(got, "rules.v6") {
				t.Errorf("folder holds %s", got)
			}
		})
	}
}

func TestBrokenFileLoadsLastGoodVersionAndTells(t *testing.T) {
	for _, c := range []struct{ name, broken, message string }{
		{"bad address", strings.Replace(v4Two, "10.2.2.2", "10.2.2.777", 1), "10.2.2.777"},
		{"cut off", v4Two[:len(v4Two)-len("COMMIT\n")], "rules.v4"},
		{"emptied by a full disk", "", "rules.v4: empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.file("etc/iptables/rules.v4", v4One)
			h.file("etc/iptables/rules.v6", v6One)
			h.run(0, "start")
			persisttest.Reset(t) // a reboot
			h.file("etc/iptables/rules.v4", c.broken)
			_, stderr := h.run(persist.ExitFellBack, "start")
			wantHas(t, "stderr", stderr, c.message, "LAST GOOD VERSION LOADED", "rules.v4.good")
			h.wantRules(rule.IPv4, v4One)
			h.wantRules(rule.IPv6, v6One)
			if got := read(t, h.path("etc/iptables/rules.v4")); got != c.broken {
				t.Error("the broken file was changed; the admin has to mend it")
			}
		})
	}
}

func TestLastGoodVersionSurvivesEditingInPlace(t *testing.T) {
	h := newHost(t)
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	h.run(0, "save")
	f, err := os.OpenFile(h.path("etc/iptables/rules.v4"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("garbage\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	persisttest.Reset(t)
	h.run(persist.ExitFellBack, "start")
	h.wantRules(rule.IPv4, v4One)
}

func TestWithoutLastGoodVersionNothingChanges(t *testing.T) {
	for _, c := range []struct{ name, good, message string }{
		{"none", "", "there is no last good version"},
		{"the same", "garbage\n", "same text"},
		{"broken too", "rubbish\n", "rules.v4.good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.file("etc/iptables/rules.v4", "garbage\n")
			if c.good != "" {
				h.file("etc/iptables/rules.v4.good", c.good)
			}
			persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
			_, stderr := h.run(persist.ExitFailed, "start")
			wantHas(t, "stderr", stderr, c.message, "NOTHING LOADED")
			h.wantRules(rule.IPv4, v4One)
		})
	}
}

func TestBrokenV6DoesNotPreventV4(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4One)
	h.file("etc/iptables/rules.v6", "garbage\n")
	h.run(persist.ExitFailed, "start")
	h.wantRules(rule.IPv4, v4One)
}

func TestBrokenV4DoesNotPreventV6(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", "garbage\n")
	h.file("etc/iptables/rules.v6", v6One)
	h.run(persist.ExitFailed, "start")
	h.wantRules(rule.IPv6, v6One)
}

func TestMissingFileIsSkippedAndLastGoodNamed(t *testing.T) {
	h := newHost(t)
	stdout, _ := h.run(0, "start")
	if stdout != "Warning: skipping IPv4 (no rules to load)\nWarning: skipping IPv6 (no rules to load)\n" {
		t.Errorf("stdout: %q", stdout)
	}
	h.file("etc/iptables/rules.v4.good", v4One)
	_, stderr := h.run(0, "start")
	wantHas(t, "stderr", stderr, "rules.v4.good")
	h.wantRules(rule.IPv4, "")
}

func TestLinkToNothingLoadsLastGoodVersion(t *testing.T) {
	h := newHost(t)
	if err := os.Symlink("/nonexistent/rules", h.path("etc/iptables/rules.v4")); err != nil {
		t.Fatal(err)
	}
	h.file("etc/iptables/rules.v4.good", v4One)
	h.run(persist.ExitFellBack, "start")
	h.wantRules(rule.IPv4, v4One)
}

func TestReadOnlyFolderLoadsAndWarnsOnlyWhenGoodIsOld(t *testing.T) {
	h := newHost(t)
	dir := tmpfsAt(t, h.path("etc/iptables"), "1m")
	write(t, dir+"/rules.v4", v4One)
	write(t, dir+"/rules.v4.good", v4One)
	write(t, dir+"/rules.v6", v6One)
	remountReadOnly(t, dir)
	_, stderr := h.run(0, "start")
	h.wantRules(rule.IPv4, v4One)
	h.wantRules(rule.IPv6, v6One)
	wantHas(t, "stderr", stderr, "last good version not kept", "rules.v6.good", "read-only file system")
	if strings.Contains(stderr, "rules.v4") {
		t.Errorf("a warning without a cause: %s", stderr)
	}
	h.run(persist.ExitFailed, "save")
}

func TestFullDiskAtSaveLeavesRulesFileWhole(t *testing.T) {
	h := newHost(t)
	dir := tmpfsAt(t, h.path("etc/iptables"), "16k")
	write(t, dir+"/rules.v4", v4One)
	filler := strings.Repeat("x", 64<<10)
	if err := os.WriteFile(dir+"/filler", []byte(filler), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.2.2.2", "-j", "DROP")
	_, stderr := h.run(persist.ExitFailed, "save")
	wantHas(t, "stderr", stderr, "no space left on device", "left as it was")
	if got := read(t, dir+"/rules.v4"); got != v4One {
		t.Errorf("rules.v4 holds %q", got)
	}
	if got := names(t, dir); got != "filler rules.v4" {
		t.Errorf("folder holds %s", got)
	}
}

func TestRestoreNoFlushKeepsWhatIsThere(t *testing.T) {
	for _, value := range []string{"yes", "no"} {
		t.Run(value, func(t *testing.T) {
			h := newHost(t)
			h.settings("IPTABLES_RESTORE_NOFLUSH=" + value)
			h.file("etc/iptables/rules.v4", v4One)
			persisttest.Iptables(t, rule.IPv4, "-A", "OUTPUT", "-d", "10.7.7.7", "-j", "DROP")
			h.run(0, "start")
			kept := strings.Contains(persisttest.Rules(t, rule.IPv4), "10.7.7.7")
			if kept != (value == "yes") {
				t.Errorf("rule kept: %v", kept)
			}
		})
	}
}

func TestStopFlushesOnlyForNumberAboveZero(t *testing.T) {
	for _, c := range []struct {
		setting string
		flushes bool
		warns   bool
	}{
		{"FLUSH_ON_STOP=1", true, false},
		{"FLUSH_ON_STOP=2", true, false},
		{`FLUSH_ON_STOP="1" # so`, true, false},
		{"FLUSH_ON_STOP=0", false, false},
		{"FLUSH_ON_STOP=", false, false},
		{"#", false, false},
		{"FLUSH_ON_STOP=yes", false, true},
		{"FLUSH_ON_STOP=$((0 + 1))", true, false},
		{"if true; then FLUSH_ON_STOP=1; fi; echo noise", true, false},
	} {
		t.Run(c.setting, func(t *testing.T) {
			h := newHost(t)
			h.settings(c.setting)
			persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
			stdout, stderr := h.run(0, "stop")
			if flushed := !strings.Contains(persisttest.Rules(t, rule.IPv4), "10.1.1.1"); flushed != c.flushes {
				t.Errorf("flushed: %v", flushed)
			}
			if !c.flushes && stdout != "Automatic flush disabled; use '/usr/sbin/netfilter-persistent flush'\n" {
				t.Errorf("stdout: %q", stdout)
			}
			if warns := strings.Contains(stderr, "must be a number"); warns != c.warns {
				t.Errorf("stderr: %q", stderr)
			}
		})
	}
}

func TestSettingsFromEnvironmentWhenFileIsSilent(t *testing.T) {
	h := newHost(t)
	h.environ = append(h.environ, "FLUSH_ON_STOP=1")
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	h.run(0, "stop")
	h.wantRules(rule.IPv4, empty4)
}

func TestUnreadableSettingsLoadButNeverSave(t *testing.T) {
	h := newHost(t)
	h.settings("IPTABLES_SKIP_SAVE=yes", "if [")
	h.file("etc/iptables/rules.v4", v4One)
	_, stderr := h.run(persist.ExitFailed, "start")
	wantHas(t, "stderr", stderr, "etc/default/netfilter-persistent: not read")
	h.wantRules(rule.IPv4, v4One)
	persisttest.Reset(t)
	h.run(persist.ExitFailed, "save")
	if got := read(t, h.path("etc/iptables/rules.v4")); got != v4One {
		t.Errorf("rules.v4 holds %q", got)
	}
}

func TestUnknownCommandShowsUsageAndExitsZero(t *testing.T) {
	for _, args := range [][]string{nil, {"foo"}, {"--help"}, {"status"}, {"SAVE"}, {"force-reload"}} {
		h := newHost(t)
		stdout, stderr := h.run(0, args...)
		if stdout != "Usage: /usr/sbin/netfilter-persistent (start|stop|restart|reload|flush|save)\n" || stderr != "" {
			t.Errorf("%v: stdout %q, stderr %q", args, stdout, stderr)
		}
	}
}

func TestTroubleGoesToLogSocketLineByLine(t *testing.T) {
	h := newHost(t)
	h.file("dev/.keep", "")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("dev/log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	h.file("etc/iptables/rules.v4", "garbage\n")
	h.run(persist.ExitFailed, "start")
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := socket.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	wantHas(t, "log", string(line[:n]), "<27>", " netfilter-persistent[", "rules.v4")
}

func TestJournalGetsEachLineOnce(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", "garbage\n")
	stderr, err := os.Create(h.path("stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	info, err := stderr.Stat()
	if err != nil {
		t.Fatal(err)
	}
	h.file("dev/.keep", "")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("dev/log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	st := info.Sys().(*syscall.Stat_t)
	persist.Main(persist.Env{
		Args: []string{"start"}, Root: h.root, Environ: []string{fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino)},
		Stdout: io.Discard, Stderr: stderr, Firewall: h.fw,
	})
	wantHas(t, "stderr", read(t, h.path("stderr")), "NOTHING LOADED")
	// The datagrams, had there been any, would be there already.
	if err := socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	if n, err := socket.Read(line); err == nil {
		t.Errorf("logged a second time: %s", line[:n])
	}
}
