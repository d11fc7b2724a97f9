package lockout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// needs skips a test when programs that it is about are not installed.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
}

// private makes a directory or file for a lab, which stands in for path of the
// machine and begins as its copy.
func private(t *testing.T, paths ...string) (list []lab.Mount) {
	t.Helper()
	dir := t.TempDir()
	for _, path := range paths {
		own := filepath.Join(dir, strings.ReplaceAll(path, "/", "-"))
		out, err := exec.Command("cp", "-a", path, own).CombinedOutput()
		if err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
		list = append(list, lab.Mount{From: own, To: path})
	}
	return list
}

// emptyFile gives a lab an empty file at path.
func emptyFile(t *testing.T, path string) lab.Mount {
	t.Helper()
	own := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(own, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return lab.Mount{From: own, To: path}
}

// programWait bounds a program that runs many others.
const programWait = 5 * time.Minute

// both is two labs that get the same commands: one in a session over SSH, which
// is guarded, and one on its console, which is not.
type both struct {
	guarded, free *sshlab.Lab
	sh            *sshlab.Shell
}

// newBoth makes the labs, each with mounts of its own.
func newBoth(t *testing.T, mounts func() []lab.Mount) *both {
	t.Helper()
	b := &both{guarded: sshlab.New(t, mounts()...), free: sshlab.New(t, mounts()...)}
	b.sh = b.guarded.Login("4")
	return b
}

// run gives a command to both and holds that they answer alike, but for warnings
// if one is due, come to the same rules, and that nobody is cut off.
func (b *both) run(t *testing.T, command string, want answer) {
	t.Helper()
	var guarded, free lab.Output
	var wait sync.WaitGroup
	wait.Go(func() { guarded = b.sh.RunWithin(programWait, command) })
	wait.Go(func() { free = b.free.Console(command) })
	wait.Wait()
	said := guarded
	if want == warned {
		guarded.Stderr = withoutWarnings(guarded.Stderr)
	}
	if guarded != free || guarded.Code != 0 || (said == guarded) != (want == obeyed) {
		t.Fatalf("%s:\nin a session %s\non the console %s", command, show(said), show(free))
	}
	b.settle(t, func(string) bool { return true })
	if !b.sh.Alive() || !b.guarded.Greets("4", "22") {
		t.Fatalf("%s: the session is cut off, or new ones are", command)
	}
}

// settle waits until both have the same rules, which are as they should be.
func (b *both) settle(t *testing.T, asTheyShould func(state string) bool) {
	t.Helper()
	var guarded, free string
	err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		guarded, free = b.guarded.State(), b.free.State()
		return guarded == free && asTheyShould(guarded), nil
	})
	if err != nil {
		t.Fatalf("%v: in a session\n%s\non the console\n%s", err, guarded, free)
	}
}

func withoutWarnings(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "moat: warning: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func show(o lab.Output) string { return fmt.Sprintf("exit code %d\n%s%s", o.Code, o.Stdout, o.Stderr) }
