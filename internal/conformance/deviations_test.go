package conformance

import (
	"strings"
	"testing"
)

// deviations are the few commands to which Moat answers otherwise than 1.8.9,
// each because 1.8.9 does what nobody can want.
var deviations = []struct {
	name         string
	command      string
	stdin        string
	debian, moat int // exit codes
	// list shows what was written; both sides' must differ where it is given.
	list, debianHas, moatHas string
}{
	{name: "an option joined with its address", command: "iptables -A INPUT -s10.0.0.1", debian: 2},
	{name: "a long option with = and an address", command: "iptables -A INPUT --source=10.0.0.1", debian: 2},
	{name: "an option joined with its target", command: "iptables -A INPUT -jACCEPT", debian: 2},
	{name: "an option joined with its protocol", command: "ip6tables -A INPUT -ptcp", debian: 2},
	{name: "a long option with = and a protocol", command: "iptables -A INPUT --protocol=tcp", debian: 2},
	{name: "an option joined with its interface", command: "iptables -A INPUT -ieth0",
		list: "iptables -S INPUT", debianHas: "-i -ieth0", moatHas: "-i eth0"},
	{name: "a blank in an interface name", command: "iptables -A INPUT -i 'a b'",
		list: "iptables -S INPUT", debianHas: "-i a b", moatHas: `-i "a b"`},
	{name: "counters of IPv6 rules", command: "ip6tables -A INPUT -c 5 6 -j ACCEPT",
		list: "ip6tables-save -c", debianHas: "[0:0] -A INPUT -j ACCEPT", moatHas: "[5:6] -A INPUT -j ACCEPT"},
	{name: "two matches on one port", command: "iptables -A INPUT -p tcp -m tcp --dport 22 -m tcp --dport 80",
		list: "iptables -S INPUT", debianHas: "-A INPUT -p tcp -m tcp --dport 80", moatHas: "-A INPUT -p tcp -m tcp --dport 22 -m tcp --dport 80"},
	{name: "two matches on one port of UDP", command: "ip6tables -A INPUT -p udp -m udp --sport 22 -m udp ! --sport 80",
		list: "ip6tables -S INPUT", debianHas: "-A INPUT -p udp -m udp ! --sport 80", moatHas: "-A INPUT -p udp -m udp --sport 22 -m udp ! --sport 80"},
	{name: "two matches on flags", command: "iptables -A INPUT -p tcp -m tcp ! --syn -m tcp --tcp-flags SYN SYN",
		list: "iptables -S INPUT", debianHas: "-A INPUT -p tcp -m tcp ! --tcp-flags SYN SYN",
		moatHas: "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m tcp --tcp-flags SYN SYN"},
	{name: "a quotation without its end", command: "iptables-restore", moat: 2,
		stdin: "*filter\n-A INPUT -m comment --comment \"no end\nCOMMIT\n"},
	{name: "a listing within a restore file", command: "iptables-restore -n", moat: 2, stdin: "*filter\n-L\nCOMMIT\n"},
	{name: "a broken table behind a good one", command: "iptables-restore", debian: 2, moat: 2,
		stdin: "*filter\n:INPUT DROP [0:0]\nCOMMIT\n*nat\n-A NOSUCH -p nosuch\nCOMMIT\n",
		list:  "iptables -S INPUT", debianHas: "-P INPUT DROP", moatHas: "-P INPUT ACCEPT"},
}

func TestDiffersFromDebianOnPurpose(t *testing.T) {
	for _, d := range deviations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			deviates(t, debian, d.command, d.stdin, d.debian, d.list, d.debianHas)
			deviates(t, moat, d.command, d.stdin, d.moat, d.list, d.moatHas)
		})
	}
}

func deviates(t *testing.T, side programs, line, stdin string, exit int, list, has string) {
	t.Helper()
	n := newNamespace(t)
	words, err := splitWords(line)
	if err != nil {
		t.Fatal(err)
	}
	if r := n.command(side, command{words: words, stdin: stdin}); r.exit != exit {
		t.Errorf("%s: %s: exit %d, want %d; stderr %q", side.name, line, r.exit, exit, r.stderr)
	}
	if list == "" {
		return
	}
	if words, err = splitWords(list); err != nil {
		t.Fatal(err)
	}
	if r := n.command(side, command{words: words}); !strings.Contains(r.stdout, has+"\n") {
		t.Errorf("%s: %s: %s lacks %q:\n%s", side.name, line, list, has, r.stdout)
	}
}
