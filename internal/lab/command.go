package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cmd is a child process on a host. It is an exec.Cmd whose Start, Run, Wait,
// Output and CombinedOutput are the lab's: the child runs in the host's
// network namespace, sees Mounts in a mount namespace of its own, and dies
// with the lab or with this process. The program is looked up in the PATH of
// Env, if Env has one.
type Cmd struct {
	*exec.Cmd
	Mounts []Mount

	host *Host
	name string
	done chan error // one value: what Wait gave
}

// Command prepares a child process.
func (h *Host) Command(name string, args ...string) *Cmd {
	return h.CommandContext(context.Background(), name, args...)
}

// CommandContext prepares a child process that is killed when ctx ends.
func (h *Host) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return &Cmd{Cmd: c, host: h, name: name}
}

// Start starts the child.
func (c *Cmd) Start() error {
	if c.done != nil {
		return errors.New("lab: command already started")
	}
	if err := c.findProgram(); err != nil {
		return err
	}
	c.done = make(chan error, 1)
	started := make(chan error)
	onOwnThread(func() { c.live(started) })
	return <-started
}

// live starts the child and waits for it on one thread, since the child is
// killed when the thread that made it ends.
func (c *Cmd) live(started chan<- error) {
	err := enter(c.host.ns, syscall.CLONE_NEWNET)
	if err == nil && len(c.Mounts) > 0 {
		err = privateMounts(c.Mounts)
	}
	if err == nil {
		err = c.Cmd.Start()
	}
	if err == nil {
		err = c.host.keep(c)
	}
	if err != nil && c.Process != nil {
		err = errors.Join(err, c.Process.Kill(), c.Cmd.Wait())
	}
	started <- err
	if err == nil {
		c.done <- c.Cmd.Wait()
	}
}

// onOwnThread runs f in the background on a thread that ends with it and may
// therefore be put into any namespace. The process's first thread, which can
// not end, is left out: while it is held here, f runs on another.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			f()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}

// Wait waits for the child to end; call it once.
func (c *Cmd) Wait() error {
	err := <-c.done
	c.host.forget(c)
	return err
}

// Run starts the child and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the child and gives its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the child and gives its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Close kills the child; its Wait returns then. The lab calls it for children
// that still run.
func (c *Cmd) Close() error {
	if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// findProgram looks the program up in the child's own PATH.
func (c *Cmd) findProgram() error {
	path, ok := lookupEnv(c.Env, "PATH")
	if !ok || strings.Contains(c.name, "/") {
		return nil // exec.Command has done it
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, c.name)
		if s, err := os.Stat(file); err == nil && s.Mode().IsRegular() && s.Mode()&0o111 != 0 {
			c.Path, c.Err = file, nil
			return nil
		}
	}
	return fmt.Errorf("%s: %w in %s", c.name, exec.ErrNotFound, path)
}

// lookupEnv gives the last value of a variable, which is the one that counts.
func lookupEnv(env []string, name string) (value string, ok bool) {
	for _, e := range env {
		if v, is := strings.CutPrefix(e, name+"="); is {
			value, ok = v, true
		}
	}
	return value, ok
}

// Output is what a child left: its text and exit code (128 and the signal's
// number when it was killed).
type Output struct {
	Stdout, Stderr string
	Code           int
}

// Run runs a program on the host. An exit code other than 0 is no error; the
// error says that the program could not be run.
func (h *Host) Run(ctx context.Context, name string, args ...string) (Output, error) {
	return h.CommandContext(ctx, name, args...).Finish()
}

// RunShell runs a script with sh -e on the host.
func (h *Host) RunShell(script string) (Output, error) {
	return h.Run(context.Background(), "sh", "-ec", script)
}

// Sh runs a script as RunShell and gives its output; when it does not exit
// with 0, that is an error (in a test: it fails) that shows the output.
func (h *Host) Sh(script string) (string, error) {
	out, err := h.RunShell(script)
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if err != nil {
		return out.Stdout, h.lab.failed(fmt.Errorf("%s: %s: %w", h.Name, script, err))
	}
	return out.Stdout, nil
}

// Finish runs the child and gives what it left. Stdout and Stderr must not be
// set.
func (c *Cmd) Finish() (Output, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	out := Output{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) {
		out.Code = exitCode(c.ProcessState)
		return out, nil
	}
	return out, c.host.lab.failed(fmt.Errorf("%s: run %s: %w", c.host.Name, c.name, err))
}
