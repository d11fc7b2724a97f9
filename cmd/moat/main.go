// Command moat is iptables, ip6tables, their save, restore and apply programs
// and netfilter-persistent in one binary, and moat itself. Which program it is
// comes from the name it is called by, or from its first argument.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"moat/internal/cli"
)

func main() { os.Exit(run(os.Args)) }

// run finds the program, by argv[0] and then by the first argument, and runs it.
func run(argv []string) int {
	name := "moat"
	if len(argv) > 0 {
		name, argv = filepath.Base(argv[0]), argv[1:]
	}
	if len(argv) == 0 || argv[0] != cli.WatchdogCommand {
		cli.FinishPending()
	}
	if p := cli.Find(name); p != nil {
		return dropIn(p, name, argv)
	}
	if len(argv) > 0 {
		if p := cli.Find(argv[0]); p != nil {
			return dropIn(p, argv[0], argv[1:])
		}
	}
	if name == cli.Multi {
		return unknownProgram(argv)
	}
	return moat(argv)
}

func dropIn(p *cli.Program, name string, args []string) int {
	return p.Run(cli.Env{Program: name, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
}

// unknownProgram is the answer under a name that means nothing by itself.
func unknownProgram(argv []string) int {
	if len(argv) == 0 {
		fmt.Fprintln(os.Stderr, "ERROR: No valid subcommand given.")
	} else {
		fmt.Fprintf(os.Stderr, "ERROR: No valid subcommand given: %q is none.\n", argv[0])
	}
	fmt.Fprintln(os.Stderr, "Valid subcommands:")
	for i := range cli.Programs {
		fmt.Fprintln(os.Stderr, " * "+cli.Programs[i].Name)
	}
	return 1
}

// moat runs one of moat's own commands.
func moat(args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.Execute()
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "moat: "+err.Error())
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "moat",
		Short:         "Secure your server with iptables, without locking yourself out",
		Long:          rootText,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newExplainCommand(), newAuditCommand(), newCheckCommand(), newDiffCommand(), newExposureCommand(), newGuardCommand(), newLabCommand(), newVersionCommand(),
		newApplyCommand(), newSecureCommand(), newConfirmCommand(), newRollbackCommand(), newStatusCommand(), newHistoryCommand(), newWatchdogCommand())
	for i := range cli.Programs {
		root.AddCommand(newDropInCommand(&cli.Programs[i]))
	}
	return root
}

const rootText = `Moat is iptables, written anew: the same commands, the same text, the same rules
in the kernel. Called as iptables, iptables-save, netfilter-persistent … it is that
program; "moat iptables -L" is the same.`

// newDropInCommand names a drop-in program in moat's help; run has dispatched
// it before cobra sees the arguments, unless it stands behind "moat help".
func newDropInCommand(p *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:                p.Name,
		Short:              "The program " + p.Name,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := dropIn(p, p.Name, args); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print Moat's version, and that of the iptables it stands in for",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "moat "+cli.Version+" (as iptables v1.8.9)")
			return err
		},
	}
}
