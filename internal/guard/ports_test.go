package guard

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"moat/internal/lab"
)

const dropSport = "iptables -A INPUT -p tcp --dport 22 --sport "

// portCases are changes that tell the client's ports apart; the session's own is 50522.
var portCases = []judged{
	{name: "half of Linux's", order: dropSport + "32768:49999 -j DROP", by: "new connections from 203.0.113.7, its ports 32768-49999, to port 22"},
	{name: "the upper half", order: dropSport + "55000: -j REJECT", by: "its ports 55000-65535,"},
	{name: "all but few", order: "iptables -A INPUT -p tcp ! --sport 50000:50100 -m conntrack --ctstate NEW -j DROP", by: "its ports 1024-49999, 50101-65535,"},
	{name: "answers to them", order: "iptables -A OUTPUT -p tcp --sport 22 --dport 32768:49999 -j DROP", by: "answers to new connections from 203.0.113.7, its ports 32768-49999,"},
	{name: "a list", order: "iptables -A INPUT -p tcp -m multiport --sports 32768:40000,50600:65535 -j DROP", by: "its ports 32768-40000, 50600-65535,"},
	{name: "in raw", order: "iptables -t raw -A PREROUTING -p tcp --sport 32768:49999 -j DROP", by: "table raw"},
	{name: "as tracking has it", order: "iptables -A INPUT -m conntrack --ctorigsrcport 32768:49999 -j DROP", by: "its ports 32768-49999,"},
	{name: "redirected", order: "iptables -t nat -A PREROUTING -p tcp --sport 32768:49999 --dport 22 -j REDIRECT --to-ports 99", by: "port 99, where the server does not listen"},
	{name: "deleting what lets them in", prepare: []string{acceptState, "iptables -A INPUT -p tcp --dport 22 --sport 1024:49999 -j ACCEPT", "iptables -A INPUT -p tcp --dport 22 --sport 50000: -j ACCEPT", dropIn},
		order: "iptables -D INPUT 2", by: "its ports 1024-49999,"},
	{name: "a policy behind some", prepare: []string{acceptState, "iptables -A INPUT -p tcp --dport 22 --sport 50000: -j ACCEPT"}, order: dropIn, by: "its ports 1024-49999,"},
	{name: "a set", order: "iptables -A INPUT -p tcp --dport 22 -m set --match-set guardports src -j DROP", by: "its ports 33000-49000,"},
	{name: "a set of ports and addresses", order: "iptables -A INPUT -m set --match-set guardpairs src,src -j DROP", warns: "from the client's ports 40000-40499 they are lost by rule 1 of INPUT"},
	{name: "few", order: dropSport + "40000:40999 -j DROP", warns: "new connections from 203.0.113.7 to port 22 get through is not certain: from the client's ports 40000-40999 they are lost by rule 1 of INPUT"},
	{name: "few, with the one that is tried first", order: dropSport + "49500:50499 -j DROP", warns: "from the client's ports 49500-50499 they"},
	{name: "what systems do not choose", order: dropSport + "1024:32767 -j DROP"},
	{name: "hardly any", order: dropSport + "40000:40010 -j DROP"},
	{name: "answers to the ports of IRC", order: "iptables -A OUTPUT -p tcp --dport 6660:6669 -j DROP"},
	{name: "answers to the ports of worms", order: "iptables -A OUTPUT -p tcp -m multiport --dports 12345,27374,31337,54320 -j DROP"},
	{name: "ports with privileges", order: dropSport + ":1023 -j DROP"},
	{name: "to another port", order: "iptables -A INPUT -p tcp --dport 80 --sport 32768: -j DROP"},
	{name: "of another client", order: "iptables -A INPUT -s 203.0.113.66 -p tcp --sport 32768:49999 -j DROP"},
	{name: "no worse than it was", prepare: []string{dropSport + "32768:49999 -j DROP"}, order: "iptables -A INPUT -p tcp --sport 40000:45000 -j DROP"},
	{name: "more than it was", prepare: []string{dropSport + "32768:49999 -j DROP"}, order: "iptables -A INPUT -p tcp --sport 50600: -j DROP", by: "its ports 50600-65535,"},
}

func TestClientPorts(t *testing.T) {
	s := newServer(t, overIPv4)
	err := s.Server.Do(func() error {
		out, err := exec.Command("sh", "-ec", `ipset create guardports bitmap:port range 0-65535; ipset add guardports 33000-49000
			ipset create guardpairs hash:ip,port; ipset add guardpairs 203.0.113.7,tcp:40000-40499`).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range portCases {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if err := s.Server.Do(func() error { s.judge(c); return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPortsThatRulesName holds which rules tell a client's ports apart.
func TestPortsThatRulesName(t *testing.T) {
	s := &server{t: t}
	for _, c := range []struct {
		spec string
		src  bool
		want string
	}{
		{"-p tcp --sport 2000:3000", true, "2000-3000"},
		{"-p tcp --sport 2000:3000", false, ""},
		{"-p udp ! --dport 2000", false, "2000"},
		{"-p tcp --sport 1024:", true, ""},
		{"-p tcp --sport :1023", true, ""},
		{"-p tcp --sport 1000:2000", true, "1000-2000"},
		{"-p tcp -m multiport --sports 22,2000,3000:4000", true, "2000, 3000-4000"},
		{"-p tcp -m multiport --dports 22,2000", true, ""},
		{"-p tcp -m multiport --ports 2000", true, "2000"},
		{"-p tcp -m multiport --ports 2000", false, "2000"},
		{"-m conntrack --ctorigsrcport 2000", true, "2000"},
		{"-m conntrack --ctrepldstport 2000:2001", false, "2000-2001"},
		{"-p tcp --dport 22", true, ""},
	} {
		rule := s.script("iptables -A INPUT " + c.spec + " -j DROP").Ops[0].Rule
		if got := portText(namedPorts(nil, rule, c.src)); got != c.want {
			t.Errorf("%s, source %v: %s, want %s", c.spec, c.src, got, c.want)
		}
	}
}

// TestSeenPortIsAmongTheUsual has a client behind a translator that gives it ports
// of its own.
func TestSeenPortIsAmongTheUsual(t *testing.T) {
	low := overIPv4
	low.Client = netip.AddrPortFrom(low.Client.Addr(), 20500)
	s := newServer(t, low)
	s.t = t
	err := s.Server.Do(func() error {
		s.judge(judged{order: dropSport + "8000:20000 -m conntrack --ctstate NEW -j DROP", by: "its ports 8000-20000,"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKernelAgreesAboutPorts opens connections from ports that the guard has told.
func TestKernelAgreesAboutPorts(t *testing.T) {
	w := newWorld(t, 0)
	for _, c := range []struct {
		order      string
		lost, kept uint16
		refused    bool
	}{
		{"iptables -A INPUT -p tcp --syn --sport 32768:49999 -j DROP", 40000, 50001, true},
		{"iptables -A OUTPUT -p tcp --tcp-flags SYN,ACK SYN,ACK ! --dport 32768:49999 -j DROP", 50001, 40000, true},
		{"iptables -A INPUT -p tcp --syn --sport 33000:33999 -j DROP", 33050, 34000, false},
	} {
		a := w.tell(c.order)
		if (a.refusal != nil) != c.refused || c.refused && !strings.Contains(a.refusal.Error(), "its ports") || (a.said == "") != c.refused {
			t.Errorf("%s: %q, %v", c.order, a.said, a.refusal)
		}
		if c.refused {
			w.on(func() error { w.prepare(c.order); return nil })
		}
		from := func(port uint16) lab.Probe { return lab.TCP(w.to).From(lab.At(lab.ClientAddr, port)) }
		w.Client.Expect(from(c.lost), lab.Silent)
		w.Client.Expect(from(c.kept), lab.Open)
		w.on(func() error { w.back(a.before); return nil })
	}
}
