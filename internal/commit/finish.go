package commit

import (
	"errors"
	"os"
	"time"
)

// tend does what is due of the pending change p: what a process left that was
// killed in its middle, and the rollback when the time is over, or at once. grace
// is time beyond the deadline. errLocked says that another is at work on it.
func (e *Env) tend(p *pending, grace time.Duration, atOnce bool) error {
	due, err := e.isDue(p, grace)
	if err != nil || !due && !atOnce {
		return err
	}
	wait := time.Duration(0)
	if boot, err := e.bootID(); err == nil && boot != p.Boot {
		wait = lockWait // the boot files, which are read next, may have to be written first
	}
	lock, err := e.lock(wait)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer holdSignals()()
	now, err := e.open(pendingDir) // it may have ended before the lock was ours
	if errors.Is(err, errNothingPending) || err == nil && now.ID != p.ID {
		return nil
	}
	if isDamaged(err) { // since p was read, which tells enough to take it back
		now, err = p, nil
	}
	if err != nil {
		return err
	}
	if due, err := e.isDue(now, grace); err != nil || !due && !atOnce {
		return err
	}
	return e.end(now, atOnce)
}

// isDue says if something has to be done: of a change that is applied when its
// time is over, of others (whose process is at work, or was killed) always.
func (e *Env) isDue(p *pending, grace time.Duration) (bool, error) {
	boot, err := e.bootID()
	if err != nil || boot != p.Boot || p.state != stateApplied {
		return true, err
	}
	now, err := e.now()
	return now >= p.Deadline+grace, err
}

// end brings a change to its end, whoever left it how. The lock is held, so that
// nobody is at work on it.
func (e *Env) end(p *pending, stopped bool) error {
	boot, err := e.bootID()
	switch {
	case err != nil:
		return err
	case p.isBack:
		return e.settle(p, stateRolledBack, p.ended)
	case p.state == stateConfirmed:
		return e.finish(p, ending{Ended: endedConfirmed})
	case p.state == stateRolledBack:
		return e.finish(p, p.ending())
	case boot != p.Boot: // the kernel has the rules of the boot files, or none
		return e.settle(p, stateRolledBack, ending{Ended: endedReboot})
	case p.state == statePrepared:
		_, err = e.rollBack(p, endedKilled)
	case stopped:
		_, err = e.rollBack(p, endedSignal)
	default:
		_, err = e.rollBack(p, endedTimeOver)
	}
	return err
}

// Finish is for the start of every program of Moat when something IsPending: it
// takes back a change whose time is over, ends what a killed process or a power
// cut left in its middle, and starts a watchdog where there is none. Confirm,
// Rollback and Status do that themselves.
func Finish(env Env) {
	e := env.ready()
	if err := e.attend(); isTold(err) {
		e.complain("the timed change that is pending: %v", err)
	}
}

// isTold says if an error of attend is to be told: not that another program is at
// work, and not that this is no business of the caller's.
func isTold(err error) bool {
	return err != nil && !errors.Is(err, errLocked) && !errors.Is(err, os.ErrPermission)
}

// attend does that. An error about what others brought to its end meanwhile is none.
func (e *Env) attend() error {
	p, err := e.open(pendingDir)
	if err == nil {
		err = e.attendTo(p)
	}
	if errors.Is(err, errNothingPending) || !IsPending(e.Root) {
		return nil
	}
	return err
}

func (e *Env) attendTo(p *pending) error {
	boot, err := e.bootID()
	if err != nil {
		return err
	}
	here, err := e.namespace()
	if err != nil {
		return err
	}
	isLate, err := e.isDue(p, watchdogLate)
	if err != nil {
		return err
	}
	isWatched, err := e.isWatched()
	switch {
	case err != nil:
		return err
	case boot == p.Boot && here != p.Namespace:
		// Its own programs see to it, unless there is none left.
		if isLate && !isWatched {
			_, err = e.startWatchdog()
		}
		return err
	case boot == p.Boot && isWatched && !isLate && p.state == stateApplied:
		return nil
	}
	if err := e.tend(p, 0, false); err != nil {
		return err
	}
	switch {
	case !IsPending(e.Root):
		return e.tell(p)
	case isWatched || p.isBack:
		return nil
	}
	_, err = e.startWatchdog()
	return err
}

// tell says what became of a change that nobody else tells of; nil is none.
func (e *Env) tell(p *pending) error {
	last, err := e.open(lastDir)
	if errors.Is(err, errNothingPending) || p == nil || err == nil && last.ID != p.ID {
		return nil
	}
	if err != nil {
		return err
	}
	n := last.ending()
	e.complain("the change of %s (%s) by %s: %s", p.Since.Format(time.DateTime), p.sources(), p.Who, n.Ended)
	for _, note := range n.Notes {
		e.complain("  %s", note)
	}
	return nil
}
