package persist_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/persist"
)

const oldText, newText = "# old\n*filter\nCOMMIT\n", "# new\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestWriteReplacesTextAndKeepsEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.v4")
	w := persist.Writer{KeepEarlier: true}
	for _, text := range []string{oldText, newText} {
		if err := w.WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != newText {
		t.Errorf("rules.v4 holds %q", got)
	}
	if got := read(t, path+".bak"); got != oldText {
		t.Errorf("rules.v4.bak holds %q", got)
	}
	if got := names(t, dir); got != "rules.v4 rules.v4.bak" {
		t.Errorf("folder holds %s", got)
	}
}

func TestWriteSetsModeWhateverUmaskAndOldMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.v4")
	write(t, path, oldText)
	defer syscall.Umask(syscall.Umask(0o077))
	if err := (persist.Writer{}).WriteFile(path, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 {
		t.Errorf("mode is %v, must be -rw-r-----", info.Mode())
	}
}

func TestWriteKeepsSymbolicLink(t *testing.T) {
	for _, c := range []struct{ name, link string }{
		{"relative", "../real/rules"},
		{"absolute", "ABS/real/rules"},
		{"chain", "second"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			real := filepath.Join(dir, "real", "rules")
			write(t, real, oldText)
			link := filepath.Join(dir, "etc", "rules.v4")
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../real/rules", filepath.Join(dir, "etc", "second")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(strings.Replace(c.link, "ABS", dir, 1), link); err != nil {
				t.Fatal(err)
			}
			if err := (persist.Writer{KeepEarlier: true}).WriteFile(link, []byte(newText)); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Errorf("the link is gone: %v, %v", info, err)
			}
			if got := read(t, real); got != newText {
				t.Errorf("the linked file holds %q", got)
			}
			if got := read(t, real+".bak"); got != oldText {
				t.Errorf("its backup holds %q", got)
			}
		})
	}
}

func TestWriteCreatesFileBehindDanglingLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "rules.v4")
	if err := os.Symlink("elsewhere", link); err != nil {
		t.Fatal(err)
	}
	if err := (persist.Writer{}).WriteFile(link, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "elsewhere")); got != newText {
		t.Errorf("the linked file holds %q", got)
	}
}

func TestWriteRefusesLoopOfLinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.v4")
	if err := os.Symlink("rules.v4", path); err != nil {
		t.Fatal(err)
	}
	if err := (persist.Writer{}).WriteFile(path, []byte(newText)); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("error is %v, must be ELOOP", err)
	}
}

// killStep, killPath: see TestKilledAtAnyStepLeavesOldOrNewTextWhole.
const killStep, killPath = "MOAT_TEST_KILL_STEP", "MOAT_TEST_KILL_PATH"

// writeAndDie is what the child of the test below does: it writes and is killed
// at the given step.
func writeAndDie(step, path string) {
	w := persist.Writer{KeepEarlier: true}.WithHook(func(s string) {
		if s == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal comes at once, but not before Kill returns
		}
	})
	fmt.Println(w.WriteFile(path, []byte(newText)))
}

func TestKilledAtAnyStepLeavesOldOrNewTextWhole(t *testing.T) {
	const earlier = "# before old\n"
	isOld := true
	for _, step := range persist.Steps() {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "rules.v4")
			write(t, path, oldText)
			write(t, path+".bak", earlier)
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), killStep+"="+step, killPath+"="+path)
			out, err := cmd.CombinedOutput()
			exit := (*exec.ExitError)(nil)
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the writer was not killed at this step: %v\n%s", err, out)
			}
			want := oldText
			if step == "new version in place" || step == "folder on disk" {
				want, isOld = newText, false
			}
			if got := read(t, path); got != want {
				t.Errorf("rules.v4 holds %q, must be %q", got, want)
			}
			if got := read(t, path+".bak"); got != earlier && got != oldText {
				t.Errorf("rules.v4.bak holds %q", got)
			}
			// The next write works, whatever the killed one left.
			if err := (persist.Writer{KeepEarlier: true}).WriteFile(path, []byte(newText+"#\n")); err != nil {
				t.Error(err)
			}
			if got := read(t, path); got != newText+"#\n" {
				t.Errorf("after the next write rules.v4 holds %q", got)
			}
			if got := read(t, path+".bak"); got != want {
				t.Errorf("after the next write rules.v4.bak holds %q, must be %q", got, want)
			}
		})
	}
	if isOld {
		t.Error("no step left the new text: the list of steps ends too early")
	}
}

func TestWriteRemovesLeftoversOfKilledWritersOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.v4")
	for name, age := range map[string]time.Duration{
		".rules.v4.1.new": 2 * persist.StaleAfter, // of a killed writer
		".rules.v4.2.new": 0,                      // of one at work
		".rules.v6.3.new": 2 * persist.StaleAfter, // of another file
	} {
		write(t, filepath.Join(dir, name), "x")
		then := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := (persist.Writer{}).WriteFile(path, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != ".rules.v4.2.new .rules.v6.3.new rules.v4" {
		t.Errorf("folder holds %s", got)
	}
}

// tmpfs mounts a file system of the given size for the time of a test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
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

func TestFullDiskLeavesOldTextAndNoLeftovers(t *testing.T) {
	dir := tmpfs(t, "64k")
	path := filepath.Join(dir, "rules.v4")
	write(t, path, oldText)
	big := bytes.Repeat([]byte("-A INPUT -j DROP\n"), 16<<10)
	err := persist.Writer{KeepEarlier: true}.WriteFile(path, big)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error is %v, must be ENOSPC", err)
	}
	if !strings.Contains(err.Error(), "left as it was") {
		t.Errorf("error %q does not say that nothing changed", err)
	}
	if got := read(t, path); got != oldText {
		t.Errorf("rules.v4 holds %q", got)
	}
	if got := names(t, dir); got != "rules.v4" {
		t.Errorf("folder holds %s", got)
	}
}
