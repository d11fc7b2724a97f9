package cli

import (
	"io"
	"os"

	"moat/internal/change"
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
		return env.print([]byte(text.RestoreHelp(program)))
	}
	if err := env.restore(program, f, args); err != nil {
		return env.fail(program, err)
	}
	return 0
}

// restore reads the whole file before anything is done with it.
func (env Env) restore(program string, f rule.Family, args *text.RestoreArgs) error {
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
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	if args.Verbose > 0 && !args.NoFlush {
		if err := env.verboseRestore(k, script); err != nil {
			return err
		}
	}
	if args.Test {
		return k.Check(script)
	}
	return k.Apply(script)
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
	if err != nil {
		return nil, &text.Error{Program: program, Code: text.CodeFailed, Msg: "Can't read the rules: " + err.Error(), Err: err}
	}
	return data, nil
}

// verboseRestore prints, for each table that begins anew, the chains that go.
func (env Env) verboseRestore(k *kernel.Kernel, s *change.Script) error {
	var out []byte
	for i := range s.Ops {
		if s.Ops[i].Kind != change.ReplaceTable {
			continue
		}
		v, err := k.View(s.Family, s.Ops[i].Table)
		if err != nil {
			return err
		}
		for _, h := range v.Chains {
			if h.Exists {
				out = text.AppendVerboseChain(out, change.Flush, h.Name)
			}
		}
		for _, h := range v.Chains {
			if h.Base == nil {
				out = text.AppendVerboseChain(out, change.DeleteChain, h.Name)
			}
		}
	}
	env.print(out)
	return nil
}
