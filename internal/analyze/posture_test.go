package analyze

import (
	"strings"
	"testing"

	"moat/internal/rule"
)

// basis is the head of a ruleset in which nothing is wrong, and basis6 IPv6's.
const (
	basis  = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n"
	basis6 = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n"
	shut   = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n"
	open   = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	router = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 192.168.1.0/24 -o eth0 -j MASQUERADE\nCOMMIT\n*filter\n"
	docker = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" +
		"-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n*filter\n"
	toDocker = ":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
)

// postureCase is a ruleset with what is to be found in it: the text of the fix,
// and the place; "" for nothing.
type postureCase struct {
	name, rules, rules6 string
	place               string // Ref.String of the only finding, with "-" before it if there is no fix
}

func checkPosture(t *testing.T, finding string, cases []postureCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var in AuditInput
			if c.rules != "" {
				in.Subjects = append(in.Subjects, whole(t, rule.IPv4, c.rules))
			}
			if c.rules6 != "" {
				in.Subjects = append(in.Subjects, whole(t, rule.IPv6, c.rules6))
			}
			var got []string
			for _, f := range audit(t, in, finding) {
				place := f.Place.String()
				if f.Fix == nil {
					place = "-" + place
				}
				got = append(got, place)
				if f.Example == nil && finding != "legacy-in-force" {
					t.Errorf("%v: no example", f.Place)
				}
				if f.Says == "" || strings.HasSuffix(f.Says, ".") {
					t.Errorf("%q is no sentence without its point", f.Says)
				}
			}
			if s := strings.Join(got, "; "); s != c.place {
				t.Errorf("found %q, want %q", s, c.place)
			}
		})
	}
}

// whole reads a file whose last table, if its head is missing, is filter.
func whole(t *testing.T, f rule.Family, rules string) *Subject {
	if strings.HasPrefix(rules, "*") {
		rules += "COMMIT\n"
	}
	return subject(t, f, rules)
}

func TestOpenPoliciesAreFound(t *testing.T) {
	checkPosture(t, "policy-accept", []postureCase{
		{name: "nothing at all", rules: open, place: "filter INPUT"},
		{name: "blocks only", rules: open + "-A INPUT -s 198.18.0.0/15 -j DROP\n-A INPUT -p tcp --dport 23 -j DROP\n", place: "filter INPUT"},
		{name: "IPv6", rules6: open + "-A INPUT -p tcp --dport 23 -j DROP\n", place: "filter INPUT"},
		{name: "a last rule drops", rules: open + "-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP\n"},
		{name: "a last rule rejects", rules: open + "-A INPUT -j REJECT\n"},
		{name: "a called chain drops", rules: open + ":rest - [0:0]\n-A INPUT -j rest\n-A rest ! -i lo -j DROP\n"},
		{name: "new ones are dropped", rules: open + "-A INPUT ! -i lo -m conntrack --ctstate NEW -j DROP\n"},
		{name: "dropped in raw", rules: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ! -i lo -j DROP\nCOMMIT\n*filter\n" + open},
		{name: "the outside is shut", rules: router + open + "-A INPUT -i eth0 -j DROP\n-A FORWARD -i eth0 -j DROP\n"},
		{name: "one interface is shut, and which is outside nobody knows", rules: open + "-A INPUT -i eth0 -j DROP\n"},
		{name: "a set decides", rules: open + "-A INPUT -m set ! --match-set friends src -j DROP\n"},
		{name: "all tcp is dropped", rules: open + "-A INPUT -p tcp -j DROP\n"},
		{name: "policy drop", rules: basis},
		{name: "FORWARD of a router", rules: router + strings.Replace(basis, "FORWARD DROP", "FORWARD ACCEPT", 1), place: "filter FORWARD"},
		{name: "FORWARD of a host", rules: strings.Replace(basis, "FORWARD DROP", "FORWARD ACCEPT", 1)},
	})
}

// TestClosingAPolicyOpensNoSSH: the fix keeps ssh where the policy lets it in, and
// adds no rule for it behind one that decides.
func TestClosingAPolicyOpensNoSSH(t *testing.T) {
	for rules, keeps := range map[string]bool{
		open: true,
		open + "-A INPUT -p tcp --dport 22 -j DROP\n":   false,
		open + "-A INPUT -p tcp --dport 22 -j ACCEPT\n": false,
	} {
		list := audit(t, AuditInput{Subjects: []*Subject{whole(t, rule.IPv4, rules)}}, "policy-accept")
		if len(list) != 1 || list[0].Fix == nil {
			t.Fatalf("%s: %+v", rules, list)
		}
		if got := strings.Contains(strings.Join(list[0].Fix.Commands, "\n"), "--dport 22"); got != keeps {
			t.Errorf("%s: %q", rules, list[0].Fix.Commands)
		}
	}
}

func TestMissingLoopbackIsFound(t *testing.T) {
	without := strings.Replace(basis, "-A INPUT -i lo -j ACCEPT\n", "", 1)
	checkPosture(t, "no-loopback", []postureCase{
		{name: "policy", rules: without, place: "filter INPUT"},
		{name: "last rule", rules: strings.Replace(without, "INPUT DROP", "INPUT ACCEPT", 1) + "-A INPUT -j DROP\n", place: "filter INPUT rule 3"},
		{name: "too late", rules: open + "-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP\n-A INPUT -i lo -j ACCEPT\n", place: "filter INPUT rule 2"},
		{name: "of OUTPUT", rules: strings.Replace(basis, "OUTPUT ACCEPT", "OUTPUT DROP", 1) + "-A OUTPUT -o eth0 -j ACCEPT\n", place: "filter OUTPUT"},
		{name: "it is there", rules: basis},
		{name: "by address", rules: without + "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n"},
		{name: "by not being outside", rules: without + "-A INPUT ! -i eth0 -j ACCEPT\n"},
		{name: "for some of it", rules: without + "-A INPUT -i lo -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "in a chain of its own", rules: without + ":own - [0:0]\n-A INPUT -i lo -j own\n-A own -p tcp --dport 53 -j ACCEPT\n"},
		{name: "by a pattern", rules: without + "-A INPUT -i l+ -j ACCEPT\n"},
		{name: "shut on purpose", rules: shut},
		{name: "policy accept", rules: open},
	})
}

func TestDroppedAnswersAreFound(t *testing.T) {
	without := strings.Replace(basis, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "", 1)
	checkPosture(t, "no-established", []postureCase{
		{name: "policy", rules: without, place: "filter INPUT"},
		{name: "too late", rules: open + "-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP\n-A INPUT -m state --state ESTABLISHED -j ACCEPT\n", place: "filter INPUT rule 2"},
		{name: "of services", rules: strings.Replace(basis, "OUTPUT ACCEPT", "OUTPUT DROP", 1) + "-A OUTPUT -o lo -j ACCEPT\n-A OUTPUT -p udp --dport 53 -j ACCEPT\n", place: "filter OUTPUT"},
		{name: "it is there", rules: basis},
		{name: "state", rules: without + "-A INPUT -m state --state ESTABLISHED -j ACCEPT\n"},
		{name: "TCP without SYN", rules: without + "-A INPUT -p tcp ! --syn -j ACCEPT\n"},
		{name: "by source port", rules: without + "-A INPUT -p tcp --sport 443 -j ACCEPT\n"},
		{name: "not invalid", rules: without + "-A INPUT -m conntrack ! --ctstate NEW,INVALID -j ACCEPT\n"},
		{name: "OUTPUT lets nothing out", rules: strings.Replace(without, "OUTPUT ACCEPT", "OUTPUT DROP", 1) + "-A OUTPUT -p tcp --sport 22 -j ACCEPT\n"},
		{name: "shut on purpose", rules: shut},
		{name: "shut but for itself", rules: shut + "-A INPUT -i lo -j ACCEPT\n"},
		{name: "both state rules", rules: strings.Replace(basis, "OUTPUT ACCEPT", "OUTPUT DROP", 1) + "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n"},
	})
}

func TestNeedlessNewIsFound(t *testing.T) {
	checkPosture(t, "new-unneeded", []postureCase{
		{name: "answers by port", rules: basis + "-A INPUT -p tcp --sport 80 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "answers by port to clients' ports", rules: basis + "-A INPUT -p udp --sport 53 --dport 1024:65535 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "in a chain", rules: basis + ":in - [0:0]\n-A INPUT -j in\n-A in -p udp -m multiport --sports 53,123 -j ACCEPT\n", place: "filter in rule 1"},
		{name: "NEW among the states", rules: open + "-A INPUT -m state --state NEW,ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -j DROP\n", place: "filter INPUT rule 1"},
		{name: "everything", rules: basis + "-A INPUT -j ACCEPT\n", place: "-filter INPUT rule 4"},
		{name: "with the state", rules: basis + "-A INPUT -p tcp --sport 80 -m conntrack --ctstate ESTABLISHED -j ACCEPT\n"},
		{name: "from one resolver", rules: basis + "-A INPUT -s 192.0.2.53/32 -p udp --sport 53 -j ACCEPT\n"},
		{name: "DHCP", rules: basis + "-A INPUT -p udp --sport 67 --dport 68 -j ACCEPT\n"},
		{name: "time", rules: basis + "-A INPUT -p udp --sport 123 --dport 123 -j ACCEPT\n"},
		{name: "to itself", rules: basis + "-A INPUT -i lo -p tcp --sport 80 -j ACCEPT\n"},
		{name: "without SYN", rules: basis + "-A INPUT -p tcp --sport 80 ! --syn -j ACCEPT\n"},
		{name: "behind a drop of new ones", rules: basis + "-A INPUT -m conntrack --ctstate NEW -j DROP\n-A INPUT -p tcp --sport 80 -j ACCEPT\n"},
		{name: "from clients' ports", rules: basis + "-A INPUT -p tcp --sport 1024:65535 --dport 80 -j ACCEPT\n"},
		{name: "from clients' ports to any", rules: basis + "-A INPUT -p tcp --sport 1024:65535 -j DROP\n"},
		{name: "inside only", rules: router + basis + "-A INPUT -i eth1 -m state --state NEW,ESTABLISHED -j ACCEPT\n"},
		{name: "outgoing", rules: strings.Replace(basis, "OUTPUT ACCEPT", "OUTPUT DROP", 1) + "-A OUTPUT -m state --state NEW,ESTABLISHED,RELATED -j ACCEPT\n"},
		{name: "not called", rules: basis + ":in - [0:0]\n-A in -p tcp --sport 80 -j ACCEPT\n"},
	})
}

func TestGapsBetweenFamiliesAreFound(t *testing.T) {
	checkPosture(t, "family-gap", []postureCase{
		{name: "IPv6 is open", rules: basis, rules6: open, place: "filter INPUT"},
		{name: "a port", rules: basis, rules6: basis6 + "-A INPUT -p tcp --dport 5432 -j ACCEPT\n", place: "filter INPUT rule 5"},
		{name: "a port of IPv4", rules: basis + "-A INPUT -p tcp --dport 443 -j ACCEPT\n", rules6: basis6, place: "filter INPUT rule 4"},
		{name: "the same", rules: basis, rules6: basis6},
		{name: "the same in other words", rules: basis + "-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n", rules6: basis6 + "-A INPUT -p tcp --dport 443 -j ACCEPT\n-A INPUT -p tcp --dport 80 -j ACCEPT\n"},
		{name: "IPv6 is shut", rules: basis, rules6: shut},
		{name: "IPv6 is shut but for itself", rules: basis, rules6: shut + "-A INPUT -i lo -j ACCEPT\n"},
		{name: "for some sources", rules: basis, rules6: basis6 + "-A INPUT -s 2001:db8:1::/48 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "for itself", rules: basis, rules6: basis6 + "-A INPUT -i lo -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "limited in one", rules: basis + "-A INPUT -p tcp --dport 80 -m limit --limit 5/sec -j ACCEPT\n", rules6: basis6 + "-A INPUT -p tcp --dport 80 -j ACCEPT\n"},
		{name: "DHCP", rules: basis, rules6: basis6 + "-A INPUT -s fe80::/10 -d fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT\n"},
		{name: "one family", rules6: open},
	})
}

func TestOpenServicesAreFound(t *testing.T) {
	checkPosture(t, "open-service", []postureCase{
		{name: "database", rules: basis + "-A INPUT -p tcp --dport 5432 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "several of one rule", rules: basis + "-A INPUT -p tcp -m multiport --dports 80,3306,6379 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "range", rules: basis + "-A INPUT -p tcp --dport 5900:5999 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "with a limit", rules: basis + "-A INPUT -p tcp --dport 3389 -m limit --limit 5/sec -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "but for some", rules: basis + "-A INPUT ! -s 198.18.0.0/15 -p udp --dport 11211 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "IPv6", rules6: basis6 + "-A INPUT -p tcp --dport 27017 -j ACCEPT\n", place: "filter INPUT rule 5"},
		{name: "container", rules: strings.ReplaceAll(docker, "8080", "5432") + open + toDocker, place: "nat DOCKER rule 1"},
		{name: "on an inside host", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -i eth0 -p tcp --dport 3390 -j DNAT --to-destination 192.168.1.6:3389\nCOMMIT", 1) + basis + "-A FORWARD -d 192.168.1.6/32 -p tcp --dport 3389 -j ACCEPT\n", place: "nat PREROUTING rule 1"},
		{name: "on an inside host, by its address outside", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -d 203.0.113.9/32 -p tcp --dport 3389 -j DNAT --to-destination 192.168.1.6\nCOMMIT", 1) + basis + "-A FORWARD -i eth0 -o eth1 -p tcp --dport 3389 -j ACCEPT\n", place: "nat PREROUTING rule 1"},
		{name: "on an inside host, for an office", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -i eth0 -s 192.0.2.0/28 -p tcp --dport 3389 -j DNAT --to-destination 192.168.1.6\nCOMMIT", 1) + basis + "-A FORWARD -d 192.168.1.6/32 -p tcp --dport 3389 -j ACCEPT\n"},
		{name: "on an inside host, not let through", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -i eth0 -p tcp --dport 3389 -j DNAT --to-destination 192.168.1.6\nCOMMIT", 1) + basis},
		{name: "on an inside host, for the inside", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -i eth1 -p tcp --dport 3389 -j DNAT --to-destination 192.168.1.6\nCOMMIT", 1) + basis + "-A FORWARD -d 192.168.1.6/32 -p tcp --dport 3389 -j ACCEPT\n"},
		{name: "a harmless port on an inside host", rules: strings.Replace(router, "COMMIT", "-A PREROUTING -i eth0 -p tcp --dport 3389 -j DNAT --to-destination 192.168.1.6:443\nCOMMIT", 1) + basis + "-A FORWARD -d 192.168.1.6/32 -p tcp --dport 443 -j ACCEPT\n"},
		{name: "for an office", rules: basis + "-A INPUT -s 192.0.2.0/28 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "for a network", rules: basis + "-A INPUT -s 10.0.0.0/8 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "inside", rules: basis + "-A INPUT -i eth1 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "not outside", rules: basis + "-A INPUT ! -i eth0 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "inside of a router", rules: router + basis + "-A INPUT -i eth1 -p tcp --dport 445 -j ACCEPT\n"},
		{name: "for a set", rules: basis + "-A INPUT -m set --match-set friends src -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "for a key", rules: basis + "-A INPUT -m string --algo bm --string secret -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "through IPsec", rules: basis + "-A INPUT -m policy --dir in --pol ipsec -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "a harmless port", rules: basis + "-A INPUT -p tcp --dport 8443 -j ACCEPT\n"},
		{name: "the other protocol", rules: basis + "-A INPUT -p udp --dport 5432 -j ACCEPT\n"},
		{name: "for itself", rules: basis + "-A INPUT -i lo -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "answers", rules: basis + "-A INPUT -p tcp --dport 5432 -m conntrack --ctstate ESTABLISHED -j ACCEPT\n"},
		{name: "dropped before", rules: basis + "-A INPUT -p tcp --dport 5432 -j DROP\n-A INPUT -p tcp --dport 5400:5500 -j ACCEPT\n"},
		{name: "all is open anyway", rules: open},
		{name: "published to the host alone", rules: strings.ReplaceAll(strings.ReplaceAll(docker, "8080", "5432"), "-A DOCKER !", "-A DOCKER -d 127.0.0.1/32 !") + open + toDocker},
		{name: "published and dropped by the user", rules: strings.ReplaceAll(docker, "8080", "5432") + open + toDocker + "-A DOCKER-USER ! -s 10.0.0.0/8 -j DROP\n"},
	})
}

func TestPublishedPortsAreFound(t *testing.T) {
	checkPosture(t, "docker-past-input", []postureCase{
		{name: "dropped by INPUT", rules: docker + basis + toDocker, place: "nat DOCKER rule 1"},
		{name: "INPUT lets it in", rules: docker + basis + toDocker + "-A INPUT -p tcp --dport 8080 -j ACCEPT\n"},
		{name: "INPUT is open", rules: docker + open + toDocker},
		{name: "dropped by the user", rules: docker + basis + toDocker + "-A DOCKER-USER ! -s 192.0.2.0/28 -j DROP\n"},
		{name: "not let through", rules: docker + basis},
		{name: "for the host alone", rules: strings.Replace(docker, "-A DOCKER !", "-A DOCKER -d 127.0.0.1/32 !", 1) + basis + toDocker},
		{name: "a router's own", rules: strings.ReplaceAll(docker, "DOCKER", "forwarded") + basis + toDocker},
	})
}

func TestUnlimitedLogsAreFound(t *testing.T) {
	checkPosture(t, "log-without-limit", []postureCase{
		{name: "last", rules: basis + "-A INPUT -j LOG --log-prefix \"dropped: \"\n", place: "filter INPUT rule 4"},
		{name: "NFLOG", rules: basis + "-A INPUT -p tcp --dport 23 -j NFLOG --nflog-group 1\n", place: "filter INPUT rule 4"},
		{name: "in a chain", rules: basis + ":refuse - [0:0]\n-A INPUT -j refuse\n-A refuse -j LOG\n-A refuse -j DROP\n", place: "filter refuse rule 1"},
		{name: "before routing", rules: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 53 -j LOG\nCOMMIT\n*filter\n" + basis, place: "raw PREROUTING rule 1"},
		{name: "invalid ones", rules: basis + "-A INPUT -m conntrack --ctstate INVALID -j LOG\n", place: "filter INPUT rule 4"},
		{name: "limit", rules: basis + "-A INPUT -m limit --limit 5/min -j LOG\n"},
		{name: "hashlimit", rules: basis + "-A INPUT -m hashlimit --hashlimit-upto 5/min --hashlimit-mode srcip --hashlimit-name log -j LOG\n"},
		{name: "limit on the way", rules: basis + ":refuse - [0:0]\n-A INPUT -m limit --limit 5/min -j refuse\n-A refuse -j LOG\n"},
		{name: "limit before", rules: basis + ":refuse - [0:0]\n-A INPUT -j refuse\n-A refuse -m limit --limit 5/min -j RETURN\n-A refuse -j LOG\n"},
		{name: "for a network", rules: basis + "-A INPUT -s 10.0.0.0/8 -j LOG\n"},
		{name: "for a blocked address", rules: basis + "-A INPUT -s 203.0.113.66/32 -j LOG\n"},
		{name: "known connections", rules: open + "-A INPUT -m conntrack --ctstate ESTABLISHED -j LOG\n"},
		{name: "outgoing", rules: basis + "-A OUTPUT -j LOG\n"},
		{name: "its own", rules: open + "-A INPUT -i lo -j LOG\n"},
		{name: "nothing comes here", rules: open + "-A INPUT -j DROP\n-A INPUT -j LOG\n"},
		{name: "not called", rules: basis + ":refuse - [0:0]\n-A refuse -j LOG\n"},
	})
}

func TestSpoofedTrustIsFound(t *testing.T) {
	checkPosture(t, "spoofed", []postureCase{
		{name: "loopback by address", rules: basis + "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "private source of a router", rules: router + basis + "-A INPUT -s 192.168.1.0/24 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "for a port", rules: router + basis + "-A INPUT -s 192.168.1.0/24 -p tcp --dport 5432 -j ACCEPT\n", place: "filter INPUT rule 4"},
		{name: "by lo", rules: basis + "-A INPUT -s 127.0.0.0/8 -i lo -j ACCEPT\n"},
		{name: "IPv6's is never let in by the kernel", rules6: basis6 + "-A INPUT -s ::1/128 -j ACCEPT\n"},
		{name: "by the inner interface", rules: router + basis + "-A INPUT -s 192.168.1.0/24 -i eth1 -j ACCEPT\n"},
		{name: "dropped outside before", rules: router + basis + "-A INPUT -s 192.168.0.0/16 -i eth0 -j DROP\n-A INPUT -s 192.168.1.0/24 -j ACCEPT\n"},
		{name: "one interface", rules: basis + "-A INPUT -s 10.0.0.0/8 -p tcp --dport 5432 -j ACCEPT\n"},
		{name: "the outside is private too", rules: router + basis + "-A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT\n"},
		{name: "everybody may", rules: router + basis + "-A INPUT -s 192.168.1.0/24 -p tcp --dport 22 -j ACCEPT\n"},
		{name: "not loopback", rules: basis + "-A INPUT ! -s 127.0.0.0/8 -p tcp --dport 80 -j ACCEPT\n"},
		{name: "reverse path", rules: "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n" + router + basis + "-A INPUT -s 192.168.1.0/24 -j ACCEPT\n"},
		{name: "a public source", rules: router + basis + "-A INPUT -s 192.0.2.0/28 -j ACCEPT\n"},
	})
}

func TestNeededICMPIsFound(t *testing.T) {
	without := strings.Replace(basis6, "-A INPUT -p ipv6-icmp -j ACCEPT\n", "", 1)
	checkPosture(t, "icmpv6-needed", []postureCase{
		{name: "none", rules6: without, place: "filter INPUT"},
		{name: "echo only", rules6: without + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT\n", place: "filter INPUT"},
		{name: "neighbours by a state they have not", rules6: without + "-A INPUT -p ipv6-icmp -m conntrack --ctstate NEW -j ACCEPT\n", place: "filter INPUT"},
		{name: "dropped before", rules6: strings.Replace(basis6, "-A INPUT -i lo", "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type packet-too-big -j DROP\n-A INPUT -i lo", 1), place: "filter INPUT rule 1"},
		{name: "all", rules6: basis6},
		{name: "one by one, errors as related", rules6: without + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j ACCEPT\n-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -m hl --hl-eq 255 -j ACCEPT\n"},
		{name: "from the link", rules6: without + "-A INPUT -s fe80::/10 -p ipv6-icmp -j ACCEPT\n"},
		{name: "shut on purpose", rules6: shut},
		{name: "shut but for itself", rules6: shut + "-A INPUT -i lo -j ACCEPT\n"},
		{name: "IPv4", rules: basis},
	})
	checkPosture(t, "icmp-needed", []postureCase{
		{name: "all ICMP is dropped first", rules: strings.Replace(basis, "-A INPUT -i lo", "-A INPUT ! -i lo -p icmp -j DROP\n-A INPUT -i lo", 1), place: "filter INPUT rule 1"},
		{name: "only ESTABLISHED", rules: strings.Replace(basis, "RELATED,", "", 1), place: "filter INPUT"},
		{name: "related", rules: basis},
		{name: "echo is dropped", rules: strings.Replace(basis, "-A INPUT -i lo", "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP\n-A INPUT -i lo", 1)},
		{name: "by type", rules: strings.Replace(basis, "RELATED,", "", 1) + "-A INPUT -p icmp -m icmp --icmp-type 3 -j ACCEPT\n"},
		{name: "shut", rules: shut},
	})
}

func TestWideRelatedIsFound(t *testing.T) {
	helper := "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp\nCOMMIT\n*filter\n"
	checkPosture(t, "related-wide", []postureCase{
		{name: "with a helper", rules: helper + basis, place: "filter INPUT rule 2"},
		{name: "without one", rules: basis},
		{name: "a helper of answers", rules: strings.ReplaceAll(helper, "ftp", "netbios-ns") + basis},
		{name: "only of the helper", rules: helper + strings.Replace(basis, "RELATED,ESTABLISHED", "ESTABLISHED", 1) + "-A INPUT -p tcp --dport 1024: -m conntrack --ctstate RELATED -m helper --helper ftp -j ACCEPT\n"},
		{name: "ESTABLISHED only", rules: helper + strings.Replace(basis, "RELATED,", "", 1)},
		{name: "no helper", rules: strings.Replace(helper, "--helper ftp", "--notrack", 1) + basis},
	})
}

func TestLegacyRulesAreFound(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		found       bool
	}{
		{"a rule", open + "-A INPUT -s 203.0.113.66/32 -j DROP\n", true},
		{"a policy", strings.Replace(open, "INPUT ACCEPT", "INPUT DROP", 1), true},
		{"empty tables", open, false},
	} {
		old := subject(t, rule.IPv4, c.rules)
		in := AuditInput{Subjects: []*Subject{subject(t, rule.IPv4, basis)}, Legacy: []Legacy{{Family: rule.IPv4, Tables: []string{"filter"}, Rules: old.Ruleset}}}
		got := audit(t, in, "legacy-in-force")
		if len(got) > 0 != c.found {
			t.Errorf("%s: %d findings", c.name, len(got))
		}
		if len(got) > 0 && (got[0].Fix == nil || !strings.HasPrefix(got[0].Fix.Commands[0], "iptables-legacy ") || len(got[0].Proof) == 0) {
			t.Errorf("%s: %+v", c.name, got[0].Fix)
		}
	}
	in := AuditInput{Legacy: []Legacy{{Family: rule.IPv4}, {Family: rule.IPv6, Tables: []string{"filter"}}}}
	if got := audit(t, in, "legacy-in-force"); len(got) > 0 {
		t.Errorf("found %+v where nothing can be read", got)
	}
	r, err := Audit(in)
	if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "ip6tables-legacy") {
		t.Errorf("warnings %q, %v", r.Warnings, err)
	}
}
