package load

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"moat/internal/change"
	"moat/internal/kernel"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

// Auto asks File and Text to find the family out by themselves.
const Auto rule.Family = 0

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Rules are a ruleset and where it was read.
type Rules struct {
	*rule.Ruleset
	Source   string   // the file's path, "standard input", or "live"
	Warnings []string // of the file, one line each

	lines map[*rule.Rule]int
}

// Line is the line, from 1, in which a rule of the file stands; 0 for a rule
// that is not of this file, and for all rules of the kernel.
func (r *Rules) Line(x *rule.Rule) int { return r.lines[x] }

// Error says what is wrong with a file, and where.
type Error struct {
	Source string
	Line   int // from 1; 0 when the whole file is meant
	Column int // in bytes, from 1; 0 when the whole line is meant
	Msg    string
	Err    error // what this comes from; nil if from here
}

// Error is one line: "rules.v4:14:23: what is wrong".
func (e *Error) Error() string {
	at := e.Source
	if e.Line > 0 {
		at += ":" + strconv.Itoa(e.Line)
		if e.Column > 0 {
			at += ":" + strconv.Itoa(e.Column)
		}
	}
	return at + ": " + e.Msg
}

// Unwrap gives what the error comes from.
func (e *Error) Unwrap() error { return e.Err }

// ErrNotPermitted says that the kernel shows its firewall only to others.
var ErrNotPermitted = errors.New("the live rules can only be read by root (or with CAP_NET_ADMIN); --rules FILE reads a saved file")

// File reads a file in save format, or standard input as "-". A family of Auto
// is found from the file; see Text. What is wrong in the file is an *Error.
func File(path string, f rule.Family) (*Rules, error) {
	if path == Stdin {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return Text("standard input", data, f)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Text(path, data, f)
}

// Live reads all tables of a family that the kernel of this network namespace
// has. Rules that iptables cannot express have Foreign set. ErrNotPermitted is
// the answer to a caller without rights.
func Live(f rule.Family) (*Rules, error) {
	k, err := kernel.OpenToRead()
	if err != nil {
		return nil, permitted(err)
	}
	rs, err := k.Ruleset(f)
	if err := errors.Join(err, k.Close()); err != nil {
		return nil, permitted(err)
	}
	NameSets(rs)
	return &Rules{Ruleset: rs, Source: "live"}, nil
}

// Beside names the tables of nf_tables that see packets of a family beside those
// of iptables. What their rules do is not in a ruleset that Live gives.
func Beside(f rule.Family) ([]string, error) {
	k, err := kernel.OpenToRead()
	if err != nil {
		return nil, permitted(err)
	}
	tables, err := k.Beside(f)
	if err := errors.Join(err, k.Close()); err != nil {
		return nil, permitted(err)
	}
	return tables, nil
}

func permitted(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (%w)", ErrNotPermitted, err)
	}
	return fmt.Errorf("reading the live rules: %w", err)
}

// Text reads data in save format; source names it in errors. Counters are
// taken. A table that the file does not have is not in the result; a built-in
// chain that a table lacks is empty with policy ACCEPT.
//
// For a family of Auto, a comment of iptables-save, then words that only one
// family has, then the name say which family to try first; where that says
// nothing IPv4 comes first. If both fail, the error is that of the family that
// came further.
func Text(source string, data []byte, f rule.Family) (*Rules, error) {
	if f != Auto {
		return parse(source, data, f)
	}
	first, sure := guess(source, data)
	r, err := parse(source, data, first)
	if err == nil || sure {
		return r, err
	}
	other := rule.IPv4 + rule.IPv6 - first
	r2, err2 := parse(source, data, other)
	if err2 == nil {
		return r2, nil
	}
	if lineOf(err2) > lineOf(err) {
		return nil, err2
	}
	return nil, err
}

// lineOf is how far the parser came.
func lineOf(err error) int {
	var e *Error
	if errors.As(err, &e) && e.Line > 0 {
		return e.Line
	}
	return 0
}

// parse reads data as rules of one family. The line on which a rule stands
// travels in its Handle, which only rules of a kernel use, because
// a change may copy a rule.
func parse(source string, data []byte, f rule.Family) (*Rules, error) {
	out := &Rules{Source: source, lines: map[*rule.Rule]int{}}
	o := text.RestoreOptions{Counters: hasPolicyCounters(data), Warn: func(w string) { out.Warnings = append(out.Warnings, w) }}
	s, err := text.ParseRestore(f, f.Program()+"-restore", data, o, &netdb.DB{Sets: &namedSets{}})
	if err != nil {
		return nil, placed(source, err)
	}
	for i := range s.Ops {
		if r := s.Ops[i].Rule; r != nil {
			r.Handle = uint64(s.Ops[i].Place.Line)
		}
	}
	if out.Ruleset, err = change.Apply(&rule.Ruleset{Family: f}, *s); err != nil {
		return nil, placed(source, err)
	}
	for _, t := range out.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				out.lines[r], r.Handle = int(r.Handle), 0
			}
		}
	}
	if err := checkJumps(out); err != nil {
		return nil, err
	}
	return out, nil
}

// hasPolicyCounters reports whether the file has counters: a file without them
// is read without, since under -c iptables-restore insists on those of policies.
func hasPolicyCounters(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && line[0] == ':' && fields[1] != "-" && (len(fields) < 3 || fields[2][0] != '[') {
			return false
		}
	}
	return true
}

// placed gives an error of the text or of the change its file and line.
func placed(source string, err error) *Error {
	e := &Error{Source: source, Err: err, Msg: err.Error()}
	var t *text.Error
	var refused *change.Refused
	switch {
	case errors.As(err, &t):
		e.Line, e.Column, e.Msg = t.Place.Line, t.Place.Column, t.Msg
	case errors.As(err, &refused):
		e.Line, e.Msg = refused.Op.Place.Line, refused.Msg
		if refused.Msg == change.NoChain && refused.Op.Chain != "" {
			e.Msg = "there is no chain " + refused.Op.Chain + " in table " + refused.Op.Table
		}
	}
	if e.Msg == "" {
		e.Msg = "outside of a table: a line with * and the table's name, such as *filter, comes first"
	}
	e.Msg = strings.Join(strings.FieldsFunc(e.Msg, func(r rune) bool { return r == '\n' }), "; ")
	return e
}
