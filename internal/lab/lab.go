package lab

import (
	"errors"
	"fmt"
	"sync"
)

// TB is what a lab needs of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Lab is a set of hosts that are closed together. Its methods may be called
// from several goroutines.
type Lab struct {
	tb TB // nil outside tests

	mu     sync.Mutex
	hosts  []*Host
	closed bool
}

// Begin gives an empty lab that the caller must Close. The error is
// ErrNotPermitted when neither root nor a user namespace allows one.
func Begin() (*Lab, error) {
	if err := canUnshare(); err != nil {
		return nil, err
	}
	return &Lab{}, nil
}

// New gives an empty lab for a test and closes it when the test ends. Where
// the kernel allows no namespaces the test is skipped with that reason.
func New(tb TB) *Lab {
	tb.Helper()
	l, err := Begin()
	if errors.Is(err, ErrNotPermitted) {
		tb.Skipf("%v", err)
	}
	if err != nil {
		tb.Fatalf("lab: %v", err)
	}
	l.tb = tb
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Errorf("close the lab: %v", err)
		}
	})
	return l
}

// Netns gives a test one host with nothing but lo, up and with 127.0.0.1 and
// ::1.
func Netns(tb TB) *Host {
	tb.Helper()
	h, err := New(tb).Host("host")
	if err != nil {
		tb.Fatalf("lab: %v", err)
	}
	return h
}

// Close ends all that runs on the hosts (servers, connections, children) and
// gives their namespaces back. A second Close does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	hosts := l.hosts
	l.hosts, l.closed = nil, true
	l.mu.Unlock()
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// Host adds a host with lo up and no other interface.
func (l *Lab) Host(name string) (*Host, error) {
	h, err := newHost(l, name)
	if err != nil {
		return nil, l.failed(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.Join(l.failed(errors.New("the lab is closed")), h.close())
	}
	l.hosts = append(l.hosts, h)
	return h, nil
}

// failed gives err to the test, if there is one, or back to the caller.
func (l *Lab) failed(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("lab: %w", err)
	if l.tb != nil {
		l.tb.Helper()
		l.tb.Fatalf("%v", err)
	}
	return err
}
