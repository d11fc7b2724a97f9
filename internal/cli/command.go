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
	names := &netdb.DB{Warn: env.complain}
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
	k, err := kernel.Open(env.gate())
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
	script := &change.Script{Family: cmd.Family, Ops: cmd.Ops}
	if cmd.List != nil {
		if err := env.zeroListed(k, cmd, script); err != nil {
			return err
		}
	}
	if cmd.Verbose == 0 {
		return k.Apply(script)
	}
	return env.applyVerbosely(k, script, cmd, names)
}

// applyVerbosely is -v; -vv also tells which rules were read and what was sent.
// A listing has told the rules already.
func (env Env) applyVerbosely(k *kernel.Kernel, s *change.Script, cmd *text.Command, names *netdb.DB) error {
	if cmd.Verbose == 1 || cmd.List != nil {
		notes, err := k.ApplyVerbosely(s)
		env.print(appendNotes(nil, cmd.Family, notes, names))
		return err
	}
	notes, trace, err := k.ApplyTraced(s)
	out := append(trace.Read, appendNotes(nil, cmd.Family, notes, names)...)
	env.print(append(out, trace.Sent...))
	return err
}

// appendNotes appends what -v prints with a command that changes something.
func appendNotes(b []byte, f rule.Family, notes []kernel.Note, names *netdb.DB) []byte {
	p := ext.Printer{B: b, Family: f, Numeric: true, Names: names}
	for _, n := range notes {
		if n.Chain == "" {
			text.AppendVerboseRule(&p, n.Op.Rule)
		} else {
			p.B = text.AppendVerboseChain(p.B, n.Kind, n.Chain)
		}
	}
	return p.B
}

// zeroListed readies the -Z that stands beside -L or -S of a whole table: it
// makes the built-in chains that were only seen, and fails without the table,
// as iptables-nft 1.8.9 does, which names the chains even then.
func (env Env) zeroListed(k *kernel.Kernel, cmd *text.Command, s *change.Script) error {
	if cmd.List.Chain != "" {
		return nil
	}
	v, err := k.View(cmd.Family, cmd.Table)
	if err != nil {
		return err
	}
	var ops []change.Op
	for _, h := range v.Chains {
		switch {
		case h.Exists:
		case !v.Exists:
			if cmd.Verbose > 0 {
				env.print(appendZeroing(nil, v))
			}
			return &kernel.Error{Code: kernel.ExitResource, Failed: true,
				Msg: "CHAIN_ZERO failed (No such file or directory): chain " + h.Name}
		default:
			ops = append(ops, change.Op{Kind: change.OpenChain, Table: cmd.Table, Chain: h.Name})
		}
	}
	s.Ops = append(ops, s.Ops...)
	return nil
}

// appendZeroing appends what -v prints of -Z for the chains of a table.
func appendZeroing(b []byte, v *kernel.View) []byte {
	for _, h := range v.Chains {
		b = text.AppendVerboseChain(b, change.Zero, h.Name)
	}
	return b
}
