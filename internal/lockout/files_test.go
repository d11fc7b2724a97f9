package lockout

import "testing"

// Restore files. The line that a refusal says to add is added to them.
const (
	shutFile = `# a firewall without SSH
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
`
	policyFile = "*filter\n:INPUT DROP\nCOMMIT\n"
	openFile   = `*filter
:INPUT DROP [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
`
	twoTables = `*raw
-A PREROUTING -p tcp -m tcp --dport 23 -j DROP
COMMIT
*filter
-A INPUT -p tcp -m tcp --dport 22 -j DROP
COMMIT
`
	redirectFile = "*nat\n-A PREROUTING -p tcp -m tcp --dport 22 -j REDIRECT --to-ports 2222\nCOMMIT\n"
)

func TestRestoreFilesThatCutOffAreRefused(t *testing.T) {
	shut := []string{policy("INPUT, table filter"), in}
	group{family: "4", cases: []lockoutCase{
		{name: "a file", file: shutFile, run: "iptables-restore /root/rules", names: shut},
		{name: "standard input", file: shutFile, run: "iptables-restore </root/rules", names: shut},
		{name: "with counters", file: shutFile, run: "iptables-restore -c </root/rules", names: shut},
		{name: "one table of it", file: shutFile, run: "iptables-restore -T filter </root/rules", names: shut},
		{name: "over rules that save", setup: onlySSH, file: shutFile, run: "iptables-restore /root/rules", names: shut},
		{name: "a policy only, without flushing", setup: established, file: policyFile, run: "iptables-restore --noflush /root/rules", names: shut},
		{name: "a rule in the second table", file: twoTables, run: "iptables-restore -n /root/rules", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "a redirection to nowhere", file: redirectFile, run: "iptables-restore /root/rules", names: []string{rule("1 of PREROUTING, table nat"), in}},
		{name: "a policy only, without flushing, over rules that save", setup: openSSH, file: policyFile, run: "iptables-restore --noflush /root/rules", want: obeyed},
		{name: "a file with port 22", file: openFile, run: "iptables-restore /root/rules", want: obeyed},
		{name: "only tested", file: shutFile, run: "iptables-restore --test /root/rules", unchanged: true, want: obeyed},
		{name: "another table of it", file: shutFile + "*mangle\n-A PREROUTING -j MARK --set-mark 1\nCOMMIT\n", run: "iptables-restore -T mangle </root/rules", want: obeyed},
		{name: "for IPv6", file: shutFile, run: "ip6tables-restore /root/rules", want: obeyed},
	}}.run(t)
}

func TestSavedRulesThatCutOffAreRefused(t *testing.T) {
	const save = "ln -sf /root/rules /etc/iptables/rules.v4; rm -f /etc/iptables/rules.v6"
	shut := []string{policy("INPUT, table filter"), in}
	group{family: "4", setup: save, cases: []lockoutCase{
		{name: "start", file: shutFile, run: "netfilter-persistent start", names: shut, noisy: true},
		{name: "restart", file: shutFile, run: "netfilter-persistent restart", names: shut, noisy: true},
		{name: "start with port 22", file: openFile, run: "netfilter-persistent start", want: obeyed, noisy: true},
		{name: "flush", setup: onlySSH, file: openFile, run: "netfilter-persistent flush", want: obeyed, noisy: true},
	}}.run(t)
}
