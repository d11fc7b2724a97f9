package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestANameOfAProgramIsOneLineThatMovesNoTerminal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"nginx":            "nginx",
		"x\n:INPUT ACCEPT": "x?:INPUT ACCEPT",
		"a\x1b[2J b\t":     "a?[2J b?",
		"größe":            "größe",
		"\xff\xfe.":        "??.",
	} {
		script := filepath.Join(t.TempDir(), name) // a script's file is its name
		if err := os.WriteFile(script, []byte("#!/bin/sh\necho; read x\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(script)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if got := programName(strconv.Itoa(c.Process.Pid)); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		_ = in.Close()
		_ = c.Wait() // read fails at the end of its input
	}
}
