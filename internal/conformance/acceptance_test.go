package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// must runs a command line of Moat's in the namespace and fails the test unless it exits 0. It gives standard output.
func (n *namespace) must(t *testing.T, line, stdin string) string {
	t.Helper()
	words, err := splitWords(line)
	if err != nil {
		t.Fatal(err)
	}
	r := n.command(moat, command{words: words, stdin: stdin})
	if r.exit != 0 {
		t.Fatalf("%s: exit %d: %s", line, r.exit, r.stderr)
	}
	return r.stdout
}

// ruleset gives a restore file of size rules, each with the mark in its comment.
func ruleset(mark string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*filter\n:INPUT ACCEPT [0:0]\n:%s - [0:0]\n", mark)
	for i := range size {
		fmt.Fprintf(&b, "-A %s -s 10.%d.%d.%d/32 -p tcp -m tcp --dport %d -m comment --comment %s -j DROP\n",
			mark, i>>16&255, i>>8&255, i&255, i%60000+1, mark)
	}
	fmt.Fprintf(&b, "-A INPUT -j %s\nCOMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m comment --comment %s -j RETURN\nCOMMIT\n", mark, mark)
	return b.String()
}

// TestKilledRestoreLeavesOldOrNewRulesetWhole kills restore 200 times, at moments spread over its whole run, and looks at the kernel.
func TestKilledRestoreLeavesOldOrNewRulesetWhole(t *testing.T) {
	t.Parallel()
	const kills, size = 200, 250 // more does not fit a socket's buffer in a user namespace
	n := newNamespace(t)
	files := map[string]string{"old": ruleset("old", size), "new": ruleset("new", size)}
	whole := map[string]string{} // the kernel's state after each file
	usual := time.Hour           // the shortest undisturbed restore: a longer one waited for a processor
	for _, name := range []string{"new", "old", "new", "old"} {
		begin := time.Now()
		restore := command{words: []string{"iptables-restore"}, stdin: files[name], started: true}
		if r := n.command(moat, restore); r.exit != 0 {
			t.Fatalf("restore: exit %d: %s", r.exit, r.stderr)
		}
		usual = min(usual, time.Since(begin))
		whole[name] = state(t, n)
	}
	outcomes := map[string]int{}
	current := "old"
	for i := range kills {
		next := map[string]string{"old": "new", "new": "old"}[current]
		n.do(func() { restoreAndKill(t, files[next], rand.N(usual+usual/4)) })
		switch state(t, n) {
		case whole[next]:
			outcomes["new"]++
			current = next
		case whole[current]:
			outcomes["old"]++
		default:
			t.Fatalf("kill %d of %d: neither the old nor the new ruleset is whole:\n%s", i+1, kills, diff(whole[current], state(t, n)))
		}
	}
	t.Logf("of %d kills %d left the old ruleset and %d the new; an undisturbed restore took %v", kills, outcomes["old"], outcomes["new"], usual)
	if outcomes["old"] == 0 || outcomes["new"] == 0 {
		t.Errorf("the kills came all too early or all too late (%v); they show nothing", outcomes)
	}
}

// restoreAndKill starts Moat's restore of text in the calling thread's namespace and kills it after the given time.
func restoreAndKill(t *testing.T, text string, after time.Duration) {
	cmd := &exec.Cmd{Path: moat.path("iptables-restore"), Args: []string{"iptables-restore"}, Stdin: strings.NewReader(text)}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err != nil && !(ok && status.Signaled() && status.Signal() == syscall.SIGKILL) {
		t.Errorf("restore failed by itself: %v", err)
	}
}

// together runs f(0) … f(n-1) at once, each a command in the namespace, and waits. do starts processes one after another but does not wait
// for one before it starts the next.
func (n *namespace) together(t *testing.T, count int, command func(i int) (*exec.Cmd, string)) {
	t.Helper()
	var wait sync.WaitGroup
	for i := range count {
		cmd, stdin := command(i)
		var errout strings.Builder
		cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &errout
		var err error
		n.do(func() { err = cmd.Start() })
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, errout.String())
			}
		})
	}
	wait.Wait()
}

// TestEightWritersAppendEightHundredRules has 8 shells append 100 rules each, all at once: none may be lost, doubled or refused.
func TestEightWritersAppendEightHundredRules(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.together(t, 8, func(i int) (*exec.Cmd, string) {
		script := fmt.Sprintf("i=0; while [ $i -lt 100 ]; do %s -A INPUT -s 10.0.%d.$i -j DROP || exit; i=$((i+1)); done",
			moat.path("iptables"), i)
		return &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script}}, ""
	})
	seen := map[string]int{}
	for line := range strings.Lines(n.must(t, "iptables -S INPUT", "")) {
		if strings.HasPrefix(line, "-A INPUT") {
			seen[line]++
		}
	}
	if len(seen) != 800 {
		t.Errorf("%d different rules, want 800", len(seen))
	}
	for i := range 8 {
		for j := range 100 {
			if rule := fmt.Sprintf("-A INPUT -s 10.0.%d.%d/32 -j DROP\n", i, j); seen[rule] != 1 {
				t.Errorf("%d times %q, want once", seen[rule], rule)
			}
		}
	}
}

// TestTenRestoresAtOnceAllSucceed runs ten restores together; what is left is one of the ten, whole.
func TestTenRestoresAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	marks := make([]string, 10)
	whole := map[string]string{}
	for i := range marks {
		marks[i] = fmt.Sprintf("mark%d", i)
		n.must(t, "iptables-restore", ruleset(marks[i], 50))
		whole[state(t, n)] = marks[i]
	}
	for range 3 {
		n.together(t, len(marks), func(i int) (*exec.Cmd, string) {
			return &exec.Cmd{Path: moat.path("iptables-restore"), Args: []string{"iptables-restore"}}, ruleset(marks[i], 50)
		})
		if got := state(t, n); whole[got] == "" {
			t.Errorf("what is left is none of the ten rulesets:\n%s", n.must(t, "iptables-save", ""))
		}
	}
}

// brokenLines are lines that no restore accepts, wherever they stand.
var brokenLines = []string{
	"nonsense", "-A INPUT -j", "-A INPUT -j nosuchchain", "-A INPUT -s 10.0.0.300", "-A INPUT -p tcp --dport 65536", "-A INPUT -m nosuch",
	"-A nosuch -j ACCEPT", "-A INPUT -t nat -j ACCEPT", "-A INPUT --nosuch", "-A", ":INPUT NOSUCH [0:0]", ":", "-D INPUT -s 10.1.2.3 -j DROP",
	"-I INPUT 999 -j DROP", "-R INPUT 999 -j DROP", "-X nosuch", "*nosuch",
	"-A INPUT -p tcp -m conntrack --ctstate NOSUCH", "-A INPUT -m tcpmss --mss 1:2", "-A INPUT -i abcdefghijklmnop",
}

// TestBrokenRestoreFilesChangeNothing puts one broken line at a random place of a good file, with and without --noflush.
func TestBrokenRestoreFilesChangeNothing(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.must(t, "iptables-restore", ruleset("old", 20))
	n.must(t, "iptables -P FORWARD DROP", "")
	before := state(t, n)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 10 {
		for _, broken := range brokenLines {
			good := strings.SplitAfter(strings.TrimSuffix(ruleset("new", 10), "\n"), "\n")
			// From behind the first table line on: a line before it would be a different mistake.
			at := 1 + random.IntN(len(good)-2)
			file := strings.Join(good[:at], "") + broken + "\n" + strings.Join(good[at:], "") + "\n"
			args := []string{"iptables-restore"}
			if round%2 == 1 {
				args = append(args, "--noflush")
			}
			r := n.command(moat, command{words: args, stdin: file})
			after := state(t, n)
			if r.exit <= 0 || r.stderr == "" || after != before {
				t.Fatalf("seed %d: %v with %q as line %d: exit %d, stderr %q; the kernel's change:\n%s\nthe file:\n%s",
					seed, args, broken, at+1, r.exit, r.stderr, diff(before, after), file)
			}
		}
	}
}

// TestRandomTextIsNoRestoreFile mangles bytes of a good file. Whatever restore makes of it, a refusal leaves the kernel as it was.
func TestRandomTextIsNoRestoreFile(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	good := ruleset("good", 5)
	n.must(t, "iptables-restore", good)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for range 200 {
		before := state(t, n)
		file := []byte(good)
		for range 1 + random.IntN(8) {
			file[random.IntN(len(file))] = byte(random.IntN(256))
		}
		r := n.command(moat, command{words: []string{"iptables-restore"}, stdin: string(file)})
		if r.exit == 0 {
			continue
		}
		refused++
		if after := state(t, n); after != before || r.exit < 0 || r.exit > 4 {
			t.Fatalf("seed %d: exit %d, stderr %q; the kernel's change:\n%s\nthe file:\n%q", seed, r.exit, r.stderr, diff(before, after), file)
		}
	}
	if refused == 0 {
		t.Errorf("seed %d: no mangled file was refused", seed)
	}
}

// TestSaveFlushRestoreGivesTheSameRules is the end of the tutorial: what -S printed before, it prints after.
func TestSaveFlushRestoreGivesTheSameRules(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	for _, line := range []string{
		"iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
		"iptables -A INPUT -i lo -j ACCEPT", "iptables -A OUTPUT -o lo -j ACCEPT",
		"iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -A INPUT -p tcp --dport 80 -j ACCEPT",
		"iptables -A INPUT -p tcp --dport 443 -j ACCEPT", "iptables -I INPUT -s 192.0.2.66 -j DROP", "iptables -P INPUT DROP",
	} {
		n.must(t, line, "")
	}
	before, saved, kernel := n.must(t, "iptables -S", ""), n.must(t, "iptables-save", ""), state(t, n)
	if !strings.HasPrefix(before, "-P INPUT DROP\n") || strings.Count(before, "\n") != 11 {
		t.Fatalf("-S prints\n%s, want 3 policies and 8 rules", before)
	}
	n.must(t, "iptables -F", "")
	n.must(t, "iptables -P INPUT ACCEPT", "")
	if flushed := n.must(t, "iptables -S", ""); flushed != "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n" {
		t.Errorf("after the flush -S prints\n%s", flushed)
	}
	n.must(t, "iptables-restore", saved)
	if after := n.must(t, "iptables -S", ""); after != before {
		t.Errorf("-S before the flush and after the restore:\n%s", diff(before, after))
	}
	if got, want := rulesOf(state(t, n)), rulesOf(kernel); got != want {
		t.Errorf("rules in the kernel before the flush and after the restore:\n%s", diff(want, got))
	}
	fresh := newNamespace(t) // the next boot
	fresh.must(t, "iptables-restore", saved)
	if after := fresh.must(t, "iptables -S", ""); after != before {
		t.Errorf("-S before and after a restart:\n%s", diff(before, after))
	}
}

// rulesOf leaves only the rules of a state: a restore also declares chains that -A had not made.
func rulesOf(state string) string {
	var rules strings.Builder
	for line := range strings.Lines(state) {
		if strings.HasPrefix(line, "rule ") {
			rules.WriteString(line)
		}
	}
	return rules.String()
}

// nobody is the user without rights.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// TestWithoutRights holds the answers to a user who may not touch the firewall against Debian's.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	if os.Getenv("MOAT_LAB_INNER") != "" {
		t.Skip("a user namespace with a single user in it has no nobody to become")
	}
	n := newNamespace(t)
	for _, line := range []string{
		"iptables -L", "iptables -S", "iptables -A INPUT -j ACCEPT", "iptables -P INPUT DROP", "iptables -F", "iptables -N user",
		"ip6tables -L -n", "iptables -t nat -L", "iptables-save", "iptables-restore", "iptables -V", "iptables --help", "iptables -h",
		"iptables -m conntrack --help", "iptables -j REJECT --help", "iptables -p icmp --help", "ip6tables -p icmpv6 --help",
		"iptables -A INPUT -s 10.0.0.300", "iptables -A INPUT -j nosuch",
	} {
		words, err := splitWords(line)
		if err != nil {
			t.Fatal(err)
		}
		answer := func(side programs) (r result) {
			cmd := &exec.Cmd{Path: side.path(words[0]), Args: words, SysProcAttr: &syscall.SysProcAttr{Credential: nobody}}
			n.do(func() { r = execute(cmd, "*filter\n-A INPUT -j DROP\nCOMMIT\n") })
			return r
		}
		want, got := answer(debian), answer(moat)
		same := normalise(want.stdout) == normalise(got.stdout)
		if asksHelp(command{words: words}) {
			same = compareHelp(want.stdout, got.stdout) == ""
		}
		if want.exit != got.exit || !same || compareErrors(want.stderr, got.stderr) != "" {
			t.Errorf("as nobody: %s: exit %d, want %d\n%s\nstderr of Debian's: %q\nstderr of Moat's:   %q", line, got.exit, want.exit,
				diff(want.stdout, got.stdout), want.stderr, got.stderr)
		}
		if strings.Contains(want.stderr, "Permission denied") && got.exit != 4 {
			t.Errorf("as nobody: %s: exit %d, want 4", line, got.exit)
		}
	}
}

// TestWorksInAUserNamespaceWithoutRoot gives nobody a user namespace and a network namespace, and runs the basic commands in them.
func TestWorksInAUserNamespaceWithoutRoot(t *testing.T) {
	t.Parallel()
	script := `set -e
PATH=$1:$PATH
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -N web
iptables -A web -m conntrack --ctstate NEW -m comment --comment "new ones" -j ACCEPT
iptables -I INPUT 1 -j web
iptables -P FORWARD DROP
iptables -C INPUT -j web
iptables -t nat -A POSTROUTING -j MASQUERADE
ip6tables -A INPUT -s 2001:db8::/32 -j REJECT
iptables-save | iptables-restore
iptables -D INPUT 2
iptables -L -n -v
iptables -S
ip6tables -S
iptables -t nat -S
iptables -F
iptables -X
`
	answer := func(side programs) result {
		attr := &syscall.SysProcAttr{
			Credential:  &syscall.Credential{NoSetGroups: true}, // root of the new namespace
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if os.Getuid() == 0 && os.Getenv("MOAT_LAB_INNER") == "" { // root, without any rights of root's: the id alone is mapped to nobody's
			attr.UidMappings[0].HostID, attr.GidMappings[0].HostID = int(nobody.Uid), int(nobody.Gid)
		}
		return execute(&exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", script, "sh", side.dir}, SysProcAttr: attr}, "")
	}
	want := answer(debian)
	if want.exit != 0 {
		t.Skipf("Debian's program cannot do it on this machine either, so the kernel does not give user namespaces here: exit %d: %s", want.exit, want.stderr)
	}
	got := answer(moat)
	if got.exit != want.exit || got.stdout != want.stdout {
		t.Errorf("exit %d, want %d; stderr %q; stdout (- Debian's, + Moat's)\n%s", got.exit, want.exit, got.stderr, diff(want.stdout, got.stdout))
	}
}
