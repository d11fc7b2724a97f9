package secure

import (
	"net/netip"
	"strings"
	"testing"

	"moat/internal/host"
	"moat/internal/load"
	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/rulesets"
	"moat/internal/session"
)

// noNames knows only what the package itself knows, so that tests do not hang
// on the machine's /etc/services.
func noNames() *netdb.DB { return &netdb.DB{Etc: "testdata"} }

func mustAllow(t testing.TB, text string) []Service {
	t.Helper()
	list, err := ParseAllow(text, noNames())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return list
}

func mustRules(t testing.TB, f rule.Family, text string) *rule.Ruleset {
	t.Helper()
	r, err := load.Text("test", []byte(text), f)
	if err != nil {
		t.Fatal(err)
	}
	return r.Ruleset
}

// rulesOf gives the rulesets of a name of package rulesets, none for "".
func rulesOf(t testing.TB, name string) (list []*rule.Ruleset) {
	t.Helper()
	for _, f := range []rule.Family{rule.IPv4, rule.IPv6} {
		text := ""
		if name != "" {
			file, err := rulesets.Get(name, f)
			if err != nil {
				t.Fatal(err)
			}
			text = file.Text
		}
		list = append(list, mustRules(t, f, text))
	}
	return list
}

// listens makes listeners of "tcp 0.0.0.0:22 sshd" lines.
func listens(lines ...string) (list []host.Listener) {
	for i, line := range lines {
		words := strings.Fields(line)
		at := netip.MustParseAddrPort(words[1])
		l := host.Listener{Proto: packet.ProtoTCP, Addr: at.Addr(), Port: at.Port()}
		if words[0] == "udp" {
			l.Proto = packet.ProtoUDP
		}
		if len(words) > 2 {
			l.Program, l.PID = words[2], 100+i
		}
		list = append(list, l)
	}
	return list
}

// ssh is a session from a client to port 22 of the server.
func ssh(client string) session.Session {
	server := "198.51.100.2"
	if strings.Contains(client, ":") {
		server = "2001:db8:2::2"
	}
	return session.Session{
		Proto: packet.ProtoTCP, Client: netip.AddrPortFrom(netip.MustParseAddr(client), 50522),
		Server: netip.AddrPortFrom(netip.MustParseAddr(server), 22), Live: true, Program: "sshd", PID: 100,
	}
}

// facts is a host with eth0, and more interfaces.
func facts(more ...host.Interface) *host.Facts {
	eth0 := host.Interface{Name: "eth0", Index: 2, Up: true, Addresses: []host.Address{
		{Prefix: netip.MustParsePrefix("198.51.100.2/24")}, {Prefix: netip.MustParsePrefix("2001:db8:2::2/64")},
	}}
	lo := host.Interface{Name: "lo", Index: 1, Up: true, Loopback: true, Addresses: []host.Address{
		{Prefix: netip.MustParsePrefix("127.0.0.1/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
	}}
	return host.New(append([]host.Interface{lo, eth0}, more...),
		host.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: "eth0", Gateway: netip.MustParseAddr("198.51.100.1")}}},
		host.Route{Prefix: netip.MustParsePrefix("::/0"), Hops: []host.Hop{{Interface: "eth0", Gateway: netip.MustParseAddr("fe80::1")}}})
}

// sample is a host for which proposals are made.
type sample struct {
	name  string
	rules string // of package rulesets; "" for none
	text  string // rules of IPv4, instead
	in    Input
	allow string
	o     Options
}

func (s *sample) propose(t testing.TB) (*Input, *Options, *Proposal) {
	t.Helper()
	in, o := s.in, s.o
	in.Names, in.Rules = noNames(), rulesOf(t, s.rules)
	if s.text != "" {
		in.Rules[0] = mustRules(t, rule.IPv4, s.text)
	}
	if s.allow != "" {
		o.Allow = mustAllow(t, s.allow)
	}
	p, err := Propose(&in, &o)
	if err != nil {
		t.Fatal(err)
	}
	return &in, &o, p
}

func docker0() host.Interface {
	return host.Interface{Name: "docker0", Index: 3, Up: true, Kind: "bridge", Forward4: true, Forward6: true,
		Addresses: []host.Address{{Prefix: netip.MustParsePrefix("172.17.0.1/16")}}}
}

// samples are hosts as there are many.
func samples() []sample {
	sshd := []string{"tcp 0.0.0.0:22 sshd", "tcp [::]:22 sshd"}
	with := func(more ...string) []host.Listener { return listens(append(sshd[:len(sshd):len(sshd)], more...)...) }
	me := []session.Session{ssh("203.0.113.99")}
	return []sample{
		{name: "empty", in: Input{Facts: facts(), Listeners: with("udp 127.0.0.53:53 systemd-resolve"), Sessions: me}},
		{name: "web", in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:80 nginx", "tcp 0.0.0.0:443 nginx", "udp [fe80::1%eth0]:546 systemd-network"), Sessions: me},
			allow: "http,https", o: Options{LimitSSH: true, Log: true}},
		{name: "database", in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:5432 postgres", "tcp [::]:5432 postgres", "tcp 0.0.0.0:6379 redis-server", "udp 0.0.0.0:40123 chronyd"), Sessions: me},
			allow: "5432/tcp from 10.0.0.0/8,2001:db8:a::/48"},
		{name: "docker", rules: "docker28", in: Input{Facts: facts(docker0()), Listeners: with("tcp 0.0.0.0:5432 docker-proxy"), Sessions: me}},
		{name: "ufw", rules: "ufw", in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:9000 java"), Sessions: me}, allow: "9000"},
		{name: "firewalld", rules: "firewalld", in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:9000 java"), Sessions: me}, allow: "9000"},
		{name: "fail2ban", rules: "hardened", in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:80 nginx"), Sessions: me}, allow: "80"},
		{name: "kube", rules: "kube-proxy", in: Input{Facts: facts(docker0()), Listeners: with("tcp 0.0.0.0:10250 kubelet"), Sessions: me}},
		{name: "ipv6-session", in: Input{Facts: facts(), Listeners: with(), Sessions: []session.Session{ssh("2001:db8:1::7")}}, allow: "ssh from 10.0.0.0/8"},
		{name: "no-session", in: Input{Listeners: with("tcp 0.0.0.0:25 master")}, allow: "smtp"},
		{name: "by-hand", text: `*filter
:INPUT ACCEPT [0:0]
:MOAT-INPUT - [0:0]
:log-drop - [0:0]
-A INPUT -s 192.0.2.0/24 -j DROP
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack ! --ctstate INVALID -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -j MOAT-INPUT
-A INPUT -p tcp -m tcp --dport 3306 -m comment --comment "a \"quick\" fix" -j ACCEPT
-A INPUT -j MOAT-INPUT
-A INPUT -m limit --limit 3/min -j LOG
-A INPUT -j log-drop
-A MOAT-INPUT -p tcp -m tcp --dport 9 -j ACCEPT
-A log-drop -j DROP
COMMIT
`, in: Input{Facts: facts(), Listeners: with("tcp 0.0.0.0:3306 mariadbd"), Sessions: me}, allow: "8000-8010/tcp"},
		{name: "mosh", in: Input{Facts: facts(), Listeners: with("udp 0.0.0.0:60001 mosh-server"), Sessions: []session.Session{
			{Proto: packet.ProtoUDP, Client: netip.MustParseAddrPort("203.0.113.7:40000"), Server: netip.MustParseAddrPort("198.51.100.2:60001"), Live: true, Program: "mosh-server"}}}},
	}
}
