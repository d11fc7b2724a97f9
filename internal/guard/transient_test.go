package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"moat/internal/session"
)

// calledBy is a caller whose ancestors have these names, the nearest first.
func calledBy(t *testing.T, names ...string) session.Caller {
	t.Helper()
	proc := t.TempDir()
	for i, name := range append([]string{"iptables"}, names...) {
		dir := filepath.Join(proc, strconv.Itoa(100-i))
		stat := fmt.Sprintf("%d (%s) S %d 1 1 0 -1 0\n", 100-i, name, 99-i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return session.Caller{PID: 100, Proc: proc}
}

// TestProgramTakesItsOwnChainsDown lets ufw empty its chains before it sets the
// policy, and nobody else, and nothing else.
func TestProgramTakesItsOwnChainsDown(t *testing.T) {
	s := newServer(t, overIPv4)
	ufw := []string{"sh", "ufw-init", "ufw", "bash", "sshd"}
	for _, c := range [...]struct {
		order     string
		ancestors []string
		passes    bool
	}{
		{"iptables -F ufw-user-input", ufw, true},
		{"iptables -F ufw-user-input", []string{"bash", "sshd"}, false},
		{"iptables -F INPUT", ufw, false},
		{"iptables -F", ufw, false},
		{"iptables -F f2b-sshd", ufw, false},
		{"iptables -A ufw-user-input -j DROP", ufw, false},
		{"iptables -P INPUT DROP", ufw, false},
		{"iptables-restore -n <*filter|-F ufw-user-input|-A INPUT -j DROP|COMMIT", ufw, false},
	} {
		err := s.Server.Do(func() error {
			g := s.guard()
			g.caller = calledBy(t, c.ancestors...)
			if got := !g.Watches(s.script(c.order)); got != c.passes {
				t.Errorf("%s by %v: passes unseen: %v", c.order, c.ancestors, got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
