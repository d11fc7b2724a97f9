package commit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/persist"
	"moat/internal/rule"
)

// The folders and files of this package. Only root can look into stateDir.
const (
	stateDir   = "/var/lib/moat"
	pendingDir = stateDir + "/pending" // the change that waits to be confirmed; not there while none does
	lastDir    = stateDir + "/last"    // what pendingDir was, of the last change that ended
	lockFile   = stateDir + "/lock"

	journalFile     = "journal.json"
	connectionsFile = "connections.json" // established right after the change
	watchdogFile    = "watchdog"         // locked by the watchdog while it lives
	endedFile       = "ended.json"       // how it ended
)

// step names a moment of a timed change; a test may end the process at each.
type step string

const (
	stepFilled    step = "journal written beside its place"
	stepBegun     step = "journal in its place"
	stepWatched   step = "watchdog started"
	stepOneFamily step = "one family changed"
	stepChanged   step = "change made"
	stepRecorded  step = "new rules in the journal"
	stepApplied   step = "change said to be made"
	stepOneBack   step = "one family put back"
	stepBack      step = "old rules put back"
	stepDecided   step = "outcome in the journal"
	stepOneSaved  step = "one boot file written"
	stepSaved     step = "boot files written"
	stepFiled     step = "history written"
	stepClosed    step = "journal closed"
)

// state is how far a change is. It is the name of a file in the journal's
// folder, since giving that another name takes no room: a full disk does not
// keep a change from being confirmed or taken back.
type state string

const (
	statePrepared   state = "prepared"    // it may have been made in part
	stateApplied    state = "applied"     // it waits to be confirmed
	stateConfirmed  state = "confirmed"   // it stays; what is left to do is to save it
	stateRolledBack state = "rolled-back" // the old rules are back
)

// states are in their order: who looks for one file after the other meets the
// one that is there, also while it gets its next name.
var states = [...]state{statePrepared, stateApplied, stateConfirmed, stateRolledBack}

func (s state) file() string { return "state." + string(s) }

// errNothingPending says that no change waits.
var errNothingPending = errors.New("no change is waiting to be confirmed")

// errOver says that a change waited too long.
var errOver = errors.New("the time to confirm was over: the old rules are back")

// isOver says if an error is that there is no change to confirm or to take back.
func isOver(err error) bool { return errors.Is(err, errNothingPending) || errors.Is(err, errOver) }

// errLocked says that another process works on the pending change right now.
var errLocked = errors.New("another Moat process is at work on the timed change")

// lock keeps others from what is pending, until it is closed or the process
// ends, however it ends. It waits for a while if another has it.
func (e *Env) lock(wait time.Duration) (*os.File, error) {
	if err := makeStateDir(e.Root); err != nil {
		return nil, err
	}
	f, err := openToLock(e.Root + lockFile)
	if err != nil {
		return nil, err
	}
	const pause = 10 * time.Millisecond
	for ; ; wait -= pause {
		switch isOurs, err := tryLock(f, syscall.LOCK_EX); {
		case isOurs:
			return f, nil
		case err != nil:
			return nil, errors.Join(err, f.Close())
		case wait <= 0:
			return nil, errors.Join(errLocked, f.Close())
		}
		time.Sleep(pause)
	}
}

// openToLock opens a file for its lock, which needs no right to write: on a disk
// that became read-only the file will do that is there. (NFS wants that right.)
func openToLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, syscall.EROFS) {
		return os.Open(path)
	}
	return f, err
}

func makeStateDir(root string) error {
	dir := root + stateDir
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return persist.SyncDir(filepath.Dir(dir))
}

// pending is a journal that was read, and where it lies.
type pending struct {
	journal
	dir    string
	state  state
	onDisk state    // the state that the folder tells; "" if it tells none
	harm   []string // what was damaged, for people
	isBack bool     // it was taken back, and cannot be closed; ended says how
	ended  ending
}

// IsPending says if a timed change is waiting, in one system call.
func IsPending(root string) bool {
	return unix.Access(root+pendingDir, unix.F_OK) == nil
}

// damaged says that neither a journal nor its copy can be read, and what is left
// to do.
type damaged struct {
	dir string
	err error
}

func (d *damaged) Error() string {
	return fmt.Sprintf("%[1]s is damaged, and so is its copy (%[2]v): the old rules are in %[1]s, in old.v4 and old.v6 or %[3]s/old.v4 and %[3]s/old.v6, for iptables-restore -c and ip6tables-restore -c; remove %[1]s then",
		d.dir, d.err, copyDir)
}

func (d *damaged) Unwrap() error { return d.err }

func isDamaged(err error) bool {
	var d *damaged
	return errors.As(err, &d)
}

// open reads the journal in a folder. It needs no lock: the folder is held open,
// so that it is one journal whatever becomes of the name.
func (e *Env) open(dir string) (*pending, error) {
	root, err := os.OpenRoot(e.Root + dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNothingPending
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p := &pending{dir: e.Root + dir}
	text, harm, err := readEither(root.ReadFile, journalFile)
	if err == nil {
		err = json.Unmarshal(text, &p.journal)
	}
	if err != nil {
		return nil, &damaged{p.dir, err}
	}
	p.note(harm)
	for _, s := range states {
		if _, err := root.Lstat(s.file()); err == nil {
			p.state, p.onDisk = s, s
			break
		}
	}
	if p.onDisk == "" { // it may have been made in part: what a killed process leaves is taken back
		p.state = statePrepared
		p.note("the file that tells the state of the change was missing")
	}
	if p.state == statePrepared || p.state == stateApplied {
		e.recallBack(p)
	}
	return p, nil
}

// rulesFile is the name of the file in which a journal or an entry of the history
// has the rules of a family; what is "old", "new" or "rules".
func rulesFile(what string, f rule.Family) string {
	if f == rule.IPv6 {
		return what + ".v6"
	}
	return what + ".v4"
}

// text reads rules of the journal; nil if it does not have them.
func (p *pending) text(what string, f rule.Family) ([]byte, error) {
	text, err := p.read(rulesFile(what, f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}

// become gives the journal its next state.
func (p *pending) become(s state) error {
	path := filepath.Join(p.dir, s.file())
	var err error
	for _, from := range states { // not p.state: of a journal that is damaged since, that may be an earlier one
		if err = os.Rename(filepath.Join(p.dir, from.file()), path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err != nil {
		return err
	}
	p.state, p.onDisk = s, s
	return persist.SyncDir(p.dir)
}

// begin makes the folder of a journal that does not have its place yet: nobody
// sees it before all of it is on disk.
func (e *Env) begin(j journal, texts map[rule.Family][]byte) (*pending, error) {
	if err := e.removeUnfinished(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.Root+stateDir, unfinished)
	if err != nil {
		return nil, err
	}
	p := &pending{journal: j, dir: dir, state: statePrepared, onDisk: statePrepared}
	if err := p.fill(texts); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	e.reached(stepFilled)
	if err := os.Rename(dir, e.Root+pendingDir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir = e.Root + pendingDir
	if err := persist.SyncDir(e.Root + stateDir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	e.reached(stepBegun)
	return p, nil
}

// unfinished is the name of a journal that does not have its place yet.
const unfinished = ".pending.*.new"

// removeUnfinished removes those of killed processes: the lock is ours.
func (e *Env) removeUnfinished() error {
	dirs, err := filepath.Glob(e.Root + stateDir + "/" + unfinished)
	for _, dir := range dirs {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func (p *pending) fill(texts map[rule.Family][]byte) error {
	text, err := json.MarshalIndent(p.journal, "", "\t")
	if err != nil {
		return err
	}
	files := map[string][]byte{journalFile: text}
	for f, text := range texts {
		files[rulesFile("old", f)] = text
	}
	return errors.Join(writeTwice(p.dir, files), writeNew(p.dir, map[string][]byte{watchdogFile: nil, p.state.file(): nil}))
}

// writeNew puts files into a folder that nobody knows yet, all on disk.
func writeNew(dir string, files map[string][]byte) error {
	for name, text := range files {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		if err == nil && len(text) > 0 {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return persist.SyncDir(dir)
}

// close takes the journal out of its place; who waits finds it in the other.
func (e *Env) close(p *pending) error {
	last := e.Root + lastDir
	if err := os.RemoveAll(last); err != nil {
		return err
	}
	if err := os.Rename(p.dir, last); err != nil {
		return err
	}
	p.dir = last
	err := persist.SyncDir(e.Root + stateDir)
	e.reached(stepClosed)
	return err
}
