package lockout

import "testing"

func TestWhatIsInNoDangerIsObeyed(t *testing.T) {
	group{family: "4", cases: []lockoutCase{
		{name: "the tutorial's own order", want: obeyed, run: `set -e
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport ssh -j ACCEPT
iptables -A INPUT -p tcp --dport 80 -j ACCEPT
iptables -A INPUT -j DROP
iptables -I INPUT 1 -i lo -j ACCEPT
iptables -P INPUT DROP`},
		{name: "policy after opening port 22", setup: openSSH, run: "iptables -P INPUT DROP", want: obeyed},
		{name: "policy of FORWARD", run: "iptables -P FORWARD DROP", want: obeyed},
		{name: "blocking a stranger", run: "iptables -A INPUT -s 203.0.113.66 -j DROP", want: obeyed},
		{name: "blocking all but the client's network", run: "iptables -A INPUT ! -s 203.0.113.0/24 -j DROP", want: obeyed},
		{name: "blocking another port", run: "iptables -A INPUT -p tcp --dport 80 -j REJECT", want: obeyed},
		{name: "blocking another protocol", run: "iptables -A INPUT -p udp -j DROP", want: obeyed},
		{name: "blocking pings", run: "iptables -A INPUT -p icmp --icmp-type echo-request -j DROP", want: obeyed},
		{name: "dropping INVALID", run: "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP", want: obeyed},
		{name: "dropping INVALID after established", setup: established, run: "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP", want: obeyed},
		{name: "dropping packets without flags", run: "iptables -A INPUT -p tcp --tcp-flags ALL NONE -j DROP", want: obeyed},
		{name: "dropping new connections out", setup: established, run: "iptables -A OUTPUT -m conntrack --ctstate NEW -j DROP", want: obeyed},
		{name: "dropping a mark that nothing sets", run: "iptables -A INPUT -m connmark --mark 5 -j DROP", want: obeyed},
		{name: "a set without the client", setup: "ipset create bad hash:ip; ipset add bad 203.0.113.66", run: "iptables -A INPUT -m set --match-set bad src -j DROP", want: obeyed},
		{name: "what a user sends who is not sshd", run: "iptables -A OUTPUT -m owner --uid-owner nobody -j REJECT", want: obeyed},
		{name: "an exception before a wide rule", setup: openSSH, run: "iptables -A INPUT -s 203.0.113.0/24 -j DROP", want: obeyed},
		{name: "deleting one of two saving rules", setup: openSSH + "; iptables -A INPUT -s 203.0.113.7 -j ACCEPT; iptables -P INPUT DROP", run: "iptables -D INPUT 1", want: obeyed},
		{name: "deleting a rule that drops", setup: onlySSH + "; iptables -A INPUT -j DROP", run: "iptables -D INPUT 2", want: obeyed},
		{name: "flushing under policy ACCEPT", setup: openSSH, run: "iptables -F", want: obeyed},
		{name: "translating addresses of others", run: "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE", want: obeyed},
		{name: "redirecting another port", run: "iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080", want: obeyed},
		{name: "logging", run: "iptables -A INPUT -p tcp --dport 22 -m limit --limit 3/min -j LOG", want: obeyed},
		{name: "marking", run: "iptables -t mangle -A PREROUTING -p tcp --dport 22 -j MARK --set-mark 7", want: obeyed},
		{name: "not tracked, without rules for what is", run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j CT --notrack", want: obeyed},
		{name: "a zone, without rules for what it makes invalid", setup: established, run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j CT --zone 7", want: obeyed},
		{name: "a source on the link", setup: established, run: "iptables -t nat -A INPUT -p tcp --dport 22 -j SNAT --to-source 198.51.100.77", want: obeyed},
		{name: "ports that only root may take", run: "iptables -A INPUT -p tcp --dport 22 --sport :1023 -j DROP", want: obeyed},
		{name: "nothing worse than it was", setup: "iptables -A INPUT -p tcp --dport 22 --syn -j DROP", shut: true, run: "iptables -I INPUT -p tcp --dport 22 --syn -j REJECT", want: obeyed},
		{name: "policy of IPv6", run: "ip6tables -P INPUT DROP", want: obeyed},
		{name: "everything in IPv6", run: "ip6tables -A INPUT -j DROP && ip6tables -t raw -A PREROUTING -j DROP && ip6tables -P OUTPUT DROP", want: obeyed},
		{name: "listing and asking", setup: onlySSH, unchanged: true, want: obeyed,
			run: "iptables -L -n >/dev/null && iptables -S >/dev/null && iptables -C INPUT -p tcp --dport 22 -j ACCEPT && iptables-save >/dev/null"},
		{name: "counters", setup: onlySSH, run: "iptables -Z && iptables -L INPUT -Z >/dev/null", want: obeyed},
		{name: "another network namespace", run: "unshare -n iptables -P INPUT DROP", unchanged: true, want: obeyed},
	}}.run(t)
}

// What no simulation can tell passes, but not without a word.
func TestWhatNobodyCanTellIsObeyedWithAWarning(t *testing.T) {
	group{family: "4", cases: []lockoutCase{
		{name: "a rate limit", setup: established, want: warned, names: []string{"limit", "new connections"},
			run: "iptables -A INPUT -p tcp --dport 22 -m limit --limit 100/sec --limit-burst 1000 -j ACCEPT && iptables -P INPUT DROP"},
		{name: "few of the ports that clients take", want: warned, names: []string{"33000-33999", "new connections", "rule 1 of INPUT"},
			run: "iptables -A INPUT -p tcp --dport 22 --syn --sport 33000:33999 -j DROP"},
		{name: "recent", want: warned, names: []string{"recent"},
			run: "iptables -A INPUT -p tcp --dport 22 -m recent --name banned --rcheck -j DROP"},
		{name: "connections counted", want: warned, names: []string{"connlimit"},
			run: "iptables -A INPUT -p tcp --dport 22 --syn -m connlimit --connlimit-above 100 -j REJECT"},
		{name: "chance", want: warned, names: []string{"statistic"},
			run: "iptables -A INPUT -p tcp --dport 22 -m statistic --mode random --probability 0.0000001 -j DROP"},
		{name: "hours", want: warned, names: []string{"time"},
			run: "iptables -A INPUT -p tcp --dport 22 -m time --timestart 00:00 --timestop 00:00:01 --datestop 2001-01-01 -j DROP"},
		{name: "hardware addresses", want: warned, names: []string{"mac"},
			run: "iptables -A INPUT -p tcp --dport 22 -m mac --mac-source 02:00:00:00:00:99 -j DROP"},
		{name: "hops", want: warned, names: []string{"ttl"},
			run: "iptables -A INPUT -p tcp --dport 22 -m ttl --ttl-lt 2 -j DROP"},
		{name: "a program's verdict", want: warned, names: []string{"NFQUEUE"},
			run: "iptables -A INPUT -p tcp --dport 22 -j NFQUEUE --queue-bypass"},
	}}.run(t)
}

func TestIPv6SessionIsKept(t *testing.T) {
	const nd = "ip6tables -A INPUT -p ipv6-icmp -j ACCEPT"
	group{family: "6", cases: []lockoutCase{
		{name: "policy", run: "ip6tables -P INPUT DROP", names: []string{policy("INPUT, table filter"), in}},
		{name: "port 22", run: "ip6tables -A INPUT -p tcp --dport 22 -j REJECT", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "the client's network", run: "ip6tables -t mangle -A PREROUTING -s 2001:db8:1::/64 -j DROP", names: []string{rule("1 of PREROUTING, table mangle"), in}},
		{name: "the answers", run: "ip6tables -A OUTPUT -p tcp --sport 22 -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "port 22 open, but no neighbour discovery", setup: openSSH6 + "; ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			run: "ip6tables -P INPUT DROP", names: []string{"neighbour discovery", policy("INPUT, table filter"), in}},
		{name: "dropping ICMPv6", run: "ip6tables -A INPUT -p ipv6-icmp -j DROP", names: []string{"neighbour discovery", rule("1 of INPUT, table filter"), in}},
		{name: "dropping ICMPv6 on the way out", run: "ip6tables -A OUTPUT -p ipv6-icmp -j DROP", names: []string{"neighbour discovery", rule("1 of OUTPUT, table filter"), out}},
		{name: "a restore file", file: "*filter\n:INPUT DROP\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n", run: "ip6tables-restore /root/rules", names: []string{policy("INPUT, table filter"), in}},
		{name: "port 22 and neighbour discovery open", setup: openSSH6 + "; " + nd, run: "ip6tables -P INPUT DROP", want: obeyed},
		{name: "dropping pings", run: "ip6tables -A INPUT -p ipv6-icmp --icmpv6-type echo-request -j DROP", want: obeyed},
		{name: "everything in IPv4", run: "iptables -A INPUT -j DROP && iptables -P INPUT DROP && iptables -P OUTPUT DROP", want: obeyed},
		{name: "blocking a stranger", run: "ip6tables -I INPUT -s 2001:db8:1::66 -j DROP", want: obeyed},
	}}.run(t)
}
