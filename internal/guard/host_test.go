package guard

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel"
	"moat/internal/lab"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/session"
	"moat/internal/text"
)

// server is a host with somebody at work on it, and what the guard says there.
type server struct {
	*lab.Net
	t        testing.TB
	sessions []session.Session
	protect  []string
	root     string
	said     bytes.Buffer // warnings
}

var (
	overIPv4 = session.Session{
		Proto: packet.ProtoTCP, Client: netip.MustParseAddrPort(lab.ClientAddr + ":50522"), Server: netip.MustParseAddrPort(lab.ServerAddr + ":22"), Live: true, Program: "sshd",
	}
	overIPv6 = session.Session{
		Proto: packet.ProtoTCP, Client: netip.AddrPortFrom(netip.MustParseAddr(lab.ClientAddr6), 50522), Server: netip.AddrPortFrom(netip.MustParseAddr(lab.ServerAddr6), 22), Live: true, Program: "sshd",
	}
)

func newServer(t testing.TB, sessions ...session.Session) *server {
	return &server{Net: lab.NewPair(t), t: t, sessions: sessions, root: t.TempDir()}
}

// guard is a guard of one command.
func (s *server) guard() *Guard {
	s.said.Reset()
	g := New(Options{Warn: &s.said, Root: s.root})
	g.asked = true
	for _, x := range s.sessions {
		p, err := newParty(x)
		if err != nil {
			s.t.Fatal(err)
		}
		g.parties = append(g.parties, p)
	}
	for _, line := range s.protect {
		e, err := ParseProtected(line)
		if err != nil {
			s.t.Fatal(err)
		}
		g.entries = append(g.entries, e)
	}
	return g
}

// script reads what is given to a program: a command line, or a restore file
// with its options before it: "iptables-restore --noflush <*filter|…|COMMIT".
func (s *server) script(line string) *change.Script {
	s.t.Helper()
	command, file, isFile := strings.Cut(line, "<")
	words := strings.Fields(command)
	f := rule.IPv4
	if strings.HasPrefix(words[0], "ip6") {
		f = rule.IPv6
	}
	if isFile {
		o := text.RestoreOptions{NoFlush: slices.Contains(words, "--noflush")}
		script, err := text.ParseRestore(f, words[0], []byte(strings.ReplaceAll(file, "|", "\n")+"\n"), o, &netdb.DB{})
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		return script
	}
	cmd, err := text.ParseCommand(f, words[0], text.SpecWords(strings.Join(words[1:], " ")), &netdb.DB{})
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return &change.Script{Family: f, Ops: cmd.Ops}
}

// give makes a change behind a gate.
func (s *server) give(g kernel.Gate, script *change.Script) error {
	s.t.Helper()
	s.isInside()
	k, err := kernel.Open(g)
	if err != nil {
		s.t.Fatal(err)
	}
	defer k.Close()
	return k.Apply(script)
}

// isInside stops a test that would change the firewall of the machine.
func (s *server) isInside() {
	s.t.Helper()
	if here, err := os.Readlink(ownNamespace); err != nil || outside == "" || here == outside {
		s.t.Fatalf("not in a namespace of the test's own: %s, %v", here, err)
	}
}

// prepare gives commands that nobody guards.
func (s *server) prepare(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if err := s.give(kernel.Unguarded, s.script(line)); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
	}
}

// order gives a command as the admin does; the refusal is nil if it was obeyed.
func (s *server) order(line string) *Refusal {
	s.t.Helper()
	return s.orderScript(line, s.script(line))
}

func (s *server) orderScript(line string, script *change.Script) (refusal *Refusal) {
	s.t.Helper()
	if err := s.give(s.guard(), script); err != nil && !errors.As(err, &refusal) {
		s.t.Fatalf("%s: %v", line, err)
	}
	return refusal
}

// empty takes all rules away.
func (s *server) empty() {
	s.t.Helper()
	s.isInside()
	k, err := kernel.Open(kernel.Unguarded)
	if err != nil {
		s.t.Fatal(err)
	}
	defer k.Close()
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		script := &change.Script{Family: f}
		for _, layout := range rule.Layouts {
			script.Ops = append(script.Ops, change.Op{Kind: change.ReplaceTable, Table: layout.Table})
		}
		if err := k.Apply(script); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ipv6Rules begins the rules of IPv6 in the text of rules.
const ipv6Rules = "# IPv6\n"

// rules is what the kernel has, as text.
func (s *server) rules() string {
	s.t.Helper()
	k, err := kernel.OpenToRead()
	if err != nil {
		s.t.Fatal(err)
	}
	defer k.Close()
	p := &ext.Printer{Names: &netdb.DB{}}
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		rs, err := k.Ruleset(f)
		if err != nil {
			s.t.Fatal(err)
		}
		p.Family = f
		if f == rule.IPv6 {
			p.Str(ipv6Rules)
		}
		for _, table := range rs.Tables {
			p.Str("*" + table.Name + "\n")
			for _, c := range table.Chains {
				p.B = text.AppendSaveChain(p.B, &rule.Chain{Name: c.Name, Base: c.Base})
			}
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					text.AppendRule(p, c.Name, r, text.NoCounters)
				}
			}
		}
	}
	return string(p.B)
}
