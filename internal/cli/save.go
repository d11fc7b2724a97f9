package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"moat/internal/ext"
	"moat/internal/kernel"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

// saveTables prints tables in save format as they were at one moment; with no
// names, all that the kernel has.
func saveTables(k *kernel.Kernel, f rule.Family, tables []string, o text.SaveOptions, db *netdb.DB, w io.Writer) error {
	p := &ext.Printer{Family: f, Numeric: true, Names: db}
	err := k.Consistently(func() (err error) {
		p.B = p.B[:0]
		names := tables
		if len(names) == 0 {
			if names, err = k.Tables(f); err != nil {
				return err
			}
		}
		for _, name := range names {
			if err := saveTable(k, p, name, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = w.Write(p.B)
	return err
}

// saveTable prints one table. One that iptables cannot express is a comment.
func saveTable(k *kernel.Kernel, p *ext.Printer, table string, o text.SaveOptions) error {
	v, err := k.View(p.Family, table)
	if err != nil {
		return err
	}
	start := len(p.B)
	if v.Foreign {
		p.B = text.AppendForeignChains(p.B, table)
	}
	p.B = text.AppendSaveHead(p.B, table, o)
	for _, h := range v.Chains {
		p.B = text.AppendSaveChain(p.B, &h.Chain)
	}
	style := text.NoCounters
	if o.Counters {
		style = text.BracketCounters
	}
	for _, h := range v.Chains {
		err := v.EachRule(h, func(r *rule.Rule) error {
			text.AppendRule(p, h.Name, r, style)
			return nil
		})
		if errors.Is(err, kernel.ErrIncompatible) {
			p.B = text.AppendSaveIncompatible(p.B[:start], table)
			return nil
		}
		if err != nil {
			return err
		}
	}
	p.B = text.AppendSaveFoot(p.B, o)
	return nil
}

func saveOptions(f rule.Family, counters bool) text.SaveOptions {
	return text.SaveOptions{Program: f.Program() + "-save", Counters: counters, Now: time.Now()}
}

// runSave is iptables-save and ip6tables-save.
func runSave(env Env, f rule.Family) int {
	program := f.Program() + "-save"
	args, err := text.ParseSaveArgs(f, program, env.Args)
	if err != nil {
		return env.fail(program, err)
	}
	for _, w := range args.Warnings {
		env.complain(w)
	}
	if args.Version {
		return env.print([]byte(text.Version(program) + "\n"))
	}
	if err := env.save(program, f, args); err != nil {
		return env.fail(program, err)
	}
	return 0
}

func (env Env) save(program string, f rule.Family, args *text.SaveArgs) error {
	collectSeldom()
	k, err := kernel.OpenToRead()
	if err != nil {
		return err
	}
	defer k.Close()
	var tables []string
	if args.Table != "" {
		if rule.FindLayout(args.Table) == nil {
			return &text.Error{Program: program, Form: text.Bare, Code: text.CodeFailed, Msg: "Table `" + args.Table + "' does not exist"}
		}
		tables = []string{args.Table}
	}
	var out bytes.Buffer
	if err := saveTables(k, f, tables, saveOptions(f, args.Counters), &netdb.DB{Warn: env.complain}, &out); err != nil {
		return err
	}
	if args.File != "" {
		err = os.WriteFile(args.File, out.Bytes(), 0o600)
	} else {
		_, err = env.Stdout.Write(out.Bytes())
	}
	if err != nil {
		return &text.Error{Program: program, Code: text.CodeFailed, Msg: "cannot write: " + err.Error(), Err: err}
	}
	env.warnLegacy(f)
	return nil
}
