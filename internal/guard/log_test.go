package guard

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/syslog"
)

// TestRefusalForcingAndSwitchingAreLogged reads what a log daemon would.
func TestRefusalForcingAndSwitchingAreLogged(t *testing.T) {
	s := newServer(t, overIPv4)
	path := s.root + syslog.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	logged := func(parts ...string) {
		t.Helper()
		b := make([]byte, 2000)
		n, err := daemon.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(b[:n]), part) {
				t.Errorf("the log says %q, not %q", b[:n], part)
			}
		}
	}
	const what = "new connections from 203.0.113.7 to port 22, on their way in would be lost by the policy DROP of INPUT, table filter"
	err = s.Server.Do(func() error {
		s.order(dropIn)
		logged("moat-guard[", ": refused: session 203.0.113.7:50522 -> 198.51.100.2:22 tcp", what)
		if err := Switch(s.root, false); err != nil {
			return err
		}
		logged("switched off until the next boot")
		s.order(dropIn)
		logged("forced by moat guard off: session 203.0.113.7:50522", what)
		if err := Switch(s.root, true); err != nil {
			return err
		}
		logged("switched on")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
