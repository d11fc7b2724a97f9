package commit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitTick is how often the waiting process looks if the change was confirmed.
const waitTick = 100 * time.Millisecond

// waitTries is how often the waiting process tries a rollback that fails; the
// watchdog goes on.
const waitTries = 5

// wait shows the time that is left until the change is confirmed or taken back,
// and gives the exit code. A hang-up leaves it to the watchdog; other signals
// take it back at once.
func (t *timed) wait(w *watch) int {
	t.say("applied: %s. Unless it is confirmed in %s, the old rules come back.\n%s",
		t.sources(), seconds(t.Within), t.confirmLines())
	line := countdown{t: t, isTerminal: isTerminal(t.Stdout)}
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	signalled, stopped := w.first, false
	for tries := 0; ; {
		if p := t.settled(t.ID); p != nil {
			line.clear()
			return t.report(p)
		}
		line.draw()
		err := t.tend(t.pending, 0, stopped)
		if err != nil && !errors.Is(err, errLocked) { // who has the lock may be ending it
			if tries++; tries >= waitTries {
				line.clear()
				t.complain("%v", err)
				return ExitStranded
			}
		}
		select {
		case <-signalled:
			if w.got == syscall.SIGHUP {
				_ = t.attend() // the watchdog goes on; if it was killed, another one
				return ExitNot
			}
			line.clear()
			signalled, stopped = nil, true
		case <-tick.C:
		}
	}
}

// errElsewhere says that this is not the place to confirm or to take back.
var errElsewhere = errors.New("the change that is pending is of another network namespace: the command has to be given there (ip netns exec NAME moat …)")

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
		return nil, errElsewhere
	}
	defer holdSignals()()
	wasBack := p.isBack
	due, err := e.isDue(p, 0)
	if due && err == nil { // what a killed process left, or a time that is over by a moment
		err = cmp.Or(e.end(p, false), errOver)
		if errors.Is(err, errOver) && (p.state == stateConfirmed || wasBack) {
			err = errNothingPending
		}
	}
	if err != nil {
		return nil, err
	}
	return p, f(p)
}

// holdSignals keeps the terminal from stopping or ending this process, until the
// function that it gives is called: it has the lock, and what others are waiting
// to do is in its hands.
func holdSignals() (release func()) {
	list := slices.DeleteFunc(slices.Concat(endSignals, heldSignals), signal.Ignored) // those would not be ignored afterwards
	held := make(chan os.Signal, 1)
	signal.Notify(held, list...)
	return func() { signal.Stop(held) }
}

// settled gives the journal of a change that has ended; nil while it waits. Of
// one whose place other changes have taken, it is what the history has.
func (e *Env) settled(id string) *pending {
	p, err := e.open(pendingDir)
	if err == nil && p.ID == id && p.isBack {
		return p
	}
	if err == nil && p.ID == id || err != nil && !errors.Is(err, errNothingPending) {
		return nil
	}
	last, err := e.open(lastDir)
	if err == nil && last.ID == id {
		return last
	}
	p = &pending{state: stateRolledBack, isBack: true, ended: ending{Ended: endedLost}}
	entries, _ := History(e.Root) // one that cannot be read is not that one
	for _, entry := range entries {
		if entry.ID == id {
			p.ended.Ended = entry.Ended
		}
	}
	if p.ended.Ended == endedConfirmed {
		p.state = stateConfirmed
	}
	return p
}

// report tells how a change ended and gives the exit code.
func (e *Env) report(p *pending) int {
	n := p.ending()
	switch {
	case p.state == stateConfirmed:
		e.say("confirmed: the new rules stay.")
	case n.Ended == endedLost:
		e.say("%s.", n.Ended)
	default:
		e.say("%s. The old rules are in force.", n.Ended)
	}
	for _, note := range n.Notes {
		e.say("  %s", note)
	}
	switch {
	case p.state != stateConfirmed:
		return ExitNot
	case n.Unsaved:
		return ExitUnsaved
	case p.Save:
		e.say("They are loaded at boot.")
	}
	return ExitDone
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
