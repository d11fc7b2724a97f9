package session

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// BenchmarkWithoutSession is what every command of a daemon pays.
func BenchmarkWithoutSession(b *testing.B) {
	bench(b, lab.NewPair(b).Server, "", 0)
}

// BenchmarkCrowdedParent is the same below a process with 500 sockets of
// another kind, as dockerd may have.
func BenchmarkCrowdedParent(b *testing.B) {
	crowd(b)
	bench(b, lab.NewPair(b).Server, "", 0)
}

func BenchmarkSSHConnection(b *testing.B) {
	n := lab.NewPair(b)
	listen(b, n.Server, ":22")
	client := connect(b, n, atServer)
	bench(b, n.Server, strings.Join([]string{lab.ClientAddr, port(client), lab.ServerAddr, "22"}, " "), 1)
}

// crowd opens 500 sockets.
func crowd(t testing.TB) {
	t.Helper()
	for range 250 {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	}
}

// bench also tells the time on the processor, for machines that have other
// things to do.
func bench(b *testing.B, h *lab.Host, connection string, want int) {
	child := exec.Command("sleep", "600") // who asks is a child of this process
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := child.Process.Kill(); err != nil {
			b.Error(err)
		}
		_ = child.Wait() // that it was killed
	}()
	c := Here()
	c.PID = child.Process.Pid
	c.Environ = []string{"SSH_CONNECTION=" + connection}
	err := h.Do(func() error {
		before := processorTime(b)
		for b.Loop() {
			if list, err := Of(c); err != nil || len(list) != want {
				b.Fatal(list, err)
			}
		}
		b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// processorTime is that of this thread, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
