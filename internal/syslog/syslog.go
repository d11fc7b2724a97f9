// Package syslog hands lines to the host's log daemon, or to the systemd journal
// in its place, by the socket /dev/log. It waits for nobody: a daemon that is
// stuck must not stop a boot or a change of the firewall.
package syslog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Socket is where a log daemon listens.
const Socket = "/dev/log"

// Severity is a syslog severity. Source: RFC 5424, section 6.2.1.
type Severity int

// The severities that are used.
const (
	Error   Severity = 3
	Warning Severity = 4
	Notice  Severity = 5
)

// Facility is a syslog facility. Source: RFC 5424, section 6.2.1.
type Facility int

// The facilities that are used.
const (
	Daemon Facility = 3  // system daemons
	Auth   Facility = 10 // security messages
)

// Line is one line for the log.
type Line struct {
	Facility Facility
	Severity Severity
	Tag      string // the program's name
	Text     string
}

// Send writes a line to the socket at path in the form that syslog(3) of the C
// library has: priority, local time, tag with process id.
func Send(path string, now time.Time, l Line) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("<%d>%s %s[%d]: %s", int(l.Facility)<<3|int(l.Severity), now.Format(time.Stamp), l.Tag, os.Getpid(), l.Text)
	err = syscall.Sendto(fd, []byte(text), 0, &syscall.SockaddrUnix{Name: path})
	return errors.Join(err, syscall.Close(fd))
}

// Nobody reports whether an error of Send only says that no daemon listens, as
// early in a boot or in a container.
func Nobody(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
