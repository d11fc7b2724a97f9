package ext

import (
	"encoding/binary"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"moat/internal/netdb"
)

// setUp runs a section's commands in its namespace: programs of /usr/sbin, and
// "nfacct add NAME", which Debian has no program for at hand.
func setUp(t *testing.T, s *section) {
	t.Helper()
	for _, command := range s.setup {
		words := strings.Fields(command)
		if words[0] == "nfacct" {
			addAccount(t, words[2])
			continue
		}
		if out, err := exec.Command("/usr/sbin/"+words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Errorf("line %d: %s: %v: %s", s.line, command, err, out)
		}
	}
}

// addAccount makes an accounting object: NFNL_MSG_ACCT_NEW of linux/netfilter/nfnetlink_acct.h.
func addAccount(t *testing.T, name string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var b [20 + 36 + 12 + 12]byte // header, name, packets, bytes
	put16, put32 := binary.NativeEndian.PutUint16, binary.NativeEndian.PutUint32
	put32(b[0:], uint32(len(b)))
	put16(b[4:], 7<<8) // NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_NEW
	put16(b[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|syscall.NLM_F_CREATE)
	for i, at := range [...]int{20, 56, 68} {
		put16(b[at:], [...]uint16{36, 12, 12}[i])
		put16(b[at+2:], uint16(i+1))
	}
	copy(b[24:55], name)
	if err := syscall.Sendto(fd, b[:], 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	var answer [256]byte
	n, _, err := syscall.Recvfrom(fd, answer[:], 0)
	if err != nil || n < 20 || binary.NativeEndian.Uint32(answer[16:]) != 0 {
		t.Errorf("no accounting object %q: % x, %v", name, answer[:n], err)
	}
}

// testSets are the sets of testdata/ext/set.txt: their place is the kernel's
// index in a new namespace.
type testSets []netdb.Set

var setsOfRows = testSets{
	{Name: "s4", Index: 0, Family: 2}, {Name: "triple", Index: 1, Family: 2}, {Name: "s6", Index: 2, Family: 10},
	{Name: "list", Index: 3}, {Name: "net", Index: 4, Family: 2},
}

func (s testSets) ByName(name string) (netdb.Set, error) {
	for _, x := range s {
		if x.Name == name {
			return x, nil
		}
	}
	return netdb.Set{}, netdb.ErrNoSet
}

func (s testSets) ByIndex(index uint16) (string, error) {
	if int(index) < len(s) {
		return s[index].Name, nil
	}
	return "", netdb.ErrNoSet
}
