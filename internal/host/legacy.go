package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"moat/internal/rule"
)

// LegacyTables gives the tables of iptables-legacy that are in force beside
// those of nf_tables, from /proc/net/ip_tables_names or ip6_tables_names. The
// kernel lists a table from its first use on, also when nothing is in it.
// Without the old modules the file is not there and the answer is none; only
// root may read it, others get an error that is fs.ErrPermission.
func LegacyTables(f rule.Family) ([]string, error) {
	// Every listing asks: os.ReadFile would begin to poll, which is a dozen system
	// calls more.
	name := "/proc/thread-self/net/" + f.String() + "_tables_names"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case err == unix.ENOENT:
		return nil, nil
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var names [512]byte // there are five, each on its line
	n, err := unix.Read(fd, names[:])
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return strings.Fields(string(names[:n])), nil
}

// ErrNoLegacyProgram says that the rules of iptables-legacy cannot be read,
// because its program is not installed.
var ErrNoLegacyProgram = errors.New("the rules of iptables-legacy can only be read by its own program, which is not installed")

// LegacyRules gives the rules of iptables-legacy in save format, as
// iptables-legacy-save prints them. Call it only if there are LegacyTables:
// the program loads the modules of the tables.
func LegacyRules(f rule.Family) ([]byte, error) {
	program := f.Program() + "-legacy-save"
	path, err := exec.LookPath(program)
	if err != nil {
		for _, dir := range [...]string{"/usr/sbin/", "/sbin/"} {
			if _, err = os.Stat(dir + program); err == nil {
				path = dir + program
				break
			}
		}
	}
	if path == "" {
		return nil, ErrNoLegacyProgram
	}
	var errs bytes.Buffer
	cmd := exec.Command(path)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(errs.Bytes()))
	}
	return out, nil
}
