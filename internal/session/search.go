package session

import (
	"bytes"
	"net/netip"
	"slices"
)

// finder looks for sessions in processes.
type finder struct {
	proc      string
	caller    int // the process that asks
	processes map[int]process
	looked    map[int]bool // processes whose sockets were looked at
	found     []Session
	own       []Session // from this host itself
	lost      bool      // see Find
	followed  map[netip.AddrPort]bool
	err       error
	sockets   sockets
	// buffer is where the kernel writes. There is one, since a page that was not
	// touched before costs as much as ten system calls.
	buffer []byte
}

func newFinder(c Caller) *finder {
	return &finder{proc: c.Proc, caller: c.PID, processes: map[int]process{}, looked: map[int]bool{}, followed: map[netip.AddrPort]bool{}, sockets: newSockets()}
}

// room gives the buffer.
func (f *finder) room() []byte {
	if f.buffer == nil {
		f.buffer = make([]byte, 4096)
	}
	return f.buffer
}

// maxDepth bounds walks up the tree of processes, which may change while they
// are under way.
const maxDepth = 512

// search looks at the ancestors of a process, then at its login, then at its input. guessed says
// that it found sessions of which the process may belong to any or none.
func (f *finder) search(pid int) (guessed bool) {
	detached, found := f.climb(pid, anyProcess)
	if found {
		return false
	}
	self, ok := f.process(pid)
	if !ok {
		return false
	}
	// The one that began the kernel's session has the terminal, also where the
	// processes between it and this one are gone.
	if _, seen := f.processes[self.session]; !seen && self.session > 0 {
		behind, found := f.climb(self.session, anyProcess)
		if found {
			return false
		}
		detached = detached || behind
	}
	if mark := f.login(pid); mark.isSet() && f.searchLogin(mark) {
		return false
	}
	if f.searchInput(pid) {
		return false
	}
	return detached && f.searchTerminals()
}

// anyProcess and terminalServer choose whose sockets count, by a process and
// the child of it that the walk comes from.
func anyProcess(process, process) bool { return true }

func terminalServer(p, child process) bool { return child.leads() || isServer(p.comm) }

// climb walks from a process up to the first ancestor that holds connections
// from elsewhere and takes all of those. detached says that a terminal
// multiplexer is among those that it met.
func (f *finder) climb(pid int, counts func(p, child process) bool) (detached, found bool) {
	var child process
	for range maxDepth {
		p, ok := f.process(pid)
		if !ok {
			break
		}
		if !isManager(p) && counts(p, child) && f.look(p, child.leads() || isServer(p.comm)) {
			return detached, true
		}
		detached = detached || isMultiplexer(p.comm)
		child, pid = p, p.parent
	}
	return detached, false
}

// look takes the sessions whose sockets a process holds and reports whether
// there are any, or whether it is known that there is none. terminal says that
// the process serves a terminal.
func (f *finder) look(p process, terminal bool) bool {
	if f.looked[p.pid] {
		return false
	}
	f.looked[p.pid] = true
	list, own := f.held(p, terminal)
	for _, s := range list {
		s.Live, s.Program, s.PID = true, p.comm, p.pid
		f.add(s)
	}
	isKnown := len(list) > 0
	if !isKnown {
		for _, e := range own {
			isKnown = f.follow(e) || isKnown
		}
	}
	return isKnown
}

// isManager reports whether a process starts all others and holds sockets for
// them, thousands perhaps, but none of a session.
func isManager(p process) bool {
	return p.comm == "systemd" || // also those of users
		p.pid == 1 && slices.Contains([]string{"init", "openrc-init", "runit", "s6-svscan", "dinit", "shepherd"}, p.comm)
}

// isServer reports whether a program lets people in from other hosts.
func isServer(comm string) bool {
	return slices.Contains([]string{
		"sshd", "sshd-session", "sshd-auth", "dropbear", "mosh-server", "telnetd", "in.telnetd",
	}, comm)
}

// isMultiplexer reports whether a program keeps terminals for those who attach
// to them, and is the parent of what runs there.
func isMultiplexer(comm string) bool {
	return slices.Contains([]string{"tmux: server", "screen", "SCREEN", "dtach", "abduco", "zellij"}, comm)
}

// mark is what the processes of one login have in common.
type mark struct {
	audit string // the audit session's number; "" for none
	scope string // systemd's unit, "session-3.scope"; "" for none
}

func (m mark) isSet() bool { return m.audit != "" || m.scope != "" }

func (m mark) shares(o mark) bool {
	return m.audit != "" && m.audit == o.audit || m.scope != "" && m.scope == o.scope
}

// noAuditSession is AUDIT_SID_UNSET of linux/audit.h.
const noAuditSession = "4294967295"

// login reads the mark of a process, see proc_pid_sessionid(5) and cgroups(7).
func (f *finder) login(pid int) (m mark) {
	if m.audit = string(bytes.TrimSpace(f.read(pid, "sessionid"))); m.audit == noAuditSession {
		m.audit = ""
	}
	for path := range bytes.FieldsFuncSeq(f.read(pid, "cgroup"), func(r rune) bool { return r == '/' || r == '\n' }) {
		if bytes.HasPrefix(path, []byte("session-")) && bytes.HasSuffix(path, []byte(".scope")) {
			m.scope = string(path)
		}
	}
	return m
}

// searchLogin looks at the ancestors of all processes with a mark. A server of
// another kind that somebody started from there has no part in it.
func (f *finder) searchLogin(m mark) bool {
	for _, pid := range f.all() {
		if m.shares(f.login(pid)) {
			f.climb(pid, terminalServer)
		}
	}
	return len(f.found) > 0
}

// searchTerminals takes the sessions of everybody who works in a terminal on
// this host: who of them is attached to a multiplexer only that one knows.
func (f *finder) searchTerminals() bool {
	for _, pid := range f.all() {
		if p, ok := f.process(pid); ok && (p.leads() || isServer(p.comm)) {
			f.climb(pid, terminalServer)
		}
	}
	return len(f.found) > 0
}
