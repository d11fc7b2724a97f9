package sshlab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"moat/internal/lab"
)

// Shell is a live ssh session: a remote shell that gets one command after
// another.
type Shell struct {
	stdin io.WriteCloser
	out   <-chan string // lines, closed when the session ends
	errs  <-chan string

	mu sync.Mutex
	n  int // commands so far
}

// NoAnswer is the exit code of a command from which nothing came back: the
// session is cut, or has ended.
const NoAnswer = -1

// Waits: what must come has long, as a machine may be busy with other work; what
// must not come is believed not to after a short time.
const (
	runWait     = 3 * time.Minute
	answerWait  = lab.LongWait
	cutWait     = 3 * time.Second
	shutOutWait = 3 * time.Second
)

// server gives the server's address in a family, "4" or "6".
func server(family string) string {
	if family == "6" {
		return lab.ServerAddr6
	}
	return lab.ServerAddr
}

// ssh prepares an ssh from the client; more are further arguments.
func (l *Lab) ssh(ctx context.Context, more ...string) *lab.Cmd {
	c := l.Client.CommandContext(ctx, "ssh", append([]string{"-T", "-F", l.clientConfig()}, more...)...)
	c.Dir, c.Env = "/", Env()
	return c
}

// Login begins a session that stays, over IPv4 ("4") or IPv6 ("6"); options are
// for ssh, such as -p 2222.
func (l *Lab) Login(family string, options ...string) *Shell {
	l.tb.Helper()
	sh, err := newShell(l.ssh(context.Background(), append(options, server(family), "sh")...))
	if err != nil {
		l.tb.Fatalf("sshlab: login: %v", err)
	}
	if r := sh.Run("true"); r.Code != 0 {
		l.tb.Fatalf("sshlab: login over IPv%s: no answer; %s", family, r.Stderr)
	}
	return sh
}

// newShell starts a child that is a shell, near or far.
func newShell(c *lab.Cmd) (*Shell, error) {
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	return &Shell{stdin: stdin, out: lines(stdout), errs: lines(stderr)}, nil
}

// lines gives a stream's lines, each with its newline, as they come.
func lines(r io.Reader) <-chan string {
	c := make(chan string, 10000) // more than any command of a test prints, so that nobody waits for a reader
	go func() {
		defer close(c)
		for b := bufio.NewReader(r); ; {
			line, err := b.ReadString('\n')
			if line != "" {
				c <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// Run runs a shell script in the session, in a shell of its own with no input.
func (s *Shell) Run(script string) lab.Output { return s.RunWithin(runWait, script) }

// RunWithin runs a script as Run does, but believes after the given time that no
// answer comes.
func (s *Shell) RunWithin(wait time.Duration, script string) lab.Output {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	mark := fmt.Sprintf("sshlab-%d-", s.n)
	// Output need not end with a newline; the mark stands at the beginning of a line all the same.
	_, err := fmt.Fprintf(s.stdin, "(\n%s\n) </dev/null; sshlab=$?; printf '\\n%s%%d\\n' $sshlab; printf '\\n%s\\n' >&2\n", script, mark, mark)
	if err != nil {
		return lab.Output{Code: NoAnswer, Stderr: err.Error()}
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	var o lab.Output
	out, code, ok := until(s.out, mark, deadline.C)
	o.Stdout = out
	if ok {
		o.Stderr, _, ok = until(s.errs, mark, deadline.C)
	}
	if o.Code, err = strconv.Atoi(code); !ok || err != nil {
		o.Code = NoAnswer
		o.Stderr += "no answer from the session"
	}
	return o
}

// until collects lines up to the one that begins with mark, and gives what
// follows the mark. What an earlier command left, which got no answer in time,
// is dropped.
func until(lines <-chan string, mark string, late <-chan time.Time) (text, rest string, ok bool) {
	for {
		select {
		case line, open := <-lines:
			if !open {
				return text, "", false
			}
			if after, is := strings.CutPrefix(line, mark); is {
				return strings.TrimSuffix(text, "\n"), strings.TrimSuffix(after, "\n"), true
			}
			if text += line; strings.HasPrefix(line, "sshlab-") {
				text = ""
			}
		case <-late:
			return text, "", false
		}
	}
}

// Alive says whether an answer comes through the session, for which it waits
// long.
func (s *Shell) Alive() bool { return s.RunWithin(answerWait, "true").Code == 0 }

// Cut says whether no answer comes through the session, for which it waits
// shortly.
func (s *Shell) Cut() bool { return s.RunWithin(cutWait, "true").Code == NoAnswer }

// Close ends the session.
func (s *Shell) Close() error { return s.stdin.Close() }

// Greets says whether a new connection to a port of the server is answered by
// sshd. It costs a small part of a login.
func (l *Lab) Greets(family, port string) bool {
	l.tb.Helper()
	var greeting [4]byte
	err := l.Client.Do(func() error {
		deadline := time.Now().Add(answerWait)
		c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", net.JoinHostPort(server(family), port))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
		_, err = io.ReadFull(c, greeting[:])
		return err
	})
	return err == nil && string(greeting[:]) == "SSH-"
}

// CanLogin says whether a new session gets in over IPv4 ("4") or IPv6 ("6") and
// can run a command, for which it waits long.
func (l *Lab) CanLogin(family string, options ...string) bool {
	l.tb.Helper()
	return l.logsIn(answerWait, family, options...)
}

// ShutOut says whether no new session gets in, for which it waits shortly.
func (l *Lab) ShutOut(family string, options ...string) bool {
	l.tb.Helper()
	return !l.logsIn(shutOutWait, family, options...)
}

func (l *Lab) logsIn(wait time.Duration, family string, options ...string) bool {
	l.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c := l.ssh(ctx, append(options, server(family), "true")...)
	out, err := c.Finish()
	if err != nil {
		l.tb.Fatalf("sshlab: %v", err)
	}
	return out.Code == 0
}
