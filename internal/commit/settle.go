package commit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"moat/internal/persist"
	"moat/internal/rule"
)

// How changes end, for people.
const (
	endedConfirmed = "confirmed"
	endedTimeOver  = "taken back: not confirmed in time"
	endedAsked     = "taken back: moat rollback"
	endedSignal    = "taken back: stopped by a signal"
	endedAnswer    = "taken back: the answer was not yes"
	endedKilled    = "taken back: the program was killed while it made the change"
	endedFailed    = "taken back: the change failed"
	endedReboot    = "gone: the machine was booted anew before it was confirmed"
	endedNamespace = "gone: its network namespace is no more"
	endedUnknown   = "taken back"
	endedLost      = "nobody knows how it ended: its journal is gone, and the history does not have it"
)

// ending is how a change ended, and what there is to say about it, a line each.
type ending struct {
	Ended string   `json:"ended"`
	Notes []string `json:"notes,omitempty"`
	// Unsaved says that the change was confirmed, but that the boot files could
	// not be written; the notes say why.
	Unsaved bool `json:"unsaved,omitempty"`
}

// ending reads how a journal that is closed came to its end.
func (p *pending) ending() (n ending) {
	if p.isBack {
		return p.ended
	}
	text, err := os.ReadFile(filepath.Join(p.dir, endedFile))
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil { // a full disk, or a process killed between outcome and words
		n = ending{Ended: endedUnknown}
		if p.state == stateConfirmed {
			n.Ended, n.Unsaved = endedConfirmed, p.Save
			n.Notes = []string{"nobody wrote down if the boot files were written: compare them with what iptables-save prints"}
		}
	}
	return n
}

// rollBack puts the old rules back and closes the journal. The lock is held. A
// family that fails does not keep the other from coming back; the journal stays
// then, for another try.
func (e *Env) rollBack(p *pending, ended string) (n ending, err error) {
	n.Ended = ended
	var done []rule.Family
	for _, part := range p.Parts {
		if p.isPutBack(part.Family) {
			continue
		}
		notes, failed := e.putBack(p, part)
		if failed == nil {
			done = append(done, part.Family)
		}
		for _, note := range notes {
			n.Notes = append(n.Notes, part.Family.Name()+": "+note)
		}
		err = errors.Join(err, failed)
		e.reached(stepOneBack)
	}
	if err != nil {
		for _, f := range done { // what is done with it from now on is not the next try's to undo
			_ = p.write(rulesFile("back", f), nil) // if that fails, the next try merges
		}
		return n, err
	}
	e.reached(stepBack)
	err = e.settle(p, stateRolledBack, n)
	if p.isBack {
		return p.ended, err
	}
	n.Notes = append(n.Notes, p.harm...)
	return n, err
}

// isPutBack says if an earlier try had put a family back.
func (p *pending) isPutBack(f rule.Family) bool {
	text, err := p.read(rulesFile("back", f))
	return err == nil && text != nil
}

// putBack makes the kernel's rules of one family what they were, but for what
// others did meanwhile.
func (e *Env) putBack(p *pending, part part) (notes []string, err error) {
	f := part.Family
	old, err := p.text("old", f)
	if err == nil && old == nil {
		err = fmt.Errorf("%s and its copy are missing", rulesFile("old", f))
	}
	if err != nil {
		return nil, &stranded{f, p.dir, err}
	}
	made, err := p.text("new", f)
	if err != nil {
		notes = append(notes, fmt.Sprintf("what others changed meanwhile could not be told from the change, and is gone with it: %v", err))
	}
	if err != nil || p.state != stateApplied { // a new text without the state is no proof of anything
		made = nil
	}
	var kept []string
	remake := func(made []byte) error {
		return e.WayBack.Remake(f, "the old rules", func(now []byte) (text []byte) {
			text, kept = merge(old, made, now, part.Tables)
			return text
		})
	}
	err = remake(made)
	if err != nil && len(kept) > 0 {
		cause := err
		err = remake(nil)
		kept = append(kept, fmt.Sprintf("what others changed meanwhile could not be kept: %v", cause))
	}
	if err != nil { // without a look at the present rules
		notes = append(notes, fmt.Sprintf("the present rules could not be taken into account: %v", err))
		var text []byte
		text, kept = merge(old, made, made, part.Tables)
		err = e.restore(f, text)
	}
	if err != nil {
		return nil, &stranded{f, p.dir, err}
	}
	return append(notes, kept...), nil
}

// stranded says that old rules could not be put back, and where they are.
type stranded struct {
	family rule.Family
	dir    string // of the journal
	err    error
}

func (s *stranded) Error() string {
	file := filepath.Join(s.dir, rulesFile("old", s.family))
	return fmt.Sprintf("ROLLBACK FAILED, the new %s rules are in force: %v\nthe old rules are in %s: %s-restore -c < %s\nit is tried again and again; remove %s to leave the rules as they are",
		s.family.Name(), s.err, file, s.family.Program(), file, s.dir)
}

func (s *stranded) Unwrap() error { return s.err }

func (e *Env) restore(f rule.Family, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	return e.WayBack.Restore(f, "the old rules", bytes.NewReader(text), persist.RestoreOptions{Counters: true})
}

// settle decides the outcome, does what it asks for and closes the journal. That
// a disk is read-only keeps nobody from knowing that the old rules are back.
func (e *Env) settle(p *pending, s state, n ending) error {
	err := p.become(s)
	switch {
	case err != nil && s != stateRolledBack:
		return err
	case err != nil && p.onDisk != s:
		return e.rememberBack(p, n, err)
	}
	e.reached(stepDecided)
	return e.finish(p, n)
}

// finish is what is left to do once the outcome is decided. Each of its steps
// may be done twice.
func (e *Env) finish(p *pending, n ending) error {
	var err error
	if p.state == stateConfirmed && p.Save {
		if err = e.saveForBoot(p); err != nil {
			n.Unsaved = true
			n.Notes = append(n.Notes, strings.Split(err.Error(), "\n")...)
		}
	}
	e.reached(stepSaved)
	for _, harm := range p.harm {
		if !slices.Contains(n.Notes, harm) {
			n.Notes = append(n.Notes, harm)
		}
	}
	// That nobody can read later how it ended is no reason to leave it open.
	if text, failed := json.Marshal(n); failed == nil {
		_ = persist.Writer{}.WriteFile(filepath.Join(p.dir, endedFile), text)
	}
	if failed := e.file(p, n.Ended); failed != nil {
		err = errors.Join(err, fmt.Errorf("the history was not written: %w", failed))
	}
	e.reached(stepFiled)
	return errors.Join(err, e.close(p))
}

// saveForBoot writes the boot files of the families that were changed: the
// rules that were confirmed, as they were right after the change, so that it
// does not matter who does it, and if the kernel still has them.
func (e *Env) saveForBoot(p *pending) error {
	var err error
	for _, part := range p.Parts {
		text, failed := p.text("new", part.Family)
		if failed == nil && text == nil {
			failed = fmt.Errorf("%s and its copy are missing", rulesFile("new", part.Family))
		}
		if failed == nil {
			failed = persist.SaveText(e.Root, part.Family, savedText(parseSaved(text), false))
		}
		if failed != nil {
			err = errors.Join(err, &unsaved{part.Family, failed})
		}
		e.reached(stepOneSaved)
	}
	return err
}

// unsaved says that boot files of a confirmed change could not be written.
type unsaved struct {
	family rule.Family
	err    error
}

func (u *unsaved) Error() string {
	return fmt.Sprintf("the %s rules will not be loaded at boot: %v; \"netfilter-persistent save\" tries again", u.family.Name(), u.err)
}

func (u *unsaved) Unwrap() error { return u.err }

func isUnsaved(err error) bool {
	var u *unsaved
	return errors.As(err, &u)
}
