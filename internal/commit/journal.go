package commit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"moat/internal/packet"
	"moat/internal/rule"
)

// ErrBusy means that another timed change waits for its answer already.
var ErrBusy = errors.New("another timed change is waiting for its answer")

// journal is what has to be known of a change to take it back or to keep it.
type journal struct {
	ID      string        `json:"id"`
	Program string        `json:"program"` // "moat apply", "iptables-apply"
	Who     Who           `json:"who"`
	Maker   maker         `json:"maker"`
	Reason  string        `json:"reason,omitempty"`
	Parts   []part        `json:"parts"`
	Save    bool          `json:"save"` // the boot files are written when it is confirmed
	Since   time.Time     `json:"since"`
	Within  time.Duration `json:"within"`
	// Deadline is a time of CLOCK_BOOTTIME, which nobody can set; 0 while the
	// change is being made.
	Deadline  time.Duration `json:"deadline"`
	Boot      string        `json:"boot"`      // the boot that Deadline belongs to
	Namespace uint64        `json:"namespace"` // the network namespace that was changed
	// KnowsConnections says that those are known that there were after the change.
	KnowsConnections bool `json:"knows_connections"`
}

// part is what the change does to one family.
type part struct {
	Family rule.Family `json:"family"`
	Source string      `json:"source"`           // the file, or the command
	Tables []string    `json:"tables,omitempty"` // that it names; nil for any
}

// newJournal fills in what is the same for every change.
func (e *Env) newJournal(program string, within time.Duration, parts ...part) (j journal, err error) {
	j = journal{ID: rand.Text(), Program: program, Who: e.Who, Maker: thisProcess(), Parts: parts, Since: time.Now(), Within: within}
	if j.Boot, err = e.bootID(); err != nil {
		return j, err
	}
	j.Namespace, err = e.namespace()
	return j, err
}

// sources is "rules.v4 (IPv4), rules.v6 (IPv6)".
func (j *journal) sources() string {
	var list []string
	for _, p := range j.Parts {
		list = append(list, p.Source+" ("+p.Family.Name()+")")
	}
	return strings.Join(list, ", ")
}

// timed is a change on its way from the journal before it to the waiting.
type timed struct {
	*Env
	*pending
	lock     *os.File
	families []rule.Family // whose rules are in the journal
	watchdog *os.Process
}

// prepare takes the lock, refuses if a change is pending, writes the journal
// with the old rules of the families and starts the watchdog. Nothing is changed.
func (e *Env) prepare(j journal, families ...rule.Family) (*timed, error) {
	lock, err := e.lock(0)
	if err != nil {
		if errors.Is(err, errLocked) {
			err = fmt.Errorf("%w (%w)", ErrBusy, err)
		}
		return nil, err
	}
	t := &timed{Env: e, lock: lock, families: families}
	if err := t.start(j); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return t, nil
}

func (t *timed) start(j journal) error {
	if err := t.refuseSecond(); err != nil {
		return err
	}
	texts := make(map[rule.Family][]byte)
	for _, f := range t.families {
		text, err := t.saved(f)
		if err != nil {
			return &unreadable{f, err}
		}
		if err := t.Firewall.Check(f, "the rules in the kernel", bytes.NewReader(text)); err != nil {
			return fmt.Errorf("the present rules could not be put back: %w", err)
		}
		if table := j.incompatible(f, text); table != "" {
			return fmt.Errorf("the present rules could not be put back: table %s (%s) has some that iptables cannot express; nft list table %s %s shows them",
				table, f.Name(), f, table)
		}
		texts[f] = text
	}
	var err error
	if t.pending, err = t.begin(j, texts); err != nil {
		return err
	}
	if t.watchdog, err = t.startWatchdog(); err != nil {
		return errors.Join(fmt.Errorf("the watchdog, which would put the old rules back, did not start: %w", err), t.close(t.pending))
	}
	t.reached(stepWatched)
	return nil
}

// incompatible gives a table that the change names and of which iptables-save has
// only a comment; "" if there is none.
func (j *journal) incompatible(f rule.Family, text []byte) string {
	for _, part := range j.Parts {
		for _, table := range part.Tables {
			if part.Family == f && isIncompatible(text, table) {
				return table
			}
		}
	}
	return ""
}

// unreadable is the error of rules that the kernel does not tell.
type unreadable struct {
	family rule.Family
	err    error
}

func (u *unreadable) Error() string {
	return fmt.Sprintf("the %s rules in the kernel cannot be read: %v", u.family.Name(), u.err)
}

func (u *unreadable) Unwrap() error { return u.err }

// refuseSecond refuses a change while another is pending.
func (t *timed) refuseSecond() error {
	p, err := t.open(pendingDir)
	if err == nil && p.isBack { // it may be that it can be closed now
		if err := t.end(p, false); err != nil {
			return err
		}
		p, err = t.open(pendingDir)
	}
	switch {
	case errors.Is(err, errNothingPending):
		return nil
	case isDamaged(err): // the start of this program said how, and what to do
		return fmt.Errorf("%w, but %s is damaged", ErrBusy, t.Root+pendingDir)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case p.isBack:
		return fmt.Errorf("the last change is taken back, but its journal %s cannot be closed: the disk takes no changes", p.dir)
	}
	if here, err := t.namespace(); err != nil || here != p.Namespace {
		return fmt.Errorf("%w: since %s, by %s: %w", ErrBusy, p.Since.Format(time.TimeOnly), p.Who, errElsewhere)
	}
	return fmt.Errorf("%w: pending since %s, by %s: \"moat confirm\" keeps it, \"moat rollback\" takes it back",
		ErrBusy, p.Since.Format(time.TimeOnly), p.Who)
}

// saved is a family's rules with their counters.
func (e *Env) saved(f rule.Family) ([]byte, error) {
	var text bytes.Buffer
	err := e.Firewall.Save(f, &text, true)
	return text.Bytes(), err
}

// made says that the change was made: from now on the time runs. Other programs
// may take it back or keep it.
func (t *timed) made() error {
	t.reached(stepChanged)
	for _, f := range t.families {
		text, err := t.saved(f)
		if err != nil {
			return fmt.Errorf("the new %s rules cannot be read: %w", f.Name(), err)
		}
		if err := t.write(rulesFile("new", f), text); err != nil {
			return err
		}
	}
	if err := t.noteConnections(); err != nil {
		return err
	}
	now, err := t.now()
	if err != nil {
		return err
	}
	t.Deadline = now + t.Within
	text, err := json.MarshalIndent(t.journal, "", "\t")
	if err != nil {
		return err
	}
	if err := t.write(journalFile, text); err != nil {
		return err
	}
	t.reached(stepRecorded)
	if err := t.become(stateApplied); err != nil {
		return err
	}
	t.reached(stepApplied)
	if err := t.file(t.pending, "pending"); err != nil {
		t.complain("the history was not written: %v", err)
	}
	return t.release()
}

// noteConnections writes down which connections there are: of those that begin
// from now on the new rules let the first packets in.
func (t *timed) noteConnections() error {
	if t.Existing == nil {
		return nil
	}
	list, err := t.Existing()
	if t.KnowsConnections = err == nil; !t.KnowsConnections {
		return nil // then all count as old
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return t.write(connectionsFile, text)
}

func (t *timed) release() error {
	lock := t.lock
	t.lock = nil
	return lock.Close()
}

// undo takes back a change that was not made, or not wholly.
func (t *timed) undo(ended string) error {
	_, err := t.rollBack(t.pending, ended)
	return errors.Join(err, t.release())
}

// forget closes the journal of a change of which nothing was made.
func (t *timed) forget() error {
	return errors.Join(t.become(stateRolledBack), t.close(t.pending), t.release())
}

// existed says if a connection was there when the change was made, as far as
// anybody can tell.
func (p *pending) existed(c Connection) bool {
	if c.Proto == packet.ProtoUDP { // its server has no connections, and the client's address may change
		return !startedAfter(c.PID, p.Deadline-p.Within)
	}
	if c.Gone || !p.KnowsConnections || slices.ContainsFunc(p.Who.Sessions, c.same) {
		return true
	}
	text, err := p.read(connectionsFile)
	var list []Connection
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	return err != nil || slices.ContainsFunc(list, c.same)
}
