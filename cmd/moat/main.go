// Command moat is iptables, ip6tables, their save, restore and apply programs
// and netfilter-persistent in one binary, and moat itself. Which program it is
// comes from the name it is called by, or from its first argument.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"moat/internal/cli"
	"moat/internal/load"
)

func main() { os.Exit(run(os.Args)) }

// run finds the program, by argv[0] and then by the first argument, and runs it.
func run(argv []string) int {
	name := "moat"
	if len(argv) > 0 {
		name, argv = filepath.Base(argv[0]), argv[1:]
	}
	if len(argv) == 0 || !slices.Contains(pendingCommands[:], argv[0]) {
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

// pendingCommands are about the change that is pending: they see to it themselves,
// and would tell what is wrong with it a second time.
var pendingCommands = [...]string{"status", "confirm", "rollback", cli.WatchdogCommand}

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

// trouble prints why a command could not do its work, and gives the exit code for
// that. What is wrong in a file stands alone on its line, as editors look for it.
func trouble(c *cobra.Command, err error) error {
	text := strings.Replace(c.CommandPath(), "moat ", "moat: ", 1) + ": " + err.Error()
	if place := (*load.Error)(nil); errors.As(err, &place) {
		text = err.Error()
	}
	fmt.Fprintln(c.ErrOrStderr(), text)
	return exitCode(exitTrouble)
}

// noArgs wants no word behind a command but one of its own commands.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if len(names) > 0 {
		return trouble(c, fmt.Errorf("there is no %q here, but %s", args[0], strings.Join(names, " and ")))
	}
	return trouble(c, fmt.Errorf("%q is one word too many: nothing is wanted but options", args[0]))
}

// wrongFlag says what is wrong with an option, and where those are that there are.
func wrongFlag(c *cobra.Command, err error) error {
	return trouble(c, fmt.Errorf("%w; %q shows the options", err, c.CommandPath()+" --help"))
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "moat",
		Short:         "Secure your server with iptables, without locking yourself out",
		Long:          rootText,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(wrongFlag) // also of those below that have none of their own
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
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "moat "+cli.Version+" (as iptables v1.8.9)")
			return err
		},
	}
}
