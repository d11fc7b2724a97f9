package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNotPermitted says that this process may not make namespaces, and neither
// may it become root of a user namespace.
var ErrNotPermitted = errors.New("no rights to make network namespaces: needs root, or a kernel that gives user namespaces to everyone")

// Environment variables of the lab's own processes.
const (
	// envInner is set in the process that Enter has started.
	envInner = "MOAT_LAB_INNER"
	// envUserNS, when not empty, makes Enter take a user namespace even as root.
	envUserNS = "MOAT_LAB_USERNS"
)

// Main runs a package's tests where they can make labs: here when this
// process may, otherwise in a copy of it inside a user namespace. It gives
// the exit code. m is a *testing.M.
func Main(m interface{ Run() int }) int {
	code, done, err := Enter()
	if err != nil {
		// The tests run and the labs in them are skipped with this reason.
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
	}
	if done {
		return code
	}
	return m.Run()
}

// Enter makes sure that this process can make labs. When it cannot by itself,
// it runs the same program with the same arguments as root of a new user
// namespace, waits for it, and gives its exit code with done set: the caller
// then has nothing left to do but exit with that code.
func Enter() (code int, done bool, err error) {
	if os.Getenv(envInner) != "" {
		return 0, false, settleInside()
	}
	forced := os.Getenv(envUserNS) != ""
	if !forced && canUnshare() == nil {
		return 0, false, nil
	}
	code, err = runInUserNamespace()
	return code, err == nil, err
}

// canUnshare tries to make a network namespace, on a thread that comes back.
func canUnshare() error {
	ns, err := newNamespace()
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNotPermitted, err)
	}
	return ns.Close()
}

// settleInside makes the first namespace of the copy usable: packages that
// try what the host can do (net does, once) find a loopback interface.
func settleInside() error {
	if err := setSysctls(quiet); err != nil {
		return err
	}
	return linkUp("lo")
}

// runInUserNamespace runs this program again, as root of a user namespace in
// which only the present user and group exist. A Go process cannot do that to
// itself, since it has threads.
func runInUserNamespace() (code int, err error) {
	runtime.LockOSThread() // Pdeathsig follows the thread, not the process
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envInner+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w (%w)", ErrNotPermitted, err)
	}
	stop := passSignals(cmd.Process)
	defer stop()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 0, err
	}
	return exitCode(cmd.ProcessState), nil
}

// passSignals hands on what asks this process to end. The terminal sends its
// own to the whole group, the copy included, so that those are only ignored.
func passSignals(p *os.Process) (stop func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range c {
			if s == unix.SIGTERM || s == unix.SIGHUP {
				// The process may have ended meanwhile: then there is nothing to tell.
				_ = p.Signal(s)
			}
		}
	}()
	return func() { signal.Stop(c); close(c); <-done }
}

// exitCode gives what a shell would: 128 and the signal's number for a
// process that was killed.
func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}
