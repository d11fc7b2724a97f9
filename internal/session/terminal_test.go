package session

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"moat/internal/packet"
)

// As with systemd-run and machinectl shell: the command is no descendant of the
// server, but has a terminal of its session for its input.
func TestInputFromASessionsTerminalBelongsToIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.serve(plan{Network: "tcp4", Addr: ":22", Name: "sshd", Terminal: true,
		Script: "readlink /proc/self/fd/0 >FILE.part; mv FILE.part FILE.tty; until [ -e FILE ]; do sleep 0.02; done"})
	client := s.dial("tcp", atServer)
	terminal, err := os.OpenFile(strings.TrimSpace(string(s.await(s.file+".tty"))), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := s.Server.Command(self, "helper", "of", s.file)
	c.Stdin, c.Stderr = terminal, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	s.expect(packet.ProtoTCP, client, atServer)
}

func TestTerminalsServerIsWhoHasItsOtherEnd(t *testing.T) {
	t.Parallel()
	terminal, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	c := exec.Command("sleep", "60") // it has the terminal, but not the other end
	c.Stdin = terminal
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }() // it ends so
	f, one, other := newFinder(Here()), []string{terminal.Name()}, []string{"pipe:[1]", terminal.Name() + "0"}
	if !f.serves(os.Getpid(), one) || f.serves(os.Getpid(), other) || f.serves(c.Process.Pid, one) {
		t.Error("whose is the other end?")
	}
}
