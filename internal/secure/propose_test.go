package secure

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moat/internal/ext"
	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/session"
	"moat/internal/simulate"
	"moat/internal/text"
)

// addresses of the samples' host and of others, by family.
func addressesOf(f rule.Family) (here, gateway, stranger string) {
	if f == rule.IPv6 {
		return "2001:db8:2::2", "fe80::1", "2620:fe::9"
	}
	return "198.51.100.2", "198.51.100.1", "9.9.9.9"
}

// verdict asks the rules that a proposal leads to.
func verdict(in *Input, f *FamilyProposal, words string) simulate.Verdict {
	return newWays(in, f.After).packet(words).Verdict
}

// isStrict reports whether the sample has no rules of others that let things in.
func isStrict(s *sample) bool { return s.rules == "" || s.rules == "docker28" }

// TestEveryProposalLetsInWhatItSaysAndNothingElse asks the simulator for every
// port of some senders.
func TestEveryProposalLetsInWhatItSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		if !isStrict(&s) {
			continue
		}
		in, _, p := s.propose(t)
		for _, f := range p.Families {
			here, _, stranger := addressesOf(f.Family)
			senders := []netip.Addr{netip.MustParseAddr(stranger)}
			for i := range p.Services {
				for _, n := range p.Services[i].From {
					if familyOf(n.Addr()) == f.Family {
						senders = append(senders, n.Addr())
					}
				}
			}
			for _, proto := range []uint8{packet.ProtoTCP, packet.ProtoUDP} {
				for _, from := range senders {
					for _, port := range []uint16{1, 21, 22, 25, 53, 80, 111, 443, 3306, 5432, 6379, 7999, 8000, 8010, 8011, 59999, 60000, 61000, 61001, 65535} {
						words := fmt.Sprintf("%s %s -> %s", protoName(proto), netip.AddrPortFrom(from, 40000), netip.AddrPortFrom(netip.MustParseAddr(here), port))
						want := simulate.Drop
						for i := range p.Services {
							if v := &p.Services[i]; v.has(proto, port) && v.admits(from) {
								want = simulate.Accept
							}
						}
						got := verdict(in, f, words)
						if port == 22 && s.o.LimitSSH && got == simulate.Unknown {
							continue // how many there were is not told
						}
						if got != want {
							t.Errorf("%s: %s: %v, must be %v", s.name, words, got, want)
						}
					}
				}
			}
		}
	}
}

// TestEveryProposalKeepsWhatAHostNeeds is about answers, the host itself, ping,
// and the link; the rest of ICMP is dropped.
func TestEveryProposalKeepsWhatAHostNeeds(t *testing.T) {
	t.Parallel()
	type row struct {
		words string
		want  simulate.Verdict
	}
	for _, s := range samples() {
		in, _, p := s.propose(t)
		for _, f := range p.Families {
			here, gateway, stranger := addressesOf(f.Family)
			rows := []row{
				{"tcp S:443 -> H:50000 state ESTABLISHED", simulate.Accept},
				{"udp S:53 -> H:50000 state ESTABLISHED", simulate.Accept},
			}
			if f.Family == rule.IPv4 {
				rows = append(rows, row{"icmp S -> H type echo-request", simulate.Accept}, row{"icmp S -> H type 3/4 state RELATED", simulate.Accept})
			} else {
				rows = append(rows,
					row{"icmpv6 S -> H type echo-request ttl 64", simulate.Accept},
					row{"icmpv6 G -> H type packet-too-big state RELATED", simulate.Accept},
					row{"icmpv6 G -> H type neighbour-solicitation ttl 255 state UNTRACKED", simulate.Accept},
					row{"icmpv6 G -> H type neighbour-advertisement ttl 255 state UNTRACKED", simulate.Accept},
					row{"icmpv6 G -> ff02::1 type router-advertisement ttl 255 state UNTRACKED", simulate.Accept},
					row{"icmpv6 G -> ff02::1 type 130 ttl 1 state UNTRACKED", simulate.Accept})
				if isStrict(&s) {
					rows = append(rows,
						row{"icmpv6 G -> H type packet-too-big state INVALID", simulate.Accept},
						row{"icmpv6 G -> ff02::1 type 151 ttl 1 state INVALID", simulate.Accept},
						row{"icmpv6 S -> H type neighbour-solicitation ttl 64 state UNTRACKED", simulate.Drop},
						row{"icmpv6 S -> H type router-advertisement ttl 64 state UNTRACKED", simulate.Drop},
						row{"icmpv6 G -> H type redirect ttl 255 state UNTRACKED", simulate.Drop},
						row{"icmpv6 S -> H type 130 ttl 1 state UNTRACKED", simulate.Drop},
						row{"icmpv6 S -> H type 139 ttl 64", simulate.Drop})
				}
			}
			if isStrict(&s) {
				rows = append(rows, row{"tcp S:443 -> H:22 state INVALID", simulate.Drop})
			}
			if s.name == "fail2ban" {
				rows = nil // icmp-in and bad-tcp of the admin decide before
			}
			for _, r := range rows {
				if f.Family == rule.IPv6 {
					r.words = strings.NewReplacer("S:", "["+stranger+"]:", "H:", "["+here+"]:").Replace(r.words)
				}
				words := strings.NewReplacer("S:", stranger+":", "H:", here+":", " S ", " "+stranger+" ", " H ", " "+here+" ", " G ", " "+gateway+" ").Replace(r.words)
				if got := verdict(in, f, words); got != r.want {
					t.Errorf("%s: %s: %v, must be %v", s.name, words, got, r.want)
				}
			}
			lo := "tcp 127.0.0.1:50000 -> 127.0.0.1:3306"
			if f.Family == rule.IPv6 {
				lo = "tcp [::1]:50000 -> [::1]:3306"
			}
			if got := newWays(in, f.After).on("lo", lo).Verdict; got != simulate.Accept {
				t.Errorf("%s: %s in lo: %v", s.name, lo, got)
			}
		}
	}
}

// TestTheAdminStaysAndComesBack asks for the session's next packet, tracked and
// not, and for a new login, whatever was asked for.
func TestTheAdminStaysAndComesBack(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{"", "http", "ssh from 10.0.0.0/8", "22/tcp from 203.0.113.0/24,2001:db8:1::/64", "1-1024 from 192.0.2.1", "22/udp"} {
		for _, limit := range []bool{false, true} {
			for _, s := range samples() {
				if s.o.LimitSSH = limit; allow != "" {
					s.allow = allow
				}
				in, _, p := s.propose(t)
				for _, c := range in.Sessions {
					f := p.Families[slices.IndexFunc(p.Families, func(f *FamilyProposal) bool { return f.Family == familyOf(c.Client.Addr()) })]
					words := fmt.Sprintf("%s %s -> %s", protoName(c.Proto), c.Client, c.Server)
					begun := words
					if c.Proto == packet.ProtoTCP {
						begun += " flags ACK"
					}
					strict := isStrict(&s) || s.name == "by-hand"
					if got := verdict(in, f, begun+" state ESTABLISHED"); got != simulate.Accept {
						t.Errorf("%s, --allow %q: the session: %v", s.name, allow, got)
					}
					if got := verdict(in, f, begun+" state NEW"); strict && got != simulate.Accept {
						t.Errorf("%s, --allow %q: the session, as connection tracking takes it up: %v", s.name, allow, got)
					}
					got := verdict(in, f, words)
					if limited := limit || !strict; got != simulate.Accept && !(limited && got == simulate.Unknown) {
						t.Errorf("%s, --allow %q: a new login: %v", s.name, allow, got)
					}
				}
			}
		}
	}
}

func TestTheSecondProposalComesToTheSameRules(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		in, o, p := s.propose(t)
		second := *in
		second.Rules = nil
		for _, f := range p.Families {
			second.Rules = append(second.Rules, f.After)
		}
		again, err := Propose(&second, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range again.Families {
			if got, want := savedText(f.After), savedText(p.Families[i].After); got != want {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", s.name, f.Family.Name(), got, want)
			}
			if len(f.Replaced) > 0 || strings.Contains(string(f.Text()), "\n-I ") || strings.Contains(string(f.Text()), "-A INPUT -j MOAT-INPUT\nCOMMIT") == strings.Contains(string(f.Text()), "\n-A INPUT") {
				t.Errorf("%s: the second proposal still moves something:\n%s", s.name, f.Text())
			}
		}
	}
}

// savedText is a ruleset in save format without comments.
func savedText(rs *rule.Ruleset) string {
	p := ext.Printer{Family: rs.Family}
	for _, t := range rs.Tables {
		text.AppendTable(&p, t, text.SaveOptions{Program: "test"})
	}
	var b strings.Builder
	for line := range strings.Lines(string(p.B)) {
		if line[0] != '#' {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestWhatOthersHaveIsLeftAlone compares all but our chain, INPUT and the policy
// of FORWARD.
func TestWhatOthersHaveIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		in, _, p := s.propose(t)
		for i, f := range p.Families {
			for _, table := range in.Rules[i].Tables {
				for _, c := range table.Chains {
					after := f.After.Table(table.Name).Chain(c.Name)
					isOurs := table.Name == "filter" && (c.Name == "INPUT" || c.Name == ownChain)
					if after == nil || !isOurs && !slices.Equal(linesOf(f.Family, c), linesOf(f.Family, after)) {
						t.Errorf("%s: table %s, chain %s is changed", s.name, table.Name, c.Name)
					}
				}
			}
			input := linesOf(f.Family, f.After.Table("filter").Chain("INPUT"))
			input = slices.DeleteFunc(input, func(line string) bool { return line == "-A INPUT -j MOAT-INPUT" })
			if !slices.Equal(input, f.Stay) {
				t.Errorf("%s: INPUT has\n%s\nbut should keep\n%s", s.name, strings.Join(input, "\n"), strings.Join(f.Stay, "\n"))
			}
		}
	}
}

func linesOf(f rule.Family, c *rule.Chain) (list []string) {
	for _, r := range c.Rules {
		list = append(list, lineOf(f, c.Name, r))
	}
	return list
}

func TestWhatListensIsOffered(t *testing.T) {
	t.Parallel()
	in := Input{Names: noNames(), Facts: facts(), Listeners: listens(
		"tcp 0.0.0.0:22 systemd", "tcp 0.0.0.0:443 nginx", "tcp [::]:443 nginx", "tcp 127.0.0.1:3306 mariadbd", "tcp 10.0.0.1:5432 postgres",
		"udp 0.0.0.0:51820", "udp 0.0.0.0:40000 chronyd", "udp 0.0.0.0:68 dhclient", "tcp 0.0.0.0:8080 docker-proxy")}
	var got []string
	for _, o := range Offers(&in, &Options{}) {
		got = append(got, fmt.Sprint(o.Describe(), " public ", o.Public, " ", len(o.Addrs)))
	}
	want := []string{
		"https (443/tcp), on which nginx listens public true 2",
		"postgresql (5432/tcp), on which postgres listens at 10.0.0.1 public false 1",
		"8080/tcp, on which docker-proxy listens for a container public false 1",
		"wireguard (51820/udp), on which something listens public true 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestALongListOfRulesThatStayIsCutShort(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "-A INPUT -s 10.0.%d.%d/32 -j DROP\n", i/256, i%256)
	}
	in := Input{Names: noNames(), Rules: []*rule.Ruleset{mustRules(t, rule.IPv4, b.String()+"COMMIT\n")}}
	for allow, before := range map[string]int{
		"http from 10.0.5.0/24": 5*256 + 254, // all of them are shut out one by one: behind it is the last
		"http from 10.0.0.0/8":  2000,
		"http from 10.0.5.1":    1281,
	} {
		p, err := Propose(&in, &Options{Allow: mustAllow(t, allow)})
		if err != nil {
			t.Fatal(err)
		}
		f := p.Families[0]
		want := fmt.Sprintf("#   and %d more\n", before-maxListed)
		if len(f.Stay) != 2000 || !strings.Contains(string(f.Text()), want) {
			t.Errorf("%s: %d stay, and not %d before:\n%s", allow, len(f.Stay), before, f.Text())
		}
	}
}

func TestKeepLeavesWhatOpensPortsToo(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		s.o.KeepAll = true
		_, _, p := s.propose(t)
		for _, f := range p.Families {
			if len(f.Replaced) > 0 {
				t.Errorf("%s: %v", s.name, f.Replaced)
			}
		}
	}
}

func TestAHostThatForwardsGoesOnForwarding(t *testing.T) {
	t.Parallel()
	router := facts(docker0())
	for name, c := range map[string]struct {
		in     Input
		policy rule.Verdict
	}{
		"a host":           {Input{Facts: facts()}, rule.Drop},
		"a router":         {Input{Facts: router}, rule.Accept},
		"nobody knows":     {Input{}, rule.Accept},
		"rules in FORWARD": {Input{Facts: facts(), Rules: []*rule.Ruleset{mustRules(t, rule.IPv4, "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n-A FORWARD -j ACCEPT\nCOMMIT\n")}}, rule.Accept},
	} {
		if c.in.Names = noNames(); c.in.Rules == nil {
			c.in.Rules = rulesOf(t, "")
		}
		p, err := Propose(&c.in, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Families {
			if got := f.After.Table("filter").Chain("FORWARD").Base.Policy; got != c.policy {
				t.Errorf("%s, %s: the policy of FORWARD is %v", name, f.Family.Name(), got.Name())
			}
		}
	}
}

func TestARuleThatStaysInTheWayIsTold(t *testing.T) {
	t.Parallel()
	in := Input{Names: noNames(), Facts: facts(), Rules: []*rule.Ruleset{mustRules(t, rule.IPv4, "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 443 -j DROP\nCOMMIT\n")}}
	p, err := Propose(&in, &Options{Allow: mustAllow(t, "https/tcp")})
	if err != nil {
		t.Fatal(err)
	}
	want := "443/tcp does not get in over IPv4 all the same: table raw, rule 1, -A PREROUTING -p tcp -m tcp --dport 443 -j DROP"
	if !slices.Contains(p.Notes, want) {
		t.Errorf("got %q", p.Notes)
	}
}

func TestProposalAsJSON(t *testing.T) {
	t.Parallel()
	s := samples()[2]
	_, _, p := s.propose(t)
	var b strings.Builder
	if err := WriteJSON(&b, p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"from": [`, `"10.0.0.0/8"`, `"programs": [`, `"redis-server"`, `"family": "ip6"`, `"restore": "# moat secure, IPv4`, `"notes": []`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

// TestNoUserOpensAPortByTheNameOfAProgram has programs of users that are called
// like sshd, or like a line of a file of rules.
func TestNoUserOpensAPortByTheNameOfAProgram(t *testing.T) {
	t.Parallel()
	list := listens("tcp 0.0.0.0:2222 sshd", "tcp 0.0.0.0:9999 x")
	list[0].UID, list[1].UID, list[1].Program = 1000, 1000, "x\n:INPUT ACCEPT\n\x1b[2J"
	in := Input{Names: noNames(), Facts: facts(), Rules: rulesOf(t, ""), Listeners: list}
	p, err := Propose(&in, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Families {
		if f.After.Table("filter").Chain("INPUT").Base.Policy != rule.Drop || strings.Contains(string(f.Text()), "--dport") ||
			!strings.Contains(string(f.Text()), "# Not let in: 9999/tcp, on which x?:INPUT ACCEPT??[2J listens.\n") {
			t.Errorf("got\n%s", f.Text())
		}
	}
}

// TestWhatBecomesOfINPUT is about single rules that are there.
func TestWhatBecomesOfINPUT(t *testing.T) {
	t.Parallel()
	const jump = "-A INPUT -j MOAT-INPUT"
	for _, c := range []struct{ rules, allow, want string }{
		{"", "http", jump},
		{"-A INPUT -p esp -j ACCEPT", "http", jump},
		{"-A INPUT -j RETURN", "http", jump},
		{"-A INPUT -j LOG", "http", jump},
		{"-A INPUT -i wg0 -j ACCEPT", "http", jump},
		{"-A INPUT ! -i virbr0 -j ACCEPT", "http", jump},
		{"-A INPUT -i virbr0 -p udp -j ACCEPT", "http", "-A INPUT -i virbr0 -p udp -j ACCEPT\n" + jump},
		{"-A INPUT -m comment --comment counted", "http", "-A INPUT -m comment --comment counted\n" + jump},
		{"-A INPUT -j DROP", "http", jump + "\n-A INPUT -j DROP"},
		{"-A INPUT -j NFQUEUE --queue-num 0", "http", "-A INPUT -j NFQUEUE --queue-num 0\n" + jump},
		{"-A INPUT -p tcp -m tcp --dport 80 -j DROP", "https", "-A INPUT -p tcp -m tcp --dport 80 -j DROP\n" + jump},
		{"-A INPUT -p tcp -m tcp --dport 80 -j DROP", "http", jump + "\n-A INPUT -p tcp -m tcp --dport 80 -j DROP"},
		{"-A INPUT -s 9.9.9.9/32 -j DROP", "http", "-A INPUT -s 9.9.9.9/32 -j DROP\n" + jump},
		// Whom the admin's own client is, may be shut out of the web, but not of his way in.
		{"-A INPUT -s 203.0.113.7/32 -p tcp -m tcp --dport 80 -j DROP", "http", "-A INPUT -s 203.0.113.7/32 -p tcp -m tcp --dport 80 -j DROP\n" + jump},
		{"-A INPUT -s 203.0.113.7/32 -j DROP", "http", jump + "\n-A INPUT -s 203.0.113.7/32 -j DROP"},
		{"-A INPUT -m conntrack --ctstate ESTABLISHED -j DROP", "http", jump + "\n-A INPUT -m conntrack --ctstate ESTABLISHED -j DROP"},
		// It is ufw's, also what somebody put there beside it.
		{"-A INPUT -j ufw-before-input\n-A INPUT -p esp -j ACCEPT", "http", "-A INPUT -j ufw-before-input\n-A INPUT -p esp -j ACCEPT\n" + jump},
	} {
		in := Input{Names: noNames(), Facts: facts(), Sessions: []session.Session{ssh("203.0.113.7")},
			Rules: []*rule.Ruleset{mustRules(t, rule.IPv4, "*filter\n:INPUT ACCEPT\n:ufw-before-input -\n"+c.rules+"\nCOMMIT\n")}}
		p, err := Propose(&in, &Options{Allow: mustAllow(t, c.allow)})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(linesOf(rule.IPv4, p.Families[0].After.Table("filter").Chain("INPUT")), "\n"); got != c.want {
			t.Errorf("%s, --allow %s: got\n%s\nwant\n%s", c.rules, c.allow, got, c.want)
		}
	}
}

func TestOfServicesNothingIsLeftOutAndNothingTwice(t *testing.T) {
	t.Parallel()
	for allow, want := range map[string]string{
		"80,80/tcp,http/tcp":           "ssh=22/tcp; http=80/tcp",
		"80 from 10.0.0.0/8,http/tcp":  "ssh=22/tcp; http=80/tcp 10.0.0.0/8; http=80/tcp",
		"http/tcp,80 from 10.0.0.0/8":  "ssh=22/tcp; http=80/tcp",
		"80 from ::1,80 from 10.0.0.1": "ssh=22/tcp; http=80/tcp ::1/128; http=80/tcp 10.0.0.1/32",
		"70-90,80":                     "ssh=22/tcp; 70-90/tcp",
		"22 from 10.0.0.1":             "ssh=22/tcp 203.0.113.7/32; ssh=22/tcp 10.0.0.1/32",
		"22 from 203.0.113.0/24":       "ssh=22/tcp 203.0.113.0/24",
		"1-100 from 203.0.113.0/24":    "1-100/tcp 203.0.113.0/24",
	} {
		in := Input{Names: noNames(), Sessions: []session.Session{ssh("203.0.113.7"), ssh("203.0.113.7")}}
		if got := shown(services(&in, &Options{Allow: mustAllow(t, allow)})); got != want {
			t.Errorf("%s: got %s, want %s", allow, got, want)
		}
	}
}

func TestLoginsAreCountedOnce(t *testing.T) {
	t.Parallel()
	in := Input{Names: noNames(), Rules: rulesOf(t, ""), Sessions: []session.Session{ssh("203.0.113.7")}}
	p, err := Propose(&in, &Options{LimitSSH: true, Allow: mustAllow(t, "22 from 10.0.0.1,2001:db8::/32,http")})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Families {
		if n := strings.Count(string(f.Text()), "--hashlimit-name"); n != 1 {
			t.Errorf("%d limits:\n%s", n, f.Text())
		}
	}
}

func TestAnInterfaceMayHaveAnyName(t *testing.T) {
	t.Parallel()
	in := Input{Names: noNames(), Rules: []*rule.Ruleset{mustRules(t, rule.IPv4, "*filter\n:INPUT ACCEPT\n-A INPUT -i eth0 -j DROP\nCOMMIT\n")}}
	for name, before := range map[string]bool{`e"\\ü`: true, "eth0": false, "lo0.1@x": true} {
		in.Facts = host.New([]host.Interface{{Name: name, Index: 2, Up: true, Addresses: []host.Address{{Prefix: netip.MustParsePrefix("198.51.100.2/24")}}}})
		p, err := Propose(&in, &Options{Allow: mustAllow(t, "http")})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasSuffix(string(p.Families[0].Text()), "\n-A INPUT -j MOAT-INPUT\nCOMMIT\n"); got != before {
			t.Errorf("%s:\n%s", name, p.Families[0].Text())
		}
	}
}
