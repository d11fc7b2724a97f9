package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envSession names the session's directory in the environment of its shell.
const envSession = "MOAT_LAB"

// request and answer go over the session's control socket, one JSON value
// each, one pair a connection.
type request struct{ Words []string }

type answer struct {
	Text string
	Code int // exit code of the helper command
}

// Helper is a command that the shell of a session has beside the programs:
// "probe WORDS…" asks the session for a check, "on HOST COMMAND…" replaces this
// process by one on another host. It gives the exit code.
func Helper(args []string) int {
	code, err := runHelper(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "moat lab:", err)
		return 2
	}
	return code
}

func runHelper(args []string) (int, error) {
	dir := os.Getenv(envSession)
	if dir == "" {
		return 0, errors.New("this works in the shell of a lab only; `moat lab` opens one")
	}
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--" })
	switch {
	case len(args) >= 1 && args[0] == "probe":
		return ask(dir, args[1:])
	case len(args) >= 3 && args[0] == "on":
		return 0, execOn(dir, args[1], args[2:])
	}
	return 0, fmt.Errorf("%q: want \"probe tcp PORT\" or a host's name with a command", strings.Join(args, " "))
}

// ask sends a check to the session and prints its answer.
func ask(dir string, words []string) (int, error) {
	c, err := net.Dial("unix", filepath.Join(dir, "control"))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(request{words}); err != nil {
		return 0, err
	}
	var a answer
	if err := json.NewDecoder(c).Decode(&a); err != nil {
		return 0, fmt.Errorf("the lab does not answer: %w", err)
	}
	_, err = fmt.Println(a.Text)
	return a.Code, err
}

// execOn replaces this process by a command in the namespace of a host.
func execOn(dir, host string, command []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	ns, err := os.Open(filepath.Join(dir, "ns", host))
	if err != nil {
		return fmt.Errorf("host %s: %w", host, err)
	}
	runtime.LockOSThread()
	if err := enter(ns, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("host %s: %w", host, err)
	}
	return syscall.Exec(program, command, os.Environ())
}

// serve answers helpers until the control socket is closed.
func (s *session) serve() {
	for {
		c, err := s.control.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // that helper has gone
		}
		s.serving.Go(func() {
			// A helper that was killed does not read its answer.
			_ = s.answer(c)
			_ = c.Close()
		})
	}
}

func (s *session) answer(c net.Conn) error {
	var q request
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		return err
	}
	o, err := s.do(q.Words)
	a := answer{Text: "probe: " + fmt.Sprint(err), Code: 2}
	if err == nil {
		a = answer{Text: o.line(s.opts.Color), Code: o.code()}
	}
	return json.NewEncoder(c).Encode(a)
}

// do makes what a helper asks for: "hold NAME tcp PORT …" opens a connection
// and keeps it, "alive NAME [expect STATE]" sends a line through it, anything
// else is a check.
func (s *session) do(words []string) (outcome, error) {
	if len(words) >= 2 && words[0] == "hold" {
		return s.hold(words[1], words[2:])
	}
	if len(words) >= 2 && words[0] == "alive" {
		return s.alive(words[1], words[2:])
	}
	c, err := ParseCheck(words)
	if err != nil {
		return outcome{}, err
	}
	return s.check(c), nil
}

func (s *session) hold(name string, words []string) (outcome, error) {
	c, err := ParseCheck(words)
	if err != nil {
		return outcome{}, err
	}
	if c.Proto != "tcp" {
		return outcome{}, fmt.Errorf("hold %s: only tcp has connections", c.Proto)
	}
	host, probe := c.route(s.net)
	r := Result{State: Open}
	conn, err := host.Dial(probe)
	if err != nil {
		r = resultOf(err, probe.Wait)
	}
	s.mu.Lock()
	old := s.held[name]
	s.held[name] = conn
	s.mu.Unlock()
	if old != nil {
		// Reset or not: it has been replaced.
		_ = old.Close()
	}
	return s.judge(fmt.Sprintf("connection %s, %v", name, c), r, c.Expect), nil
}

func (s *session) alive(name string, words []string) (outcome, error) {
	want := Open
	if len(words) == 2 && words[0] == "expect" {
		var err error
		if want, err = ParseState(words[1]); err != nil {
			return outcome{}, err
		}
	} else if len(words) != 0 {
		return outcome{}, fmt.Errorf("alive %s: want nothing more, or expect and a state", name)
	}
	s.mu.Lock()
	conn := s.held[name]
	s.mu.Unlock()
	if conn == nil {
		return outcome{}, fmt.Errorf("alive %s: no such connection; open it by \"probe hold %s tcp PORT\"", name, name)
	}
	return s.judge("connection "+name, conn.Alive(Probe{}.waitingFor(want).Wait), &want), nil
}
