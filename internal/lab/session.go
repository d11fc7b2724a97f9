package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Options say how `moat lab` runs.
type Options struct {
	Program string   // the moat binary, for the links and the helper commands
	Links   []string // names under which Program stands first in PATH (iptables …)
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Color   bool
}

// session is a lab that a person's shell or script runs in, on the server.
// Its directory holds bin (links and helper commands), ns (one link a host),
// private (what stands in for the machine's files) and the socket control.
type session struct {
	opts     Options
	net      *Net
	services []Service
	dir      string
	control  net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	held   map[string]*Conn // connections of `probe hold`, by name
	missed int              // checks that were not as expected
}

// defaultServices listen when a script does not choose.
var defaultServices = []Service{{"tcp", 22}, {"tcp", 80}, {"tcp", 443}, {"tcp", 3306}, {"tcp", 8800}, {"udp", 53}}

// newSession makes the hosts, the servers and the directory. Close it.
func newSession(opts Options, services []Service) (*session, error) {
	if services == nil {
		services = defaultServices
	}
	n, err := BeginRouted()
	if err != nil {
		return nil, err
	}
	s := &session{opts: opts, net: n, services: services, held: make(map[string]*Conn)}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *session) prepare() error {
	for _, service := range s.services {
		if _, err := s.net.Server.Serve(service); err != nil {
			return err
		}
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "moat-lab-"); err != nil {
		return err
	}
	for _, step := range []func() error{s.writeBin, s.writeNamespaces, s.writePrivate} {
		if err := step(); err != nil {
			return err
		}
	}
	if s.control, err = net.Listen("unix", filepath.Join(s.dir, "control")); err != nil {
		return err
	}
	s.serving.Go(s.serve)
	return nil
}

// Close ends the session and removes its directory.
func (s *session) Close() error {
	var errs []error
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	errs = append(errs, s.net.Close())
	s.serving.Wait()
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// writeBin fills the directory that stands first in PATH.
func (s *session) writeBin() error {
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for _, name := range append([]string{"moat"}, s.opts.Links...) {
		if err := os.Symlink(s.opts.Program, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	helpers := map[string]string{"probe": "probe", "client": "on client", "router": "on router", "server": "on server"}
	for name, call := range helpers {
		script := fmt.Sprintf("#!/bin/sh\nexec \"$%s/bin/moat\" lab %s -- \"$@\"\n", envSession, call)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// writeNamespaces lets helper commands find the hosts.
func (s *session) writeNamespaces() error {
	dir := filepath.Join(s.dir, "ns")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, h := range []*Host{s.net.Client, s.net.Router, s.net.Server} {
		path, err := h.NamespacePath()
		if err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, h.Name)); err != nil {
			return err
		}
	}
	return nil
}

// privateDirs are the machine's directories that a session has empty copies
// of, so that what is saved there stays in the lab.
var privateDirs = []string{"/etc/iptables", "/etc/default", "/var/lib/moat", "/run/moat"}

// privateFiles are files with other content in a session: names come from
// /etc/hosts alone, since there is no name server to wait for.
var privateFiles = []struct{ path, content string }{
	{"/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" + ServerAddr + " server\n" + ServerAddr6 + " server\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nnetworks: files\nprotocols: files\nservices: files\n"},
}

func (s *session) writePrivate() error {
	for _, dir := range privateDirs {
		if err := os.MkdirAll(s.private(dir), 0o755); err != nil {
			return err
		}
	}
	for _, f := range privateFiles {
		if err := os.WriteFile(s.private(f.path), []byte(f.content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// private gives what stands for a path of the machine.
func (s *session) private(path string) string { return filepath.Join(s.dir, "private", path) }

func (s *session) mounts() []Mount {
	var list []Mount
	for _, dir := range privateDirs {
		list = append(list, Mount{From: s.private(dir), To: dir})
	}
	for _, f := range privateFiles {
		list = append(list, Mount{From: s.private(f.path), To: f.path})
	}
	return list
}

// env gives the environment of the server's shell.
func (s *session) env() []string {
	path := filepath.Join(s.dir, "bin") + ":/usr/local/sbin:/usr/sbin:/sbin:" + os.Getenv("PATH")
	return append(os.Environ(), "PATH="+path, envSession+"="+s.dir, "PS1=server# ")
}

// command prepares a child on the server, with the private files.
func (s *session) command(ctx context.Context, name string, args ...string) *Cmd {
	c := s.net.Server.CommandContext(ctx, name, args...)
	c.Stdin, c.Stdout, c.Stderr = s.opts.Stdin, s.opts.Stdout, s.opts.Stderr
	c.Env, c.Mounts = s.env(), s.mounts()
	return c
}

// check makes a check and counts it when it is not as expected.
func (s *session) check(c Check) outcome {
	host, probe := c.route(s.net)
	return s.judge(c.String(), host.Probe(probe), c.Expect)
}

// judge compares a result with what was expected, if anything was.
func (s *session) judge(what string, r Result, want *State) outcome {
	o := outcome{what: what, result: r, want: want}
	if o.missed() {
		s.mu.Lock()
		s.missed++
		s.mu.Unlock()
	}
	return o
}
