package commit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"moat/internal/persist"
	"moat/internal/rule"
)

// Exit codes. Those up to 9 and 255 are the ones that Debian's script
// iptables-apply 1.1 gave when it was run with each mistake.
const (
	exitConfirmed      = 0
	exitUsage          = 1 // also: the program itself could not work
	exitRulesUnread    = 2
	exitNoFirewall     = 3 // the rules in the kernel cannot be read
	exitNoWayBack      = 4 // they could not be put back, so nothing was changed
	exitRulesRefused   = 5
	exitBarred         = 1 // ours: the guard refused, as it does everywhere
	exitNoCommand      = 6
	exitCommandFailed  = 7
	exitSaveFileFailed = 9
	exitStranded       = 10 // ours: the rollback itself failed
	exitRolledBack     = 255
)

// classic is one call of iptables-apply or ip6tables-apply.
type classic struct {
	*Env
	family  rule.Family
	name    string // of the program
	request request
	timed   *timed
	watch   *watch
}

// Main is iptables-apply or ip6tables-apply and gives the exit code.
func Main(env Env, f rule.Family, args []string) int {
	a := &classic{Env: env.ready(), family: f, name: f.Program() + "-apply"}
	var err error
	if a.request, err = parseArgs(f, args); err != nil {
		a.fail("%v", err)
		return exitUsage
	}
	switch {
	case a.request.help:
		fmt.Fprint(env.Stderr, helpText(f)) // Debian's script writes help and version there
		return exitConfirmed
	case a.request.version:
		fmt.Fprintf(env.Stderr, "%s 1.1 (moat %s)\n", a.name, env.Version)
		return exitConfirmed
	}
	return a.main()
}

func (a *classic) print(format string, args ...any) { fmt.Fprintf(a.Stdout, format, args...) }

func (a *classic) fail(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "Error: %s: %s\n", a.name, fmt.Sprintf(format, args...))
}

// refused prints why the rules were not loaded; what the guard says speaks for itself.
func (a *classic) refused(err error) {
	if persist.IsBarred(err) {
		a.complain("%v", err)
		return
	}
	a.fail("nothing changed: %v", err)
}

// main prepares everything that can fail while nothing is changed, then changes.
func (a *classic) main() int {
	rules, code := a.readRequest()
	if code != exitConfirmed {
		return code
	}
	// Signals first: one that came between journal and change would leave the
	// journal of a change that never was.
	var err error
	if a.watch, err = newWatch(); err != nil {
		a.fail("nothing changed: %v", err)
		return exitUsage
	}
	defer func() {
		if err := a.watch.close(); err != nil {
			a.fail("%v", err)
		}
	}()
	if code := a.prepareChange(rules); code != exitConfirmed {
		return code
	}
	if code := a.change(rules); code != exitConfirmed {
		return code
	}
	if err := a.timed.made(); err != nil {
		a.fail("the change is taken back, for it could not be written down: %v", err)
		return a.takeBack(exitRolledBack)
	}
	return a.confirm()
}

// readRequest gives the text to load, nil with -c.
func (a *classic) readRequest() (rules []byte, code int) {
	if !a.request.useCommand {
		rules, err := os.ReadFile(a.request.rulesFile)
		if err != nil {
			a.fail("rulesfile not readable: %v", err)
			return nil, exitRulesUnread
		}
		return rules, exitConfirmed
	}
	info, err := os.Stat(a.request.command)
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0) {
		err = fmt.Errorf("%s: is no executable file", a.request.command)
	}
	if err != nil {
		a.fail("runcmd not executable: %v", err)
		return nil, exitNoCommand
	}
	return nil, exitConfirmed
}

// prepareChange reads the old rules, proves that they can be restored, writes
// them to the journal and sets the watchdog on it.
func (a *classic) prepareChange(rules []byte) int {
	change := part{Family: a.family, Source: a.request.command} // which tables a command changes, nobody knows
	if !a.request.useCommand {
		change.Source, change.Tables = a.request.rulesFile, tablesOf(rules)
	}
	j, err := a.newJournal(a.name, a.request.timeout, change)
	if err == nil {
		a.timed, err = a.prepare(j, a.family)
	}
	var u *unreadable
	switch {
	case errors.As(err, &u):
		a.fail("%v", err)
		return exitNoFirewall
	case err != nil:
		a.fail("nothing changed: %v", err)
		return exitNoWayBack
	}
	return exitConfirmed
}

// change loads the rules or runs the command. With another code than
// exitConfirmed the old rules are in place again.
func (a *classic) change(rules []byte) int {
	if a.request.useCommand {
		return a.changeByCommand()
	}
	a.print("Applying new %s rules from '%s'... ", a.family.Program(), a.request.rulesFile)
	err := a.Firewall.Restore(a.family, a.request.rulesFile, bytes.NewReader(rules), persist.RestoreOptions{})
	if err == nil {
		a.print("done.\n")
		return exitConfirmed
	}
	a.print("failed.\n")
	a.refused(err)
	if err := a.timed.forget(); err != nil { // a restore that fails has changed nothing
		a.fail("%v", err)
	}
	if persist.IsBarred(err) {
		return exitBarred
	}
	return exitRulesRefused
}

func (a *classic) changeByCommand() int {
	a.print("Running command '%s'... ", a.request.command)
	if err := a.runCommand(); err != nil {
		a.print("failed.\n")
		a.fail("%s: %v", a.request.command, err)
		return a.takeBack(exitCommandFailed)
	}
	a.print("done.\n")
	return exitConfirmed
}

// takeBack puts the old rules back before others may do it.
func (a *classic) takeBack(code int) int {
	a.print("Reverting to old %s rules... ", a.family.Program())
	return a.tookBack(ending{}, a.timed.undo(endedFailed), code)
}

// confirm asks, and keeps the change or takes it back.
func (a *classic) confirm() int {
	a.print("Can you establish NEW connections to the machine? (y/N) ")
	got, err := a.watch.ask(a.Stdin, a.request.timeout, func() bool { return a.settled(a.timed.ID) != nil })
	a.print("\n")
	if err != nil {
		a.fail("%v", err)
		return a.rollback(endedFailed)
	}
	switch got {
	case answerYes:
		return a.keep()
	case answerElsewhere:
		return a.endedElsewhere()
	case answerNo:
		a.print("The answer was not yes.\n")
		return a.rollback(endedAnswer)
	case answerNone:
		a.print("Timeout! No answer came.\n")
		return a.rollback(endedTimeOver)
	case answerHangUp:
		a.print("The terminal hung up.\n")
	case answerStopped:
		a.print("Stopped by signal: %v.\n", a.watch.got)
	}
	return a.rollback(endedSignal)
}

// endedElsewhere is for a change that "moat confirm", "moat rollback" or the
// watchdog settled.
func (a *classic) endedElsewhere() int {
	switch p := a.settled(a.timed.ID); {
	case p != nil && p.state == stateConfirmed:
		a.print("Confirmed by \"moat confirm\".\n")
		return a.save()
	case p != nil && p.ending().Ended == endedLost:
		a.print("%s.\n", endedLost)
	default:
		a.print("The old rules are back already.\n")
	}
	return exitRolledBack
}

// keep makes the change stay.
func (a *classic) keep() int {
	_, err := a.underLock(a.timed.ID, func(p *pending) error {
		return a.settle(p, stateConfirmed, ending{Ended: endedConfirmed})
	})
	switch {
	case isOver(err):
		return a.endedElsewhere()
	case err != nil:
		a.fail("%v", err)
		return a.rollback(endedFailed)
	}
	return a.save()
}

// save writes the savefile if one was asked for.
func (a *classic) save() int {
	if a.request.saveFile == "" {
		a.print("The new rules stay.\n")
		return exitConfirmed
	}
	a.print("Writing the rules to '%s'... ", a.request.saveFile)
	var text bytes.Buffer
	err := a.Firewall.Save(a.family, &text, false)
	if err == nil {
		err = persist.Writer{KeepEarlier: true}.WriteFile(a.request.saveFile, text.Bytes())
	}
	if err != nil {
		a.print("failed.\n")
		a.fail("the new rules stay, but: %v", err)
		return exitSaveFileFailed
	}
	a.print("done.\nThe new rules stay.\n")
	return exitConfirmed
}

// rollback puts the old rules back and gives the exit code.
func (a *classic) rollback(ended string) int {
	a.print("Reverting to old %s rules... ", a.family.Program())
	var n ending
	_, err := a.underLock(a.timed.ID, func(p *pending) (err error) {
		n, err = a.rollBack(p, ended)
		return err
	})
	if isOver(err) {
		if p := a.settled(a.timed.ID); p != nil && p.state == stateConfirmed {
			a.print("too late.\n")
			return a.endedElsewhere()
		}
		err = nil
	}
	return a.tookBack(n, err, exitRolledBack)
}

// tookBack tells how the way back went and gives code, or exitStranded.
func (a *classic) tookBack(n ending, err error, code int) int {
	switch {
	case isStranded(err):
		a.print("failed.\n")
		for line := range strings.Lines(err.Error()) {
			a.fail("%s", strings.TrimSuffix(line, "\n"))
		}
		return exitStranded
	case err != nil: // the watchdog goes on
		a.print("failed.\n")
		a.fail("%v", err)
		return exitStranded
	}
	a.print("done.\n")
	for _, note := range n.Notes {
		a.print("%s\n", note)
	}
	return code
}
