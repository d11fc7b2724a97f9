package nft

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// testConn gives a Conn in a network namespace of its own, in which the test's
// goroutine stays until the test ends: its thread is then thrown away.
func testConn(t testing.TB) *Conn {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no right to make a network namespace (run as root or under unshare -rn): %v", err)
	}
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// run runs a program in the test's network namespace, as the thread is locked
// to it, and gives what it prints.
func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

// addFilter appends table ip filter with base chain INPUT.
func addFilter(b *Batch) {
	b.AddTable(0, &Table{Family: NFPROTO_IPV4, Name: "filter"})
	b.AddChain(0, &Chain{
		Family: NFPROTO_IPV4, Table: "filter", Name: "INPUT", Type: "filter",
		Hook: &Hook{Num: NF_INET_LOCAL_IN}, Policy: ptr(uint32(NF_ACCEPT)),
	})
}

// addRules appends n rules "-s A -p tcp --dport N -j DROP" in the form of iptables-nft.
func addRules(b *Batch, n int) {
	h := RuleHeader{Family: NFPROTO_IPV4, Table: "filter", Chain: "INPUT"}
	for i := range n {
		b.Tag(i)
		b.BeginRule(RuleAppend, &h)
		b.ExprPayload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4)
		b.ExprCmp(NFT_CMP_EQ, []byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		b.ExprMeta(NFT_META_L4PROTO)
		b.ExprCmp(NFT_CMP_EQ, []byte{unix.IPPROTO_TCP})
		b.ExprPayload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2)
		b.ExprCmp(NFT_CMP_EQ, []byte{byte(i >> 8), byte(i)})
		b.ExprCounter(uint64(i), uint64(i)*100)
		b.ExprVerdict(NF_DROP, "")
		b.EndRule()
	}
}

func TestRulesReadBackAsWritten(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	addRules(&b, 3)
	must(t, c.Commit(&b))
	got := run(t, "nft", "list", "ruleset")
	want := `table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		ip saddr 10.0.0.0 tcp dport 0 counter packets 0 bytes 0 drop
		ip saddr 10.0.0.1 tcp dport 1 counter packets 1 bytes 100 drop
		ip saddr 10.0.0.2 tcp dport 2 counter packets 2 bytes 200 drop
	}
}
`
	if got != want {
		t.Errorf("nft lists:\n%s\nwant:\n%s", got, want)
	}
	n := 0
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
		var one Batch
		addRules(&one, n+1)
		if string(r.Table) != "filter" || string(r.Chain) != "INPUT" || r.Handle == 0 || r.HasCompat {
			t.Errorf("rule %d: %+v", n, r)
		}
		if want := withoutNested(lastExpressions(t, &one)); string(r.Expressions) != string(want) {
			t.Errorf("rule %d has other bytes than written:\n%x\n%x", n, r.Expressions, want)
		}
		n++
		return nil
	}))
	if n != 3 {
		t.Errorf("dump gave %d rules, want 3", n)
	}
}

// lastExpressions gives the encoded expressions of the batch's last message.
func lastExpressions(t testing.TB, b *Batch) []byte {
	t.Helper()
	var at cursor
	msg := at.find(b, b.Messages()-1)
	f, _, err := nextFrame(msg)
	must(t, err)
	m, err := f.message()
	must(t, err)
	var r RuleView
	must(t, r.Decode(m))
	return r.Expressions
}

// withoutNested clears NLA_F_NESTED in encoded attributes, which the kernel
// asks for and does not itself set.
func withoutNested(p []byte) []byte {
	p = bytes.Clone(p)
	var clear func(p []byte)
	clear = func(p []byte) {
		for len(p) >= attrHeaderLen {
			n := int(binary.NativeEndian.Uint16(p))
			if typ := binary.NativeEndian.Uint16(p[2:]); typ&attrNested != 0 {
				binary.NativeEndian.PutUint16(p[2:], typ&^attrNested)
				clear(p[attrHeaderLen:n])
			}
			p = p[min(align4(n), len(p)):]
		}
	}
	clear(p)
	return p
}
