package main

import (
	"os"

	"github.com/spf13/cobra"

	"moat/internal/cli"
	"moat/internal/commit"
)

func newConfirmCommand() *cobra.Command {
	fromHere := false
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the rules that moat apply loaded",
		Long: `Keeps the change that is pending. It counts from a console or from a connection
that began after the change: an older one does not prove that a new one gets in.
From an older one, how to open a new one is printed, and nothing is confirmed. Of
"ssh localhost" the session counts from which it was given.

The exit code is 0 when it was confirmed, 1 when not or when nothing was pending,
2 when that could not be done, and 4 when it stays but could not be saved for the
next boot.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return exit(commit.Confirm(cli.Timed(os.Stdin, c.OutOrStdout(), c.ErrOrStderr()), fromHere))
		},
	}
	cmd.Flags().BoolVar(&fromHere, "from-here", false, "confirm from a connection that is older than the change")
	return cmd
}

func newRollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback",
		Short: "Take back at once what moat apply changed",
		Long: `Puts the old rules back, as the end of the time would. What other programs changed
meanwhile is kept where it does not meet the change, and told.

The exit code is 0 when they are back, 1 when nothing was pending, 2 when that
could not be done, and 3 when the kernel refuses the old rules.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return exit(commit.Rollback(cli.Rescue(c.OutOrStdout(), c.ErrOrStderr())))
		},
	}
}

func newStatusCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell what change is pending, since when, by whom",
		Long: `Tells what change waits to be confirmed, since when, by whom, and how many seconds
are left. The exit code is 0 when one is pending and 1 when none is.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return exit(commit.Status(cli.Rescue(c.OutOrStdout(), c.ErrOrStderr()), asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as docs/apply.md describes it")
	return cmd
}

// newWatchdogCommand gives the process that takes a change back in time; the
// unit moat-rollback.service runs it too.
func newWatchdogCommand() *cobra.Command {
	detached := false
	cmd := &cobra.Command{
		Use:           cli.WatchdogCommand,
		Short:         "Watch over the change that is pending",
		Hidden:        true,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return exit(commit.Watchdog(cli.Rescue(c.OutOrStdout(), c.ErrOrStderr()), detached))
		},
	}
	cmd.Flags().BoolVar(&detached, commit.Detached[2:], false, "standard output is the pipe of who waits for the watch to begin")
	return cmd
}
