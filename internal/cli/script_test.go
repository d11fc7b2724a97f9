package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"moat/internal/cli"
	"moat/internal/lab"
)

var update = flag.Bool("update", false, "write what the programs answer into testdata")

// machine is a host of a lab with files of its own below /etc, and with the
// programs first in its PATH.
type machine struct {
	*lab.Host
	dir string // bin/ holds the programs, the others are what is seen at /etc/iptables, /etc/default and /var/lib/moat
}

// newMachine makes a host in a folder of its own.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{Host: lab.Netns(t), dir: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "iptables", "default", "state", "work"} {
		if err := os.Mkdir(filepath.Join(m.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range cli.Programs {
		name := cli.Programs[i].Name
		script := "#!/bin/sh\n" + envProgram + "=" + name + " exec " + self + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(m.dir, "bin", name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// sh runs a line of shell in the work folder and gives standard output, standard
// error and exit code as a person would note them.
func (m *machine) sh(t *testing.T, line, stdin string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := m.CommandContext(ctx, "/bin/sh", "-c", line)
	c.Env = []string{"PATH=" + filepath.Join(m.dir, "bin") + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/"}
	c.Dir = filepath.Join(m.dir, "work")
	c.Mounts = []lab.Mount{
		{From: filepath.Join(m.dir, "iptables"), To: "/etc/iptables"}, {From: filepath.Join(m.dir, "default"), To: "/etc/default"},
		{From: filepath.Join(m.dir, "state"), To: "/var/lib/moat"},
	}
	var both bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &both, &both
	err := c.Run()
	out := both.String()
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		out += exit.Error() + "\n"
	case err != nil:
		t.Fatal(err)
	}
	return strings.ReplaceAll(dates.ReplaceAllString(out, "on DATE"), m.dir, "DIR")
}

// dates are those of comments in the save format.
var dates = regexp.MustCompile(`on [A-Z][a-z]{2} [A-Z][a-z]{2} .*[0-9]{4}`)

// TestScripts runs the scripts of testdata. In each, a line "$ COMMAND" is given
// to the shell, with the lines "< TEXT" that follow it as standard input; the
// other lines are what it answers, both outputs and then the exit code if it is
// not 0. Lines that begin with # are comments.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.script")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".script"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := newMachine(t).replay(t, string(data))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(data) {
				t.Errorf("%s: the transcript is now\n%s", path, got)
			}
		})
	}
}

// replay runs the commands of a transcript and gives the transcript with what
// they answer now.
func (m *machine) replay(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	lines := strings.SplitAfter(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		command, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand {
			if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
				out.WriteString(line)
			}
			continue // an answer
		}
		out.WriteString(line)
		var stdin strings.Builder
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "< ") {
			i++
			out.WriteString(lines[i])
			stdin.WriteString(lines[i][2:])
		}
		out.WriteString(answer(m.sh(t, strings.TrimSuffix(command, "\n"), stdin.String())))
	}
	return out.String()
}

// answer keeps lines of an answer from being taken for comments or nothing.
func answer(s string) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "$") || strings.TrimSpace(line) == "" {
			line = "|" + line
		}
		out.WriteString(line)
	}
	return out.String()
}
