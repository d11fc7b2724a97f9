package commit

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"moat/internal/persist"
	"moat/internal/rule"
)

// Env is the world that Main sees.
type Env struct {
	Family   rule.Family // says which program it is: iptables-apply or ip6tables-apply
	Args     []string    // without the program's name
	Root     string      // put before the journal's folder: "" is the machine
	Environ  []string    // for the command of -c
	Version  string      // of Moat, for -V
	Stdin    *os.File    // where the answer comes from: a terminal or a pipe
	Stdout   io.Writer
	Stderr   io.Writer
	Firewall persist.Firewall
}

// Exit codes. Those up to 9 and 255 are the ones that Debian's script
// iptables-apply 1.1 gave when it was run with each mistake.
const (
	exitConfirmed      = 0
	exitUsage          = 1 // also: the program itself could not work
	exitRulesUnread    = 2
	exitNoFirewall     = 3 // the rules in the kernel cannot be read
	exitNoWayBack      = 4 // they could not be put back, so nothing was changed
	exitRulesRefused   = 5
	exitNoCommand      = 6
	exitCommandFailed  = 7
	exitSaveFileFailed = 9
	exitStranded       = 10 // ours: the rollback itself failed
	exitRolledBack     = 255
)

// apply is one call of the program.
type apply struct {
	Env
	name    string // of the program
	request request
	old     []byte // the rules at the beginning, with counters
	journal *journal
	watch   *watch
}

// Main is iptables-apply or ip6tables-apply and gives the exit code.
func Main(env Env) int {
	a := &apply{Env: env, name: env.Family.Program() + "-apply"}
	var err error
	if a.request, err = parseArgs(env.Family, env.Args); err != nil {
		a.complain("%v", err)
		return exitUsage
	}
	switch {
	case a.request.help:
		fmt.Fprint(env.Stderr, helpText(env.Family)) // Debian's script writes help and version there
		return exitConfirmed
	case a.request.version:
		fmt.Fprintf(env.Stderr, "%s 1.1 (moat %s)\n", a.name, env.Version)
		return exitConfirmed
	}
	return a.main()
}

func (a *apply) say(format string, args ...any) { fmt.Fprintf(a.Stdout, format, args...) }

func (a *apply) complain(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "Error: %s: %s\n", a.name, fmt.Sprintf(format, args...))
}

// main prepares everything that can fail while nothing is changed, then changes.
func (a *apply) main() int {
	rules, code := a.readRequest()
	if code != exitConfirmed {
		return code
	}
	// Signals first: one that came between journal and change would leave the
	// journal of a change that never was.
	var err error
	if a.watch, err = newWatch(); err != nil {
		a.complain("nothing changed: %v", err)
		return exitUsage
	}
	defer func() {
		if err := a.watch.close(); err != nil {
			a.complain("%v", err)
		}
	}()
	if code := a.prepare(); code != exitConfirmed {
		return code
	}
	if code := a.change(rules); code != exitConfirmed {
		return code
	}
	return a.confirm()
}

// readRequest gives the text to load, nil with -c.
func (a *apply) readRequest() (rules []byte, code int) {
	if !a.request.useCommand {
		rules, err := os.ReadFile(a.request.rulesFile)
		if err != nil {
			a.complain("rulesfile not readable: %v", err)
			return nil, exitRulesUnread
		}
		return rules, exitConfirmed
	}
	info, err := os.Stat(a.request.command)
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0) {
		err = fmt.Errorf("%s: is no executable file", a.request.command)
	}
	if err != nil {
		a.complain("runcmd not executable: %v", err)
		return nil, exitNoCommand
	}
	return nil, exitConfirmed
}

// prepare reads the old rules, proves that they can be restored, and writes
// them to the journal.
func (a *apply) prepare() int {
	var err error
	if a.old, err = a.save(true); err != nil {
		a.complain("the rules in the kernel cannot be read: %v", err)
		return exitNoFirewall
	}
	if err := a.Firewall.Check(a.Family, "the rules in the kernel", bytes.NewReader(a.old)); err != nil {
		a.complain("nothing changed: the present rules could not be put back: %v", err)
		return exitNoWayBack
	}
	var interrupted string
	if a.journal, interrupted, err = openJournal(a.Root, a.Family, a.old); err != nil {
		a.complain("nothing changed: %v", err)
		return exitNoWayBack
	}
	if interrupted != "" {
		fmt.Fprintf(a.Stderr, "Warning: an earlier %s was killed before its answer; the rules before it are in %s\n", a.name, interrupted)
	}
	return exitConfirmed
}

func (a *apply) save(counters bool) ([]byte, error) {
	var text bytes.Buffer
	err := a.Firewall.Save(a.Family, &text, counters)
	return text.Bytes(), err
}

// change loads the rules or runs the command. With another code than
// exitConfirmed the old rules are in place again.
func (a *apply) change(rules []byte) int {
	if a.request.useCommand {
		return a.changeByCommand()
	}
	a.say("Applying new %s rules from '%s'... ", a.Family.Program(), a.request.rulesFile)
	err := a.Firewall.Restore(a.Family, a.request.rulesFile, bytes.NewReader(rules), persist.RestoreOptions{})
	if err == nil {
		a.say("done.\n")
		return exitConfirmed
	}
	a.say("failed.\n")
	a.complain("nothing changed: %v", err)
	return a.finish(exitRulesRefused) // a restore that fails has changed nothing
}

func (a *apply) changeByCommand() int {
	a.say("Running command '%s'... ", a.request.command)
	if err := a.runCommand(); err != nil {
		a.say("failed.\n")
		a.complain("%s: %v", a.request.command, err)
		return a.rollback(exitCommandFailed)
	}
	a.say("done.\n")
	return exitConfirmed
}

// confirm asks, and keeps the change or takes it back.
func (a *apply) confirm() int {
	a.say("Can you establish NEW connections to the machine? (y/N) ")
	got, err := a.watch.ask(a.Stdin, a.request.timeout)
	a.say("\n")
	if err != nil {
		a.complain("%v", err)
		return a.rollback(exitRolledBack)
	}
	switch got {
	case answerYes:
		return a.keep()
	case answerNo:
		a.say("The answer was not yes.\n")
	case answerNone:
		a.say("Timeout! No answer came.\n")
	case answerHangUp:
		a.say("The terminal hung up.\n")
	case answerStopped:
		a.say("Stopped by signal: %v.\n", a.watch.got)
	}
	return a.rollback(exitRolledBack)
}

// keep makes the change stay and writes the savefile if one was asked for.
func (a *apply) keep() int {
	if a.request.saveFile == "" {
		a.say("The new rules stay.\n")
		return a.finish(exitConfirmed)
	}
	a.say("Writing the rules to '%s'... ", a.request.saveFile)
	text, err := a.save(false)
	if err == nil {
		err = persist.Writer{KeepEarlier: true}.WriteFile(a.request.saveFile, text)
	}
	if err != nil {
		a.say("failed.\n")
		a.complain("the new rules stay, but: %v", err)
		return a.finish(exitSaveFileFailed)
	}
	a.say("done.\nThe new rules stay.\n")
	return a.finish(exitConfirmed)
}

// rollback puts the old rules back and gives code, or exitStranded.
func (a *apply) rollback(code int) int {
	a.say("Reverting to old %s rules... ", a.Family.Program())
	now, err := a.save(false)
	if err != nil {
		// Without it only tables that the change created stay behind.
		a.complain("the new rules cannot be read, new tables stay: %v", err)
	}
	text := bytes.NewReader(rollbackText(a.old, now))
	if err := a.Firewall.Restore(a.Family, "the old rules", text, persist.RestoreOptions{Counters: true}); err != nil {
		a.say("failed.\n")
		a.complain("ROLLBACK FAILED, the new rules are in force: %v", err)
		a.complain("the old rules are in %s: %s-restore -c < %s", a.journal.path, a.Family.Program(), a.journal.path)
		if err := a.journal.abandon(); err != nil {
			a.complain("%v", err)
		}
		return exitStranded
	}
	a.say("done.\n")
	return a.finish(code)
}

// finish closes the journal. It failing changes nothing about the rules.
func (a *apply) finish(code int) int {
	if err := a.journal.close(); err != nil {
		a.complain("%v", err)
	}
	return code
}
