package session

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestAncestorsAreNamed starts a shell that starts a shell.
func TestAncestorsAreNamed(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `/bin/sh -c 'sleep 60 & echo $!; wait'; :`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	pid, ok := number(strings.TrimSpace(string(line[:n])))
	if err != nil || !ok {
		t.Fatalf("%q, %v", line[:n], err)
	}
	names := Caller{PID: pid, Proc: "/proc"}.Ancestors()
	if process, err := os.FindProcess(pid); err != nil || process.Kill() != nil {
		t.Error("the last child is not to be ended")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if len(names) < 3 || !slices.Equal(names[:2], []string{"sh", "sh"}) {
		t.Errorf("%v", names)
	}
}
