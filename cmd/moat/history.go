package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/cli"
	"moat/internal/commit"
	"moat/internal/rule"
)

func newHistoryCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the rulesets that were applied, show one, or apply it again",
		Long: `Lists what moat apply and iptables-apply loaded: the newest 50, with time, user and
reason, and how it ended.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			list, unread := commit.History("")
			var err error
			switch {
			case asJSON:
				err = printJSON(c.OutOrStdout(), list)
			case unread == nil || len(list) > 0:
				err = printHistory(c.OutOrStdout(), list)
			}
			if unread != nil {
				return trouble(c, unread)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as docs/apply.md describes it")
	cmd.AddCommand(newHistoryShowCommand(), newHistoryRestoreCommand())
	return cmd
}

func printJSON(out io.Writer, list []commit.Entry) error {
	if list == nil {
		list = []commit.Entry{}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

func printHistory(out io.Writer, list []commit.Entry) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nothing was applied yet")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "N\tTIME\tUSER\tFILES\tENDED\tREASON")
	for _, e := range list {
		row := []string{strconv.Itoa(e.Number), e.Time.Format(time.DateTime), userOf(e), strings.Join(e.Sources, " "), e.Ended}
		if e.Reason != "" { // without it the column before is not filled up with blanks
			row = append(row, e.Reason)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// userOf is the person, not the account that sudo gave.
func userOf(e commit.Entry) string {
	if e.Who.SudoUser != "" {
		return e.Who.SudoUser
	}
	return e.Who.User
}

// historyEntry reads the entry that an argument names.
func historyEntry(arg string) (commit.Entry, map[rule.Family][]byte, error) {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return commit.Entry{}, nil, fmt.Errorf("%q is no number: \"moat history\" lists those that are kept", arg)
	}
	return commit.HistoryEntry("", n)
}

// oneNumber wants the number of an entry.
func oneNumber(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return trouble(c, errors.New("the number of one ruleset is wanted: \"moat history\" lists those that are kept"))
	}
	return nil
}

func newHistoryShowCommand() *cobra.Command {
	var v4, v6 bool
	cmd := &cobra.Command{
		Use:   "show N",
		Short: "Print the rules of an entry",
		Long: `Prints the rules of an entry as iptables-save does. With -4 or -6 they are those of
one family, as iptables-restore reads them.`,
		Args:          oneNumber,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			entry, texts, err := historyEntry(args[0])
			if err != nil {
				return trouble(c, err)
			}
			return showEntry(c.OutOrStdout(), entry, texts, v4 || !v6, v6 || !v4)
		},
	}
	cmd.Flags().BoolVarP(&v4, "ipv4", "4", false, "the rules of IPv4 only")
	cmd.Flags().BoolVarP(&v6, "ipv6", "6", false, "the rules of IPv6 only")
	return cmd
}

func showEntry(out io.Writer, e commit.Entry, texts map[rule.Family][]byte, v4, v6 bool) error {
	if v4 && v6 {
		fmt.Fprintf(out, "# %d, %s, by %s: %s, %s\n", e.Number, e.Time.Format(time.DateTime), e.Who, strings.Join(e.Sources, " "), e.Ended)
		if e.Reason != "" {
			fmt.Fprintf(out, "# %s\n", e.Reason)
		}
	}
	for _, f := range []struct {
		family rule.Family
		wanted bool
	}{{rule.IPv4, v4}, {rule.IPv6, v6}} {
		if f.wanted {
			if _, err := out.Write(texts[f.family]); err != nil {
				return err
			}
		}
	}
	return nil
}

func newHistoryRestoreCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "restore N",
		Short: "Apply the rules of an entry again, on the timer as moat apply does",
		Long: `Makes the rules what they were right after the change of that number, both families,
as moat apply would. Tables that there were not then are emptied.`,
		Args:          oneNumber,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			entry, texts, err := historyEntry(args[0])
			if err != nil {
				return trouble(c, err)
			}
			env := cli.Rescue(c.OutOrStdout(), c.ErrOrStderr())
			files, err := commit.HistoryFiles(env, entry, texts)
			if err != nil {
				return trouble(c, err)
			}
			if f.reason == "" {
				f.reason = "restores " + strconv.Itoa(entry.Number)
			}
			return f.apply(c, files, func() error { return showChanges(files, c.OutOrStdout(), c.ErrOrStderr()) })
		},
	}
	f.add(cmd)
	return cmd
}
