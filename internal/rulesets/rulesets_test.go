package rulesets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel"
	"moat/internal/lab"
	"moat/internal/netdb"
	"moat/internal/rule"
	"moat/internal/text"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// everything are the files and, of each family, a ruleset of Mixed.
func everything(t *testing.T) []File {
	t.Helper()
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		list = append(list, File{Name: "mixed", Family: f, Text: Mixed(f, 1000, 1)})
	}
	return list
}

func parse(t *testing.T, f File) *change.Script {
	t.Helper()
	s, err := text.ParseRestore(f.Family, f.Family.Program()+"-restore", []byte(f.Text), text.RestoreOptions{}, &netdb.DB{})
	if err != nil {
		t.Fatalf("%s: %v", f.FileName(), err)
	}
	return s
}

// tables are the lines of each table, from "*TABLE" on to before COMMIT.
func tables(save string) map[string]string {
	found := map[string]string{}
	for _, block := range strings.Split(save, "COMMIT\n") {
		if at := strings.Index("\n"+block, "\n*"); at >= 0 {
			name, lines, _ := strings.Cut(block[at+1:], "\n")
			found[name] = lines
		}
	}
	return found
}

// saved prints a ruleset as iptables-save does.
func saved(rs *rule.Ruleset) string {
	p := &ext.Printer{Family: rs.Family, Numeric: true, Names: &netdb.DB{}}
	for _, table := range rs.Tables {
		text.AppendTable(p, table, text.SaveOptions{Program: rs.Family.Program() + "-save"})
	}
	return string(p.B)
}

// same compares saved texts table by table; the first difference is told by its line.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := tables(got), tables(want)
	if a, b := slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(w)); !slices.Equal(a, b) {
		t.Fatalf("%s: tables %v, want %v", what, a, b)
	}
	for name := range w {
		a, b := strings.Split(g[name], "\n"), strings.Split(w[name], "\n")
		for i := range b {
			if i >= len(a) || a[i] != b[i] {
				t.Fatalf("%s: table %s line %d: %q, want %q", what, name, i+1, a[min(i, len(a)-1)], b[i])
			}
		}
		if len(a) > len(b) {
			t.Fatalf("%s: table %s: %d lines too many", what, name, len(a)-len(b))
		}
	}
}

func TestFilesSayWhereTheyComeFrom(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range [...]string{"web", "hardened", "router", "ufw", "docker", "docker28", "kube-proxy", "firewalld"} {
		for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
			if !slices.ContainsFunc(list, func(x File) bool { return x.Name == name && x.Family == f }) {
				t.Errorf("there is no %s", fileName(name, f))
			}
		}
	}
	for _, f := range list {
		head, _, _ := strings.Cut(f.Text, "*")
		if !strings.HasPrefix(head, "# ") || len(head) < 100 {
			t.Errorf("%s says at its head no more than %q", f.FileName(), head)
		}
	}
	if _, err := Get("none", rule.IPv4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that there is not: %v", err)
	}
}

func TestAccountsAreThoseOfTheRules(t *testing.T) {
	for _, c := range []struct {
		name string
		want []string
	}{{"kube-proxy", []string{"ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"}}, {"web", nil}} {
		f, err := Get(c.name, rule.IPv4)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Accounts(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRestoreReadsThem is `moat iptables-restore --test`, and that what was
// read prints as it was written.
func TestRestoreReadsThem(t *testing.T) {
	for _, f := range everything(t) {
		rs, err := change.Apply(&rule.Ruleset{Family: f.Family}, *parse(t, f))
		if err != nil {
			t.Errorf("%s: %v", f.FileName(), err)
			continue
		}
		same(t, f.FileName(), saved(rs), f.Text)
	}
}

// TestKernelGivesThemBack restores each file in an empty namespace and saves it again.
func TestKernelGivesThemBack(t *testing.T) {
	h := lab.Netns(t)
	var k *kernel.Kernel
	if err := h.Do(func() (err error) {
		k, err = kernel.Open(kernel.Unguarded)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	accounts := map[string]bool{}
	for _, f := range everything(t) {
		for _, name := range f.Accounts() {
			if accounts[name] {
				continue
			}
			if err := h.Do(func() error { return addAccount(name) }); err != nil {
				t.Fatal(err)
			}
			accounts[name] = true
		}
		s := parse(t, f)
		if err := k.Apply(s); err != nil {
			t.Errorf("%s: %v", f.FileName(), err)
			continue
		}
		// Tables of the files before it stay; those of this one are its own.
		rs, err := k.Ruleset(f.Family, slices.Sorted(maps.Keys(tables(f.Text)))...)
		if err != nil {
			t.Fatal(err)
		}
		same(t, f.FileName(), saved(rs), f.Text)
	}
}

// addAccount makes an accounting object: NFNL_MSG_ACCT_NEW of linux/netfilter/nfnetlink_acct.h.
func addAccount(name string) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var b [20 + 36 + 12 + 12]byte // headers; name, packets, bytes
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
		return err
	}
	var answer [256]byte
	n, _, err := syscall.Recvfrom(fd, answer[:], 0)
	if err != nil || n < 20 || binary.NativeEndian.Uint32(answer[16:]) != 0 {
		return fmt.Errorf("accounting object %q: the kernel answers % x, %w", name, answer[:n], err)
	}
	return nil
}
