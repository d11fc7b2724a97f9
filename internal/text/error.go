package text

import (
	"errors"
	"fmt"
	"strings"

	"moat/internal/change"
	"moat/internal/rule"
)

// The exit codes of iptables.
const (
	CodeFailed    = 1 // what the command names is not there, or is there already
	CodeParameter = 2 // the command line or a line of the file is wrong
	CodeVersion   = 3 // the kernel or this program is not new enough
	CodeResource  = 4 // the kernel refused
)

// Form is how the first line of an Error begins.
type Form uint8

const (
	Versioned Form = iota // "iptables v1.8.9 (nf_tables): "
	Named                 // "iptables: "; in a file "iptables-restore: line 7 failed: "
	Bare                  // nothing: iptables says "Bad argument `x'" so
)

// Error is a refusal as the person who called the program reads it.
type Error struct {
	Program string // "iptables", "ip6tables-restore" …
	Form    Form
	Code    int          // exit code, one of Code…
	Msg     string       // what is wrong, without a newline at its end
	Place   change.Place // zero for a command line
	Hint    string       // a last line that says where to read more; "" for none
	Err     error        // what this comes from, nil if from here
}

// Error is the whole text to print, several lines without a newline at the
// end, as iptables 1.8.9 prints it; only the column is ours.
func (e *Error) Error() string {
	var b strings.Builder
	switch e.Form {
	case Versioned:
		b.WriteString(Version(e.Program) + ": ")
	case Named:
		b.WriteString(e.Program + ": ")
		if e.Place.Line > 0 {
			fmt.Fprintf(&b, "line %d failed", e.Place.Line)
			if e.Msg != "" {
				b.WriteString(": ")
			}
		}
	}
	b.WriteString(e.Msg)
	if e.Place.Column > 0 {
		fmt.Fprintf(&b, " (column %d)", e.Place.Column)
	}
	if e.Place.Line > 0 && e.Form != Named {
		fmt.Fprintf(&b, "\nError occurred at line: %d", e.Place.Line)
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

// Unwrap gives what the error comes from.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is the code with which a program ends that stops at err: that of
// the first Error in its chain, CodeFailed for any other error, 0 for nil.
func ExitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code
	}
	return CodeFailed
}

// usageHint is the last line of a parameter problem.
func usageHint(program string) string {
	return "Try `" + program + " -h' or '" + program + " --help' for more information."
}

// NoTable is the error for a table that does not exist.
func NoTable(program, table string) *Error {
	return &Error{
		Program: program, Code: CodeVersion,
		Msg: "table '" + table + "' does not exist\nPerhaps " + commandName(program) + " or your kernel needs to be upgraded.",
	}
}

// commandName is the family's command that a program belongs to:
// "ip6tables" for "ip6tables-restore".
func commandName(program string) string {
	if strings.HasPrefix(program, rule.IPv6.Program()) {
		return rule.IPv6.Program()
	}
	return rule.IPv4.Program()
}

// fail is a parameter problem at the word that is being read.
func (p *parser) fail(format string, args ...any) *Error {
	return &Error{
		Program: p.program, Code: CodeParameter, Msg: fmt.Sprintf(format, args...),
		Place: p.place(), Hint: usageHint(p.program),
	}
}

// failNamed is a refusal with exit code 1, decided without asking the kernel.
func (p *parser) failNamed(msg string) *Error {
	return &Error{Program: p.program, Form: Named, Code: CodeFailed, Msg: msg, Place: change.Place{Line: p.line}}
}

// badArgument is the error for a word that belongs to no option.
func (p *parser) badArgument(word string) *Error {
	e := p.fail("Bad argument `%s'", word)
	e.Form = Bare
	if p.eaten != "" { // the word stood behind an option that was itself taken for a value
		e.Msg += " (" + p.eaten + ")"
	}
	return e
}

// wrap makes an extension's error one with a place.
func (p *parser) wrap(err error) *Error {
	e := p.fail("%s", err.Error())
	e.Err = err
	return e
}

// place is where the word that is being read stands.
func (p *parser) place() change.Place {
	at := change.Place{Line: p.line}
	if p.line > 0 && p.at >= 0 && p.at < len(p.columns) {
		at.Column = p.columns[p.at]
	}
	return at
}
