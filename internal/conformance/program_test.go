package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"syscall"

	"moat/internal/cli"
)

// starts tells that Moat's side is a started process, which costs more than everything that it does. Otherwise it runs within the test,
// by the function that main calls with nothing between: see ran. Cases that mean the process (kills, rights) start it whatever this is.
var starts bool

// beLikeAProgram gives this process the few things of a started program's world that are not in cli.Env. Answers of name servers are
// among them: a lookup is made on another thread, outside the case's namespace, in which nobody can be reached.
func beLikeAProgram() error {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, syscall.ENETUNREACH
	}}
	for _, name := range []string{"SSH_CONNECTION", "MOAT_FORCE"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return os.Setenv("LC_ALL", "C")
}

// ran runs one of Moat's programs on the calling thread, hence in its namespace. A panic is the exit code 2 with which it ends a program.
func ran(p *cli.Program, words []string, stdin string) (r result) {
	in, err := given(stdin)
	if err != nil {
		return result{exit: 127, stderr: err.Error()}
	}
	defer in.Close()
	var out, errout bytes.Buffer
	defer func() {
		if cause := recover(); cause != nil {
			r = result{exit: 2, stdout: out.String(), stderr: fmt.Sprintf("panic: %v\n%s", cause, debug.Stack())}
		}
	}()
	exit := p.Run(cli.Env{Program: words[0], Args: words[1:], Stdin: in, Stdout: &out, Stderr: &errout})
	return result{exit: exit, stdout: out.String(), stderr: errout.String()}
}

// given gives a file to read text from, once.
func given(text string) (*os.File, error) {
	if text == "" {
		return os.Open(os.DevNull)
	}
	f, err := os.CreateTemp("", "moat-conformance-stdin-")
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
