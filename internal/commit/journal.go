package commit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"moat/internal/persist"
	"moat/internal/rule"
)

// journalDir holds the journals. /run is there from the first moment of the
// boot and empty after it: a rollback has no meaning after a reboot.
const journalDir = "/run/moat"

// ErrBusy means that another process is waiting for an answer already.
var ErrBusy = errors.New("another timed change is waiting for its answer")

// journal holds the old rules of one family on disk while a change is not yet
// confirmed. Its lock file keeps a second change of that family out.
type journal struct {
	path string // the old rules, as iptables-restore -c reads them
	lock *os.File
}

// openJournal takes the lock of a family and writes the old rules. The journal
// of a process that was killed is not lost: it gets the suffix .interrupted,
// and its name is given back.
func openJournal(root string, f rule.Family, old []byte) (j *journal, interrupted string, err error) {
	dir := root + journalDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	j = &journal{path: filepath.Join(dir, f.Program()+"-rollback.rules")}
	j.lock, err = os.OpenFile(j.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w (%s is locked)", ErrBusy, j.lock.Name())
		}
		return nil, "", errors.Join(err, j.lock.Close())
	}
	switch err := os.Rename(j.path, j.path+".interrupted"); {
	case err == nil:
		interrupted = j.path + ".interrupted"
	case !errors.Is(err, fs.ErrNotExist):
		return nil, "", errors.Join(err, j.lock.Close())
	}
	if err := (persist.Writer{}).WriteFile(j.path, old); err != nil {
		return nil, interrupted, errors.Join(err, j.lock.Close())
	}
	return j, interrupted, nil
}

// close ends the change: the journal goes, and the lock with it.
func (j *journal) close() error {
	return errors.Join(os.Remove(j.path), j.lock.Close())
}

// abandon gives the lock back and leaves the old rules on disk, for the admin.
func (j *journal) abandon() error { return j.lock.Close() }
