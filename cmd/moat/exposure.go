package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"moat/internal/analyze"
	"moat/internal/host"
	"moat/internal/report"
	"moat/internal/rule"
)

// exposureFlags are what moat exposure was told.
type exposureFlags struct {
	rules []string
	json  bool
	v6    bool
}

func newExposureCommand() *cobra.Command {
	var f exposureFlags
	cmd := &cobra.Command{
		Use:   "exposure [--rules FILE]... [--json]",
		Short: "List who can open what: ports, sources, and the programs behind them",
		Long: `Lists the connections that the rules let in from any interface but lo: for each
protocol and range of ports the sources that may, the rule that decides, and on
this host the program that listens; then those that are sent on to other hosts
by translation. All other connections are not let in: that is proved.

Without --rules the live rules of both families are taken. docs/diff.md has
more, and describes the JSON.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.run(c.OutOrStdout(), c.ErrOrStderr()); err != nil {
				return exposureTrouble(c, err)
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(exposureTrouble)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules, "rules", nil, "a `FILE` in iptables-save's format, or - for standard input; one of each family")
	flags.BoolVar(&f.json, "json", false, "print JSON, as docs/diff.md describes it")
	flags.BoolVarP(&f.v6, "ipv6", "6", false, "only the rules of IPv6")
	return cmd
}

func exposureTrouble(c *cobra.Command, err error) error {
	fmt.Fprintln(c.ErrOrStderr(), "moat: exposure: "+err.Error())
	return exitCode(exitTrouble)
}

func (f *exposureFlags) run(out, warn io.Writer) error {
	in, err := f.input()
	if err != nil {
		return err
	}
	if f.v6 {
		in.Subjects = slices.DeleteFunc(in.Subjects, func(s *analyze.Subject) bool { return s.Family != rule.IPv6 })
	}
	if len(f.rules) == 0 && in.Listeners == nil {
		in.Listeners = []host.Listener{} // told, but there is none
	}
	if len(f.rules) == 0 {
		var families []rule.Family
		for _, s := range in.Subjects {
			families = append(families, s.Family)
		}
		warnBeside(warn, "exposure", families...)
	}
	e := analyze.NewExposure(in.Subjects, in.Listeners)
	file, isFile := out.(*os.File)
	o := report.ExposureOptions{Color: isFile && isTerminal(file)}
	if f.json {
		return report.ExposureJSON(out, e, o)
	}
	return report.ExposureText(out, e, o)
}

func (f *exposureFlags) input() (in analyze.AuditInput, err error) {
	if len(f.rules) == 0 {
		return analyze.AuditLive()
	}
	if in, err = analyze.AuditFiles(f.rules, nil); err != nil {
		return in, err
	}
	for i, s := range in.Subjects {
		for _, other := range in.Subjects[:i] {
			if s.Family == other.Family {
				return in, fmt.Errorf("%s and %s are both rules of %s: one file of each family", other.Source, s.Source, s.Family.Name())
			}
		}
	}
	return in, nil
}
