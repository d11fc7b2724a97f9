package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"moat/internal/analyze"
	"moat/internal/load"
	"moat/internal/report"
	"moat/internal/rule"
)

// diffFlags are what moat diff was told.
type diffFlags struct {
	json, text, v6 bool
}

// liveRules is the word for the rules that the kernel has.
const liveRules = "live"

func newDiffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW [--json] [--text]",
		Short: "Say what traffic two rulesets treat differently, not which lines moved",
		Long: `Compares two rulesets for all packets at once: which get through that did not,
which do not any more, and which are translated or refused otherwise, each with
an example that both simulations confirm. "same behaviour" is a proof.

OLD and NEW are files in iptables-save's format, - for standard input, or the word
` + liveRules + ` for the rules of this host. Both have to be of one family; it is found
from the files, and with ` + liveRules + ` alone it is IPv4 unless -6 is given.

The exit code is 0 if the behaviour is the same, 1 if not, and 2 if they could
not be compared.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return diffTrouble(c, errors.New("two rulesets are wanted, as in: moat diff rules.v4 "+liveRules))
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			code, err := f.run(args[0], args[1], c.OutOrStdout(), c.ErrOrStderr())
			if err != nil {
				return diffTrouble(c, err)
			}
			return exit(code)
		},
	}
	cmd.SetFlagErrorFunc(diffTrouble)
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print JSON, as docs/diff.md describes it")
	flags.BoolVar(&f.text, "text", false, "print the lines that differ too")
	flags.BoolVarP(&f.v6, "ipv6", "6", false, "the rules are of IPv6")
	return cmd
}

// diffTrouble prints why the rules could not be compared. What is wrong in a
// file stands alone on its line, as editors look for it.
func diffTrouble(c *cobra.Command, err error) error {
	text := "moat: diff: " + err.Error()
	if place := (*load.Error)(nil); errors.As(err, &place) {
		text = err.Error()
	}
	fmt.Fprintln(c.ErrOrStderr(), text)
	return exitCode(exitTrouble)
}

// run compares, prints and gives the exit code.
func (f *diffFlags) run(old, now string, out, warn io.Writer) (code int, err error) {
	subjects, err := f.subjects([]string{old, now}, warn)
	if err != nil {
		return 0, err
	}
	d, err := analyze.NewDiff(subjects[0], subjects[1])
	if err != nil {
		return 0, err
	}
	file, isFile := out.(*os.File)
	o := report.DiffOptions{Color: isFile && isTerminal(file), Lines: f.text}
	if f.json {
		err = report.DiffJSON(out, d, o)
	} else {
		err = report.DiffText(out, d, o)
	}
	if len(d.Changes) > 0 {
		code = 1
	}
	return code, err
}

// subjects reads both rulesets; live rules are of the family of the file beside them.
func (f *diffFlags) subjects(names []string, warn io.Writer) ([]*analyze.Subject, error) {
	if names[0] == load.Stdin && names[1] == load.Stdin {
		return nil, errors.New("only one of both can be standard input")
	}
	family := load.Auto
	if f.v6 {
		family = rule.IPv6
	}
	list := make([]*analyze.Subject, len(names))
	for i, name := range names {
		if name == liveRules {
			continue
		}
		r, err := load.File(name, family)
		if err != nil {
			return nil, err
		}
		for _, w := range r.Warnings {
			fmt.Fprintln(warn, "moat: diff: "+w)
		}
		list[i] = analyze.NewSubject(r, false)
	}
	for i, name := range names {
		if name != liveRules {
			continue
		}
		of := family
		if other := list[1-i]; other != nil {
			of = other.Family
		} else if of == load.Auto {
			of = rule.IPv4
		}
		r, err := load.Live(of)
		if err != nil {
			return nil, err
		}
		if i == 0 || names[0] != liveRules { // both may be live: once is enough
			warnBeside(warn, "diff", of)
		}
		list[i] = analyze.NewSubject(r, true)
	}
	return list, nil
}
