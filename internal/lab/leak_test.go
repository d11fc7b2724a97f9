package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// namespaces gives the network namespaces that this process's threads and
// descriptors hold.
func namespaces(t *testing.T) map[string]bool {
	t.Helper()
	held := map[string]bool{}
	for _, glob := range []string{"/proc/self/task/*/ns/net", "/proc/self/fd/*"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			// A thread or descriptor may be gone since the listing.
			if target, err := os.Readlink(f); err == nil && strings.HasPrefix(target, "net:[") {
				held[target] = true
			}
		}
	}
	return held
}

func TestClosedLabHoldsNothing(t *testing.T) { // not parallel: counts what the process holds
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	use := func() {
		n, err := BeginRouted()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := n.Server.Echo("tcp 22 udp 53"); err != nil {
			t.Fatal(err)
		}
		for _, p := range []Probe{TCP(At(ServerAddr, 22)), UDP(At(ServerAddr6, 53)), Ping(ServerAddr)} {
			if r := n.Client.Probe(p); r.State != Open {
				t.Errorf("%v: %v", p, r)
			}
		}
		if _, err := n.Client.Dial(TCP(At(ServerAddr, 22))); err != nil {
			t.Error(err)
		}
		if _, err := n.Server.Watch(); err != nil {
			t.Error(err)
		}
		if err := n.Server.Command("sleep", "1000").Start(); err != nil {
			t.Error(err)
		}
	}
	if err := canUnshare(); errors.Is(err, ErrNotPermitted) {
		t.Skip(err)
	}
	use()                                                     // what the runtime opens once is open now
	settled := func() bool { return len(namespaces(t)) == 1 } // threads of children end by themselves
	if err := WaitFor(LongWait, func() (bool, error) { return settled(), nil }); err != nil {
		t.Fatalf("%d namespaces held after the first lab, want 1", len(namespaces(t)))
	}
	descriptors := open()
	for range 3 {
		use()
	}
	err := WaitFor(LongWait, func() (bool, error) { return open() <= descriptors && settled(), nil })
	if err != nil {
		t.Errorf("%d descriptors and %d namespaces; want %d and 1", open(), len(namespaces(t)), descriptors)
	}
}

func TestClosedLabRefusesWork(t *testing.T) {
	n, err := BeginRouted()
	if errors.Is(err, ErrNotPermitted) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Server.Echo("tcp 22"); err == nil {
		t.Error("a server started on a closed host")
	}
	if _, err := n.Host("late"); err == nil {
		t.Error("a closed lab took a host")
	}
	if err := n.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestDoLeavesTheThreadWhereItWas(t *testing.T) {
	t.Parallel()
	n := NewPair(t)
	where := func() string {
		s, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return s
	}
	var client, server, again string
	before := where()
	err := n.Client.Do(func() error {
		client = where()
		err := n.Server.Do(func() error { server = where(); return os.ErrInvalid })
		again = where()
		return err
	})
	if !errors.Is(err, os.ErrInvalid) {
		t.Errorf("the error of f is %v", err)
	}
	if client == server || client == before || again != client || where() != before {
		t.Errorf("before %s, client %s, server %s, client again %s, after %s", before, client, server, again, where())
	}
}

// TestWorksWithoutRoot runs tests of this package as nobody: Main has to find
// a user namespace for them.
func TestWorksWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv(envInner) != "" {
		t.Skip("this run is without root itself")
	}
	cmd := exec.Command(publicCopy(t), "-test.run=^(TestClientReachesServer|TestProbesSeeFirewallVerdicts|TestMountsAreSeenByOneChildOnly|TestSpoofedPacketArrives|TestClosedLabHoldsNothing)$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	text := string(out)
	if strings.Contains(text, ErrNotPermitted.Error()) {
		t.Skipf("this kernel gives nobody no user namespace: %s", text)
	}
	if err != nil || strings.Count(text, "--- PASS: Test") < 5 {
		t.Errorf("as nobody: %v\n%s", err, text)
	}
}

// publicCopy copies this test program to where every user can run it.
func publicCopy(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "moat-lab-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "lab.test")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestKilledLabLeavesNoChild(t *testing.T) {
	t.Parallel()
	if os.Getenv("MOAT_LAB_TEST_VICTIM") != "" {
		h := Netns(t)
		c := h.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("child " + strconv.Itoa(c.Process.Pid) + "\n"); err != nil {
			t.Fatal(err)
		}
		t.Fatal("not killed: ", c.Wait())
	}
	New(t) // skips where there can be no lab
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilledLabLeavesNoChild$")
	cmd.Env = append(os.Environ(), "MOAT_LAB_TEST_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := out.Read(buf)
	pid, ok := strings.CutPrefix(strings.TrimSpace(string(buf[:n])), "child ")
	if err != nil || !ok {
		t.Fatalf("victim says %q, %v", buf[:n], err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the victim was not killed")
	}
	err = WaitFor(10*time.Second, func() (bool, error) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z "), nil
	})
	if err != nil {
		t.Errorf("child %s outlives its lab", pid)
	}
}
