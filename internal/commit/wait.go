package commit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitTick is how often the waiting process looks if the change was confirmed.
const waitTick = 100 * time.Millisecond

// wait shows the time that is left until the change is confirmed or taken back,
// and gives the exit code. A hang-up leaves it to the watchdog; other signals
// take it back at once.
func (t *timed) wait(w *watch) int {
	t.say("applied: %s. Unless it is confirmed in %s, the old rules come back.\n%s",
		t.sources(), seconds(t.Within), t.confirmLines())
	line := countdown{t: t, isTerminal: isTerminal(t.Stdout)}
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	for {
		if p := t.settled(t.ID); p != nil {
			line.clear()
			return t.report(p)
		}
		line.draw()
		err := t.tend(t.pending, 0, false)
		if err != nil && !errors.Is(err, errLocked) {
			line.clear()
			t.complain("%v", err)
			return ExitStranded
		}
		select {
		case <-w.first:
			if w.got == syscall.SIGHUP {
				return ExitNot // the watchdog goes on
			}
			line.clear()
			if err := t.stop(t.ID); err != nil {
				t.complain("%v", err)
				return ExitStranded
			}
		case <-tick.C:
		}
	}
}

// stop takes the pending change of that name back at once.
func (e *Env) stop(id string) error {
	_, err := e.underLock(id, func(p *pending) error {
		_, err := e.rollBack(p, endedSignal)
		return err
	})
	if isOver(err) {
		return nil
	}
	return err
}

// lockWait is how long a command waits for another that is at work.
const lockWait = 5 * time.Second

// underLock calls f with the change that is pending, if it waits to be
// confirmed; id, unless it is "", says which one is meant.
func (e *Env) underLock(id string, f func(*pending) error) (*pending, error) {
	// Without the right to look into the folder nobody can say that nothing is pending.
	if _, err := os.Stat(e.Root + pendingDir); errors.Is(err, fs.ErrNotExist) {
		return nil, errNothingPending
	}
	lock, err := e.lock(lockWait)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	p, err := e.open(pendingDir)
	if err != nil {
		return nil, err
	}
	if id != "" && p.ID != id {
		return nil, errNothingPending
	}
	here, err := e.namespace()
	if err != nil {
		return nil, err
	}
	boot, err := e.bootID()
	if err != nil {
		return nil, err
	}
	if p.Boot == boot && here != p.Namespace {
		return nil, errors.New("the change that is pending is of another network namespace")
	}
	due, err := e.isDue(p, 0)
	if due && err == nil { // what a killed process left, or a time that is over by a moment
		err = cmp.Or(e.end(p, false), errOver)
		if errors.Is(err, errOver) && p.state == stateConfirmed {
			err = errNothingPending
		}
	}
	if err != nil {
		return nil, err
	}
	return p, f(p)
}

// settled gives the journal of a change that has ended; nil while it waits. Of
// one that is not to be found any more, other changes have taken the place.
func (e *Env) settled(id string) *pending {
	p, err := e.open(pendingDir)
	if err == nil && p.ID == id || err != nil && !errors.Is(err, errNothingPending) {
		return nil
	}
	last, err := e.open(lastDir)
	if err != nil || last.ID != id {
		return &pending{state: stateRolledBack}
	}
	return last
}

// report tells how a change ended and gives the exit code.
func (e *Env) report(p *pending) int {
	n := p.ending()
	if p.state == stateConfirmed {
		e.say("confirmed: the new rules stay.")
		if p.Save {
			e.say("They are loaded at boot.")
		}
		return ExitDone
	}
	e.say("%s. The old rules are in force.", n.Ended)
	for _, note := range n.Notes {
		e.say("  %s", note)
	}
	return ExitNot
}

// countdown is the line that shows the time left, drawn over itself; in a pipe
// there is none.
type countdown struct {
	t          *timed
	isTerminal bool
	shown      string
}

func (c *countdown) draw() {
	now, err := c.t.now()
	if !c.isTerminal || err != nil {
		return
	}
	left := max(0, c.t.Deadline-now)
	text := fmt.Sprintf("%s left to confirm", seconds((left + time.Second - 1).Truncate(time.Second)))
	if text != c.shown {
		fmt.Fprint(c.t.Stdout, "\r\x1b[K"+text)
		c.shown = text
	}
}

func (c *countdown) clear() {
	if c.shown != "" {
		fmt.Fprint(c.t.Stdout, "\r\x1b[K")
		c.shown = ""
	}
}

// seconds is "1 second" or "60 seconds".
func seconds(d time.Duration) string {
	if d == time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%g seconds", d.Seconds())
}

// isTerminal says if a line that is drawn over itself is seen as such.
func isTerminal(w any) bool {
	f, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
