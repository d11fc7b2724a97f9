package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"moat/internal/guard"
)

func newGuardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Show whose connection is guarded, or switch the guard off until the next boot",
		Long: `Every change of the firewall, by whatever program of Moat, is refused if it would
cut off the one who makes it: the SSH session (or another connection) from which
the command comes, and the next login from the same client to the same port.

  moat guard        shows whether the guard is on, and for whom
  moat guard off    lets everything through until the next boot
  moat guard on     ends that

MOAT_FORCE=1 before a command lets that one through. Further clients are
protected by ` + guard.ConfigFile + `:

  protect = ["tcp 22 from 198.51.100.0/24"]`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := showGuard(c.OutOrStdout(), c.ErrOrStderr()); err != nil {
				return trouble(c, err)
			}
			return nil
		},
	}
	cmd.AddCommand(newGuardSwitch("on", "Guard again", true), newGuardSwitch("off", "Let every change through until the next boot", false))
	return cmd
}

func newGuardSwitch(name, short string, on bool) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: noArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := guard.Switch("", on); err != nil {
				return trouble(c, err)
			}
			return nil
		},
	}
}

// showGuard prints what the guard would look at if a change came from here.
func showGuard(out, warn io.Writer) error {
	off, err := guard.Off("")
	if err != nil {
		return err
	}
	state := "on"
	if off {
		state = "off until the next boot; moat guard on"
	}
	own, protected := guard.New(guard.Options{Warn: warn}).Who()
	rows := [][2]string{{"guard", state}}
	for _, who := range own {
		rows = append(rows, [2]string{"session", who})
	}
	if len(own) == 0 {
		rows = append(rows, [2]string{"session", "none: this is no connection from elsewhere, and nothing is held up for one"})
	}
	for _, who := range protected {
		rows = append(rows, [2]string{"protect", who})
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(out, "%-8s %s\n", r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}
