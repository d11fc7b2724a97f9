package commit

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maker is the process that makes a change, and holds the lock meanwhile.
type maker struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks since the boot, see proc_pid_stat(5)
}

// thisProcess is the maker of changes that this process makes.
func thisProcess() maker {
	m := maker{PID: os.Getpid()}
	_, m.Started, _ = processStat(m.PID)
	return m
}

// stoppedGrace is how much longer than the time to confirm a stopped maker may
// keep its change half made.
const stoppedGrace = time.Second

// endIfStopped kills the maker if it is stopped (SIGSTOP, a debugger): it would
// keep everybody from taking back what it has made, for as long as it likes. One
// that runs is let alone, however long it takes.
func (m maker) endIfStopped() error {
	state, started, ok := processStat(m.PID)
	if !ok || started != m.Started || state != 'T' && state != 't' {
		return nil
	}
	pidfd, err := unix.PidfdOpen(m.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	if _, now, ok := processStat(m.PID); !ok || now != m.Started { // the number was another's by then
		return nil
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 wherever Go runs.
const tick = time.Second / 100

// startedAfter reports whether a process is younger than a time since the boot. Of
// one that is not known or has ended nobody can tell, so that it is not.
func startedAfter(pid int, t time.Duration) bool {
	if pid == 0 {
		return false
	}
	_, started, ok := processStat(pid)
	return ok && time.Duration(started)*tick > t
}

// processStat reads the state and the start of a process.
func processStat(pid int) (state byte, started uint64, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	const startTime = 22 - 3 // fields are counted from 1, and the state is the third
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= startTime {
		return 0, 0, false
	}
	started, err = strconv.ParseUint(string(fields[startTime]), 10, 64)
	return fields[0][0], started, err == nil
}
