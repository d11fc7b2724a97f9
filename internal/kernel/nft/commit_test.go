package nft

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorNamesTheMessageTagAndAttribute(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	addRules(&b, 10)
	b.Tag(77)
	b.BeginRule(RuleAppend, &RuleHeader{Family: NFPROTO_IPV4, Table: "filter", Chain: "INPUT"})
	b.ExprVerdict(NFT_JUMP, "nosuchchain")
	b.EndRule()
	b.Tag(78)
	b.AddRule(RuleAppend, &RuleHeader{Family: NFPROTO_IPV4, Table: "nosuchtable", Chain: "INPUT"}, nil)
	addRules(&b, 10)
	err := c.Commit(&b)
	var failed *CommitError
	if !errors.As(err, &failed) || len(failed.Errors) != 2 || !IsNotFound(err) || IsStale(err) {
		t.Fatalf("commit gives %v", err)
	}
	jump, table := failed.Errors[0], failed.Errors[1]
	if jump.Tag != 77 || jump.Index != 12 || jump.What != "add rule in chain INPUT of table ip filter" {
		t.Errorf("first error is %+v", jump)
	}
	if table.Tag != 78 || table.Index != 13 || len(table.Path) != 1 || table.Path[0] != NFTA_RULE_TABLE {
		t.Errorf("second error is %+v", table)
	}
	const want = "add rule in chain INPUT of table ip filter: no such file or directory (and 1 other errors)"
	if got := err.Error(); got != want && !strings.HasPrefix(got, "add rule in chain INPUT of table ip filter: no such file or directory at attribute ") {
		t.Errorf("error reads %q, want %q", got, want)
	}
	if out := run(t, "nft", "list", "ruleset"); out != "" {
		t.Errorf("a refused batch left:\n%s", out)
	}
	if n, err := c.Generation(); err != nil || n == 0 {
		t.Errorf("the connection does not go on: generation %d, %v", n, err)
	}
}

func TestErrorsCarryTheKernelsWords(t *testing.T) {
	c := testConn(t)
	var b Batch
	b.AddTable(0, &Table{Family: NFPROTO_IPV4, Name: "t"})
	b.AddChain(0, &Chain{Family: NFPROTO_IPV4, Table: "t", Name: "c", Type: "nosuchtype", Hook: &Hook{}})
	var failed *CommitError
	if err := c.Commit(&b); !errors.As(err, &failed) {
		t.Fatalf("chain of unknown type: %v", err)
	}
	e := failed.Errors[0]
	if e.Index != 1 || len(e.Path) != 1 || e.Path[0] != NFTA_CHAIN_TYPE {
		t.Errorf("kernel points at %v of message %d in %v", e.Path, e.Index, failed)
	}

	b.Reset()
	b.AddTable(0, &Table{Family: NFPROTO_IPV4, Name: "t"})
	b.BeginMessage(NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, NFPROTO_IPV4)
	b.AttrBytes(NFTA_TABLE_FLAGS, []byte{1}) // too short
	b.EndMessage()
	if err := c.Commit(&b); !errors.As(err, &failed) || failed.Errors[0].Message == "" || failed.Errors[0].Index != 1 {
		t.Errorf("attribute of a wrong length: %v", err)
	}
}

func TestStaleGenerationIsRefusedAsAWhole(t *testing.T) {
	c := testConn(t)
	generation, err := c.Generation()
	must(t, err)
	run(t, "nft", "add", "table", "ip", "other")
	var b Batch
	addFilter(&b)
	b.Generation = generation
	err = c.Commit(&b)
	var failed *CommitError
	if !IsStale(err) || !errors.As(err, &failed) || failed.Errors[0].Index != -1 || failed.Errors[0].Tag != NoTag {
		t.Fatalf("stale batch: %v", err)
	}
	b.Generation, err = c.Generation()
	must(t, err)
	must(t, c.Commit(&b)) // the same batch again
	if out := run(t, "nft", "list", "tables"); out != "table ip other\ntable ip filter\n" {
		t.Errorf("tables are\n%s", out)
	}
}

func TestErrorOfTheWholeBatchLeavesTheConnectionUsable(t *testing.T) {
	c := testConn(t)
	var b Batch
	addFilter(&b)
	for _, name := range []string{"a", "b"} {
		b.AddChain(0, &Chain{Family: NFPROTO_IPV4, Table: "filter", Name: name})
	}
	for _, jump := range [][2]string{{"a", "b"}, {"b", "a"}, {"INPUT", "a"}} {
		b.BeginRule(RuleAppend, &RuleHeader{Family: NFPROTO_IPV4, Table: "filter", Chain: jump[0]})
		b.ExprVerdict(NFT_JUMP, jump[1])
		b.EndRule()
	}
	if err := c.Commit(&b); !errors.Is(err, unix.EMLINK) && !errors.Is(err, unix.ELOOP) {
		t.Errorf("loop of jumps: %v", err)
	}
	b.Reset()
	addFilter(&b)
	must(t, c.Commit(&b))
	_, err := c.GetChain(NFPROTO_IPV4, "filter", "INPUT")
	must(t, err)
}

// failingRules appends n rules to a chain that is not there.
func failingRules(b *Batch, n int) {
	for i := range n {
		b.Tag(i)
		b.AddRule(RuleAppend, &RuleHeader{Family: NFPROTO_IPV4, Table: "nosuch", Chain: "INPUT"}, nil)
	}
}

func TestAllOfManyErrorsAreTold(t *testing.T) {
	c := testConn(t)
	const n = 100000
	var b Batch
	failingRules(&b, n)
	var failed *CommitError
	if err := c.Commit(&b); !errors.As(err, &failed) {
		t.Fatalf("commit gives %v", err)
	}
	if os.Geteuid() == 0 && !failed.Lost && len(failed.Errors) != n {
		t.Errorf("%d errors told, none lost, want %d", len(failed.Errors), n)
	}
	for i, e := range failed.Errors {
		if e.Tag != i || e.Index != i {
			t.Fatalf("error %d has tag %d, index %d", i, e.Tag, e.Index)
		}
	}
	t.Logf("%d errors told, lost %v", len(failed.Errors), failed.Lost)
}

func TestErrorsOverTheReceiveBufferStillFail(t *testing.T) {
	c := testConn(t)
	c.rcvbuf = maxSocketBuffer // so that Commit leaves it as it is
	must(t, unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
	var b Batch
	failingRules(&b, 1000)
	var failed *CommitError
	if err := c.Commit(&b); !errors.As(err, &failed) || !failed.Lost || len(failed.Errors) >= 1000 {
		t.Fatalf("commit gives %v", err)
	}
	b.Reset()
	addFilter(&b)
	must(t, c.Commit(&b))
	_, err := c.Generation()
	must(t, err)
}

func TestTransactionOf100000Rules(t *testing.T) {
	c := testConn(t)
	const n = 100000
	var b Batch
	addFilter(&b)
	addRules(&b, n)
	err := c.Commit(&b)
	var tooLarge *TooLargeError
	if errors.As(err, &tooLarge) {
		checkTooLarge(t, c, tooLarge, b.Size())
		return
	}
	must(t, err)
	i := 0
	must(t, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
		for e := NewExprs(r.Expressions); e.Next(); {
			if e.Expr().Name != "counter" {
				continue
			}
			if p, bytes := e.Expr().Counter(); p != uint64(i) || bytes != uint64(i)*100 {
				t.Fatalf("rule %d has counters %d, %d", i, p, bytes)
			}
		}
		i++
		return nil
	}))
	if i != n {
		t.Errorf("dump gives %d rules", i)
	}
}

func checkTooLarge(t *testing.T, c *Conn, e *TooLargeError, size int) {
	t.Helper()
	if e.Allowed >= e.Need || e.Need < size || !errors.Is(e, unix.EMSGSIZE) || !strings.Contains(e.Error(), "net.core.wmem_max") {
		t.Errorf("error is %v (need %d, allowed %d)", e, e.Need, e.Allowed)
	}
	must(t, c.DumpTables(NFPROTO_UNSPEC, func(*Table) error { return errors.New("something was changed") }))
}

// userNamespaceEnv tells the test's other process that it is in a user namespace.
const userNamespaceEnv = "MOAT_TEST_USER_NAMESPACE"

func TestLimitsOfAUserNamespace(t *testing.T) {
	if os.Getenv(userNamespaceEnv) != "" {
		t.Skip("this is the process in the user namespace")
	}
	testConn(t) // a namespace of our own, should the child's fail to be made
	cmd := exec.Command("/proc/self/exe", "-test.v",
		"-test.run=TestTransactionOf100000Rules|TestAllOfManyErrorsAreTold|TestStaleGeneration|TestErrorNames")
	cmd.Env = append(os.Environ(), userNamespaceEnv+"=1")
	id := os.Getuid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("this machine lets nobody make a user namespace: %v", err)
	}
	if err != nil || strings.Count(string(out), "--- PASS") != 4 {
		t.Errorf("in a user namespace: %v\n%s", err, out)
	}
}

func TestSmallCommandMakesFewSystemCalls(t *testing.T) {
	if os.Getenv(straceEnv) != "" {
		smallCommand(t)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("apt-get install strace: %v", err)
	}
	trace := t.TempDir() + "/trace"
	cmd := exec.Command(strace, "-f", "-qq", "-o", trace, "-e", "trace=network", "-e", "signal=none", // Go wakes its threads by signals
		"/proc/self/exe", "-test.run=TestSmallCommandMakesFewSystemCalls")
	if self, err := os.Executable(); err == nil {
		cmd.Args[len(cmd.Args)-2] = self
	}
	cmd.Env = append(os.Environ(), straceEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	p, err := os.ReadFile(trace)
	must(t, err)
	// socket, two options; for each of three requests and the batch a send and a
	// receive. What lab.Main did for a user namespace stands before the socket.
	_, calls, ok := strings.Cut(string(p), "NETLINK_NETFILTER")
	if !ok || countCalls(calls) > 11 {
		t.Errorf("system calls:\n%s", p)
	}
}

// countCalls counts the system calls of a trace: no second halves of those that
// another thread interrupted, and not that strace let go of a thread.
func countCalls(trace string) (n int) {
	for line := range strings.Lines(trace) {
		if !strings.Contains(line, "resumed>") && !strings.Contains(line, "<detached ...>") {
			n++
		}
	}
	return n
}

// straceEnv tells the test's other process that it is traced.
const straceEnv = "MOAT_TEST_STRACE"

// smallCommand does what one "iptables -A" does.
func smallCommand(t *testing.T) {
	c := testConn(t)
	generation, err := c.Generation()
	must(t, err)
	if _, err := c.CompatRevision(NFPROTO_IPV4, "tcp", false, 0); err != nil {
		t.Error(err)
	}
	if _, err := c.GetChain(NFPROTO_IPV4, "filter", "INPUT"); !IsNotFound(err) {
		t.Error(err)
	}
	b := Batch{Generation: generation}
	addFilter(&b)
	addRules(&b, 1)
	must(t, c.Commit(&b))
}
