package traffic

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
)

// nobody is a user id other than root's, with rights to nothing.
const nobody = 65534

// "--uid-owner userid: Matches if the packet socket's file structure (if it
// has one) is owned by the given user". In a user namespace only root exists,
// and the half that needs another user is left out.
func TestOwnerTellsUsersApart(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-A OUTPUT -m owner --uid-owner 0")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54,55")
		f.rules(n.Client,
			"-A OUTPUT -p udp --dport 53 -m owner --uid-owner 0 -j DROP",
			"-A OUTPUT -p udp --dport 54 -m owner ! --uid-owner 0 -j DROP",
			"-A OUTPUT -p udp --dport 55 -m owner --socket-exists -j DROP")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Unsent)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 55)), lab.Unsent)
		if userExists(t) {
			expectAs(t, n.Client, nobody, lab.UDP(lab.At(f.server, 53)), lab.Open)
			expectAs(t, n.Client, nobody, lab.UDP(lab.At(f.server, 54)), lab.Unsent)
		}
	})
}

// "--socket-exists: Matches if the packet is associated with a socket": one
// that a router passes on is not.
func TestOwnerKnowsWhatNoProcessSent(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A POSTROUTING -m owner --uid-owner 0")
		n := lab.NewRouted(t)
		n.Server.Echo("udp 53")
		f.rules(n.Router,
			"-t mangle -A POSTROUTING -o eth1 -p udp -m owner --socket-exists",
			"-t mangle -A POSTROUTING -o eth1 -p udp -m owner ! --socket-exists",
			"-t mangle -A POSTROUTING -o eth1 -p udp -m owner --uid-owner 0")
		for _, tt := range []struct {
			from  *lab.Host
			wants []int
		}{{n.Client, []int{0, 1, 0}}, {n.Router, []int{1, 1, 1}}} {
			tt.from.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
			for i, want := range tt.wants {
				f.wantPackets(t, n.Router, rule{"mangle", "POSTROUTING", i + 1}, want)
			}
		}
	})
}

// userExists says if this process's user namespace has more users than root.
func userExists(t *testing.T) bool {
	t.Helper()
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(m))
	return len(fields) == 3 && len(fields[2]) > len("65535")
}

// expectAs is Expect with sockets that belong to another user: their owner is
// the file system user of the thread that makes them.
func expectAs(t *testing.T, h *lab.Host, uid int, p lab.Probe, want lab.State) {
	t.Helper()
	err := h.Do(func() error {
		if err := unix.Setfsuid(uid); err != nil {
			return err
		}
		h.Expect(p, want)
		return unix.Setfsuid(0)
	})
	if err != nil {
		t.Fatal(err)
	}
}
