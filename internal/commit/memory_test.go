package commit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moat/internal/persist"
	"moat/internal/rule"
)

// memory is a firewall that is only text: what restores make of the tables.
type memory struct {
	mu     sync.Mutex
	tables map[rule.Family][]*savedTable
	refuse string // a restore of text with this in it fails
}

func newMemory(v4, v6 string) *memory {
	return &memory{tables: map[rule.Family][]*savedTable{rule.IPv4: parseSaved([]byte(v4)), rule.IPv6: parseSaved([]byte(v6))}}
}

func (m *memory) text(f rule.Family) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(savedText(m.tables[f], true))
}

func (m *memory) Save(f rule.Family, w io.Writer, counters bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := w.Write(savedText(m.tables[f], counters))
	return err
}

func (m *memory) Restore(f rule.Family, name string, r io.Reader, o persist.RestoreOptions) error {
	text, err := io.ReadAll(r)
	if err == nil {
		err = m.Check(f, name, bytes.NewReader(text))
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range parseSaved(text) {
		if !o.Counters {
			t = parseSaved(t.appendTo(nil, false))[0]
		}
		for _, c := range t.chains {
			for i := range c.rules {
				if c.rules[i].counters == "" {
					c.rules[i].counters = "[0:0]"
				}
			}
		}
		m.tables[f] = slices.DeleteFunc(m.tables[f], func(o *savedTable) bool { return o.name == t.name })
		m.tables[f] = append(m.tables[f], t)
	}
	return nil
}

func (m *memory) Check(_ rule.Family, name string, r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil && m.refuse != "" && strings.Contains(string(text), m.refuse) {
		err = fmt.Errorf("%s: %w", name, errFault)
	}
	return errors.Join(err, wellFormed(text))
}

func (m *memory) Judge(f rule.Family, name string, r io.Reader, _ persist.RestoreOptions) error {
	return m.Check(f, name, r)
}

func (m *memory) Flush(f rule.Family) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tables[f] = nil
	return nil
}

// wellFormed refuses what a kernel would: chains twice, and jumps to none. In
// these tests chains have lower-case names, and targets others.
func wellFormed(text []byte) error {
	for _, t := range parseSaved(text) {
		for i, c := range t.chains {
			if slices.ContainsFunc(t.chains[:i], func(o *savedChain) bool { return o.name == c.name }) {
				return fmt.Errorf("chain %s of %s is there twice", c.name, t.name)
			}
			for _, r := range c.rules {
				if to := r.jumpTarget(); to != "" && strings.ToLower(to) == to && t.chain(to) == nil {
					return fmt.Errorf("table %s: -A %s %s: there is no such chain", t.name, c.name, r.spec)
				}
			}
		}
	}
	return nil
}

const (
	before4 = "*filter\n:INPUT ACCEPT [1:60]\n[7:700] -A INPUT -s 10.1.1.1/32 -j DROP\nCOMMIT\n"
	before6 = "*filter\n:INPUT ACCEPT [2:120]\n[8:800] -A INPUT -s fc00::1/128 -j DROP\nCOMMIT\n"
	after4  = "*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n-A INPUT -j mine\n-A mine -s 10.2.2.2/32 -j ACCEPT\nCOMMIT\n"
	after6  = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s fc00::2/128 -j ACCEPT\nCOMMIT\n"
)

// world is a machine without a kernel: rules in memory, a clock that stands, and
// no watchdog.
type world struct {
	t    *testing.T
	fw   *memory
	env  Env
	out  bytes.Buffer
	time time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, fw: newMemory(before4, before6), time: time.Hour}
	w.env = Env{
		Root: t.TempDir(), Stdout: &w.out, Stderr: &w.out, Firewall: w.fw, boot: "this boot", network: 1,
		clock: func() time.Duration { return w.time }, Who: Who{User: "root"},
		Existing: func() ([]Connection, error) { return nil, nil },
	}
	return w
}

// change is the change of these tests.
func change(save bool) Change {
	return Change{Within: time.Minute, Save: save, Files: []File{
		{Family: rule.IPv4, Name: "rules.v4", Text: []byte(after4)}, {Family: rule.IPv6, Name: "rules.v6", Text: []byte(after6)},
	}}
}

// apply makes the change; the waiting process is hung up at once.
func (w *world) apply(c Change) int {
	hungUp := &watch{first: make(chan struct{}), got: syscall.SIGHUP}
	close(hungUp.first)
	return w.env.ready().apply(c, hungUp)
}

// killed is what a test throws to end a program where it stands.
type killed struct{}

// dieAt runs f until it reaches a moment; reached says if it did. What the
// kernel does for a dead process is done: its locks go.
func (w *world) dieAt(s step, f func()) (reached bool) {
	w.t.Helper()
	w.env.after = func(now step) {
		if now == s {
			panic(killed{})
		}
	}
	defer func() {
		w.env.after = nil
		if got := recover(); got != nil {
			if _, meant := got.(killed); !meant {
				panic(got)
			}
			reached = true
			w.unlockAll()
		}
	}()
	f()
	return false
}

func (w *world) unlockAll() {
	w.t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, w.env.Root) {
			var fd int
			if _, err := fmt.Sscanf(filepath.Base(link), "%d", &fd); err != nil {
				w.t.Fatal(err)
			}
			if err := syscall.Flock(fd, syscall.LOCK_UN); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) isOld() bool {
	return w.fw.text(rule.IPv4) == before4 && w.fw.text(rule.IPv6) == before6
}

func (w *world) isNew() bool {
	return strings.Contains(w.fw.text(rule.IPv4), "10.2.2.2") && strings.Contains(w.fw.text(rule.IPv6), "fc00::2")
}

// savedForBoot counts the boot files.
func (w *world) savedForBoot() (n int) {
	for _, name := range []string{"rules.v4", "rules.v6"} {
		if text, err := os.ReadFile(w.env.Root + "/etc/iptables/" + name); err == nil && strings.Contains(string(text), "2 -j ACCEPT\n") || err == nil && strings.Contains(string(text), "/128 -j ACCEPT") {
			n++
		}
	}
	return n
}
