package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"moat/internal/analyze"
	"moat/internal/report"
	"moat/internal/rule"
)

// auditConfig is the config that is read without --config, if it is there.
const auditConfig = "/etc/moat/audit.conf"

// exitTrouble is the exit code of commands whose codes 0 and 1 are answers.
const exitTrouble = 2

// auditFlags are what moat audit was told.
type auditFlags struct {
	rules      []string
	interfaces []string
	config     string
	failOn     string
	json       bool
	silenced   bool
	list       bool
}

func newAuditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit [--rules FILE]... [--json]",
		Short: "Find rules that do not do what they seem to, and doors that stand open",
		Long: `Looks at all packets at once and finds rules that never match, that change
nothing or come too late, and what a ruleset lets in that it should not. Each
finding has the rules that prove it, a packet that shows it, and the commands
that mend it; all of these have been tried on a copy of the rules.

Without --rules the live rules of both families are audited, with what this
host knows of its interfaces and listening programs. A rule's comment
"moat:ok NAME", or a line of the config, silences a finding.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			code, err := f.run(c.OutOrStdout(), c.ErrOrStderr())
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr(), "moat: audit: "+err.Error())
				code = exitTrouble
			}
			return exit(code)
		},
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		fmt.Fprintln(c.ErrOrStderr(), "moat: audit: "+err.Error())
		return exitCode(exitTrouble)
	})
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules, "rules", nil, "a `FILE` in iptables-save's format, or - for standard input; one of each family")
	flags.StringSliceVar(&f.interfaces, "interfaces", nil, "all interface `NAMES` of the host that the files are for, with commas between them")
	flags.StringVar(&f.config, "config", "", "a `FILE` that says which findings are wanted as they are (default "+auditConfig+" if it is there)")
	flags.StringVar(&f.failOn, "fail-on", analyze.Warning.String(), "least `SEVERITY` that gives exit code 1: note, warning, error, or never")
	flags.BoolVar(&f.json, "json", false, "print JSON, as docs/audit.md describes it")
	flags.BoolVar(&f.silenced, "silenced", false, "print silenced findings too, and what silences them")
	flags.BoolVar(&f.list, "list", false, "print the names of all findings, with their severities")
	return cmd
}

// run audits, prints and gives the exit code.
func (f *auditFlags) run(out, warn io.Writer) (code int, err error) {
	if f.list {
		return 0, report.AuditKinds(out)
	}
	least, ok := analyze.ParseSeverity(f.failOn)
	if !ok && f.failOn != "never" {
		return 0, fmt.Errorf("--fail-on %s: note, warning, error or never would be right", f.failOn)
	}
	in, err := f.input()
	if err != nil {
		return 0, err
	}
	if len(f.rules) == 0 {
		warnTablesBeside(warn, "audit", rule.IPv4, rule.IPv6)
	}
	if in.Silences, err = readSilences(f.config); err != nil {
		return 0, err
	}
	r, err := analyze.Audit(in)
	if err != nil {
		return 0, err
	}
	if f.json {
		err = report.AuditJSON(out, r)
	} else {
		file, isFile := out.(*os.File)
		err = report.AuditText(out, r, report.AuditOptions{Color: isFile && isTerminal(file), Silenced: f.silenced})
	}
	if ok && r.Worst() >= least {
		code = 1
	}
	return code, err
}

func (f *auditFlags) input() (analyze.AuditInput, error) {
	switch {
	case len(f.rules) > 0:
		return analyze.AuditFiles(f.rules, f.interfaces)
	case f.interfaces != nil:
		return analyze.AuditInput{}, errors.New("--interfaces goes with --rules: the live host's interfaces are known")
	}
	return analyze.AuditLive()
}

// readSilences reads a config; the default one may be missing.
func readSilences(path string) (analyze.Silences, error) {
	optional := path == ""
	if optional {
		path = auditConfig
	}
	data, err := os.ReadFile(path)
	switch {
	case optional && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return analyze.ParseSilences(path, data)
}
