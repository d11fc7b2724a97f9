package commit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// watchdogTick is how often the watchdog looks if the change was confirmed.
	watchdogTick = 200 * time.Millisecond
	// watchdogGrace is how much later than the deadline the watchdog acts, so that
	// the waiting process, if it lives, does it and tells.
	watchdogGrace = 300 * time.Millisecond
	// watchdogStart is how long the watchdog may take to begin its watch.
	watchdogStart = 30 * time.Second
	// watchdogLate is how much later nobody believes any more that it acts: it is
	// stopped, or the kernel refuses it.
	watchdogLate = 10 * time.Second
	// watchdogTries is how often a rollback that fails is tried again at once; from
	// then on watchdogPause is between two tries.
	watchdogTries = 30
	watchdogPause = 10 * time.Second
)

// Detached is the argument that tells a watchdog that standard output is the
// pipe on which who started it waits.
const Detached = "--detached"

// watching is what the watchdog says once it watches. Another program that was
// started in its place does not.
const watching = "watching\n"

var errNoWatchdog = errors.New("that is no watchdog")

// startWatchdog starts a process that outlives this one, its session and its
// terminal, and waits until it watches.
func (e *Env) startWatchdog() (*os.Process, error) {
	if len(e.Watchdog) == 0 {
		return nil, nil
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append(append([]string{}, e.Watchdog...), Detached)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.Stdout = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return nil, err
	}
	if err := ready.SetReadDeadline(time.Now().Add(watchdogStart)); err != nil {
		return nil, err
	}
	word := make([]byte, len(watching))
	if _, err := io.ReadFull(ready, word); err != nil || string(word) != watching {
		return nil, errors.Join(fmt.Errorf("it says %q: %w", word, cmp.Or(err, errNoWatchdog)), cmd.Process.Kill(), cmd.Wait())
	}
	return cmd.Process, nil
}

// Watchdog waits until the pending change is confirmed or taken back, and takes
// it back when its time is over. One of several watches; the others stand by and
// go on should it be killed. It gives the exit code: 0 when nothing is pending.
func Watchdog(env Env, detached bool) int {
	e := env.ready()
	// The terminal and the pipe of who started it may go; a request to end, as at
	// a shutdown, is answered below by taking the change back at once.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT, syscall.SIGQUIT)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	defer signal.Stop(stop)
	if detached {
		// It was started as /proc/self/exe, which tells ps nothing. Only a name:
		// that it stays "exe" harms nobody.
		_ = os.WriteFile("/proc/self/comm", []byte("moat-watchdog"), 0)
	}
	err := e.watch(detached, stop)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNothingPending) {
		return 0
	}
	if err != nil {
		e.complain("%v", err)
		return 1
	}
	return 0
}

// watch watches over the pending change, or stands by until the one that does is
// gone.
func (e *Env) watch(detached bool, stop <-chan os.Signal) error {
	f, err := openToLock(filepath.Join(e.Root+pendingDir, watchdogFile))
	if err != nil {
		return err
	}
	defer f.Close()
	isOurs, err := tryLock(f, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	if detached { // somebody watches: this one or the unit's
		if err := leaveCaller(); err != nil {
			return err
		}
	}
	for !isOurs {
		select {
		case <-stop:
			return nil // the other goes on
		case <-time.After(watchdogTick):
		}
		if isOurs, err = tryLock(f, syscall.LOCK_EX); err != nil {
			return err
		}
	}
	return e.watchOver(stop)
}

// tryLock says if the lock is ours now.
func tryLock(f *os.File, how int) (bool, error) {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return true, nil
}

// isWatched says if a watchdog is there.
func (e *Env) isWatched() (bool, error) {
	f, err := openToLock(filepath.Join(e.Root+pendingDir, watchdogFile))
	if err != nil {
		return false, err
	}
	isFree, err := tryLock(f, syscall.LOCK_SH)
	return !isFree, errors.Join(err, f.Close())
}

// leaveCaller tells who started it that the watch has begun, and lets go of the pipe.
func leaveCaller() error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if _, err := os.Stdout.WriteString(watching); err != nil {
		return fmt.Errorf("nobody waits for the watchdog: %w", err)
	}
	return unix.Dup3(int(null.Fd()), int(os.Stdout.Fd()), 0)
}

// watchOver is the watch. It ends with the pending change.
func (e *Env) watchOver(stop <-chan os.Signal) error {
	var known *pending // the change that it is about, as last read
	stopped := false
	begun, pause := time.Now(), watchdogTick
	for tries := 0; ; {
		p, err := e.open(pendingDir)
		if errors.Is(err, errNothingPending) || err == nil && known != nil && p.ID != known.ID {
			return e.tell(known)
		}
		if isDamaged(err) && known != nil {
			p, err = known, nil
		}
		if err == nil {
			known = p
			err = e.watchOnce(p, stopped)
		}
		if errors.Is(err, errLocked) && known.state == statePrepared && time.Since(begun) > known.Within+stoppedGrace {
			err = errors.Join(err, known.Maker.endIfStopped())
		}
		if err != nil && !errors.Is(err, errLocked) {
			if tries++; tries == 1 {
				e.complain("%v", err)
			}
		}
		needsHelp := tries >= watchdogTries || err == nil && p.isBack
		if needsHelp {
			pause = watchdogPause
		}
		select {
		case <-stop:
			if needsHelp {
				return err // one more try would not change that
			}
			stopped = true
		case <-e.pause(pause):
		}
	}
}

// watchOnce does what is due, in the network namespace that was changed: this
// one, or that of a process there. With no process and no name left the
// namespace is gone, and its rules with it.
func (e *Env) watchOnce(p *pending, stopped bool) error {
	here, err := e.namespace()
	if err != nil {
		return err
	}
	boot, err := e.bootID()
	if err != nil {
		return err
	}
	if here != p.Namespace && boot == p.Boot { // of another boot the number means nothing
		path := findNamespace(p.Namespace)
		if path == "" {
			return e.settleUnderLock(p, stateRolledBack, ending{Ended: endedNamespace})
		}
		runtime.LockOSThread() // for good: this process has nothing else to do
		if err := setNamespace(path); err != nil {
			return err
		}
	}
	return e.tend(p, watchdogGrace, stopped)
}

// findNamespace gives a path by which a network namespace can be entered; "" if
// none is found.
func findNamespace(number uint64) string {
	for _, pattern := range [...]string{"/run/netns/*", "/proc/[0-9]*/ns/net"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, path := range paths {
			if n, err := namespaceOf(path); err == nil && n == number {
				return path
			}
		}
	}
	return ""
}

func setNamespace(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Setns(int(f.Fd()), unix.CLONE_NEWNET), f.Close())
}

// settleUnderLock decides the outcome of a change that has no rules any more.
func (e *Env) settleUnderLock(p *pending, s state, n ending) error {
	lock, err := e.lock(0)
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := e.open(pendingDir)
	if errors.Is(err, errNothingPending) || err == nil && now.ID != p.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return e.settle(now, s, n)
}
