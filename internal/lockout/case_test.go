package lockout

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/lab"
	"moat/internal/sshlab"
)

// lockoutCase is one command typed in a live ssh session.
type lockoutCase struct {
	name  string
	setup string // shell commands on the console, before
	file  string // content of /root/rules
	run   string // typed in the session
	want  answer
	names []string // words of the refusal or warning: rule or policy, chain, table, direction

	unchanged bool // obeyed, and nothing changes: it only looks, or works elsewhere
	shut      bool // new logins do not get in before, and need not after
	then      bool // the remedy gives the command with another rule number
	helpless  bool // there is no remedy
	noisy     bool // another program writes to standard error too
}

// answer is what becomes of a command.
type answer int

const (
	refused answer = iota
	obeyed
	warned // obeyed, with a warning on standard error
)

// group is cases that follow one another in one session.
type group struct {
	family string // of the session, "4" or "6"
	port   string // that the client connects to; "" is 22
	setup  string // shell commands on the console, before each case
	cases  []lockoutCase
}

// bench is a lab with the session that the cases of a group are typed in.
type bench struct {
	*sshlab.Lab
	group  group
	sh     *sshlab.Shell
	kernel *nft.Conn // of the server
}

// run tries all cases of the group.
func (g group) run(t *testing.T) {
	t.Parallel()
	if g.port == "" {
		g.port = "22"
	}
	b := &bench{Lab: sshlab.New(t), group: g}
	if err := b.Server.Do(func() (err error) { b.kernel, err = nft.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	defer b.kernel.Close()
	for i := range g.cases {
		t.Run(g.cases[i].name, func(t *testing.T) { b.try(t, &g.cases[i]) })
	}
}

// prepare makes the firewall of a case, and a new session if the old one is
// lost.
func (b *bench) prepare(t *testing.T, c *lockoutCase) {
	t.Helper()
	b.Reset()
	if c.file != "" {
		if err := os.WriteFile(b.Private("/root/rules"), []byte(c.file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b.group.setup != "" {
		b.MustConsole("set -e; " + b.group.setup)
	}
	if b.sh == nil || !b.sh.Alive() {
		b.sh = b.Login(b.group.family, "-p", b.group.port)
	}
	if c.setup != "" {
		b.MustConsole("set -e; " + c.setup)
		if !b.sh.Alive() {
			t.Fatal("the setup cuts the session off")
		}
	}
}

// generation counts the changes of the server's rules: if it is the same as
// before, nothing was changed, not even to be put back.
func (b *bench) generation(t *testing.T) uint32 {
	t.Helper()
	n, err := b.kernel.Generation()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) try(t *testing.T, c *lockoutCase) {
	b.prepare(t, c)
	before := b.generation(t)
	o := b.sh.Run(c.run)
	changed := b.generation(t) != before
	if c.want != refused {
		checkObeyed(t, c, c.run, o)
		b.checkWorks(t, c)
		if changed == c.unchanged {
			t.Errorf("changed: %t, want %t\n%s", changed, !c.unchanged, b.State())
		}
		return
	}
	r := checkRefused(t, c, o, b.group.family)
	if changed {
		t.Errorf("refused, but the rules are changed\n%s", b.State())
	}
	if !b.sh.Alive() {
		t.Error("refused, but the session is cut off")
	}
	if c.helpless {
		b.checkWorks(t, c)
		if len(r["remedy"]) != 1 {
			t.Errorf("a remedy: %v", r)
		}
	} else if !t.Failed() {
		b.checkRemedy(t, c, r)
	}
}

// checkObeyed holds what a command has to do that endangers nobody.
func checkObeyed(t *testing.T, c *lockoutCase, command string, o lab.Output) {
	t.Helper()
	if o.Code != 0 {
		t.Fatalf("%s: exit code %d\n%s", command, o.Code, o.Stderr)
	}
	if c.want == warned {
		if !strings.HasPrefix(o.Stderr, "moat: warning: ") {
			t.Errorf("%s: no warning: %q", command, o.Stderr)
		}
		checkNames(t, c, o.Stderr)
	} else if o.Stderr != "" && !c.noisy {
		t.Errorf("%s: standard error:\n%s", command, o.Stderr)
	}
}

// checkWorks holds that the session goes on and the next login gets in.
func (b *bench) checkWorks(t *testing.T, c *lockoutCase) {
	t.Helper()
	if !b.sh.Alive() {
		t.Error("the session is cut off")
	}
	if !c.shut && !b.CanLogin(b.group.family, "-p", b.group.port) {
		t.Errorf("no new login\n%s", b.State())
	}
}

// checkRefused holds what a refusal says.
func checkRefused(t *testing.T, c *lockoutCase, o lab.Output, family string) refusal {
	t.Helper()
	const first = "moat: refused, nothing was changed"
	if o.Code != 1 || !strings.Contains(o.Stderr, first) || !c.noisy && !strings.HasPrefix(o.Stderr, first) {
		t.Fatalf("not refused: exit code %d\n%s%s", o.Code, o.Stdout, o.Stderr)
	}
	client, port := lab.ClientAddr+":", "22 tcp, in by eth0, "
	if family == "6" {
		client = "[" + lab.ClientAddr6 + "]:"
	}
	r := parseRefusal(o.Stderr)
	if s := r["session"]; len(s) != 1 || !strings.HasPrefix(s[0], client) || !strings.Contains(s[0], port) {
		t.Errorf("the session is named %q", s)
	}
	for _, label := range []string{"lost", "by", "insist"} {
		if len(r[label]) == 0 {
			t.Errorf("nothing says %q", label)
		}
	}
	checkNames(t, c, o.Stderr)
	return r
}

func checkNames(t *testing.T, c *lockoutCase, text string) {
	t.Helper()
	for _, name := range c.names {
		if !strings.Contains(text, name) {
			t.Errorf("%q is not in\n%s", name, text)
		}
	}
}

// checkRemedy does what the refusal suggests, after which the command has to be
// obeyed.
func (b *bench) checkRemedy(t *testing.T, c *lockoutCase, r refusal) {
	t.Helper()
	if len(r["first"])+len(r["add"])+len(r["then"]) == 0 {
		t.Fatalf("no remedy: %v", r)
	}
	safe := *c
	safe.want = obeyed
	for _, command := range r["first"] {
		checkObeyed(t, &safe, command, b.sh.Run(command))
	}
	if list := r["add"]; len(list) > 0 {
		b.addLines(t, c, list)
	}
	command := c.run
	if list := r["then"]; len(list) > 0 != c.then {
		t.Errorf("then: %q", list)
	} else if c.then {
		command = list[0]
	}
	checkObeyed(t, &safe, command, b.sh.Run(command))
	b.checkWorks(t, c)
	if t.Failed() {
		t.Logf("the remedy was %v", r)
	}
}

// addLines puts lines into the restore file, "-I INPUT … before line 7".
func (b *bench) addLines(t *testing.T, c *lockoutCase, list []string) {
	t.Helper()
	lines := strings.SplitAfter(c.file, "\n")
	slices.Reverse(list) // from the last to the first, so that line numbers hold
	for _, add := range list {
		text, where, ok := strings.Cut(add, " before line ")
		number, _, _ := strings.Cut(where, ",")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 1 || n > len(lines) {
			t.Fatalf("add: %q in a file of %d lines", add, len(lines))
		}
		lines = slices.Insert(lines, n-1, strings.TrimSpace(text)+"\n")
	}
	if err := os.WriteFile(b.Private("/root/rules"), []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// refusal is the rows of a refusal by their label.
type refusal map[string][]string

// rowStart is the beginning of a row: blanks, after the name of the program that
// says it if that is not iptables itself.
var rowStart = regexp.MustCompile(`^([a-z-]+: )?  ([a-z]+) +`)

func parseRefusal(text string) refusal {
	r := refusal{}
	for line := range strings.Lines(text) {
		if m := rowStart.FindStringSubmatch(line); m != nil {
			r[m[2]] = append(r[m[2]], strings.TrimSpace(line[len(m[0]):]))
		}
	}
	return r
}
