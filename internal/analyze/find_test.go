package analyze

import (
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// structural are the findings of find_*.go.
func structural() []string {
	return []string{"late-block", "contradiction", "shadowed", "impossible", "useless", "nat-dropped", "unreached-chain", "empty-chain", "loop", "no-such-interface"}
}

// findCases are rulesets and all structural findings that they have: "NAME
// CHAIN:RULE". Those without any are nearly like the one before.
var findCases = []struct {
	name  string
	rules string
	want  string // separated by commas; "" for none
}{
	{"one rule takes all", "-P INPUT DROP\n-A INPUT -p tcp --dport 1:1024 -j ACCEPT\n-A INPUT -p tcp --dport 22 -j DROP", "shadowed INPUT:2"},
	{"all but one port", "-P INPUT DROP\n-A INPUT -p tcp --dport 23:1024 -j ACCEPT\n-A INPUT -p tcp --dport 22:23 -j REJECT", ""},
	{"two take all together", "-P INPUT DROP\n-A INPUT -s 10.0.0.0/9 -p udp -j ACCEPT\n-A INPUT -s 10.128.0.0/9 -p udp -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -p udp --dport 53 -j REJECT", "shadowed INPUT:3"},
	{"two take nearly all", "-P INPUT DROP\n-A INPUT -s 10.0.0.0/9 -p udp -j ACCEPT\n-A INPUT -s 10.128.0.0/10 -p udp -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -p udp --dport 53 -j REJECT", ""},
	{"a limit takes not all", "-P INPUT DROP\n-A INPUT -p icmp -m limit --limit 1/s -j ACCEPT\n-A INPUT -p icmp -j REJECT", ""},
	{"a limit and its like are two", "-P INPUT DROP\n-A INPUT -p icmp -m limit --limit 1/s -j ACCEPT\n-A INPUT -p icmp -m limit --limit 1/s -j ACCEPT", ""},
	{"a set takes its own", "-P INPUT DROP\n-A INPUT -m set --match-set good src -j ACCEPT\n-A INPUT -p tcp -m set --match-set good src -j REJECT", "shadowed INPUT:2"},
	{"a set is not its opposite", "-P INPUT DROP\n-A INPUT -m set --match-set good src -j ACCEPT\n-A INPUT -p tcp -m set ! --match-set good src -j REJECT", ""},
	{"a called chain takes all", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A INPUT -p tcp --dport 80 -j REJECT\n-A C -s 10.0.0.0/8 -j ACCEPT\n-A C ! -s 10.0.0.0/8 -j REJECT", "shadowed INPUT:2"},
	{"a called chain lets some return", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A INPUT -p tcp --dport 80 -j REJECT\n-A C -s 10.1.0.0/16 -j RETURN\n-A C -s 10.0.0.0/8 -j ACCEPT\n-A C ! -s 10.0.0.0/8 -j REJECT", ""},
	{"a goto does not come back", ":C -\n-P INPUT ACCEPT\n-A INPUT -p tcp -g C\n-A INPUT -p tcp --dport 80 -j REJECT\n-A C -p tcp --dport 443 -j DROP", "shadowed INPUT:2"},
	{"a jump comes back", ":C -\n-P INPUT ACCEPT\n-A INPUT -p tcp -j C\n-A INPUT -p tcp --dport 80 -j REJECT\n-A C -p tcp --dport 443 -j DROP", ""},
	{"a list of ports before one of them", "-P INPUT DROP\n-A INPUT -p tcp -m multiport --dports 25,80 -j ACCEPT\n-A INPUT -p tcp --dport 25 -j REJECT", "shadowed INPUT:2"},
	{"later fragments do not come to INPUT", "-P INPUT DROP\n-A INPUT -f -j REJECT\n-A INPUT -p tcp --dport 22 -j ACCEPT", "impossible INPUT:1"},
	{"nor anywhere where connections are tracked", "-P FORWARD DROP\n-A FORWARD -f -j REJECT\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", "impossible FORWARD:1"},
	{"but through hosts that track none", "-P FORWARD DROP\n-A FORWARD -f -j REJECT\n-A FORWARD -p tcp --dport 22 -j ACCEPT", ""},
	{"the same conditions", "-P INPUT DROP\n-A INPUT -p tcp --dport 25 -m comment --comment mail -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 25 -j DROP", "contradiction INPUT:2"},
	{"nearly the same conditions", "-P INPUT DROP\n-A INPUT -p tcp --dport 25 -j ACCEPT\n-A INPUT -i eth0 -p tcp --dport 25:26 -j REJECT", ""},
	{"an equal rule", "-P INPUT DROP\n-A INPUT -p tcp --dport 25 -j ACCEPT\n-A INPUT -p udp --dport 25 -j ACCEPT\n-A INPUT -p tcp --dport 25 -j ACCEPT", "shadowed INPUT:3"},
	{"a mark that was set before", "*mangle\n-A PREROUTING -p tcp --dport 80 -j MARK --set-mark 1\n-A PREROUTING -m mark --mark 1 -j ACCEPT\n-A PREROUTING -m mark --mark 0 -j DROP\nCOMMIT", ""},
	{"a chain that asks the opposite of its caller", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A C -p udp --dport 53 -j ACCEPT\n-A C -p tcp --dport 53 -j ACCEPT", "impossible C:1"},
	{"a chain with two callers", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A INPUT -p udp -j C\n-A C -p udp --dport 53 -j ACCEPT\n-A C -p tcp --dport 53 -j ACCEPT", ""},
	{"no way out in INPUT", ":C -\n-P INPUT DROP\n-A INPUT -j C\n-A C -o eth0 -j ACCEPT\n-A C -i eth0 -j ACCEPT", "impossible C:1"},
	{"a way out in FORWARD", ":C -\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -j C\n-A FORWARD -j C\n-A C -o eth0 -j ACCEPT\n-A C -i eth0 -j ACCEPT", ""},
	{"established in nat", "*nat\n-A POSTROUTING -m conntrack --ctstate ESTABLISHED -j MASQUERADE\nCOMMIT", "impossible POSTROUTING:1"},
	{"new in nat", "*nat\n-A POSTROUTING -o eth0 -m conntrack --ctstate NEW -j MASQUERADE\nCOMMIT", ""},
	{"accept before policy accept", "-A OUTPUT -p tcp --dport 80 -j ACCEPT", "useless OUTPUT:1"},
	{"accept that counts once INPUT's policy is closed", "-A INPUT -p tcp --dport 80 -j ACCEPT\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", ""},
	{"accept before a last rule that does the same", "-A INPUT -p tcp --dport 80 -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -j ACCEPT\n-A INPUT -j DROP", "useless INPUT:1, useless INPUT:2"},
	{"accept before a drop", "-A OUTPUT -p tcp --dport 80 -j ACCEPT\n-A OUTPUT -p tcp --dport 80:81 -j DROP", ""},
	{"established first for speed", "-P INPUT DROP\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT", ""},
	{"accept before a log", "-A OUTPUT -p tcp --dport 80 -j ACCEPT\n-A OUTPUT -j LOG", ""},
	{"accept before a counter", "-A OUTPUT -p tcp --dport 80 -j ACCEPT\n-A OUTPUT -p tcp", ""},
	{"accept before a counter of others", "-A OUTPUT -p tcp --dport 80 -j ACCEPT\n-A OUTPUT -p udp", "useless OUTPUT:1"},
	{"a log is not useless", "-A INPUT -m limit --limit 5/min -j LOG", ""},
	{"a match that remembers", "-A INPUT -p tcp --dport 22 -m recent --set --name ssh -j ACCEPT", ""},
	{"reject is not drop", "-P INPUT DROP\n-A INPUT -p tcp --dport 113 -j REJECT --reject-with tcp-reset", ""},
	{"drop in a chain before policy drop", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A C -p tcp --dport 1 -j DROP\n-A C -p tcp --dport 2 -j ACCEPT", "useless C:1"},
	{"drop in a chain before accept", ":C -\n-P INPUT DROP\n-A INPUT -p tcp -j C\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A C -p tcp --dport 1 -j DROP\n-A C -p tcp --dport 2 -j ACCEPT", ""},
	{"of two rules that repeat each other one stays", "-P INPUT DROP\n-A INPUT -s 10.1.0.0/16 -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -p udp -s 10.2.0.0/16 -j ACCEPT", "useless INPUT:1, shadowed INPUT:3"},
	{"a block at the end under policy drop", "-P INPUT DROP\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -s 203.0.113.66 -j DROP", "late-block INPUT:4"},
	{"a block at the end under policy accept", "-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp --dport 80 -j ACCEPT\n-A INPUT -s 203.0.113.66 -j DROP", "late-block INPUT:4"},
	{"a block first", "-P INPUT DROP\n-A INPUT -s 203.0.113.66 -j DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT", ""},
	{"a block behind what the address may", "-P INPUT DROP\n-A INPUT -s 203.0.113.66 -p tcp --dport 22 -j ACCEPT\n-A INPUT -s 203.0.113.66 -j DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT", ""},
	{"a block behind what is open to all, before what is not", "-P INPUT DROP\n-A INPUT -p tcp --dport 443 -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -p tcp --dport 22 -j ACCEPT", ""},
	{"a block of what is logged otherwise", "-P INPUT DROP\n-A INPUT -p tcp --dport 443 -j ACCEPT\n-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -j LOG", ""},
	{"a block behind loopback and answers", "-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -s 203.0.113.66 -j DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT", ""},
	{"a block in a chain behind the call", ":C -\n-P INPUT DROP\n-A INPUT -j C\n-A INPUT -s 203.0.113.66 -j DROP\n-A C -p tcp --dport 80 -j ACCEPT", "late-block INPUT:2"},
	{"a chain without a jump", ":C -\n-A C -j DROP", "unreached-chain C:0"},
	{"a chain with a jump", ":C -\n-A INPUT -p udp -j C\n-A C -j DROP", ""},
	{"chains that only each other call", ":C -\n:D -\n-A C -p tcp -j D\n-A D -j DROP", "unreached-chain :0"},
	{"an empty chain", ":C -\n-A INPUT -j C", "empty-chain C:0"},
	{"an empty chain to go to", ":C -\n-P INPUT ACCEPT\n-A INPUT -s 10.0.0.1 -g C\n-A INPUT -j DROP", ""},
	{"a circle", ":C -\n:D -\n-A C -p tcp -j D\n-A D -p udp -j C", "loop D:1, unreached-chain :0"},
	{"a diamond", ":C -\n:D -\n:E -\n-A INPUT -p tcp -j C\n-A INPUT -p udp -j D\n-A C -s 10.0.0.1 -j E\n-A D -s 10.0.0.2 -j E\n-A E -j DROP", ""},
	{"an interface that is not there", "-P INPUT DROP\n-A INPUT -i eth7 -j ACCEPT\n-A INPUT -i eth0 -p udp -j ACCEPT", "no-such-interface INPUT:1"},
	{"interfaces that come and go", "-P INPUT DROP\n-A INPUT -i tun+ -j ACCEPT\n-A INPUT -i eth1 -p udp -j ACCEPT", ""},
	{"forwarded ports that nobody lets through", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT", "nat-dropped PREROUTING:1"},
	{"forwarded ports that the state lets through", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\nCOMMIT", ""},
	{"forwarded ports that a rule lets through", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A FORWARD -d 10.0.0.5 -p tcp --dport 80 -j ACCEPT\nCOMMIT", ""},
	{"forwarded ports before translation", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A FORWARD -p tcp --dport 8080 -j ACCEPT\nCOMMIT", "nat-dropped PREROUTING:1"},
	{"the new address is another host's, as FORWARD says", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT\n-A FORWARD -d 10.0.0.5 -p tcp --dport 8080 -j ACCEPT\nCOMMIT", "nat-dropped PREROUTING:1"},
	{"the new address may be this host's own in its network", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT\n-A FORWARD -d 10.0.0.0/24 -p tcp --dport 8080 -j ACCEPT\nCOMMIT", ""},
	{"the new address may be this host's, as INPUT says too", "*nat\n-A PREROUTING -i eth0 -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.5:80\nCOMMIT\n*filter\n:C -\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT\n-A INPUT -j C\n-A FORWARD -j C\n-A C -d 10.0.0.5 -p udp -j ACCEPT\nCOMMIT", ""},
	{"a port sent to this host that stays shut", "*nat\n-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 3128\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT\nCOMMIT", "nat-dropped PREROUTING:1"},
	{"a port sent to this host that is open", "*nat\n-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 3128\nCOMMIT\n*filter\n-P INPUT DROP\n-P FORWARD DROP\n-A INPUT -p tcp --dport 3128 -j ACCEPT\nCOMMIT", ""},
}

// policies turns -P lines, which a file does not have, into its chain lines.
func policies(rules string) string {
	var out []string
	for line := range strings.Lines(rules) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "-P" {
			line = ":" + words[1] + " " + words[2] + "\n"
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func TestFindings(t *testing.T) {
	for _, c := range findCases {
		t.Run(c.name, func(t *testing.T) {
			s := subject(t, rule.IPv4, policies(c.rules))
			var got []string
			for _, f := range audit(t, AuditInput{Subjects: []*Subject{s}, Interfaces: []string{"lo", "eth0", "eth1"}}, structural()...) {
				got = append(got, f.Name+" "+f.Place.Chain+":"+strings.TrimPrefix(f.Place.String()[strings.LastIndex(f.Place.String(), " ")+1:], f.Place.Chain))
				checkFinding(t, s, &f)
			}
			for i := range got {
				if strings.HasSuffix(got[i], ":") || !strings.ContainsAny(got[i][len(got[i])-1:], "0123456789") {
					got[i] = got[i][:strings.LastIndex(got[i], ":")] + ":0"
				}
			}
			want := strings.Split(c.want, ", ")
			if c.want == "" {
				want = nil
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

// checkFinding checks what every finding promises: it is proved or shown, its
// example does what it says, and its fix can be carried out and mends it.
func checkFinding(t *testing.T, s *Subject, f *Finding) {
	t.Helper()
	if len(f.Proof) == 0 || f.Says == "" {
		t.Errorf("%s at %v has no proof or no words: %+v", f.Name, f.Place, f)
	}
	if f.Example != nil && s.verdictOf(f.Example.Text) != f.Example.Verdict {
		t.Errorf("%s at %v: %s is %v, not %v", f.Name, f.Place, f.Example.Text, s.verdictOf(f.Example.Text), f.Example.Verdict)
	}
	if f.Fix == nil {
		return
	}
	rs, err := change.Apply(s.Ruleset, change.Script{Family: s.Family, Ops: f.Fix.Ops})
	if err != nil {
		t.Fatalf("%s at %v: the fix is refused: %v", f.Name, f.Place, err)
	}
	if len(f.Fix.Commands) != len(f.Fix.Ops) {
		t.Errorf("%d commands for %d operations", len(f.Fix.Commands), len(f.Fix.Ops))
	}
	after := &Subject{Ruleset: rs, Source: "after", interfaces: s.interfaces}
	for _, g := range audit(t, AuditInput{Subjects: []*Subject{after}, Interfaces: s.interfaces}, f.Name) {
		if g.Place.Text == f.Place.Text && g.Place.Chain == f.Place.Chain && f.Name != "loop" && g.Says == f.Says {
			t.Errorf("after the fix %q there is %s again at %v", f.Fix.Commands, g.Name, g.Place)
		}
	}
}

func TestLateBlockTellsOfThePacketAndTheMove(t *testing.T) {
	s := subject(t, rule.IPv4, ":INPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -s 203.0.113.66 -j DROP")
	list := audit(t, AuditInput{Subjects: []*Subject{s}}, "late-block")
	if len(list) != 1 || list[0].Example == nil || list[0].Fix == nil {
		t.Fatalf("%+v", list)
	}
	f := list[0]
	if !strings.HasPrefix(f.Example.Text, "tcp 203.0.113.66:") || !strings.Contains(f.Example.Text, ":22 ") || f.Example.Verdict != simulate.Accept || f.Example.By.Rule != 2 {
		t.Errorf("example %+v", f.Example)
	}
	want := []string{"iptables -D INPUT -s 203.0.113.66/32 -j DROP", "iptables -I INPUT 2 -s 203.0.113.66/32 -j DROP"}
	if !slices.Equal(f.Fix.Commands, want) {
		t.Errorf("commands %q", f.Fix.Commands)
	}
}
