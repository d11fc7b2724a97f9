package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/analyze"
	"moat/internal/cli"
	"moat/internal/commit"
	"moat/internal/guard"
	"moat/internal/load"
	"moat/internal/report"
	"moat/internal/rule"
)

// applyFlags say how a change on the timer is made: of moat apply, and of other
// commands that end in one.
type applyFlags struct {
	within  string
	save    bool
	dryRun  bool
	reason  string
	protect []string
}

// add gives a command the flags.
func (f *applyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.within, "confirm-within", "60s", "time to confirm")
	flags.BoolVar(&f.save, "save", false, "write the boot files once it is confirmed")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would change, and change nothing")
	flags.StringVarP(&f.reason, "message", "m", "", "the reason, for moat history")
	flags.StringArrayVar(&f.protect, "protect", nil, protectText)
}

func newApplyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply FILE...",
		Short: "Load rules for a while, and for good when you confirm that you still get in",
		Long: `Loads files in iptables-save's format, one for IPv4, one for IPv6, or both (- is
standard input). Tables that a file does not name stay as they are.

First everything is checked and nothing changed: the files, whether the change
would cut off your own connection, and what traffic it would treat otherwise. Then
it is made, and unless "moat confirm" comes in time the old rules come back:
exactly what was there, counters too, but for what other programs changed
meanwhile. That does not depend on this terminal or process.

A confirmation counts from a console or from a connection that began after the
change: only that proves that the next login will work.

The exit code is 0 when it was confirmed, 1 when it was refused or taken back, 2
when it could not be made, 3 when the old rules could not be put back, and 4 when
it was confirmed but could not be saved for the next boot.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return trouble(c, errors.New("one file of rules is wanted, or one for each family"))
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			files, err := readRules(args, c.ErrOrStderr())
			if err != nil {
				return trouble(c, err)
			}
			return f.apply(c, files, func() error { return showChanges(files, c.OutOrStdout(), c.ErrOrStderr()) })
		},
	}
	f.add(cmd)
	return cmd
}

// crlfLine is the first line, from 1, that ends in a carriage return, which no
// message about it would show.
func crlfLine(text []byte) (line int, is bool) {
	before, _, is := bytes.Cut(text, []byte("\r\n"))
	return bytes.Count(before, []byte("\n")) + 1, is
}

// readRules reads files of rules; their families are found from their text.
func readRules(paths []string, warn io.Writer) (files []commit.File, err error) {
	for _, path := range paths {
		name, text := path, []byte(nil)
		if path == load.Stdin {
			name = "standard input"
			text, err = io.ReadAll(os.Stdin)
		} else {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, err
		}
		if line, is := crlfLine(text); is {
			return nil, &load.Error{Source: name, Line: line, Msg: "the line ends in CR LF, as Windows has it; LF alone is right"}
		}
		r, err := load.Text(name, text, load.Auto)
		if err != nil {
			return nil, err
		}
		if len(r.Tables) == 0 {
			return nil, &load.Error{Source: name, Msg: "there is no table in it: one begins with a line such as *filter"}
		}
		for _, w := range r.Warnings {
			fmt.Fprintln(warn, "moat: apply: "+w)
		}
		for _, other := range files {
			if other.Family == r.Family {
				return nil, fmt.Errorf("%s and %s are both for %s: one file a family is wanted", other.Name, name, r.Family.Name())
			}
		}
		files = append(files, commit.File{Family: r.Family, Name: name, Text: text})
	}
	return files, nil
}

// apply checks the files, asks the guard, lets show tell what they change, and
// makes the change on the timer.
func (f *applyFlags) apply(c *cobra.Command, files []commit.File, show func() error) error {
	within, err := parseSeconds(f.within)
	if err != nil {
		return trouble(c, err)
	}
	protect, err := parseProtected(f.protect)
	if err != nil {
		return trouble(c, err)
	}
	env := cli.Timed(os.Stdin, c.OutOrStdout(), c.ErrOrStderr(), protect...)
	if err := commit.Judge(env, files); err != nil {
		return refusedChange(c, err)
	}
	if err := show(); err != nil {
		return trouble(c, err)
	}
	if f.dryRun {
		return nil
	}
	return exit(commit.Apply(env, commit.Change{Files: files, Within: within, Save: f.save, Reason: f.reason}))
}

// refusedChange prints why a change would not be made: in the guard's words, or
// with the place of what the kernel would refuse.
func refusedChange(c *cobra.Command, err error) error {
	fmt.Fprintln(c.ErrOrStderr(), err)
	if refusal := (*guard.Refusal)(nil); errors.As(err, &refusal) {
		return exitCode(commit.ExitNot)
	}
	return exitCode(exitTrouble)
}

// parseSeconds reads a time to confirm: "90", "90s", "2m".
func parseSeconds(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, notNumber := strconv.Atoi(text); notNumber == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < time.Second || d > 24*time.Hour {
		return 0, fmt.Errorf("--confirm-within %s: a time from 1s to 24h is wanted, such as 60s", text)
	}
	return d, nil
}

// showChanges prints what traffic the live rules treat otherwise than they would
// with the files loaded.
func showChanges(files []commit.File, out, warn io.Writer) error {
	terminal, isFile := out.(*os.File)
	o := report.DiffOptions{Color: isFile && isTerminal(terminal)}
	for _, file := range files {
		old, now, err := beforeAndAfter(file)
		if err != nil {
			return err
		}
		warnBeside(warn, "apply", file.Family)
		d, err := analyze.NewDiff(analyze.NewSubject(old, true), analyze.NewSubject(now, false))
		if err != nil {
			return err
		}
		if err := report.DiffText(out, d, o); err != nil {
			return err
		}
	}
	return nil
}

// beforeAndAfter gives the live rules, and what they are once the file is loaded:
// its tables instead of those of the same name.
func beforeAndAfter(file commit.File) (old, now *load.Rules, err error) {
	if old, err = load.Live(file.Family); err != nil {
		return nil, nil, err
	}
	if now, err = load.Text(file.Name, file.Text, file.Family); err != nil {
		return nil, nil, err
	}
	tables := append([]*rule.Table(nil), now.Tables...)
	for _, t := range old.Tables {
		if now.Table(t.Name) == nil {
			tables = append(tables, t)
		}
	}
	now.Ruleset = &rule.Ruleset{Family: file.Family, Tables: tables}
	return old, now, nil
}

// protectText is what --protect is for.
const protectText = `clients that have to get in afterwards too: "tcp 22 from 198.51.100.0/24"`

// parseProtected reads the arguments of --protect.
func parseProtected(texts []string) (list []guard.Protected, err error) {
	for _, text := range texts {
		p, err := guard.ParseProtected(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}
