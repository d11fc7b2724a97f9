package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"moat/internal/analyze"
	"moat/internal/load"
	"moat/internal/report"
	"moat/internal/rule"
)

// checkFlags are what moat check was told.
type checkFlags struct {
	rules   []string
	junit   string
	json    bool
	verbose bool
}

func newCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check TESTS.yaml [--rules FILE]... [--json] [--junit FILE]",
		Short: "Run a firewall's tests: what has to become of which packets",
		Long: `Reads a file of tests and says which of them the rules do not hold. A test names
a packet, or a set of packets as in "tcp from any to any:1-1024 in eth0", and
what has to become of it: accept, drop, reject, queue, blocked, or which rule
has to decide. A set is proved for every packet in it, or a packet is shown for
which it does not hold. docs/check.md describes the file.

The rules are those of --rules, or of the files that the tests name, or the live
ones of both families. The exit code is 0 if all tests hold, 1 if one does not,
and 2 if the tests could not be run.`,
		Args:          checkArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			code, err := f.run(args[0], c.OutOrStdout(), c.ErrOrStderr())
			if err != nil {
				return checkTrouble(c, err)
			}
			return exit(code)
		},
	}
	cmd.SetFlagErrorFunc(checkTrouble)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules, "rules", nil, "a `FILE` in iptables-save's format, or - for standard input; one of each family")
	flags.BoolVar(&f.json, "json", false, "print JSON: an array with an object for each test")
	flags.StringVar(&f.junit, "junit", "", "write the results to a `FILE` in JUnit's XML too")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the tests that hold too")
	return cmd
}

func checkArgs(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return checkTrouble(c, errors.New("one file of tests is wanted, as in: moat check tests.yaml"))
	}
	return nil
}

// checkTrouble prints why the tests could not be run. What is wrong in a file
// stands alone on its line, as editors look for it.
func checkTrouble(c *cobra.Command, err error) error {
	var list analyze.SuiteErrors
	var rules *load.Error
	text := "moat: check: " + err.Error()
	if errors.As(err, &list) || errors.As(err, &rules) {
		text = err.Error()
	}
	fmt.Fprintln(c.ErrOrStderr(), text)
	return exitCode(exitTrouble)
}

// run runs the tests of a file, prints and gives the exit code.
func (f *checkFlags) run(path string, out, warn io.Writer) (code int, err error) {
	suite, err := readSuite(path)
	if err != nil {
		return 0, err
	}
	subjects, o, err := f.subjects(suite, path)
	if err != nil {
		return 0, err
	}
	results, err := suite.Run(subjects, o)
	if err != nil {
		return 0, err
	}
	if o.Host != nil {
		warnBeside(warn, "check", rule.IPv4, rule.IPv6)
	}
	if f.json {
		err = report.CheckJSON(out, suite.Source, results)
	} else {
		err = report.CheckText(out, suite.Source, results, report.CheckOptions{Verbose: f.verbose})
	}
	if f.junit != "" {
		err = errors.Join(err, writeJUnit(f.junit, suite.Source, results))
	}
	for i := range results {
		if results[i].Outcome != analyze.TestPassed {
			code = 1
		}
	}
	return code, err
}

func readSuite(path string) (*analyze.Suite, error) {
	if path == load.Stdin {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return analyze.ReadSuite("standard input", data, nil)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return analyze.ReadSuite(path, data, nil)
}

// subjects are the rulesets that are tested, and for live ones their host. Files
// that the tests name are looked for beside the file of tests.
func (f *checkFlags) subjects(suite *analyze.Suite, path string) ([]*analyze.Subject, analyze.CheckOptions, error) {
	files := f.rules
	if len(files) == 0 {
		for _, name := range suite.Rules {
			if path != load.Stdin && !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(path), name)
			}
			files = append(files, name)
		}
	}
	if len(files) > 0 {
		in, err := analyze.AuditFiles(files, nil)
		return in.Subjects, analyze.CheckOptions{}, err
	}
	in, err := analyze.AuditLive()
	if err != nil {
		return nil, analyze.CheckOptions{}, err
	}
	return in.Subjects, analyze.CheckOptions{Host: in.Facts}, nil
}

func writeJUnit(path, source string, results []analyze.TestResult) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(report.CheckJUnit(file, source, results), file.Close())
}
