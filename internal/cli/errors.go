package cli

import (
	"errors"
	"fmt"
	"strings"

	"moat/internal/guard"
	"moat/internal/kernel"
	"moat/internal/text"
)

// print writes to standard output and gives the exit code.
func (env Env) print(b []byte) int {
	if _, err := env.Stdout.Write(b); err != nil {
		env.complain(env.Program + ": cannot write: " + err.Error())
		return text.CodeFailed
	}
	return 0
}

// complain prints a line on standard error. If that fails there is nobody left to tell.
func (env Env) complain(line string) { fmt.Fprintln(env.Stderr, line) }

// fail prints an error in the words of a program and gives its exit code.
func (env Env) fail(program string, err error) int {
	if refused := (*guard.Refusal)(nil); errors.As(err, &refused) {
		env.complain(refused.Error())
		return text.CodeFailed
	}
	err = worded(program, err)
	env.complain(err.Error())
	return text.ExitCode(err)
}

// worded gives an error of the kernel the form in which the program prints it.
func worded(program string, err error) error {
	var t *text.Error
	if errors.As(err, &t) {
		return t
	}
	var k *kernel.Error
	if !errors.As(err, &k) {
		return &text.Error{Program: program, Code: text.CodeResource, Msg: err.Error(), Err: err}
	}
	e := &text.Error{Program: program, Code: k.Code, Msg: k.Msg, Err: err}
	if k.Op != nil {
		e.Place = k.Op.Place
	}
	switch {
	case k.Short:
		e.Form = text.Named
		e.Place.Column = 0 // programs parse "line N failed: …" up to its end
	case k.Failed:
		refused(e)
	case k.Code == kernel.ExitParameter:
		e.Hint = "Try `" + program + " -h' or '" + program + " --help' for more information."
	case k.Code == kernel.ExitVersion:
		e.Msg += "\nPerhaps " + strings.TrimSuffix(strings.TrimSuffix(program, "-restore"), "-save") + " or your kernel needs to be upgraded."
	}
	return e
}

// refused words what the kernel refused: after two blanks on a command line, on
// a line of its own with the line's number for a file.
func refused(e *text.Error) {
	if e.Place.Line == 0 {
		e.Msg = " " + e.Msg
		return
	}
	e.Msg = fmt.Sprintf("\nline %d: %s", e.Place.Line, e.Msg)
	e.Place.Line, e.Place.Column = 0, 0
}
