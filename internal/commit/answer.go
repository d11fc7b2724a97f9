package commit

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answer is how the question to the admin ended.
type answer int

const (
	answerYes       answer = iota
	answerNo               // anything else was typed
	answerNone             // the time was over, or the input ended
	answerHangUp           // the terminal is gone
	answerStopped          // a signal asked the program to end
	answerElsewhere        // somebody else confirmed the change, or took it back
)

// endSignals ask the program to end; each one leads to a rollback.
var endSignals = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// heldSignals would stop or kill the program before it could roll back: a
// stopped program has no timer (^Z), and a closed pipe on stdout kills. They are
// caught and do nothing.
var heldSignals = []os.Signal{syscall.SIGTSTP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM}

// backgroundSignals come when a background job reads from its terminal, or writes
// to it. They are ignored, since the kernel tries what was interrupted by one that
// is caught again, and that without end.
var backgroundSignals = []os.Signal{syscall.SIGTTIN, syscall.SIGTTOU}

// watch collects signals from its beginning to its end, so that one that comes
// while the rules are being changed is not lost.
type watch struct {
	ended chan os.Signal
	held  chan os.Signal
	wake  [2]*os.File // a byte comes through when a signal did: reading end, writing end
	stop  chan struct{}
	done  chan struct{}
	first chan struct{} // closed at the first signal
	got   os.Signal     // that signal; to be read when first is closed
}

func newWatch() (*watch, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &watch{
		ended: make(chan os.Signal, 1), held: make(chan os.Signal, 1),
		wake: [2]*os.File{r, w}, stop: make(chan struct{}), done: make(chan struct{}), first: make(chan struct{}),
	}
	signal.Notify(s.ended, endSignals...)
	signal.Notify(s.held, heldSignals...)
	signal.Ignore(backgroundSignals...)
	go s.run()
	return s, nil
}

func (s *watch) run() {
	defer close(s.done)
	for {
		select {
		case <-s.held:
		case got := <-s.ended:
			if s.got == nil {
				s.got = got
				close(s.first)
				// One byte into an empty pipe cannot fail.
				_, _ = s.wake[1].Write([]byte{1})
			}
		case <-s.stop:
			return
		}
	}
}

// close ends the watch; signals do again what they did before.
func (s *watch) close() error {
	signal.Stop(s.ended)
	signal.Stop(s.held)
	signal.Reset(backgroundSignals...)
	close(s.stop)
	<-s.done
	return errors.Join(s.wake[0].Close(), s.wake[1].Close())
}

// ask waits for one key on in and says what it meant. y and Y are yes; all
// else, the end of the input and the end of the time are not. isSettled says
// that the question is answered elsewhere.
func (s *watch) ask(in *os.File, timeout time.Duration, isSettled func() bool) (answer, error) {
	restore, err := oneKeyMode(int(in.Fd()))
	if err != nil {
		return answerNone, err
	}
	a, err := s.poll(in, time.Now().Add(timeout), isSettled)
	return a, errors.Join(err, restore())
}

func (s *watch) poll(in *os.File, deadline time.Time, isSettled func() bool) (answer, error) {
	fds := []unix.PollFd{
		{Fd: int32(s.wake[0].Fd()), Events: unix.POLLIN},
		{Fd: int32(in.Fd()), Events: unix.POLLIN},
	}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return answerNone, nil
		}
		// Rounded up, so that the last millisecond is not spun through.
		n, err := unix.Poll(fds, int((min(left, waitTick)+time.Millisecond-1)/time.Millisecond))
		switch {
		case n == 0 && err == nil:
			if isSettled() {
				return answerElsewhere, nil
			}
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return answerNone, fmt.Errorf("waiting for the answer: %w", err)
		case fds[0].Revents != 0:
			return s.signalled(), nil
		case fds[1].Revents&unix.POLLIN != 0:
			return readKey(in), nil
		case fds[1].Revents != 0:
			return answerHangUp, nil
		}
	}
}

// signalled says what the signal meant that woke us.
func (s *watch) signalled() answer {
	<-s.first
	if s.got == syscall.SIGHUP {
		return answerHangUp
	}
	return answerStopped
}

// readKey reads one byte that is known to be there, or the end of the input.
func readKey(in *os.File) answer {
	key := make([]byte, 1)
	n, err := unix.Read(int(in.Fd()), key)
	switch {
	case err != nil: // EIO: the terminal hung up, or we are a background job
		return answerHangUp
	case n == 0:
		return answerNone
	case key[0] == 'y' || key[0] == 'Y':
		return answerYes
	}
	return answerNo
}

// oneKeyMode lets a terminal give each key at once, without Enter, and drops
// what was typed before the question. restore undoes it. Of what is no
// terminal it changes nothing. Source: termios(3).
func oneKeyMode(fd int) (restore func() error, err error) {
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if errors.Is(err, unix.ENOTTY) {
		return func() error { return nil }, nil
	}
	if err != nil {
		// The terminal hung up already; poll will say so.
		return func() error { return nil }, nil
	}
	now := *old
	now.Lflag &^= unix.ICANON
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &now); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return func() error {
		err := unix.IoctlSetTermios(fd, unix.TCSETS, old)
		if errors.Is(err, unix.EIO) { // it is gone and needs no settings
			return nil
		}
		return err
	}, nil
}
