package commit

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// graceForCommand is how long the command has to end after it was asked to.
const graceForCommand = 5 * time.Second

// runCommand runs the command of -c. A signal that ends us is passed on to it
// as SIGTERM, and it is killed if it does not obey, so that it cannot go on
// changing rules after the rollback.
func (a *classic) runCommand() error {
	cmd := exec.Command(a.request.command)
	cmd.Env = a.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, a.Stdout, a.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-a.watch.first:
	}
	// Signal and Kill fail only for a process that has ended by itself.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(graceForCommand, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err := <-ended; err != nil {
		return fmt.Errorf("stopped by signal %v: %w", a.watch.got, err)
	}
	return fmt.Errorf("stopped by signal %v", a.watch.got)
}
