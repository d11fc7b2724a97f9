package session

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// A helper keeps to its first thread: that is the one that /proc tells of and
// that may begin a login.
func init() {
	if isHelper() {
		runtime.LockOSThread()
	}
}

func isHelper() bool { return len(os.Args) > 2 && os.Args[1] == "helper" }

// TestMain runs the tests, or one of the programs that they need: this binary
// again, chosen by its arguments since the environment may be empty.
func TestMain(m *testing.M) {
	if isHelper() {
		if err := helper(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(lab.Main(m))
}

// helper is one of the programs:
//
//	of FILE               write what Of gives into a file
//	refused FILE          the same where sockets are not lent
//	serve PLAN            be a server, see plan
//	dial ADDR SCRIPT      connect somewhere and run a script
//	multiplex FILE        be a terminal multiplexer in which "of FILE" runs
func helper(name string, args []string) error {
	switch name {
	case "of":
		return tell(args[0], Here())
	case "refused":
		c := Here()
		f := newFinder(c)
		f.sockets.lend = func(int, int, int) (int, error) { return -1, unix.EPERM }
		f.search(c.PID)
		return write(args[0], f.found, f.err)
	case "serve":
		var p plan
		if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
			return err
		}
		return p.serve()
	case "dial":
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		return exec.Command("sh", "-ec", args[1]).Run()
	case "multiplex":
		if err := os.WriteFile("/proc/self/comm", []byte("tmux: server"), 0); err != nil {
			return err
		}
		return exec.Command(os.Args[0], "helper", "of", args[0]).Run()
	}
	return fmt.Errorf("no helper %q", name)
}

func tell(file string, c Caller) error {
	list, err := Of(c)
	return write(file, list, err)
}

// write writes sessions into a file, which is there when it is whole.
func write(file string, list []Session, err error) error {
	if err != nil {
		list = append(list, Session{Program: err.Error()})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".part", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// plan says what a server does: like sshd, it takes one connection, runs a
// script, and stays until the client goes.
type plan struct {
	Network, Addr string // "udp4": like mosh-server, it takes the first packet
	Script        string
	Terminal      bool   // the script has a pseudo terminal
	Name          string // the program's name; "" for this one's
	Login         bool   // it begins a session of the kernel's audit system
	Proxy         string // instead of a script: a connection to there …
	Clients       int    // … once so many connected
}

func (p plan) serve() error {
	if p.Name != "" {
		if err := os.WriteFile("/proc/self/comm", []byte(p.Name), 0); err != nil {
			return err
		}
	}
	wait, err := p.accept()
	if err != nil {
		return err
	}
	if p.Proxy != "" {
		c, err := net.Dial("tcp", p.Proxy)
		if err != nil {
			return err
		}
		defer c.Close()
		return wait()
	}
	if p.Login {
		if err := os.WriteFile("/proc/self/loginuid", []byte("0"), 0); err != nil {
			return err
		}
	}
	cmd := exec.Command("sh", "-ec", p.Script)
	cmd.Stderr = struct{ io.Writer }{os.Stderr}                        // a pipe, so that children do not hold what this process has
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // the lab kills this process
	if p.Terminal {
		cmd.Stdin, err = openTerminal()
		if err != nil {
			return err
		}
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	}
	if err := cmd.Run(); err != nil {
		return err
	}
	return wait()
}

// accept takes one connection or packet; wait waits until the client has gone.
func (p plan) accept() (wait func() error, err error) {
	one := make([]byte, 1)
	if strings.HasPrefix(p.Network, "udp") {
		u, err := net.ListenPacket(p.Network, p.Addr)
		if err != nil {
			return nil, err
		}
		_, peer, err := u.ReadFrom(one)
		if err != nil {
			return nil, err
		}
		_, err = u.WriteTo(one, peer)
		return func() error { _, _, err := u.ReadFrom(one); return err }, err
	}
	l, err := net.Listen(p.Network, p.Addr)
	if err != nil {
		return nil, err
	}
	var clients []net.Conn
	for range max(1, p.Clients) {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return func() error {
		for _, c := range clients {
			if _, err := c.Read(one); err != io.EOF {
				return err
			}
		}
		return nil
	}, nil
}

// openTerminal makes a pseudo terminal and gives the end for programs; the
// other one stays open as long as this process.
func openTerminal() (*os.File, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
}

// scene is a lab with a server, and how to get what a process there is told.
type scene struct {
	*lab.Net
	t    testing.TB
	file string
}

func newScene(t testing.TB) *scene {
	t.Helper()
	return &scene{lab.NewPair(t), t, filepath.Join(t.TempDir(), "told")}
}

// script replaces OF by the command that writes the scene's file, MOAT by the
// helper program and FILE by the file.
func (s *scene) script(text string) string {
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.NewReplacer("OF", self+" helper of "+s.file, "MOAT", self+" helper", "FILE", s.file).Replace(text)
}

// start starts a helper on the server's host, with SSH_CONNECTION.
func (s *scene) start(connection string, args ...string) {
	s.t.Helper()
	c := s.Server.Command("/proc/self/exe", append([]string{"helper"}, args...)...)
	c.Env = append(os.Environ(), "SSH_CONNECTION="+connection)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
}

// serve starts a server, which has no SSH_CONNECTION.
func (s *scene) serve(p plan) {
	s.t.Helper()
	s.serveWith("", p)
}

func (s *scene) serveWith(connection string, p plan) {
	s.t.Helper()
	p.Script = s.script(p.Script)
	b, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(connection, "serve", string(b))
}

// dial connects from the client as soon as the server listens, and gives the
// client's address.
func (s *scene) dial(network, to string) netip.AddrPort {
	s.t.Helper()
	var c net.Conn
	err := lab.WaitFor(patience, func() (bool, error) {
		err := s.Client.Do(func() (err error) { c, err = net.Dial(network, to); return err })
		if err == nil && network == "udp" {
			err = s.hello(c)
		}
		return err == nil, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// hello sends a packet and gets an answer.
func (s *scene) hello(c net.Conn) error {
	err := c.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = c.Write([]byte("x"))
	}
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // refused while nobody listens
	}
	if err != nil {
		c.Close()
	}
	return err
}

// await waits for a file and gives its content.
func (s *scene) await(file string) (b []byte) {
	s.t.Helper()
	err := lab.WaitFor(patience, func() (bool, error) {
		var err error
		b, err = os.ReadFile(file)
		return err == nil, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// told waits for what the process on the server's host was told.
func (s *scene) told() (list []Session) {
	s.t.Helper()
	if err := json.Unmarshal(s.await(s.file), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}
