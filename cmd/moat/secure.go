package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"moat/internal/analyze"
	"moat/internal/cli"
	"moat/internal/commit"
	"moat/internal/guard"
	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/report"
	"moat/internal/rule"
	"moat/internal/secure"
	"moat/internal/session"
)

// secureFlags are what moat secure was told.
type secureFlags struct {
	allow    []string
	limitSSH bool
	log      bool
	keep     bool
	yes      bool
	json     bool
	noSave   bool
	within   string
	protect  []string
}

func newSecureCommand() *cobra.Command {
	var f secureFlags
	cmd := &cobra.Command{
		Use:   "secure [--allow SERVICES] [--limit-ssh] [--log] [--yes]",
		Short: "Propose a small firewall for this host, and put it in force once you say so",
		Long: `Looks at what listens on this host and at your own connection, and proposes one
small ruleset with comments for IPv4 and IPv6 together: what is not let in is
dropped. On a terminal it asks for each service, shows what would be open, asks
again, loads the rules on a timer (as moat apply does: unless "moat confirm" comes
in time, the old rules come back), and saves them when they are confirmed.
Without a terminal it prints the proposal and changes nothing, unless --yes.

--allow is a list of names, ports or ranges, each with the networks that may:

  ssh,http,https,5432/tcp from 10.0.0.0/8,192.0.2.7,60000-61000/udp

Your own connection's port, and that of sshd, stay open in any case. Chains of
containers and other programs are left alone, and so are FORWARD on a host that
forwards, OUTPUT, and all tables but filter. Rules of INPUT that let something in
are taken out, and shown; --keep leaves them. docs/secure.md has more.`,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.allow, "allow", nil, "`SERVICES` to let in: ssh,http,5432/tcp from 10.0.0.0/8")
	flags.BoolVar(&f.limitSSH, "limit-ssh", false, "at most 6 logins a minute from one address, 10 at once")
	flags.BoolVar(&f.log, "log", false, "log some of what is dropped")
	flags.BoolVar(&f.keep, "keep", false, "leave the rules of INPUT that let something in")
	flags.BoolVar(&f.yes, "yes", false, "ask nothing, and load the rules on the timer")
	flags.BoolVar(&f.json, "json", false, "print the proposal as JSON, and change nothing")
	flags.BoolVar(&f.noSave, "no-save", false, "do not write the boot files once it is confirmed")
	flags.StringVar(&f.within, "confirm-within", "60s", "time to confirm")
	flags.StringArrayVar(&f.protect, "protect", nil, protectText)
	return cmd
}

func (f *secureFlags) run(c *cobra.Command) error {
	if f.json && f.yes {
		return trouble(c, errors.New("--json changes nothing: it does not go with --yes"))
	}
	within, err := parseSeconds(f.within)
	if err != nil {
		return trouble(c, err)
	}
	protect, err := parseProtected(f.protect)
	if err != nil {
		return trouble(c, err)
	}
	o := secure.Options{LimitSSH: f.limitSSH, Log: f.log, KeepAll: f.keep}
	for _, text := range f.allow {
		list, err := secure.ParseAllow(text, nil)
		if err != nil {
			return trouble(c, fmt.Errorf("--allow: %w", err))
		}
		o.Allow = append(o.Allow, list...)
	}
	in, err := secureInput(c.ErrOrStderr())
	if err != nil {
		return trouble(c, err)
	}
	d := dialogue{in: os.Stdin, out: c.OutOrStdout()}
	p, err := f.propose(&d, in, &o)
	switch {
	case err != nil:
	case f.json:
		return secure.WriteJSON(d.out, p)
	default:
		err = errors.Join(secure.WriteText(d.out, p), showExposure(d.out, in, p))
	}
	if err != nil {
		return trouble(c, err)
	}
	change := commit.Change{Within: within, Reason: "moat secure", Save: !f.noSave && p.Manager == ""}
	return f.carryOut(c, &d, p, change, protect)
}

// propose makes the proposal, and asks on a terminal what was not told.
func (f *secureFlags) propose(d *dialogue, in *secure.Input, o *secure.Options) (*secure.Proposal, error) {
	asks := !f.yes && !f.json && d.isPossible()
	if asks && len(f.allow) == 0 {
		d.askServices(in, o)
	}
	p, err := secure.Propose(in, o)
	if err == nil && asks && d.askReplaced(p) {
		o.KeepAll = true
		p, err = secure.Propose(in, o)
	}
	return p, errors.Join(err, d.err)
}

// carryOut loads the rules on the timer, if that is wanted.
func (f *secureFlags) carryOut(c *cobra.Command, d *dialogue, p *secure.Proposal, change commit.Change, protect []guard.Protected) error {
	switch {
	case f.yes:
	case !d.isPossible():
		fmt.Fprintln(c.ErrOrStderr(), "moat: secure: nothing was changed; --yes loads these rules on the timer")
		return nil
	case !d.ask("Load these rules? Unless you confirm within "+f.within+" from a new login, the old ones come back", false):
		fmt.Fprintln(c.ErrOrStderr(), "moat: secure: nothing was changed")
		return exitCode(commit.ExitNot)
	}
	for _, family := range p.Families {
		change.Files = append(change.Files, commit.File{
			Family: family.Family, Name: "the proposal for " + family.Family.Name(), Text: family.Text(), NoFlush: true,
		})
	}
	env := cli.Timed(os.Stdin, c.OutOrStdout(), c.ErrOrStderr(), protect...)
	if err := commit.Judge(env, change.Files); err != nil {
		return refusedChange(c, err)
	}
	return exit(commit.Apply(env, change))
}

// secureInput is what this host is, and who works on it.
func secureInput(warn io.Writer) (*secure.Input, error) {
	live, err := analyze.AuditLive()
	if errors.Is(err, load.ErrNotPermitted) {
		return nil, errors.New("the live rules can only be read by root (or with CAP_NET_ADMIN)")
	}
	if err != nil {
		return nil, err
	}
	in := &secure.Input{Facts: live.Facts, Listeners: live.Listeners}
	if in.Listeners == nil {
		in.Listeners = []host.Listener{} // told, but there is none
	}
	for _, s := range live.Subjects {
		in.Rules = append(in.Rules, s.Ruleset)
	}
	warnBeside(warn, "secure", rule.IPv4, rule.IPv6)
	if in.Sessions, err = session.Of(session.Here()); err != nil {
		fmt.Fprintln(warn, "moat: secure: warning: your own connection is not known: "+err.Error())
	}
	return in, nil
}

// showExposure writes who may open what with a proposal in force.
func showExposure(out io.Writer, in *secure.Input, p *secure.Proposal) error {
	var subjects []*analyze.Subject
	for _, f := range p.Families {
		subjects = append(subjects, analyze.NewSubject(&load.Rules{Ruleset: f.After, Source: "the proposal"}, true))
	}
	if _, err := fmt.Fprintln(out, "With these rules in force:"); err != nil {
		return err
	}
	file, isFile := out.(*os.File)
	return report.ExposureText(out, analyze.NewExposure(subjects, in.Listeners), report.ExposureOptions{Color: isFile && isTerminal(file)})
}

// dialogue asks the one who sits at the terminal.
type dialogue struct {
	in  *os.File
	out io.Writer
	err error // the first of writing or reading
}

// isPossible reports whether there is a terminal for questions and answers.
func (d *dialogue) isPossible() bool {
	out, isFile := d.out.(*os.File)
	if !isFile {
		return false
	}
	for _, f := range [...]*os.File{d.in, out} {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
			return false
		}
	}
	return true
}

// ask asks a question; an empty line is the usual answer, the end of the input is
// no.
func (d *dialogue) ask(question string, usual bool) bool {
	choice := " [y/N] "
	if usual {
		choice = " [Y/n] "
	}
	for d.err == nil {
		if _, d.err = io.WriteString(d.out, question+"?"+choice); d.err != nil {
			return false
		}
		switch d.line() {
		case "y", "Y", "yes":
			return d.err == nil
		case "n", "N", "no":
			return false
		case "":
			return usual && d.err == nil
		}
	}
	return false
}

// line reads one line, and nothing of the next.
func (d *dialogue) line() string {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := d.in.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return string(line)
		case n == 1:
			line = append(line, b[0])
		case err != nil:
			d.err = fmt.Errorf("no answer: %w", err)
			return ""
		}
	}
}

// askServices asks for each service that listens whether it is to be let in.
func (d *dialogue) askServices(in *secure.Input, o *secure.Options) {
	for _, offer := range secure.Offers(in, o) {
		if !offer.ByContainers && d.ask("Let in "+offer.Describe(), offer.Public) {
			o.Allow = append(o.Allow, offer.Service)
		}
	}
}

// askReplaced asks whether the rules that would be taken out are to stay.
func (d *dialogue) askReplaced(p *secure.Proposal) bool {
	n := 0
	for _, f := range p.Families {
		for _, line := range f.Replaced {
			if n++; n == 1 {
				_, d.err = fmt.Fprintln(d.out, "These rules of INPUT let something in, or log, and would be taken out:")
			}
			if d.err == nil {
				_, d.err = fmt.Fprintf(d.out, "  %s %s\n", f.Family.Program(), line)
			}
		}
	}
	return n > 0 && d.ask("Keep them", false)
}
