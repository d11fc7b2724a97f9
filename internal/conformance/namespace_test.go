package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// namespace is a network namespace of its own, held by one locked thread that runs what it is given.
type namespace struct {
	work chan func()
}

// newNamespace makes an empty network namespace that lasts as long as the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the namespace with the thread.
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			ready <- fmt.Errorf("no network namespace (the tests need root, or a user namespace): %w", err)
			return
		}
		ready <- nil
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.work) })
	return n
}

// do runs f in the namespace and waits for it.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// result is what one command answered.
type result struct {
	exit           int // negative: the signal that ended it
	stdout, stderr string
}

// commandTime is how long a command may take. The slowest, names that no resolver answers, take far less.
const commandTime = 2 * time.Minute

// run executes argv in the namespace. argv[0] is the name the program is told, path the file that is executed.
func (n *namespace) run(path string, argv []string, stdin string) result {
	var r result
	n.do(func() { r = execute(&exec.Cmd{Path: path, Args: argv}, stdin) })
	return r
}

// execute runs a prepared command from the calling thread, hence in its namespace, in the C locale.
func execute(cmd *exec.Cmd, stdin string) result {
	var out, errout bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errout
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/"}
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if err := cmd.Start(); err != nil {
		return result{exit: 127, stderr: err.Error()}
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Signal(os.Kill) })
	defer stop()
	err := cmd.Wait()
	r := result{stdout: out.String(), stderr: errout.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		r.exit = -int(exit.Sys().(syscall.WaitStatus).Signal())
	case errors.As(err, &exit):
		r.exit = exit.ExitCode()
	case err != nil:
		r.exit, r.stderr = 127, err.Error()
	}
	return r
}
