package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"moat/internal/rule"
)

// settings are the variables of /etc/default/netfilter-persistent. The file is
// shell text; a variable that it does not set is taken from the environment.
type settings struct {
	values map[string]string
}

// settingNames lists the variables that we read.
// Source: /etc/default/netfilter-persistent of netfilter-persistent 1.0.20.
//
// IPTABLES_TEST_RULESET and IP6TABLES_TEST_RULESET need no reading: a restore
// is one transaction, so every ruleset is tested before it counts. IPSET_*
// belong to the ipset plugin, which reads the file itself.
var settingNames = []string{
	"FLUSH_ON_STOP",
	"IPTABLES_SKIP_SAVE", "IP6TABLES_SKIP_SAVE",
	"IPTABLES_RESTORE_NOFLUSH", "IP6TABLES_RESTORE_NOFLUSH",
}

// readSettings reads the settings file, which need not exist. environ is as
// os.Environ gives it.
func readSettings(path string, environ []string) (settings, error) {
	s := settings{values: make(map[string]string)}
	for _, name := range settingNames {
		if v, isSet := lookupEnv(environ, name); isSet {
			s.values[name] = v
		}
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("settings not read: %w", err)
	}
	if assigned, isPlain := parseAssignments(string(text)); isPlain {
		for _, a := range assigned {
			s.values[a.name] = a.value
		}
		return s, nil
	}
	return s, s.askShell(path, environ)
}

// isYes says if a setting is on. Only the word "yes" turns one on, as with
// Debian's package 1.0.20 ("YES", "1" and "true" do nothing there either).
func (s settings) isYes(name string) bool { return s.values[name] == "yes" }

func (s settings) skipSave(f rule.Family) bool {
	return s.isYes(settingPrefix(f) + "_SKIP_SAVE")
}

func (s settings) restoreNoFlush(f rule.Family) bool {
	return s.isYes(settingPrefix(f) + "_RESTORE_NOFLUSH")
}

// flushOnStop is true for a number above zero. Anything that is no number is
// an error and means no: a typing mistake must not open the host.
func (s settings) flushOnStop() (bool, error) {
	v := strings.TrimSpace(s.values["FLUSH_ON_STOP"])
	if v == "" {
		return false, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return false, fmt.Errorf("FLUSH_ON_STOP=%s: must be a number: 1 flushes on stop, 0 does not", v)
	}
	return n > 0, nil
}

func settingPrefix(f rule.Family) string {
	if f == rule.IPv6 {
		return "IP6TABLES"
	}
	return "IPTABLES"
}

type assignment struct{ name, value string }

// parseAssignments reads the plain part of shell syntax: comments, blank lines
// and NAME=value with quotes or none. isPlain is false when there is anything
// else, which only a shell understands.
func parseAssignments(text string) (found []assignment, isPlain bool) {
	for line := range strings.Lines(text) {
		line = strings.Trim(line, " \t\n") // the shell's blanks, not Unicode's
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, hasValue := strings.Cut(line, "=")
		if !hasValue || !isVariableName(name) {
			return nil, false
		}
		value, isPlain := parseValue(rest)
		if !isPlain {
			return nil, false
		}
		found = append(found, assignment{name, value})
	}
	return found, true
}

// parseValue reads what follows the = of an assignment: bare text, '…' or "…",
// and then nothing but a comment.
func parseValue(s string) (value string, isPlain bool) {
	var after string
	switch {
	case strings.HasPrefix(s, "'"), strings.HasPrefix(s, `"`):
		var isClosed bool
		value, after, isClosed = strings.Cut(s[1:], s[:1])
		if !isClosed || (s[0] == '"' && strings.ContainsAny(value, "\\$`")) {
			return "", false
		}
	default:
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		value, after = s[:end], s[end:]
		if strings.ContainsAny(value, "\\$`'\"()<>|&;~*?[") {
			return "", false
		}
	}
	comment := strings.TrimLeft(after, " \t")
	return value, comment == "" || (strings.HasPrefix(comment, "#") && len(comment) < len(after))
}

func isVariableName(s string) bool {
	for i, c := range []byte(s) {
		isLetter := c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z')
		if !isLetter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// askShell lets /bin/sh read the settings file and tells us our variables. They
// come after a mark, so that what the file itself prints does no harm.
func (s settings) askShell(path string, environ []string) error {
	const mark = "\x01moat-settings\x01"
	var script strings.Builder
	script.WriteString(`. "$1" || exit 1; printf '\001moat-settings\001'`)
	for _, name := range settingNames {
		fmt.Fprintf(&script, `; printf '%%s\000' "$%s"`, name)
	}
	if !strings.Contains(path, "/") {
		path = "./" + path // "." searches PATH for a bare name
	}
	cmd := exec.Command("/bin/sh", "-c", script.String(), "sh", path)
	cmd.Env = environ
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	_, values, isMarked := strings.Cut(string(out), mark)
	fields := strings.Split(values, "\x00")
	if err != nil || !isMarked || len(fields) != len(settingNames)+1 {
		return fmt.Errorf("%s: not read, the shell cannot read it either (%v): %s", path, err, strings.TrimSpace(stderr.String()))
	}
	for i, name := range settingNames {
		s.values[name] = fields[i]
	}
	return nil
}

// lookupEnv finds a variable in a list of NAME=value.
func lookupEnv(environ []string, name string) (value string, isSet bool) {
	for _, kv := range environ {
		if n, v, ok := strings.Cut(kv, "="); ok && n == name {
			value, isSet = v, true
		}
	}
	return value, isSet
}
