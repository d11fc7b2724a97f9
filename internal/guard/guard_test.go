package guard

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/packet"
	"moat/internal/session"
)

// judged is a change and what the guard should say to it.
type judged struct {
	name    string
	prepare []string // by the console
	order   string   // by the admin over IPv4, or over IPv6 for ip6tables
	by      string   // part of the line that says what would do it; "" for a change that is obeyed
	warns   string   // part of the warning
	// noRemedy says that no command makes the change safe.
	noRemedy bool
}

const (
	acceptState = "iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
	acceptSSH   = "iptables -A INPUT -p tcp --dport 22 -j ACCEPT"
	dropIn      = "iptables -P INPUT DROP"
)

var cases = []judged{
	{name: "policy on an empty firewall", order: dropIn, by: "the policy DROP of INPUT, table filter"},
	{name: "catch-all", order: "iptables -A INPUT -j DROP", by: "rule 1 of INPUT, table filter: -A INPUT -j DROP"},
	{name: "catch-all in front", prepare: []string{acceptSSH}, order: "iptables -I INPUT -j DROP", by: "rule 1 of INPUT"},
	{name: "a protocol that only /etc names", order: "iptables -A INPUT ! -p gre -j DROP", by: "rule 1 of INPUT"},
	{name: "catch-all in front by number", prepare: []string{acceptSSH}, order: "iptables -I INPUT 1 -j REJECT", by: "rule 1 of INPUT"},
	{name: "client's address", order: "iptables -A INPUT -s 203.0.113.7 -j DROP", by: "-s 203.0.113.7/32"},
	{name: "client's network", prepare: []string{acceptState}, order: "iptables -A INPUT -s 203.0.113.0/24 -j REJECT", by: "rule 2 of INPUT"},
	{name: "port", order: "iptables -A INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset", by: "--dport 22"},
	{name: "multiport", order: "iptables -A INPUT -p tcp -m multiport --dports 20:25,80 -j DROP", by: "multiport"},
	{name: "all but others", order: "iptables -A INPUT ! -s 10.0.0.0/8 -j DROP", by: "! -s 10.0.0.0/8"},
	{name: "answers", order: "iptables -A OUTPUT -d 203.0.113.7 -j DROP", by: "rule 1 of OUTPUT, table filter"},
	{name: "answers by port", order: "iptables -A OUTPUT -p tcp --sport 22 -j DROP", by: "rule 1 of OUTPUT"},
	{name: "answers by policy", order: "iptables -P OUTPUT DROP", by: "the policy DROP of OUTPUT"},
	{name: "raw", order: "iptables -t raw -A PREROUTING -s 203.0.113.7 -j DROP", by: "rule 1 of PREROUTING, table raw"},
	{name: "raw answers", order: "iptables -t raw -A OUTPUT -p tcp -j DROP", by: "rule 1 of OUTPUT, table raw"},
	{name: "mangle", order: "iptables -t mangle -A INPUT -p tcp -j DROP", by: "table mangle"},
	{name: "mangle postrouting", order: "iptables -t mangle -A POSTROUTING -o eth0 -j DROP", by: "POSTROUTING, table mangle"},
	{name: "security", order: "iptables -t security -A INPUT -j DROP", by: "table security"},
	{name: "new connections", prepare: []string{acceptState}, order: "iptables -A INPUT -m conntrack --ctstate NEW -j DROP", by: "--ctstate NEW"},
	{name: "established only", prepare: []string{acceptState}, order: dropIn, by: "policy DROP of INPUT"},
	{name: "new only", prepare: []string{"iptables -A INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"}, order: dropIn, by: "policy DROP of INPUT"},
	{name: "jump to a chain that drops", prepare: []string{"iptables -N bad", "iptables -A bad -j DROP"}, order: "iptables -A INPUT -j bad", by: "rule 1 of bad"},
	{name: "goto a chain that drops", prepare: []string{"iptables -N bad", "iptables -A bad -j DROP"}, order: "iptables -A INPUT -g bad", by: "rule 1 of bad"},
	{name: "goto under policy DROP", prepare: []string{"iptables -N empty", acceptSSH, dropIn}, order: "iptables -I INPUT -g empty", by: "policy DROP of INPUT"},
	{name: "filling a chain that is jumped to", prepare: []string{"iptables -N list", "iptables -A INPUT -j list"}, order: "iptables -A list -s 203.0.113.7 -j DROP", by: "rule 1 of list"},
	{name: "return before the rule that saves", prepare: []string{acceptSSH, dropIn}, order: "iptables -I INPUT -j RETURN", by: "policy DROP of INPUT"},
	{name: "deleting the rule that saves", prepare: []string{acceptSSH, dropIn}, order: "iptables -D INPUT -p tcp --dport 22 -j ACCEPT", by: "policy DROP of INPUT"},
	{name: "deleting it by number", prepare: []string{acceptState, acceptSSH, dropIn}, order: "iptables -D INPUT 2", by: "policy DROP of INPUT"},
	{name: "replacing it", prepare: []string{acceptState, acceptSSH, dropIn}, order: "iptables -R INPUT 2 -p tcp --dport 80 -j ACCEPT", by: "policy DROP of INPUT"},
	{name: "flush under policy DROP", prepare: []string{acceptSSH, dropIn}, order: "iptables -F", by: "policy DROP of INPUT"},
	{name: "flush of the chain", prepare: []string{acceptSSH, dropIn}, order: "iptables -F INPUT", by: "policy DROP of INPUT"},
	{name: "flush of a chain that saves", prepare: []string{"iptables -N ok", "iptables -A ok -p tcp --dport 22 -j ACCEPT", "iptables -A INPUT -j ok", dropIn}, order: "iptables -F ok", by: "policy DROP of INPUT"},
	{name: "own chain of a built-in name", prepare: []string{"iptables -t raw -N FORWARD", "iptables -t raw -A PREROUTING -j FORWARD"}, order: "iptables -t raw -A FORWARD -j DROP", by: "rule 1 of FORWARD, table raw"},
	{name: "own chain of a built-in name, for answers", prepare: []string{"iptables -N PREROUTING", "iptables -A OUTPUT -j PREROUTING"}, order: "iptables -A PREROUTING -p tcp --sport 22 -j DROP", by: "rule 1 of PREROUTING, table filter"},
	{name: "own chain of a built-in name, on the way in", prepare: []string{"iptables -N POSTROUTING", "iptables -A INPUT -j POSTROUTING"}, order: "iptables -A POSTROUTING -p tcp --dport 22 -j DROP", by: "rule 1 of POSTROUTING, table filter"},
	{name: "redirect to nowhere", order: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222", by: "which sends them to port 2222, where the server does not listen"},
	{name: "redirect to nowhere behind a rate limit", prepare: []string{"iptables -A INPUT -p tcp --syn -m limit --limit 3/min -j DROP"}, order: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222",
		by: "which sends them to port 2222, where the server does not listen"},
	{name: "sent to another host", order: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to-destination 198.51.100.9", by: "rule 1 of PREROUTING, table nat"},
	{name: "restore of a policy", order: "iptables-restore <*filter|:INPUT DROP|COMMIT", by: "policy DROP of INPUT"},
	{name: "restore without the port", order: "iptables-restore <*filter|:INPUT DROP|-A INPUT -i lo -j ACCEPT|-A INPUT -p tcp --dport 80 -j ACCEPT|COMMIT", by: "policy DROP of INPUT"},
	{name: "noflush of a policy", order: "iptables-restore --noflush <*filter|:INPUT DROP|COMMIT", by: "policy DROP of INPUT"},
	{name: "noflush that flushes", prepare: []string{acceptSSH, dropIn}, order: "iptables-restore --noflush <*filter|-F INPUT|COMMIT", by: "policy DROP of INPUT"},
	{name: "restore of two tables", order: "iptables-restore <*raw|-A PREROUTING -p tcp -j DROP|COMMIT|*filter|COMMIT", by: "table raw"},
	{name: "owner of the answers", order: "iptables -A OUTPUT -p tcp -m owner --uid-owner 0 -j DROP", warns: "owner"},
	{name: "rate limit", prepare: []string{acceptState}, order: "iptables -A INPUT -p tcp --dport 22 -m limit --limit 3/min -j DROP", warns: "limit in rule 2 of INPUT"},
	{name: "recent", prepare: []string{acceptState}, order: "iptables -A INPUT -p tcp --dport 22 -m recent --name x --update --seconds 60 --hitcount 4 -j DROP", warns: "recent"},

	{name: "stranger", order: "iptables -A INPUT -s 203.0.113.66 -j DROP"},
	{name: "stranger in front", prepare: []string{acceptState, acceptSSH, dropIn}, order: "iptables -I INPUT 1 -s 203.0.113.66 -j DROP"},
	{name: "other port", order: "iptables -A INPUT -p tcp --dport 3306 -j DROP"},
	{name: "other protocol", order: "iptables -A INPUT -p udp -j DROP"},
	{name: "other interface", order: "iptables -A INPUT -i eth9 -j DROP"},
	{name: "not this interface", order: "iptables -A INPUT ! -i eth0 -j DROP"},
	{name: "invalid", order: "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP"},
	{name: "tutorial's policy", prepare: []string{acceptState, "iptables -A INPUT -i lo -j ACCEPT", acceptSSH}, order: dropIn},
	{name: "tutorial's last rule", prepare: []string{acceptState, acceptSSH}, order: "iptables -A INPUT -j DROP"},
	{name: "policy of FORWARD", order: "iptables -P FORWARD DROP"},
	{name: "rule of FORWARD", order: "iptables -A FORWARD -j DROP"},
	{name: "chain that nobody jumps to", prepare: []string{"iptables -N bad"}, order: "iptables -A bad -j DROP"},
	{name: "deleting a drop", prepare: []string{acceptSSH, "iptables -A INPUT -j DROP"}, order: "iptables -D INPUT -j DROP"},
	{name: "flush under policy ACCEPT", prepare: []string{acceptSSH, "iptables -A INPUT -j DROP"}, order: "iptables -F"},
	{name: "no worse than it was", prepare: []string{dropIn}, order: "iptables -A INPUT -j DROP"},
	{name: "no worse for new connections", prepare: []string{acceptState, dropIn}, order: "iptables -A INPUT -p tcp --dport 22 -j DROP"},
	{name: "safe restore", order: "iptables-restore <*filter|:INPUT DROP|-A INPUT -m state --state ESTABLISHED -j ACCEPT|-A INPUT -p tcp --dport 22 -j ACCEPT|COMMIT"},
	{name: "sources of clients", prepare: []string{acceptState, "iptables -A INPUT -p tcp --sport 1024: --dport 22 -j ACCEPT"}, order: dropIn},
	{name: "masquerade", order: "iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE"},
	{name: "redirect of another port", order: "iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080"},
	{name: "untracked", prepare: []string{acceptSSH, dropIn}, order: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j NOTRACK"},
	{name: "IPv6 over IPv4", order: "ip6tables -P INPUT ACCEPT"},
}

func TestGuardRefusesWhatCutsOff(t *testing.T) {
	s := newServer(t, overIPv4)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if err := s.Server.Do(func() error { s.judge(c); return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// judge gives the order, and what is refused once more after its remedy.
func (s *server) judge(c judged) {
	s.t.Helper()
	s.empty()
	s.prepare(c.prepare...)
	before := s.rules()
	r := s.order(c.order)
	said := s.said.String()
	switch {
	case c.by == "" && r != nil:
		s.t.Fatalf("refused:\n%v", r)
	case c.by == "" && (c.warns == "") != (said == "") || !strings.Contains(said, c.warns):
		s.t.Fatalf("warned %q, want %q", said, c.warns)
	case c.by == "":
		return
	case r == nil:
		s.t.Fatalf("obeyed")
	case s.rules() != before:
		s.t.Fatalf("refused, but the rules are now\n%s", s.rules())
	case !strings.Contains(r.Error(), c.by):
		s.t.Errorf("it does not say that it is by %s:\n%v", c.by, r)
	}
	if c.noRemedy != (r.Remedy == nil) {
		s.t.Fatalf("remedy:\n%v", r)
	}
	if r.Remedy != nil {
		s.remedy(c, r)
	}
}

// remedy does what the refusal says, and then gives the order again.
func (s *server) remedy(c judged, r *Refusal) {
	s.t.Helper()
	for i := range r.Remedy.first {
		line := commandLine(r.family, &r.Remedy.first[i])
		if r := s.order(line); r != nil {
			s.t.Fatalf("%s is refused:\n%v", line, r)
		}
	}
	script := s.script(c.order)
	if again := s.orderScript(c.order, r.Remedy.script(script)); again != nil {
		s.t.Fatalf("after\n%v\nit is refused again:\n%v", r, again)
	}
	if said := s.said.String(); said != "" {
		s.t.Errorf("after\n%v\nit warns: %s", r, said)
	}
}

var casesIPv6 = []judged{
	{name: "policy on an empty firewall", order: "ip6tables -P INPUT DROP", by: "the policy DROP of INPUT"},
	{name: "neighbours forgotten", prepare: []string{
		"ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT",
	}, order: "ip6tables -P INPUT DROP", by: "policy DROP of INPUT"},
	{name: "neighbours forgotten in OUTPUT", prepare: []string{"ip6tables -A OUTPUT -p tcp --sport 22 -j ACCEPT"}, order: "ip6tables -P OUTPUT DROP", by: "policy DROP of OUTPUT"},
	{name: "neighbours dropped", order: "ip6tables -A INPUT -p ipv6-icmp --icmpv6-type neighbour-advertisement -j DROP", by: "rule 1 of INPUT"},
	{name: "neighbours accepted", prepare: []string{
		"ip6tables -A INPUT -p ipv6-icmp -j ACCEPT", "ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT",
	}, order: "ip6tables -P INPUT DROP"},
	{name: "IPv4 over IPv6", order: dropIn},
	{name: "hop limit of all that leaves", order: "ip6tables -t mangle -A POSTROUTING -j HL --hl-set 64", by: "rule 1 of POSTROUTING, table mangle: -A POSTROUTING -j HL --hl-set 64, which changes their hop limit from 255"},
	{name: "hop limit of all that comes", order: "ip6tables -t mangle -A PREROUTING -j HL --hl-dec 1", by: "which changes their hop limit from 255"},
	{name: "hop limit of TCP", order: "ip6tables -t mangle -A POSTROUTING -p tcp -j HL --hl-set 64"},
	{name: "client", order: "ip6tables -A INPUT -s 2001:db8:1::7 -j DROP", by: "rule 1 of INPUT"},
	{name: "stranger", order: "ip6tables -A INPUT -s 2001:db8:1::66 -j DROP"},
}

func TestGuardOverIPv6(t *testing.T) {
	s := newServer(t, overIPv6)
	for _, c := range casesIPv6 {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if err := s.Server.Do(func() error { s.judge(c); return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNobodyAtWork obeys everything, and what harms nobody is not looked at.
func TestNobodyAtWork(t *testing.T) {
	s := newServer(t)
	for _, c := range slices.Concat(cases, casesIPv6) {
		err := s.Server.Do(func() error {
			s.empty()
			s.prepare(c.prepare...)
			if g := s.guard(); g.Watches(s.script(c.order)) {
				t.Errorf("%s: is watched", c.name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheapAnswers holds which changes are decided by themselves.
func TestCheapAnswers(t *testing.T) {
	s := newServer(t, overIPv4)
	err := s.Server.Do(func() error {
		for _, c := range [...]struct {
			order   string
			watched bool
		}{
			{"iptables -A INPUT -j ACCEPT", false},
			{"iptables -A INPUT -j LOG", false},
			{"iptables -A INPUT -s 203.0.113.66 -j DROP", false},
			{"iptables -I INPUT -p udp -j REJECT", false},
			{"iptables -A INPUT -p tcp --dport 80 -j DROP", false},
			{"iptables -A OUTPUT -p tcp --dport 22 -j DROP", false},
			{"iptables -A OUTPUT -o docker0 -j DROP", false},
			{"iptables -D INPUT -j DROP", false},
			{"iptables -P INPUT ACCEPT", false},
			{"iptables -F FORWARD", false},
			{"iptables -N x", false},
			{"iptables -X x", false},
			{"iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", false},
			{"iptables -t nat -A DOCKER -i docker0 -j RETURN", false},
			{"ip6tables -P INPUT DROP", false},
			{"iptables -t nat -A PREROUTING -j ACCEPT", true},
			{"iptables -A INPUT -j x", true},
			{"iptables -A INPUT -p tcp -j DROP", true},
			{"iptables -D INPUT -p tcp --dport 22 -j ACCEPT", true},
			{"iptables -D INPUT 1", true},
			{"iptables -F", true},
			{"iptables -P OUTPUT DROP", true},
		} {
			if got := s.guard().Watches(s.script(c.order)); got != c.watched {
				t.Errorf("%s: watched %v", c.order, got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestForceIsObeyedAndTold(t *testing.T) {
	s := newServer(t, overIPv4)
	t.Setenv(Force, "1")
	err := s.Server.Do(func() error {
		if r := s.order(dropIn); r != nil {
			t.Errorf("refused:\n%v", r)
		}
		if !strings.Contains(s.said.String(), "done all the same (MOAT_FORCE=1)") || !strings.Contains(s.rules(), ":INPUT DROP") {
			t.Errorf("said %q, rules\n%s", s.said.String(), s.rules())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGuardIsOffUntilSwitchedOn(t *testing.T) {
	s := newServer(t, overIPv4)
	err := s.Server.Do(func() error {
		for _, on := range [...]bool{false, true} {
			s.empty()
			if err := Switch(s.root, on); err != nil {
				t.Fatal(err)
			}
			if r := s.order(dropIn); (r != nil) != on {
				t.Errorf("switched on %v, refusal %v", on, r)
			}
		}
		return Switch(s.root, true)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProtectedNetworks keeps clients in that are not connected.
func TestProtectedNetworks(t *testing.T) {
	s := newServer(t)
	s.protect = []string{"tcp 22 from 203.0.113.0/24", "udp 53 from 203.0.113.9"}
	var others []string // with more bounds than clients are tried
	for i := range maxSamples / 2 {
		others = append(others, fmt.Sprintf("iptables -A INPUT -s 203.0.113.%d -p tcp --dport 80 -j DROP", 10+2*i))
	}
	for _, c := range []judged{
		{name: "one of the network", order: "iptables -A INPUT -s 203.0.113.128 -j DROP", by: "203.0.113.128"},
		{name: "one of the network, behind many rules", prepare: others, order: "iptables -A INPUT -s 203.0.113.200 -j DROP", by: "203.0.113.200"},
		{name: "part of the network", order: "iptables -A INPUT -s 203.0.113.64/26 -p tcp -j DROP", by: "203.0.113.64/26"},
		{name: "a range of it", order: "iptables -A INPUT -m iprange --src-range 203.0.113.20-203.0.113.30 -j DROP", by: "iprange"},
		{name: "the other entry", order: "iptables -A INPUT -p udp -j DROP", by: "-p udp"},
		{name: "another port", order: "iptables -A INPUT -p tcp --dport 80 -s 203.0.113.128 -j DROP"},
		{name: "another network", order: "iptables -A INPUT -s 192.0.2.0/24 -j DROP"},
		{name: "policy", order: dropIn, by: "the policy DROP"},
		{name: "half of the clients' ports", order: dropSport + "32768:49999 -j DROP", by: "new connections from 203.0.113.0/24, its ports 32768-49999, to port 22"},
		{name: "few of the clients' ports", order: dropSport + "40000:40999 -j DROP", warns: "ports 40000-40999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if err := s.Server.Do(func() error { s.judge(c); return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTranslationToAnotherPortOfTheServer is no loss for new connections, and one
// to another program is.
func TestTranslationToAnotherPortOfTheServer(t *testing.T) {
	ended := overIPv4
	ended.Live = false
	s := newServer(t, ended)
	if err := s.Server.Echo("tcp 22,2222"); err != nil {
		t.Fatal(err)
	}
	const redirect = "iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports "
	err := s.Server.Do(func() error {
		if r := s.order(redirect + "2222"); r != nil {
			t.Errorf("to its other port:\n%v", r)
		}
		s.empty()
		if r := s.order(redirect + "2223"); r == nil {
			t.Error("to a port where nobody listens: obeyed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocumentsShowTheRefusal compares README.md and docs/guard.md with what is said.
func TestDocumentsShowTheRefusal(t *testing.T) {
	s := newServer(t, overIPv4)
	err := s.Server.Do(func() error {
		want := "# " + dropIn + "\n" + s.order(dropIn).Error() + "\n"
		for _, name := range [...]string{"../../README.md", "../../docs/guard.md"} {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if !strings.Contains(string(text), want) {
				t.Errorf("%s shows something else; this is real:\n%s", name, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOddSessionsAreGuarded has sessions whose client is known in part, and one
// that cannot be: that is told, and nothing is held up.
func TestOddSessionsAreGuarded(t *testing.T) {
	mosh := session.Session{
		Proto: packet.ProtoUDP, Client: netip.AddrPortFrom(netip.MustParseAddr(lab.ClientAddr), 0),
		Server: netip.AddrPortFrom(netip.MustParseAddr(lab.ServerAddr), 60001), Live: true, Program: "mosh-server",
	}
	ended := overIPv4
	ended.Live = false
	link := overIPv6
	link.Client = netip.AddrPortFrom(netip.MustParseAddr("fe80::7%eth0"), 50522)
	link.Server = netip.AddrPortFrom(netip.MustParseAddr("fe80::2%eth0"), 22)
	s := newServer(t, mosh, ended, link)
	err := s.Server.Do(func() error {
		for _, c := range [...]struct{ order, lost string }{
			{"iptables -A INPUT -p udp -j DROP", "this connection's packets, and new connections from 203.0.113.7 to port 60001"},
			{"iptables -A INPUT -p tcp -j DROP", "lost     new connections from 203.0.113.7 to port 22"},
			{"ip6tables -A INPUT -s fe80::/10 -p tcp -j DROP", "new connections from fe80::7 to port 22"},
			{"iptables -A INPUT -p icmp -j DROP", ""},
		} {
			r := s.order(c.order)
			if (r == nil) != (c.lost == "") || r != nil && !strings.Contains(r.Error(), c.lost) {
				t.Errorf("%s: %v", c.order, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
