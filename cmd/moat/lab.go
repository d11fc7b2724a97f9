package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"moat/internal/cli"
	"moat/internal/lab"
)

// exitCode is the error of a sub-command that has said what there is to say
// and only wants the process to end with this code.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// labLinks are the programs that stand first in the PATH of a lab's shell.
func labLinks() []string {
	var names []string
	for i := range cli.Programs {
		name := cli.Programs[i].Name
		names = append(names, name)
		if nft := strings.Replace(name, "tables", "tables-nft", 1); nft != name {
			names = append(names, nft)
		}
	}
	return names
}

// newLabCommand gives `moat lab`, `moat lab run` and the commands that the
// shell of a lab calls.
func newLabCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Try rules on a throwaway host: a shell on a server with a client beside it",
		Long: `Opens a shell as root on a server that exists only until the shell ends, with
a router and a client beside it. Rules, /etc/iptables and /etc/default are the
lab's own; nothing reaches this machine's firewall or network. Works without
root where the kernel gives user namespaces to everyone.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return inLab(c.Context(), lab.RunShell) },
	}
	cmd.AddCommand(newLabRunCommand(), newLabHelper("probe"), newLabHelper("on"))
	return cmd
}

func newLabRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run FILE.sh",
		Short: "Run a script on the server of a lab, then show which probes get through",
		Long: `Runs the script with sh as root on the server of a lab. Comments in it say what
listens there and what must hold when it has ended:

  # moat: listen tcp 22,80 udp 53
  # moat: probe tcp 22 from client expect open
  # moat: probe icmp from blocked over 6 expect silent

The script itself may call probe tcp 22 expect open, probe hold NAME tcp 22,
probe alive NAME, client COMMAND and router COMMAND. The exit code is the
script's, or 1 when a probe was not as expected.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return trouble(c, errors.New("one script is wanted, as in: moat lab run rules.sh"))
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			return inLab(c.Context(), func(ctx context.Context, o lab.Options) (int, error) {
				return lab.RunScript(ctx, args[0], o)
			})
		},
	}
}

// newLabHelper gives one of the commands behind probe, client and router.
func newLabHelper(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		SilenceUsage:       true,
		SilenceErrors:      true,
		RunE: func(_ *cobra.Command, args []string) error {
			return exit(lab.Helper(append([]string{name}, args...)))
		},
	}
}

// inLab runs f where labs can be made: here, or in a copy of this process
// inside a user namespace.
func inLab(ctx context.Context, f func(context.Context, lab.Options) (int, error)) error {
	code, done, err := lab.Enter()
	if done || err != nil {
		return errors.Join(err, exit(code))
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	code, err = f(ctx, lab.Options{
		Program: program, Links: labLinks(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Color: isTerminal(os.Stdout),
	})
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return exit(code)
}

// exit gives no error for 0.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// isTerminal says if colour may go to f. NO_COLOR forbids it
// (https://no-color.org).
func isTerminal(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
