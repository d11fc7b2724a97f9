package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// severity is a syslog severity. Source: RFC 5424, section 6.2.1.
type severity int

const (
	severityError   severity = 3
	severityWarning severity = 4
)

// facilityDaemon is syslog's facility "system daemons". Source: RFC 5424, 6.2.1.
const facilityDaemon = 3

// reporter tells the admin: each line goes to stderr, which under systemd is
// the journal, and lines of trouble also to the log socket, unless stderr is
// the journal already.
type reporter struct {
	program string
	stderr  io.Writer
	socket  string // path of the log socket; "" when stderr is the journal
	now     func() time.Time
}

// info is for what went well.
func (r *reporter) info(format string, args ...any) {
	r.print(fmt.Sprintf(format, args...))
}

func (r *reporter) warn(format string, args ...any) {
	r.trouble(severityWarning, fmt.Sprintf(format, args...))
}

func (r *reporter) fail(format string, args ...any) {
	r.trouble(severityError, fmt.Sprintf(format, args...))
}

func (r *reporter) trouble(s severity, text string) {
	r.print(text)
	if r.socket == "" {
		return
	}
	for line := range strings.Lines(text) {
		// A host without a log daemon (early boot, a container) has no
		// socket; stderr carries the line then.
		if err := r.send(s, strings.TrimRight(line, "\n")); err != nil {
			if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
				r.print(fmt.Sprintf("not logged to %s: %v", r.socket, err))
			}
			return
		}
	}
}

// print writes each line with the program's name before it. A failing stderr
// cannot be reported anywhere.
func (r *reporter) print(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(r.stderr, "%s: %s\n", r.program, strings.TrimRight(line, "\n"))
	}
}

// send hands one line to the log daemon in the form that syslog(3) of the C
// library writes: priority, local time, tag with process id.
func (r *reporter) send(s severity, line string) error {
	// Not blocking: a stuck daemon must not stop the boot.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("<%d>%s %s[%d]: %s", facilityDaemon<<3|int(s), r.now().Format(time.Stamp), r.program, os.Getpid(), line)
	err = syscall.Sendto(fd, []byte(text), 0, &syscall.SockaddrUnix{Name: r.socket})
	return errors.Join(err, syscall.Close(fd))
}

// isJournal says if w is the stream that systemd connected to the journal:
// JOURNAL_STREAM holds device and inode of it. Source: systemd.exec(5).
func isJournal(w io.Writer, environ []string) bool {
	stream, isSet := lookupEnv(environ, "JOURNAL_STREAM")
	f, isFile := w.(*os.File)
	if !isSet || !isFile {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, isUnix := info.Sys().(*syscall.Stat_t)
	return isUnix && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
