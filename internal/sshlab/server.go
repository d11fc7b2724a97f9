package sshlab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"moat/internal/lab"
)

// sshd starts itself again for each connection, and wants its full path for that.
const sshd = "/usr/sbin/sshd"

// startServer starts sshd on port 22 of both families and waits until it
// listens.
func (l *Lab) startServer(p *programs) error {
	config := filepath.Join(l.dir, "sshd_config")
	if err := os.WriteFile(config, []byte(serverConfig(p, l.dir)), 0o644); err != nil {
		return err
	}
	var log lockedBuffer
	c := l.Server.Command(sshd, "-D", "-e", "-f", config)
	c.Dir, c.Env, c.Mounts, c.Stderr = "/", Env(), l.mounts, &log
	if err := c.Start(); err != nil {
		return err
	}
	err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		return strings.Count(log.String(), "Server listening on") == 2, nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return os.WriteFile(l.clientConfig(), []byte(clientConfig(p)), 0o644)
}

func serverConfig(p *programs, dir string) string {
	lines := append([]string{
		"Port 22", "HostKey " + p.dir + "/host_key", "AuthorizedKeysFile " + p.dir + "/user_key.pub", "PidFile " + dir + "/sshd.pid",
		"StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"UsePAM no", "UseDNS no", "PrintMotd no", "PrintLastLog no", "MaxStartups 100", "SetEnv PATH=" + path,
	}, p.more...)
	return strings.Join(lines, "\n") + "\n"
}

// clientConfig makes ssh ask nobody and nothing but the server.
func clientConfig(p *programs) string {
	return strings.Join([]string{
		"User root", "IdentityFile " + p.dir + "/user_key", "IdentitiesOnly yes", "UserKnownHostsFile " + p.dir + "/known_hosts",
		"GlobalKnownHostsFile /dev/null", "UpdateHostKeys no", "StrictHostKeyChecking yes", "BatchMode yes",
		"PreferredAuthentications publickey", "LogLevel ERROR",
		"KexAlgorithms curve25519-sha256", // the default, against quantum computers, costs more than the rest of a login
	}, "\n") + "\n"
}

func (l *Lab) clientConfig() string { return filepath.Join(l.dir, "ssh_config") }

// killAll ends what still runs on the lab's hosts: sessions outlive their sshd,
// and what was put into the background its session.
func (l *Lab) killAll() {
	for _, h := range []*lab.Host{l.Server, l.Client} {
		var own string
		err := h.Do(func() (err error) { own, err = os.Readlink("/proc/thread-self/ns/net"); return err })
		if err != nil {
			l.tb.Errorf("sshlab: %v", err)
			return
		}
		for _, pid := range processesIn(own) {
			// It may have ended by itself meanwhile.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// processesIn lists the processes of a network namespace, without this one.
func processesIn(namespace string) (pids []int) {
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil
	}
	for _, link := range links {
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if ns, err := os.Readlink(link); err == nil && ns == namespace {
			pids = append(pids, pid)
		}
	}
	return pids
}

// lockedBuffer is a buffer that may be read while a child writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
