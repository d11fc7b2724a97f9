package session

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is what /proc/PID/stat tells, see proc_pid_stat(5).
type process struct {
	pid, parent int
	session     int // the kernel's, named by the process that began it
	tty         uint32
	comm        string
}

// Majors of terminals that are no console: linux/major.h.
const (
	majorOldPTY    = 2 // and 3 for their other ends
	majorOldTTY    = 3
	majorUnix98PTS = 136 // to 143
	majorsUnix98   = 8
)

// major is the driver's number in a device number as stat prints it: 12 bits
// from bit 8 on.
func major(tty uint32) uint32 { return tty >> 8 & 0xfff }

// isPseudo reports whether a controlling terminal is one that a program plays:
// sshd, sudo, a terminal window.
func isPseudo(tty uint32) bool {
	m := major(tty)
	return m == majorOldPTY || m == majorOldTTY || m >= majorUnix98PTS && m < majorUnix98PTS+majorsUnix98
}

// isConsole reports whether there is a terminal that is a screen and keyboard or
// a line of this machine: tty1, ttyS0, hvc0.
func isConsole(tty uint32) bool { return tty != 0 && !isPseudo(tty) }

// leads reports whether the process is the first of a pseudo terminal: its
// parent, as a rule, is the program on the other end.
func (p process) leads() bool { return p.pid == p.session && isPseudo(p.tty) }

// parseStat reads "PID (COMM) STATE PPID PGRP SESSION TTY …". COMM may hold
// blanks and parentheses.
func parseStat(b []byte) (p process, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return p, false
	}
	var parent, session, tty []byte
	n := 0
	for field := range bytes.FieldsSeq(b[end+1:]) { // of 50, which nobody else wants
		switch n++; n {
		case 2:
			parent = field
		case 4:
			session = field
		case 5:
			tty = field
		}
		if tty != nil {
			break
		}
	}
	device, err := strconv.ParseInt(string(tty), 10, 32) // signed
	var known [3]bool
	p.pid, known[0] = number(string(bytes.TrimSpace(b[:open])))
	p.parent, known[1] = number(string(parent))
	p.session, known[2] = number(string(session))
	p.tty, p.comm = uint32(device), string(b[open+1:end])
	return p, known == [...]bool{true, true, true} && err == nil
}

// number reads a decimal number that is not negative.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

func (f *finder) path(pid int, name string) string {
	return f.proc + "/" + strconv.Itoa(pid) + "/" + name
}

// read reads the beginning of a short file of /proc/PID into the buffer, where it
// stays until that is used again; empty for a process that ended. os.ReadFile
// makes twice as many system calls.
func (f *finder) read(pid int, name string) []byte {
	fd, err := unix.Open(f.path(pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, f.room())
	if err != nil {
		return nil
	}
	return f.buffer[:n]
}

// process reads a process; false for one that ended.
func (f *finder) process(pid int) (process, bool) {
	if p, ok := f.processes[pid]; ok || pid == 0 { // 0 is the kernel, or beyond this PID namespace
		return p, ok
	}
	p, ok := parseStat(f.read(pid, "stat"))
	if ok {
		f.processes[pid] = p
	}
	return p, ok
}

// environ reads the environment that a process was started with.
func (f *finder) environ(pid int) []string {
	b, err := os.ReadFile(f.path(pid, "environ"))
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// all lists the numbers of all processes.
func (f *finder) all() (pids []int) {
	dir, err := os.Open(f.proc)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read is looked at
	for _, name := range names {
		if pid, ok := number(name); ok {
			pids = append(pids, pid)
		}
	}
	return pids
}
