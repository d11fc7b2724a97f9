package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/report"
	"moat/internal/rule"
)

// explainFlags are what moat explain was told.
type explainFlags struct {
	rules []string // one at most
	v6    bool
	json  bool
	batch bool
	trace bool
}

func newExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain [-6] [--rules FILE] [--json] [--batch] [--trace] PACKET",
		Short: "Say what becomes of a packet, and which rule decides it",
		Long: `Walks a packet through the rules as the kernel does and says what becomes of it:
which rules it meets, what they change, and what decides. What the packet alone
does not decide (rates, sets, times …) is answered with UNKNOWN and its reason.

  moat explain "tcp 203.0.113.7:50000 -> 198.51.100.2:22 in eth0"
  moat explain icmp from 203.0.113.7 to 198.51.100.2 type echo-request
  moat explain --rules rules.v6 "udp 2001:db8::7 -> [2001:db8::2]:53 in eth0 out eth1"

A packet is a protocol, two addresses with their ports, and then in any order:

` + report.ExplainWords() + `
What is left out is what a fresh packet has: state NEW, flags SYN, a free source
port, mark 0. With "in" alone it is for this host, with "out" alone from it, with
both it goes through. On the live host, its addresses and routes say which way a
packet goes, unless "hook" or both interfaces do. What a host sends to itself
passes OUTPUT and then INPUT; "in lo" and "out lo" ask about one of them.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			code, err := f.run(c.OutOrStdout(), c.ErrOrStderr(), c.InOrStdin(), args)
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr(), "moat: explain: "+err.Error())
			}
			return exit(code)
		},
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		hint := ""
		if strings.HasSuffix(err.Error(), " "+question.Arrow) {
			hint = `: put quotation marks around the packet, "tcp A -> B", or write "to"`
		}
		fmt.Fprintln(c.ErrOrStderr(), "moat: explain: "+err.Error()+hint)
		return exitCode(exitTrouble)
	})
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules, "rules", nil, "a `FILE` in iptables-save's format, or - for standard input, in place of the live rules")
	flags.BoolVarP(&f.v6, "ipv6", "6", false, "ask about the rules of ip6tables")
	flags.BoolVar(&f.json, "json", false, "print a JSON object")
	flags.BoolVar(&f.batch, "batch", false, "read a packet a line from standard input and print a JSON object for each")
	flags.BoolVar(&f.trace, "trace", false, "show the rules that did not match, too; with --batch: add the trace")
	return cmd
}

// run answers and gives the exit code: 2 for what is wrong in a question or a
// file, or when the rules cannot be had, as the other commands do.
func (f *explainFlags) run(out, warn io.Writer, in io.Reader, args []string) (code int, err error) {
	file, isFile := out.(*os.File)
	switch {
	case len(f.rules) == 1 && f.rules[0] == "":
		return exitTrouble, errors.New("--rules is given without a file's name; leave it out to ask the live rules")
	case len(f.rules) > 1:
		return exitTrouble, fmt.Errorf("a packet is asked of one ruleset, and --rules names %d: %s", len(f.rules), strings.Join(f.rules, ", "))
	}
	rules := strings.Join(f.rules, "")
	e := report.Explainer{
		File: rules, In: in, JSON: f.json, Trace: f.trace, Color: isFile && isTerminal(file),
		Host: func() (packet.Host, error) { return host.Read() },
	}
	if f.v6 {
		e.Family = rule.IPv6
	}
	switch {
	case f.batch && len(args) > 0:
		return exitTrouble, errors.New("--batch reads packets from standard input: none stands on the command line")
	case f.batch && rules == load.Stdin:
		return exitTrouble, errors.New("--batch reads packets from standard input: --rules needs a file")
	case f.batch:
		wrong, err := e.Batch(out, in)
		f.warn(warn, &e)
		if wrong > 0 || err != nil {
			code = exitTrouble
		}
		return code, err
	}
	if err = e.Ask(out, question.Join(args)); err != nil {
		code = exitTrouble
	}
	f.warn(warn, &e)
	return code, err
}

// warn tells what else decides about packets of the live host that were asked about.
func (f *explainFlags) warn(w io.Writer, e *report.Explainer) {
	if e.File == "" {
		warnBeside(w, "explain", e.Families()...)
	}
}
