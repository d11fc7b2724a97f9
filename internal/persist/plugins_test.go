package persist_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moat/internal/persist"
	"moat/internal/persist/persisttest"
	"moat/internal/rule"
)

// tmpfsAt mounts a file system of the given size at dir for the time of a test.
func tmpfsAt(t *testing.T, dir, size string) string {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func remountReadOnly(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func TestPluginsRunInOrderAroundNativeOnes(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4One)
	h.file("etc/iptables/rules.v6", v6One)
	// Each plugin writes its name, its arguments, and which families are loaded.
	look := `echo "${0##*/} $*$(iptables-nft-save | grep -q 10.1.1.1 && echo -n ' v4')$(ip6tables-nft-save | grep -q fc00::1 && echo -n ' v6')"` + "\n"
	for _, name := range []string{"90-late", "05-early", "20-between", "15-ip4tables", "25-ip6tables", "30.dotted", "40-backup~", ".50-hidden"} {
		h.plugin(name, look)
	}
	h.file("usr/share/netfilter-persistent/plugins.d/60-not-executable", "#!/bin/sh\necho bad\n")
	h.file("usr/share/netfilter-persistent/plugins.d/70-folder/x", "")
	stdout, _ := h.run(0, "start")
	want := "05-early start\n20-between start v4\n90-late start v4 v6\n"
	if stdout != want {
		t.Errorf("plugins wrote:\n%smust be:\n%s", stdout, want)
	}
}

func TestEveryActionReachesPlugins(t *testing.T) {
	for command, want := range map[string]string{
		"start": "start", "restart": "start", "reload": "start", "flush": "flush", "save": "save", "stop": "flush",
	} {
		h := newHost(t)
		h.settings("FLUSH_ON_STOP=1")
		h.plugin("50-x", `echo "$# $1"`)
		if stdout, _ := h.run(0, command); !strings.HasSuffix(stdout, "1 "+want+"\n") {
			t.Errorf("%s: plugin wrote %q", command, stdout)
		}
	}
}

func TestFailingPluginStopsNobodyAndFailsTheRun(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4One)
	h.plugin("10-fails", "exit 7")
	h.plugin("90-late", "echo late")
	stdout, stderr := h.run(persist.ExitFailed, "start")
	wantHas(t, "stdout", stdout, "late\n")
	wantHas(t, "stderr", stderr, "10-fails start: exit status 7")
	h.wantRules(rule.IPv4, v4One)
}

func TestPluginBehindBrokenLinkFailsTheRun(t *testing.T) {
	h := newHost(t)
	h.plugin("90-late", "echo late")
	dir := h.path("usr/share/netfilter-persistent/plugins.d")
	if err := os.Symlink("/nonexistent", filepath.Join(dir, "50-gone")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := h.run(persist.ExitFailed, "flush")
	wantHas(t, "stdout", stdout, "late\n")
	wantHas(t, "stderr", stderr, "50-gone")
}

func TestNativePluginIsOffWhenItsFileIsNotExecutable(t *testing.T) {
	h := newHost(t)
	h.file("etc/iptables/rules.v4", v4One)
	h.file("etc/iptables/rules.v6", v6One)
	h.file("usr/share/netfilter-persistent/plugins.d/15-ip4tables", "#!/bin/sh\n")
	h.run(0, "start")
	h.wantRules(rule.IPv4, "")
	h.wantRules(rule.IPv6, v6One)
}

func TestPluginEnvironmentIsOurs(t *testing.T) {
	h := newHost(t)
	h.settings("FLUSH_ON_STOP=0", "IPTABLES_SKIP_SAVE=yes")
	h.environ = append(h.environ, "FLUSH_ON_STOP=1", "COLOUR=blue")
	h.plugin("50-x", `echo "$COLOUR ${FLUSH_ON_STOP-unset} ${IPTABLES_SKIP_SAVE-unset}"`)
	// Settings are passed on only if they were in the environment, with the file's value.
	if stdout, _ := h.run(0, "flush"); stdout != "blue 0 unset\n" {
		t.Errorf("plugin wrote %q", stdout)
	}
}

func TestForeignTablesSurviveEveryCommand(t *testing.T) {
	h := newHost(t)
	if err := run("nft", "add", "table", "ip", "foreign"); err != nil {
		t.Fatal(err)
	}
	persisttest.Iptables(t, rule.IPv4, "-A", "INPUT", "-s", "10.1.1.1", "-j", "DROP")
	for _, command := range []string{"save", "start", "flush", "restart", "stop"} {
		h.run(0, command)
		if err := run("nft", "list", "table", "ip", "foreign"); err != nil {
			t.Errorf("after %s: %v", command, err)
		}
	}
}
