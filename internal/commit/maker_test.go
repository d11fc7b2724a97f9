package commit

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/rule"
)

// TestMakerThatIsStoppedIsEnded starts one, which is let alone while it runs.
func TestMakerThatIsStoppedIsEnded(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m := maker{PID: cmd.Process.Pid}
	_, m.Started, _ = processStat(m.PID)
	other := maker{PID: m.PID, Started: m.Started - 1} // the number has another process now
	lives := func(when string) {
		t.Helper()
		select {
		case err := <-ended:
			t.Fatalf("%s it is ended: %v", when, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := m.endIfStopped(); err != nil {
		t.Fatal(err)
	}
	lives("while it runs")
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for state := byte(0); state != 'T'; state, _, _ = processStat(m.PID) {
		time.Sleep(time.Millisecond)
	}
	if err := other.endIfStopped(); err != nil {
		t.Fatal(err)
	}
	lives("in the place of another")
	if err := m.endIfStopped(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

// TestWatchdogDoesNotWaitForAStoppedMaker has a change half made by a process
// that is stopped and holds the lock.
func TestWatchdogDoesNotWaitForAStoppedMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if !w.dieAt(stepChanged, func() { w.apply(change(false)) }) {
		t.Fatal("the change was made whole")
	}
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p, err := w.env.open(pendingDir)
	if err != nil {
		t.Fatal(err)
	}
	p.Maker.PID, p.Within = cmd.Process.Pid, 0
	_, p.Maker.Started, _ = processStat(cmd.Process.Pid)
	text, err := json.Marshal(p.journal)
	if err == nil {
		err = p.write(journalFile, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	lock, err := w.env.lock(0)
	if err != nil {
		t.Fatal(err)
	}
	watched := make(chan error, 1)
	e := w.env.ready()
	go func() { watched <- e.watchOver(nil) }()
	if err := cmd.Wait(); err == nil { // as a killed one does, it lets go of the lock
		t.Error("the maker ended by itself")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err != nil || IsPending(w.env.Root) || !w.isOld() {
		t.Errorf("%v, pending: %v, rules:\n%s", err, IsPending(w.env.Root), w.fw.text(rule.IPv4))
	}
}

// TestSessionOverUDPIsAsOldAsItsServer: mosh-server takes packets from wherever its
// client has gone, so that a new address makes no new session.
func TestSessionOverUDPIsAsOldAsItsServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.clock = nil // processes have the machine's
	serve := func() int {
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() }) // that it was killed
		return cmd.Process.Pid
	}
	client := Connection{Proto: 17, Client: addrPort("203.0.113.7:40001"), Server: addrPort("198.51.100.2:60001"), PID: serve()}
	time.Sleep(2 * tick)
	w.env.Who.Sessions = []Connection{client}
	w.apply(change(false))
	client.Client = addrPort("192.0.2.77:40002")
	w.env.Who.Sessions = []Connection{client}
	if code := Confirm(w.env, false); code != ExitNot || !strings.Contains(w.out.String(), "ssh -o ControlPath=none root@198.51.100.2 moat confirm\n") {
		t.Errorf("an old one from elsewhere: exit code %d:\n%s", code, &w.out)
	}
	client.PID = 0
	w.env.Who.Sessions = []Connection{client}
	if code := Confirm(w.env, false); code != ExitNot {
		t.Errorf("one whose server is not known: exit code %d:\n%s", code, &w.out)
	}
	time.Sleep(2 * tick)
	client.PID = serve()
	w.env.Who.Sessions = []Connection{client}
	if code := Confirm(w.env, false); code != ExitDone {
		t.Errorf("a new one: exit code %d:\n%s", code, &w.out)
	}
}
