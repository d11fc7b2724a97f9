package persist

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"moat/internal/syslog"
)

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
	r.trouble(syslog.Warning, fmt.Sprintf(format, args...))
}

func (r *reporter) fail(format string, args ...any) {
	r.trouble(syslog.Error, fmt.Sprintf(format, args...))
}

func (r *reporter) trouble(s syslog.Severity, text string) {
	r.print(text)
	if r.socket == "" {
		return
	}
	for line := range strings.Lines(text) {
		// A host without a log daemon (early boot, a container) has no
		// socket; stderr carries the line then.
		l := syslog.Line{Facility: syslog.Daemon, Severity: s, Tag: r.program, Text: strings.TrimRight(line, "\n")}
		if err := syslog.Send(r.socket, r.now(), l); err != nil {
			if !syslog.Nobody(err) {
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
