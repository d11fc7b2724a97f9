package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"moat/internal/rule"
)

// LegacyTables gives the tables of iptables-legacy that are in force beside
// those of nf_tables, from /proc/net/ip_tables_names or ip6_tables_names. The
// kernel lists a table from its first use on, also when nothing is in it.
// Without the old modules the file is not there and the answer is none; only
// root may read it, others get an error that is fs.ErrPermission.
func LegacyTables(f rule.Family) ([]string, error) {
	name := "/proc/thread-self/net/" + f.String() + "_tables_names"
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
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
