package guard

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/kernel"
	"moat/internal/lab"
	"moat/internal/session"
)

// orders makes random commands over few chains and conditions, so that they meet.
type orders struct {
	*rand.Rand
	v6 bool
	// tracking has most rules be about connection tracking.
	tracking bool
}

func (o *orders) pick(list ...string) string { return list[o.IntN(len(list))] }

func (o *orders) address() string {
	if o.v6 {
		return o.pick(lab.ClientAddr6, lab.BlockedAddr6, "2001:db8:1::/64", "2001:db8:9::/64", lab.ServerAddr6)
	}
	return o.pick(lab.ClientAddr, lab.BlockedAddr, "203.0.113.0/24", "10.0.0.0/8", lab.ServerAddr)
}

// source is an address that connections may be given: of the link, of this host,
// and one to which it has no way.
func (o *orders) source() string {
	if o.v6 {
		return o.pick("2001:db8:2::77", lab.ServerAddr6, "2001:db8:ffff::9")
	}
	return o.pick("198.51.100.77", lab.ServerAddr, "10.9.9.9")
}

// spec is a rule without its chain.
func (o *orders) spec(table, chain string) string {
	if o.tracking && o.IntN(4) > 0 {
		return o.trackingSpec(table, chain)
	}
	var words []string
	add := func(s string) { words = append(words, s) }
	if o.IntN(3) == 0 {
		add(o.pick("", "! ") + o.pick("-s ", "-d ") + o.address())
	}
	switch o.IntN(6) {
	case 0, 1:
		add("-p tcp " + o.pick("--dport ", "--sport ", "! --dport ", "! --sport ") + o.pick("22", "80", "1024:", ":1023", "32768:49999", "40000:"))
	case 2:
		add("-p tcp -m multiport " + o.pick("--dports ", "--sports ") + o.pick("22,80", "80,443", "1:100", "22,40000:65535"))
	case 3:
		add("-p tcp " + o.pick("--syn", "! --syn", "--tcp-flags SYN,ACK SYN,ACK"))
	case 4:
		add("-p udp")
	}
	if o.IntN(3) == 0 {
		add("-m conntrack --ctstate " + o.pick("NEW", "ESTABLISHED", "ESTABLISHED,RELATED", "INVALID", "UNTRACKED", "NEW,ESTABLISHED"))
	}
	targets := []string{"ACCEPT", "ACCEPT", "DROP", "DROP", "RETURN", "a", "b"}
	switch table {
	case "nat":
		targets = []string{"ACCEPT", "RETURN", "a"}
		if strings.Contains(strings.Join(words, " "), "tcp") {
			targets = append(targets, "REDIRECT --to-ports 22", "REDIRECT --to-ports 99")
		}
		if chain == "INPUT" {
			targets = []string{"ACCEPT", "RETURN", "SNAT --to-source " + o.source()}
		}
	case "raw":
		targets = append(targets, "NOTRACK", "CT "+o.pick("--zone 7", "--zone-orig 7", "--zone-reply 7", "--zone 8", "--ctevents new"))
	}
	// Jumps go up the alphabet, so that there is no loop.
	targets = slices.DeleteFunc(targets, func(to string) bool { return len(chain) == 1 && len(to) == 1 && to <= chain })
	add("-j " + o.pick(targets...))
	return strings.Join(words, " ")
}

// trackingSpec is a rule that tells packets apart by what tracking knows of them,
// or changes what it knows.
func (o *orders) trackingSpec(table, chain string) string {
	which := "-p tcp " + o.pick("", "", "", "--syn ", "! --syn ", "--tcp-flags SYN,ACK SYN,ACK ")
	zone := o.pick("--zone 7", "--zone-orig 7", "--zone-reply 7", "--zone 8", "--ctevents new", "--notrack")
	switch {
	case table == "raw":
		return which + "-j CT " + zone
	case table == "nat" && chain == "INPUT":
		return which + "-j SNAT --to-source " + o.source()
	case table == "nat":
		return which + "-j " + o.pick("REDIRECT --to-ports 22", "ACCEPT")
	}
	return which + "-m conntrack --ctstate " + o.pick("NEW", "ESTABLISHED", "INVALID", "UNTRACKED", "INVALID,UNTRACKED", "NEW,ESTABLISHED") +
		" -j " + o.pick("ACCEPT", "DROP", "DROP")
}

// order is a command, or a file for restore.
func (o *orders) order() string {
	program := "iptables"
	if o.v6 {
		program = "ip6tables"
	}
	table := o.pick("filter", "filter", "filter", "mangle", "raw", "nat")
	chain := o.pick("INPUT", "OUTPUT", "a", "b", "INPUT")
	if table == "raw" || table == "nat" {
		chain = o.pick("PREROUTING", "OUTPUT", "a", "b")
	}
	if table == "nat" && o.IntN(4) == 0 {
		chain = "INPUT"
	}
	head := program + " -t " + table + " "
	switch o.IntN(12) {
	case 0:
		if chain == "INPUT" || chain == "OUTPUT" || chain == "PREROUTING" {
			return head + "-P " + chain + " " + o.pick("ACCEPT", "DROP")
		}
		return head + "-F " + chain
	case 1:
		return head + fmt.Sprintf("-D %s %d", chain, 1+o.IntN(3))
	case 2, 3, 4:
		return head + fmt.Sprintf("-I %s %d %s", chain, 1+o.IntN(3), o.spec(table, chain))
	case 5:
		return head + fmt.Sprintf("-R %s %d %s", chain, 1+o.IntN(3), o.spec(table, chain))
	case 6:
		if table == "filter" {
			return fmt.Sprintf("%s-restore <*filter|:INPUT %s|:a -|:b -|-A INPUT %s|-A INPUT %s|-A a %s|COMMIT",
				program, o.pick("ACCEPT", "DROP"), o.spec("filter", "INPUT"), o.spec("filter", "INPUT"), o.spec("filter", "a"))
		}
	}
	return head + "-A " + chain + " " + o.spec(table, chain)
}

var worldsFlag = flag.Int("guard.worlds", 8, "how many servers TestKernelAgreesWithTheGuard tries")

// TestKernelAgreesWithTheGuard gives random commands: after each that is obeyed
// without a warning the connection goes on and a new one gets in; and what is
// refused, when it is done all the same, loses what the refusal says.
func TestKernelAgreesWithTheGuard(t *testing.T) {
	worlds, each := *worldsFlag, 60
	if testing.Short() {
		worlds, each = 2, 30
	}
	var refused atomic.Int64
	for seed := range worlds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, uint64(seed))
			for range each {
				w.step()
			}
			t.Logf("%d obeyed, %d of them touched the client, %d refused, %d uncertain", w.obeyed, w.watched, w.refused, w.uncertain)
			if w.obeyed < 5 {
				t.Errorf("too few to say anything: %d obeyed", w.obeyed)
			}
			refused.Add(int64(w.refused))
		})
	}
	t.Cleanup(func() { // when all have ended
		if int(refused.Load()) < worlds {
			t.Errorf("too few to say anything: %d refused", refused.Load())
		}
	})
}

// world is a server with a connection to it and the commands given so far.
type world struct {
	*server
	o                                   orders
	to                                  string
	conn                                *lab.Conn
	given                               []string
	obeyed, watched, refused, uncertain int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{server: newServer(t), o: orders{Rand: rand.New(rand.NewPCG(seed, 5)), v6: seed%4 == 3, tracking: seed%2 == 1}, to: lab.At(lab.ServerAddr, 22)}
	program := "iptables"
	if w.o.v6 {
		w.to, program = lab.At(lab.ServerAddr6, 22), "ip6tables"
	}
	if err := w.Server.Echo("tcp 22"); err != nil {
		t.Fatal(err)
	}
	isOld := seed%5 == 1 // it is older than connection tracking
	if isOld {
		w.connect()
	}
	w.on(func() error {
		for _, table := range [...]string{"filter", "mangle", "raw", "nat"} {
			w.prepare(program+" -t "+table+" -N a", program+" -t "+table+" -N b")
		}
		return nil
	})
	if !isOld {
		w.connect()
	}
	return w
}

// on runs f on the server.
func (w *world) on(f func() error) {
	w.t.Helper()
	if err := w.Server.Do(f); err != nil {
		w.t.Fatalf("%v\nafter\n%s", err, strings.Join(w.given, "\n"))
	}
}

// connect opens the connection that is guarded from now on.
func (w *world) connect() {
	w.t.Helper()
	var err error
	if w.conn, err = w.Client.Dial(lab.TCP(w.to)); err != nil {
		w.t.Fatalf("%v\nafter\n%s", err, strings.Join(w.given, "\n"))
	}
	seen := w.conn.Alive(lab.LongWait) // as the server's socket has it
	if seen.State != lab.Open {
		w.t.Fatalf("the connection is %v\nafter\n%s", seen, strings.Join(w.given, "\n"))
	}
	w.sessions = []session.Session{{Proto: 6, Client: seen.Seen, Server: seen.At, Live: true}}
}

// step gives one command.
func (w *world) step() {
	w.t.Helper()
	order := w.o.order()
	a := w.tell(order)
	switch {
	case a.refusal != nil:
		w.refused++
		if w.refused <= 10 {
			w.insist(order, a.refusal, a.before)
		}
	case a.obeyed && a.said != "":
		w.uncertain++
		w.on(func() error { w.back(a.before); return nil })
	case a.obeyed:
		w.given = append(w.given, order)
		w.obeyed++
		if a.watched {
			w.watched++
		}
		w.getsThrough(order)
	}
}

// answer is what becomes of a command.
type answer struct {
	refusal *Refusal
	obeyed  bool // neither, if the kernel does not take it
	watched bool // it was not decided by itself
	said    string
	before  string // the rules
}

// tell gives a command behind the guard.
func (w *world) tell(order string) (a answer) {
	w.t.Helper()
	w.on(func() error {
		script := w.script(order)
		a.before = w.rules()
		g := w.guard()
		a.watched = g.Watches(script)
		err := w.give(g, script)
		a.obeyed = err == nil
		errors.As(err, &a.refusal)
		a.said = w.said.String()
		return nil
	})
	return a
}

// getsThrough tries the connection and a new one.
func (w *world) getsThrough(order string) {
	w.t.Helper()
	live, fresh := w.conn.Alive(lab.LongWait), w.Client.Probe(lab.TCP(w.to))
	if live.State != lab.Open || fresh.State != lab.Open {
		w.t.Fatalf("%s was obeyed: the connection is %v, a new one %v\nafter\n%s", order, live, fresh, strings.Join(w.given, "\n"))
	}
}

// insist does what was refused, looks whether it loses what the refusal says,
// and takes it back.
func (w *world) insist(order string, r *Refusal, before string) {
	w.t.Helper()
	w.loses(order, r)
	w.on(func() error { w.back(before); return nil })
	if err := w.conn.Close(); err != nil {
		w.t.Error(err)
	}
	w.connect()
}

// loses does what was refused, and looks whether it loses what the refusal says.
func (w *world) loses(order string, r *Refusal) {
	w.t.Helper()
	w.on(func() error { return w.give(kernel.Unguarded, w.script(order)) })
	const wait = 400 * time.Millisecond
	said := r.Error()
	// One that was not tracked is known as soon as the server sends anything, a
	// late acknowledgement perhaps: then it lives on by luck.
	if strings.Contains(said, "this connection's") && !strings.Contains(said, "not tracked yet") {
		if goesOn(w.conn, wait) {
			w.t.Errorf("the connection goes on after %s, which was refused:\n%v\nafter\n%s", order, r, strings.Join(w.given, "\n"))
		}
	}
	if strings.Contains(said, "new connections") {
		if w.getsIn(lab.TCP(w.to).Within(wait), lostPorts.FindStringSubmatch(said)) {
			w.t.Errorf("a new connection gets in after %s, which was refused:\n%v\nafter\n%s", order, r, strings.Join(w.given, "\n"))
		}
	}
}

// lostPorts are the client's ports from which a refusal says that connections are lost.
var lostPorts = regexp.MustCompile(`, its ports (\d+)(?:-(\d+))?`)

// getsIn tries a new connection, from one of the ports if any are told, and
// whether it goes on.
func (w *world) getsIn(p lab.Probe, told []string) bool {
	w.t.Helper()
	from := func() lab.Probe {
		if told == nil {
			return p
		}
		first, _ := strconv.Atoi(told[1])
		last, _ := strconv.Atoi(cmp.Or(told[2], told[1]))
		client := netip.MustParseAddrPort(w.conn.LocalAddr().String()).Addr()
		return p.From(netip.AddrPortFrom(client, uint16(first+w.o.IntN(last-first+1))).String())
	}
	if w.Client.Probe(from()).State != lab.Open {
		return false
	}
	c, err := w.Client.Dial(from().Within(lab.LongWait))
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	return goesOn(c, p.Wait)
}

// goesOn tries a connection twice: what an answer brings out of the window of
// connection tracking comes after it.
func goesOn(c *lab.Conn, wait time.Duration) bool {
	for range 2 {
		if c.Alive(wait).State != lab.Open {
			return false
		}
	}
	return true
}

// back gives the rules that were there, unguarded.
func (w *world) back(before string) {
	w.t.Helper()
	parts := strings.SplitN(before, ipv6Rules, 2)
	file, program := parts[0], "iptables-restore <"
	if w.o.v6 {
		file, program = parts[1], "ip6tables-restore <"
	}
	if err := w.give(kernel.Unguarded, w.script(program+terminated(file))); err != nil {
		w.t.Fatalf("%v\n%s", err, file)
	}
}

// terminated puts COMMIT behind each table.
func terminated(file string) string {
	tables := strings.Split(file, "*")
	var b strings.Builder
	for _, t := range tables[1:] {
		b.WriteString("*" + t + "COMMIT\n")
	}
	return b.String()
}
