package commit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"moat/internal/packet"
)

// Errors of a confirmation that proves nothing.
var (
	errOldSession = errors.New("this connection is older than the change, so it does not prove that a new one gets in")
	errNoSession  = errors.New("it is not known by which connection you work here, and one from this host itself does not prove that a new one gets in")
)

// Confirm keeps the change that is pending and gives the exit code. From a
// connection that was there before the change it counts only with fromHere.
func Confirm(env Env, fromHere bool) int {
	e := env.ready()
	code := e.confirmNow(fromHere)
	e.keepWatch()
	return code
}

func (e *Env) confirmNow(fromHere bool) int {
	p, err := e.underLock("", func(p *pending) error {
		if why := e.provesNot(p); why != nil && !fromHere {
			return why
		}
		err := e.settle(p, stateConfirmed, ending{Ended: endedConfirmed, Notes: p.harm})
		if err != nil && p.state != stateConfirmed {
			err = fmt.Errorf("not confirmed: that cannot be written down (%w), so the old rules come back when the time is over", err)
		}
		return err
	})
	switch {
	case errors.Is(err, errOldSession), errors.Is(err, errNoSession):
		e.complain("not confirmed: %v", err)
		e.say("  from a new one  %s\n  or insist       moat confirm --from-here", newLogin(e.Who))
		return ExitNot
	case p != nil && p.state == stateConfirmed:
		return e.confirmed(p, err)
	}
	return e.notDone("confirm", err)
}

// keepWatch starts a watchdog if something is pending still and has none. That it
// cannot is no answer to what was asked; the next start of a program says it.
func (e *Env) keepWatch() {
	if IsPending(e.Root) {
		_ = e.attend()
	}
}

// confirmed tells that the change stays, and what went wrong after that.
func (e *Env) confirmed(p *pending, err error) int {
	e.say("confirmed: the new rules (%s) stay.", p.sources())
	for _, harm := range p.harm {
		e.say("  %s", harm)
	}
	switch {
	case err != nil:
		e.complain("but %v", err)
	case p.Save:
		e.say("They are loaded at boot.")
	}
	if isUnsaved(err) {
		return ExitUnsaved
	}
	return ExitDone
}

// notDone tells why a command did nothing.
func (e *Env) notDone(command string, err error) int {
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("only root may (sudo moat %s): %w", command, err)
	}
	e.complain("%s: %v", command, err)
	switch {
	case isStranded(err):
		return ExitStranded
	case isOver(err):
		return ExitNot
	}
	return ExitTrouble
}

// provesNot says why the caller being here does not show that new connections get
// in. nil: it does, or none is needed, as on a console or for a script of the
// machine's own.
func (e *Env) provesNot(p *pending) error {
	isNew := func(c Connection) bool { return !p.existed(c) }
	switch {
	case len(e.Who.Sessions) == 0 && e.Who.Unknown:
		return errNoSession
	case len(e.Who.Sessions) == 0, slices.ContainsFunc(e.Who.Sessions, isNew):
		return nil
	}
	return errOldSession
}

// newLogin is a command that confirms by a new connection: ControlPath=none, for
// ssh would go through the one that it has.
func newLogin(w Who) string {
	user, command := w.User, "moat confirm"
	if w.SudoUser != "" {
		user, command = w.SudoUser, "sudo moat confirm"
	}
	to, port := "HOST", ""
	if len(w.Sessions) > 0 && !w.Sessions[0].Server.Addr().IsLoopback() {
		server := w.Sessions[0].Server
		to = server.Addr().WithZone("").String()
		if server.Port() != 22 && !w.Sessions[0].Gone && w.Sessions[0].Proto == packet.ProtoTCP { // not that of mosh
			port = fmt.Sprintf("-p %d ", server.Port())
		}
	}
	terminal := ""
	if w.SudoUser != "" {
		terminal = "-t " // sudo may ask for a password
	}
	return "ssh -o ControlPath=none " + terminal + port + user + "@" + to + " " + command
}

// Rollback takes the pending change back at once and gives the exit code.
func Rollback(env Env) int {
	e := env.ready()
	code := e.rollbackNow()
	e.keepWatch()
	return code
}

func (e *Env) rollbackNow() int {
	var n ending
	_, err := e.underLock("", func(p *pending) (err error) {
		n, err = e.rollBack(p, endedAsked)
		return err
	})
	if err != nil {
		return e.notDone("rollback", err)
	}
	e.say("The old rules are back.")
	for _, note := range n.Notes {
		e.say("  %s", note)
	}
	return ExitDone
}

// status is what Status tells.
type status struct {
	Pending   bool       `json:"pending"`
	Since     *time.Time `json:"since,omitempty"`
	Left      float64    `json:"seconds_left"`
	Program   string     `json:"program,omitempty"`
	Who       *Who       `json:"who,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Files     []string   `json:"files,omitempty"`
	Save      bool       `json:"save"`
	State     state      `json:"state,omitempty"`
	Watched   bool       `json:"watched"`
	Elsewhere bool       `json:"other_namespace,omitempty"`
	Damaged   []string   `json:"damaged,omitempty"`
}

// Status tells what is pending: exit code ExitDone, or ExitNot if nothing is.
func Status(env Env, asJSON bool) int {
	e := env.ready()
	failed := e.attend()
	p, err := e.open(pendingDir)
	if err != nil && !errors.Is(err, errNothingPending) {
		return e.notDone("status", err)
	}
	if isTold(failed) {
		e.complain("%v", failed)
	}
	var s status
	if err == nil && !p.isBack {
		s, err = e.status(p)
		if errors.Is(err, fs.ErrNotExist) && !IsPending(e.Root) { // it ended meanwhile
			s, err = status{}, nil
		}
		if err != nil {
			return e.notDone("status", err)
		}
	}
	if asJSON {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return e.notDone("status", err)
		}
		e.say("%s", text)
	} else {
		e.say("%s", s.text(p))
	}
	if !s.Pending {
		return ExitNot
	}
	return ExitDone
}

func (e *Env) status(p *pending) (s status, err error) {
	s = status{Pending: true, Since: &p.Since, Program: p.Program, Who: &p.Who, Reason: p.Reason, Save: p.Save, State: p.state, Damaged: p.harm}
	for _, part := range p.Parts {
		s.Files = append(s.Files, part.Source)
	}
	now, err := e.now()
	if err != nil {
		return s, err
	}
	if p.Deadline > 0 {
		s.Left = max(0, (p.Deadline - now).Round(time.Second/10).Seconds())
	}
	here, err := e.namespace()
	if err != nil {
		return s, err
	}
	s.Elsewhere = here != p.Namespace
	s.Watched, err = e.isWatched()
	return s, err
}

// text is the status for people.
func (s *status) text(p *pending) string {
	if !s.Pending {
		return "nothing is pending"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "pending since %s: %s", p.Since.Format(time.TimeOnly), p.Program)
	switch p.state {
	case statePrepared:
		b.WriteString(", which is making its change")
	case stateApplied:
		fmt.Fprintf(&b, ", %.0f seconds left to confirm", s.Left)
	}
	fmt.Fprintf(&b, "\n  by        %s\n  rules     %s", p.Who, p.sources())
	if p.Reason != "" {
		b.WriteString("\n  reason    " + p.Reason)
	}
	if p.Save {
		b.WriteString("\n  saved     when it is confirmed")
	}
	if s.Elsewhere {
		b.WriteString("\n  where     in another network namespace")
	}
	for _, harm := range s.Damaged {
		b.WriteString("\n  damaged   " + harm)
	}
	if !s.Watched {
		b.WriteString("\n  watchdog  none: the next start of any program of moat starts one")
	}
	return b.String()
}
