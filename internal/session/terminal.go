package session

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// searchInput looks at who is at the other end of the standard input of a process
// and of its ancestors, or shares it: systemd-run and machinectl shell let the
// first process start what then is in no login of theirs, but have its terminal
// or gave it their own input.
func (f *finder) searchInput(pid int) bool {
	inputs := f.inputs(pid)
	if len(inputs) == 0 {
		return false
	}
	for _, other := range f.all() {
		shared, err := os.Readlink(f.path(other, "fd/0"))
		if err == nil && slices.Contains(inputs, shared) || f.serves(other, inputs) {
			f.climb(other, terminalServer)
		}
	}
	return len(f.found) > 0
}

// inputs gives the terminals that a process and its ancestors read, and the pipe
// or socket with which the first process was asked to start the oldest of them.
// Others' pipes tell nothing: daemons write rules into one by the thousand.
func (f *finder) inputs(pid int) (list []string) {
	for range maxDepth {
		p, ok := f.process(pid)
		if !ok || isManager(p) {
			break
		}
		parent, _ := f.process(p.parent)
		var buffer [64]byte // of longer names, which are files, the beginning
		n, _ := unix.Readlinkat(unix.AT_FDCWD, f.path(pid, "fd/0"), buffer[:])
		input := buffer[:max(n, 0)]
		isGiven := isManager(parent) && (bytes.HasPrefix(input, []byte("socket:[")) || bytes.HasPrefix(input, []byte("pipe:[")))
		if (isGiven || bytes.HasPrefix(input, []byte(terminals))) && !slices.Contains(list, string(input)) {
			list = append(list, string(input))
		}
		pid = p.parent
	}
	return list
}

// terminals is where those of sshd and others are.
const terminals = "/dev/pts/"

// serves reports whether a process has the other end of one of the terminals, see
// proc_pid_fdinfo(5).
func (f *finder) serves(pid int, inputs []string) bool {
	if !slices.ContainsFunc(inputs, func(s string) bool { return strings.HasPrefix(s, terminals) }) {
		return false
	}
	entries, err := os.ReadDir(f.path(pid, "fd"))
	if err != nil {
		return false // it has ended, or is not ours to look into
	}
	for _, e := range entries {
		to, err := os.Readlink(f.path(pid, "fd/"+e.Name()))
		if err != nil || to != "/dev/ptmx" && to != "/dev/pts/ptmx" {
			continue
		}
		info := strings.Fields(string(f.read(pid, "fdinfo/"+e.Name())))
		if at := slices.Index(info, "tty-index:"); at >= 0 && at+1 < len(info) && slices.Contains(inputs, terminals+info[at+1]) {
			return true
		}
	}
	return false
}
