package cli

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"moat/internal/kernel"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

// runRestore is iptables-restore and ip6tables-restore.
func runRestore(env Env, f rule.Family) int {
	program := f.Program() + "-restore"
	args, err := text.ParseRestoreArgs(f, program, env.Args)
	if err != nil {
		return env.fail(program, err)
	}
	for _, w := range args.Warnings {
		env.complain(w)
	}
	switch {
	case args.Version:
		return env.print([]byte(text.Version(program) + "\n"))
	case args.Help:
		env.complain(strings.TrimSuffix(text.RestoreHelp(program), "\n")) // on standard error, as 1.8.9 has it
		return 0
	}
	if err := env.restore(program, f, args); err != nil {
		return env.fail(program, err)
	}
	return 0
}

// restore reads the whole file before anything is done with it.
func (env Env) restore(program string, f rule.Family, args *text.RestoreArgs) error {
	collectSeldom()
	data, err := env.input(program, args.File)
	if err != nil {
		return err
	}
	script, err := text.ParseRestore(f, program, data, text.RestoreOptions{
		Counters: args.Counters, NoFlush: args.NoFlush, Table: args.Table, Warn: env.complain,
	}, &netdb.DB{})
	if err != nil || len(script.Ops) == 0 {
		return err
	}
	k, err := kernel.Open(env.gate())
	if err != nil {
		return err
	}
	defer k.Close()
	switch {
	case args.Test:
		return k.Check(script)
	case args.Verbose == 0:
		return k.Apply(script)
	}
	notes, err := k.ApplyVerbosely(script)
	env.print(appendProgress(data, f, notes, args.NoFlush))
	return err
}

// appendProgress gives what restore -v prints: the comments of the file and,
// but for --noflush, what was done between them.
func appendProgress(data []byte, f rule.Family, notes []kernel.Note, noFlush bool) []byte {
	var out []byte
	names := &netdb.DB{}
	if noFlush {
		notes = nil
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		n := 0
		for n < len(notes) && notes[n].Op.Place.Line < number {
			n++
		}
		out = appendNotes(out, f, notes[:n], names)
		notes = notes[n:]
		if line[0] == '#' {
			out = append(out, line...)
		}
	}
	return appendNotes(out, f, notes, names)
}

// input is the file named, or standard input.
func (env Env) input(program, file string) ([]byte, error) {
	var data []byte
	var err error
	if file == "" {
		data, err = io.ReadAll(env.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err == nil {
		return data, nil
	}
	e := &text.Error{Program: program, Code: text.CodeFailed, Msg: "Can't read the rules: " + err.Error(), Err: err}
	var path *fs.PathError
	if file != "" && errors.As(err, &path) {
		e.Form, e.Msg = text.Bare, "Can't open "+file+": "+kernel.ErrnoText(path.Err)
	}
	return nil, e
}
