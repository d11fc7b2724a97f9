package commit

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"moat/internal/persist"
	"moat/internal/rule"
)

// Exit codes of Apply, Confirm, Rollback and Status.
const (
	ExitDone     = 0 // confirmed; or what was asked for was done
	ExitNot      = 1 // refused or taken back; or there is nothing pending
	ExitTrouble  = 2 // it could not be done: nothing was changed
	ExitStranded = 3 // the new rules could not be taken back and are in force
	ExitUnsaved  = 4 // confirmed, but the boot files could not be written
)

// DefaultWithin is the time to confirm if none is told.
const DefaultWithin = time.Minute

// File is a text in save format for one family.
type File struct {
	Family  rule.Family
	Name    string // of the file, for messages
	Text    []byte
	NoFlush bool // keep what its tables have
}

// Change is what Apply is to do.
type Change struct {
	Files  []File // one a family at most
	Within time.Duration
	Save   bool // write the boot files when it is confirmed
	Reason string
}

// Judge says whether the change would be made, without making it: the parser's
// and the guard's answer for each file.
func Judge(env Env, files []File) error {
	var err error
	for _, f := range files {
		err = errors.Join(err, env.Firewall.Judge(f.Family, f.Name, bytes.NewReader(f.Text), persist.RestoreOptions{NoFlush: f.NoFlush}))
	}
	return err
}

// Apply makes a change for a while, and for good when it is confirmed in time. It
// waits for that and gives the exit code. The journal on disk and the watchdog
// see to the rollback if this process does not live to do it.
func Apply(env Env, c Change) int {
	e := env.ready()
	w, err := newWatch()
	if err != nil {
		e.complain("nothing was changed: %v", err)
		return ExitTrouble
	}
	code := e.apply(c, w)
	if err := w.close(); err != nil {
		e.complain("%v", err)
	}
	return code
}

func (e *Env) apply(c Change, w *watch) int {
	var parts []part
	for _, f := range c.Files {
		parts = append(parts, part{Family: f.Family, Source: f.Name, Tables: tablesOf(f.Text)})
	}
	j, err := e.newJournal("moat apply", c.Within, parts...)
	if err != nil {
		e.complain("nothing was changed: %v", err)
		return ExitTrouble
	}
	j.Reason, j.Save = c.Reason, c.Save
	t, err := e.prepare(j, rule.IPv4, rule.IPv6)
	if err != nil {
		e.complain("nothing was changed: %v", err)
		return ExitTrouble
	}
	if code := t.change(c.Files); code != ExitDone {
		return code
	}
	return t.wait(w)
}

// tablesOf names the tables of a text in save format.
func tablesOf(text []byte) []string {
	names := []string{} // not nil, which means any table
	for _, t := range parseSaved(text) {
		names = append(names, t.name)
	}
	return names
}

// change loads the files, one transaction a family. After a failure the old
// rules are in place again.
func (t *timed) change(files []File) int {
	for i, f := range files {
		err := t.Firewall.Restore(f.Family, f.Name, bytes.NewReader(f.Text), persist.RestoreOptions{NoFlush: f.NoFlush})
		if err == nil {
			t.reached(stepOneFamily)
			continue
		}
		t.complain("%v", err)
		if i > 0 {
			return t.takeBack(endedFailed)
		}
		if err := t.forget(); err != nil { // a restore that fails has changed nothing
			t.complain("%v", err)
		}
		return ExitNot
	}
	if err := t.made(); err != nil {
		t.complain("the change is taken back, for it could not be written down: %v", err)
		return t.takeBack(endedFailed)
	}
	return ExitDone
}

// takeBack undoes a change that was not wholly made.
func (t *timed) takeBack(ended string) int {
	if err := t.undo(ended); err != nil {
		t.complain("%v", err)
		return ExitStranded
	}
	t.complain("nothing was changed: the old rules are back")
	return ExitNot
}

func isStranded(err error) bool {
	var s *stranded
	return errors.As(err, &s)
}

// confirmLines say how to keep the change.
func (t *timed) confirmLines() string {
	var b strings.Builder
	b.WriteString("  confirm  ")
	if len(t.Who.Sessions) == 0 && !t.Who.Unknown {
		b.WriteString("moat confirm\n")
	} else {
		b.WriteString(newLogin(t.Who) + "\n")
	}
	b.WriteString("  undo     moat rollback, or ^C here")
	return b.String()
}
