package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// RunScript runs a shell script as root on the server of a new lab, with the
// services that its comments name, and then shows which probes get through.
// It gives the script's exit code, or 1 when a check was not as expected.
func RunScript(ctx context.Context, file string, opts Options) (code int, err error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return 0, err
	}
	directives, err := readDirectives(path)
	if err != nil {
		return 0, err
	}
	return inSession(opts, directives.Listen, func(s *session) (int, error) {
		code, err := s.run(ctx, "sh", path)
		if err != nil {
			return code, err
		}
		if err := s.report(directives.Checks); err != nil {
			return code, err
		}
		return s.verdict(code)
	})
}

func readDirectives(path string) (Directives, error) {
	f, err := os.Open(path)
	if err != nil {
		return Directives{}, err
	}
	d, err := ParseDirectives(path, f)
	return d, errors.Join(err, f.Close())
}

// verdict says what was wrong, and gives the exit code.
func (s *session) verdict(code int) (int, error) {
	s.mu.Lock()
	missed := s.missed
	s.mu.Unlock()
	var err error
	if missed > 0 {
		_, err = fmt.Fprintln(s.opts.Stdout, "\n"+paint(s.opts.Color, red, fmt.Sprintf("%d of the probes were not as expected", missed)))
	}
	if code == 0 && missed > 0 {
		code = 1
	}
	return code, err
}

// RunShell opens a shell as root on the server of a new lab, with a client
// beside it, and gives its exit code.
func RunShell(ctx context.Context, opts Options) (code int, err error) {
	return inSession(opts, nil, func(s *session) (int, error) {
		if _, err := fmt.Fprint(s.opts.Stderr, s.banner()); err != nil {
			return 0, err
		}
		name, args := "sh", []string(nil)
		if _, err := exec.LookPath("bash"); err == nil {
			name, args = "bash", []string{"--noprofile", "--norc"}
		}
		return s.run(ctx, name, args...)
	})
}

// inSession runs f in a new session and closes that.
func inSession(opts Options, services []Service, f func(*session) (int, error)) (code int, err error) {
	s, err := newSession(opts, services)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(s)
}

// run runs a child of the session on the server. The terminal's signals are
// for the child; what asks this process to end, ends the child.
func (s *session) run(ctx context.Context, name string, args ...string) (int, error) {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(ignored)
	c := s.command(ctx, name, args...)
	err := c.Run()
	if c.ProcessState == nil || ctx.Err() != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return exitCode(c.ProcessState), err
}

// banner tells a person where they are.
func (s *session) banner() string {
	var listen []string
	for _, service := range s.services {
		listen = append(listen, service.String())
	}
	return fmt.Sprintf(`You are root on the server of a lab: %s, %s.
Nothing here touches this machine, its network or its /etc/iptables.
Echo servers listen on %s.

  client   %s, %s; also %s, %s ("blocked")
  router   between the two

  client COMMAND…      runs a command on the client (router COMMAND… on the router)
  probe tcp 22         tries the server; more: from client|blocked|loopback, over 4|6,
                       expect open|refused|unreachable|silent; also udp PORT and icmp
  probe hold A tcp 22  opens a connection and keeps it; probe alive A tries it
  exit                 ends the lab

`, ServerAddr, ServerAddr6, strings.Join(listen, ", "), ClientAddr, ClientAddr6, BlockedAddr, BlockedAddr6)
}
