package cli

import (
	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

// runCommand is iptables and ip6tables.
func runCommand(env Env, f rule.Family) int {
	names := &netdb.DB{}
	program := f.Program()
	cmd, err := text.ParseCommand(f, program, env.Args, names)
	if err != nil {
		return env.fail(program, err)
	}
	for _, w := range cmd.Warnings {
		env.complain(w)
	}
	switch {
	case cmd.Version:
		return env.print([]byte(text.Version(program) + "\n"))
	case cmd.Help != nil:
		return env.print(text.AppendHelp(nil, program, f, cmd.Help.Named))
	}
	if err := env.command(program, cmd, names); err != nil {
		return env.fail(program, err)
	}
	return 0
}

// command lists, then changes: "-L -Z" shows the counters and clears them.
func (env Env) command(program string, cmd *text.Command, names *netdb.DB) error {
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	if cmd.List != nil {
		if err := env.list(k, cmd, names); err != nil {
			return err
		}
	}
	if len(cmd.Ops) == 0 {
		return nil
	}
	if cmd.Verbose > 0 {
		if err := env.verbose(k, cmd, names); err != nil {
			return err
		}
	}
	return k.Apply(&change.Script{Family: cmd.Family, Ops: cmd.Ops})
}

// verbose prints what -v prints with a command that changes something: the rule,
// or a line for each chain that is touched.
func (env Env) verbose(k *kernel.Kernel, cmd *text.Command, names *netdb.DB) error {
	p := ext.Printer{Family: cmd.Family, Numeric: true, Names: names}
	for i := range cmd.Ops {
		op := &cmd.Ops[i]
		if op.Rule != nil {
			text.AppendVerboseRule(&p, op.Rule)
			continue
		}
		chains, err := touched(k, cmd.Family, op)
		if err != nil {
			return err
		}
		for _, name := range chains {
			p.B = text.AppendVerboseChain(p.B, op.Kind, name)
		}
	}
	env.print(p.B)
	return nil
}

// touched names the chains that -F, -Z and -X act on.
func touched(k *kernel.Kernel, f rule.Family, op *change.Op) ([]string, error) {
	if op.Kind != change.Flush && op.Kind != change.Zero && op.Kind != change.DeleteChain || op.Num != 0 {
		return nil, nil
	}
	if op.Chain != "" {
		return []string{op.Chain}, nil
	}
	v, err := k.View(f, op.Table)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range v.Chains {
		if op.Kind != change.DeleteChain || h.Base == nil {
			names = append(names, h.Name)
		}
	}
	return names, nil
}
