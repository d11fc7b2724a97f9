package commit

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/packet"
	"moat/internal/persist"
	"moat/internal/rule"
)

// Firewall is what this package needs of the kernel.
type Firewall interface {
	persist.Firewall
	// Judge says whether Restore would be made: not if the text is wrong, and not
	// if a guard refuses. Nothing is changed.
	Judge(f rule.Family, name string, r io.Reader, o persist.RestoreOptions) error
}

// WayBack is a firewall on which old rules are put back.
type WayBack interface {
	persist.Firewall
	// Remake makes what of gives for the present rules (in save format, with
	// counters) their new state, counters included. No other writer comes between:
	// of may be called again. An empty text changes nothing.
	Remake(f rule.Family, name string, of func(now []byte) []byte) error
}

// plainWay is the way back of a firewall that knows only to save and to restore.
type plainWay struct{ persist.Firewall }

// Remake saves and restores; who writes between is not seen.
func (w plainWay) Remake(f rule.Family, name string, of func(now []byte) []byte) error {
	var now bytes.Buffer
	if err := w.Save(f, &now, true); err != nil {
		return &unreadable{f, err}
	}
	text := of(now.Bytes())
	if len(text) == 0 {
		return nil
	}
	return w.Restore(f, name, bytes.NewReader(text), persist.RestoreOptions{Counters: true})
}

// Env is the world that the programs of this package see.
type Env struct {
	Root    string   // put before the folders of state and boot files: "" is the machine
	Environ []string // for the command of iptables-apply -c
	Version string   // of Moat
	Stdin   *os.File // where iptables-apply's answer comes from: a terminal or a pipe
	Stdout  io.Writer
	Stderr  io.Writer

	Firewall Firewall // makes the change, past the guard
	WayBack  WayBack  // puts the old rules back and asks nobody; nil is Firewall
	Who      Who
	// Existing lists the connections that are established now: of a change's time,
	// it tells old sessions from new ones. nil: nobody can tell.
	Existing func() ([]Connection, error)
	// Watchdog are argv[0] and the arguments with which this binary becomes the
	// watchdog.
	Watchdog []string

	after   func(step)           // called after each moment; nil in production
	clock   func() time.Duration // CLOCK_BOOTTIME; nil is the machine's
	boot    string               // the boot's id; "" is the machine's
	network uint64               // the network namespace; 0 is that of this thread
	// pause is time.After for the watchdog; nil is that.
	pause func(time.Duration) <-chan time.Time
}

// Who is who asked for something, for people to read, and the connections by
// which they work here: none on a console.
type Who struct {
	User     string       `json:"user"`
	SudoUser string       `json:"sudo_user,omitempty"`
	Terminal string       `json:"terminal,omitempty"`
	Sessions []Connection `json:"sessions,omitempty"`
	Unknown  bool         `json:"unknown,omitempty"` // there may be sessions; nobody can tell
}

// String is "root (sudo by alice) on pts/3, 203.0.113.7:50522 -> 198.51.100.2:22 tcp".
func (w Who) String() string {
	var b strings.Builder
	b.WriteString(w.User)
	if w.SudoUser != "" {
		b.WriteString(" (sudo by " + w.SudoUser + ")")
	}
	if w.Terminal != "" {
		b.WriteString(" on " + w.Terminal)
	}
	for _, s := range w.Sessions {
		b.WriteString(", " + s.String())
	}
	return b.String()
}

// Connection is one by which somebody may work on this host.
type Connection struct {
	Proto  uint8          `json:"proto"`
	Client netip.AddrPort `json:"client"`
	Server netip.AddrPort `json:"server"`
	// Gone says that the connection is not there any more (a session of tmux or
	// mosh outlives it), so that nobody can tell when it began.
	Gone bool `json:"gone,omitempty"`
	// PID is the process that serves it here; 0 if that is not known.
	PID int `json:"-"`
}

// String is "203.0.113.7:50522 -> 198.51.100.2:22 tcp".
func (c Connection) String() string {
	proto := "tcp"
	if c.Proto == packet.ProtoUDP {
		proto = "udp"
	}
	return fmt.Sprintf("%s -> %s %s", c.Client, c.Server, proto)
}

// same compares the ends of two connections.
func (c Connection) same(o Connection) bool {
	return c.Proto == o.Proto && c.Client == o.Client && c.Server == o.Server
}

func (e *Env) say(format string, args ...any) { fmt.Fprintf(e.Stdout, format+"\n", args...) }

// complain prints trouble; what the guard says speaks for itself.
func (e *Env) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(text, "moat: ") {
		text = "moat: " + text
	}
	fmt.Fprintln(e.Stderr, text)
}

func (e *Env) reached(s step) {
	if e.after != nil {
		e.after(s)
	}
}

// now is the time since the boot, which no one can set and which runs on while
// the machine sleeps.
func (e *Env) now() (time.Duration, error) {
	if e.clock != nil {
		return e.clock(), nil
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("time since the boot: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// bootID tells this boot from all others.
func (e *Env) bootID() (string, error) {
	if e.boot != "" {
		return e.boot, nil
	}
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// namespace is the number of the network namespace that this thread is in.
func (e *Env) namespace() (uint64, error) {
	if e.network != 0 {
		return e.network, nil
	}
	return namespaceOf("/proc/thread-self/ns/net")
}

func namespaceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// ready fills in what may be left out.
func (e Env) ready() *Env {
	if e.WayBack == nil {
		e.WayBack = plainWay{e.Firewall}
	}
	if e.pause == nil {
		e.pause = time.After
	}
	return &e
}
