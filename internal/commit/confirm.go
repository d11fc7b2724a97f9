package commit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// errOldSession refuses a confirmation that proves nothing.
var errOldSession = errors.New("this connection is older than the change, so it does not prove that a new one gets in")

// Confirm keeps the change that is pending and gives the exit code. From a
// connection that was there before the change it counts only with fromHere.
func Confirm(env Env, fromHere bool) int {
	e := env.ready()
	p, err := e.underLock("", func(p *pending) error {
		if !fromHere && !e.proves(p) {
			return errOldSession
		}
		return e.settle(p, stateConfirmed, ending{Ended: endedConfirmed})
	})
	switch {
	case errors.Is(err, errOldSession):
		e.complain("not confirmed: %v", err)
		e.say("  from a new one  %s\n  or insist       moat confirm --from-here", newLogin(e.Who))
		return ExitNot
	case p != nil && p.state == stateConfirmed:
		return e.confirmed(p, err)
	}
	return e.notDone(err)
}

// confirmed tells that the change stays, and what went wrong after that.
func (e *Env) confirmed(p *pending, err error) int {
	e.say("confirmed: the new rules (%s) stay.", p.sources())
	if err != nil {
		e.complain("but %v", err)
		return ExitTrouble
	}
	if p.Save {
		e.say("They are loaded at boot.")
	}
	return ExitDone
}

// notDone tells why nothing was confirmed or taken back.
func (e *Env) notDone(err error) int {
	e.complain("%v", err)
	switch {
	case isStranded(err):
		return ExitStranded
	case isOver(err):
		return ExitNot
	}
	return ExitTrouble
}

// proves says if the caller being here shows that new connections get in, or
// that none is needed: on a console, by a script of the machine's own.
func (e *Env) proves(p *pending) bool {
	return len(e.Who.Sessions) == 0 && !e.Who.Unknown || slices.ContainsFunc(e.Who.Sessions, func(c Connection) bool { return !p.existed(c) })
}

// newLogin is a command that confirms by a new connection: ControlPath=none, for
// ssh would go through the one that it has.
func newLogin(w Who) string {
	user, command := w.User, "moat confirm"
	if w.SudoUser != "" {
		user, command = w.SudoUser, "sudo moat confirm"
	}
	to, port := "HOST", ""
	if len(w.Sessions) > 0 {
		server := w.Sessions[0].Server
		to = server.Addr().WithZone("").String()
		if server.Port() != 22 && !w.Sessions[0].Gone {
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
	var n ending
	_, err := e.underLock("", func(p *pending) (err error) {
		n, err = e.rollBack(p, endedAsked)
		return err
	})
	if err != nil {
		return e.notDone(err)
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
}

// Status tells what is pending: exit code ExitDone, or ExitNot if nothing is.
func Status(env Env, asJSON bool) int {
	e := env.ready()
	p, err := e.open(pendingDir)
	if err != nil && !errors.Is(err, errNothingPending) {
		e.complain("%v", err)
		return ExitTrouble
	}
	var s status
	if err == nil {
		if s, err = e.status(p); err != nil {
			e.complain("%v", err)
			return ExitTrouble
		}
	}
	if asJSON {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			e.complain("%v", err)
			return ExitTrouble
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
	s = status{Pending: true, Since: &p.Since, Program: p.Program, Who: &p.Who, Reason: p.Reason, Save: p.Save, State: p.state}
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
	if !s.Watched {
		b.WriteString("\n  watchdog  none: the next start of any program of moat starts one")
	}
	return b.String()
}
