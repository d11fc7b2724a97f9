package lockout

import "testing"

// Pieces of rules that many cases share.
const (
	openSSH     = "iptables -A INPUT -p tcp --dport 22 -j ACCEPT"
	openSSH6    = "ip6tables -A INPUT -p tcp --dport 22 -j ACCEPT"
	established = "iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
	onlySSH     = openSSH + "; iptables -P INPUT DROP"
	in, out     = "on their way in", "on their way out"
)

// rule, policy give the words by which a refusal names what would drop.
func rule(place string) string   { return "rule " + place + ": " }
func policy(place string) string { return "the policy DROP of " + place + ": " }

func TestInputThatCutsOffIsRefused(t *testing.T) {
	group{family: "4", cases: []lockoutCase{
		{name: "policy of an empty firewall", run: "iptables -P INPUT DROP", names: []string{policy("INPUT, table filter"), in, "new connections from 203.0.113.7 to port 22"}},
		{name: "catch-all DROP", run: "iptables -A INPUT -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "catch-all REJECT", run: "iptables -A INPUT -j REJECT", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "the client's address", run: "iptables -A INPUT -s 203.0.113.7 -j DROP", names: []string{rule("1 of INPUT, table filter"), "-s 203.0.113.7/32", in}},
		{name: "the client's network", run: "iptables -I INPUT -s 203.0.113.0/24 -j REJECT", names: []string{rule("1 of INPUT, table filter"), in}, then: true},
		{name: "a list of addresses", run: "iptables -A INPUT -s 192.0.2.1,203.0.113.7 -j DROP", names: []string{rule("2 of INPUT, table filter"), in}},
		{name: "a range of addresses", run: "iptables -A INPUT -m iprange --src-range 203.0.113.1-203.0.113.50 -j DROP", names: []string{"iprange", in}},
		{name: "the server's address", run: "iptables -A INPUT -d 198.51.100.2 -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "all local addresses", run: "iptables -A INPUT -m addrtype --dst-type LOCAL -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "port 22", run: "iptables -A INPUT -p tcp --dport 22 -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "port ssh by name, with a reset", run: "iptables -A INPUT -p tcp --dport ssh -j REJECT --reject-with tcp-reset", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "the client's port", run: "iptables -A INPUT -p tcp --sport 1024:65535 -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "half of the ports that clients take", run: "iptables -A INPUT -p tcp --dport 22 --syn --sport 32768:49999 -j DROP", names: []string{rule("1 of INPUT, table filter"), "its ports 32768-49999", in}},
		{name: "multiport", run: "iptables -A INPUT -p tcp -m multiport --dports 20:25,80 -j DROP", names: []string{"multiport", in}},
		{name: "all ports but some", run: "iptables -A INPUT -p tcp -m multiport ! --dports 80,443 -j DROP", names: []string{"multiport", in}},
		{name: "the interface", run: "iptables -A INPUT -i eth0 -j DROP", names: []string{"-i eth0", in}},
		{name: "everything but loopback", run: "iptables -A INPUT ! -i lo -j DROP", names: []string{"! -i lo", in}},
		{name: "new connections", run: "iptables -A INPUT -m conntrack --ctstate NEW -j DROP", names: []string{"new connections", in}},
		{name: "new connections by their flags", run: "iptables -A INPUT -p tcp --syn -j DROP", names: []string{"new connections", in}},
		{name: "established connections", setup: established + "; iptables -F", run: "iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "connections that are tracked", setup: established, run: "iptables -I INPUT -m conntrack --ctstate ESTABLISHED -j DROP", names: []string{"this connection's packets", in}, then: true},
		{name: "data", run: "iptables -A INPUT -p tcp --tcp-flags PSH PSH -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
		{name: "a set", setup: "ipset create bad hash:ip; ipset add bad 203.0.113.7", run: "iptables -A INPUT -m set --match-set bad src -j DROP", names: []string{"--match-set bad src", in}},
		{name: "inserted before the saving rule", setup: onlySSH, run: "iptables -I INPUT 1 -j DROP", names: []string{rule("1 of INPUT, table filter"), in}, then: true},
		{name: "in place of the saving rule", setup: onlySSH, run: "iptables -R INPUT 1 -p tcp --dport 2222 -j ACCEPT", names: []string{policy("INPUT, table filter"), in}, then: true},
		{name: "deleting the saving rule", setup: onlySSH, run: "iptables -D INPUT -p tcp --dport 22 -j ACCEPT", names: []string{policy("INPUT, table filter"), in}},
		{name: "deleting the saving rule by number", setup: onlySSH, run: "iptables -D INPUT 1", names: []string{policy("INPUT, table filter"), in}, then: true},
		{name: "flushing all under policy DROP", setup: onlySSH, run: "iptables -F", names: []string{policy("INPUT, table filter"), in}},
		{name: "flushing INPUT under policy DROP", setup: established + ";" + onlySSH, run: "iptables -F INPUT", names: []string{policy("INPUT, table filter"), in}},
		{name: "policy with established connections only", setup: established, run: "iptables -P INPUT DROP", names: []string{"new connections", policy("INPUT, table filter"), in}},
		{name: "the tutorial's order without port 22", setup: established + "; iptables -A INPUT -p tcp --dport 80 -j ACCEPT; iptables -I INPUT 1 -i lo -j ACCEPT",
			run: "iptables -A INPUT -j DROP", names: []string{rule("4 of INPUT, table filter"), in}},
	}}.run(t)
}

func TestOutputThatCutsOffIsRefused(t *testing.T) {
	group{family: "4", cases: []lockoutCase{
		{name: "policy", run: "iptables -P OUTPUT DROP", names: []string{policy("OUTPUT, table filter"), out}},
		{name: "the answers' port", run: "iptables -A OUTPUT -p tcp --sport 22 -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "the client's address", run: "iptables -A OUTPUT -d 203.0.113.7 -j REJECT", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "what root sends", run: "iptables -A OUTPUT -m owner --uid-owner 0 -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "data", run: "iptables -A OUTPUT -p tcp --tcp-flags PSH PSH -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "the interface", run: "iptables -A OUTPUT -o eth0 -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "new connections, when the session is not tracked", run: "iptables -A OUTPUT -m conntrack --ctstate NEW -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "established connections", run: "iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED -j DROP", names: []string{rule("1 of OUTPUT, table filter"), out}},
		{name: "flushing under policy DROP", setup: "iptables -A OUTPUT -p tcp --sport 22 -j ACCEPT; iptables -P OUTPUT DROP", run: "iptables -F OUTPUT", names: []string{policy("OUTPUT, table filter"), out}},
	}}.run(t)
}

func TestOtherTablesThatCutOffAreRefused(t *testing.T) {
	group{family: "4", cases: []lockoutCase{
		{name: "raw", run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j DROP", names: []string{rule("1 of PREROUTING, table raw"), in}},
		{name: "raw, answers", run: "iptables -t raw -A OUTPUT -p tcp --sport 22 -j DROP", names: []string{rule("1 of OUTPUT, table raw"), out}},
		{name: "mangle", run: "iptables -t mangle -A PREROUTING -s 203.0.113.7 -j DROP", names: []string{rule("1 of PREROUTING, table mangle"), in}},
		{name: "mangle, policy", run: "iptables -t mangle -P INPUT DROP", names: []string{policy("INPUT, table mangle"), in}},
		{name: "mangle, answers", run: "iptables -t mangle -A POSTROUTING -p tcp --sport 22 -j DROP", names: []string{rule("1 of POSTROUTING, table mangle"), out}},
		{name: "security", run: "iptables -t security -A INPUT -p tcp --dport 22 -j DROP", names: []string{rule("1 of INPUT, table security"), in}},
		{name: "redirected to nowhere", run: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222", names: []string{rule("1 of PREROUTING, table nat"), "port 2222", in}},
		{name: "sent to another host", run: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to-destination 192.0.2.9", names: []string{rule("1 of PREROUTING, table nat"), "192.0.2.9", in}},
		{name: "translated while the session is not tracked", run: "iptables -t nat -A POSTROUTING -o eth0 -j SNAT --to-source 198.51.100.99", names: []string{rule("1 of POSTROUTING, table nat"), out}},
		{name: "not tracked, with rules for what is", setup: established + "; iptables -A INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT; iptables -P INPUT DROP",
			run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j CT --notrack", names: []string{policy("INPUT, table filter"), in}},
		{name: "hidden from tracking by a zone", setup: established, run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j CT --zone-orig 7", names: []string{rule("1 of PREROUTING, table raw"), "this connection's packets", in}},
		{name: "a zone one way, with rules for what it makes invalid", setup: established + "; iptables -A INPUT -m conntrack --ctstate INVALID -j DROP",
			run: "iptables -t raw -A PREROUTING -p tcp --dport 22 -j CT --zone 7", names: []string{rule("2 of INPUT, table filter"), "new connections", in}},
		{name: "answers in another zone, with rules for what it makes new", setup: established + "; iptables -A OUTPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP",
			run: "iptables -t raw -A OUTPUT -p tcp --sport 22 -j CT --zone 7", names: []string{rule("1 of OUTPUT, table filter"), "this connection's answers", out}},
		{name: "a source to which no route leads", setup: established + "; ip route replace unreachable 192.0.2.77", run: "iptables -t nat -A INPUT -p tcp --dport 22 -j SNAT --to-source 192.0.2.77",
			names: []string{rule("1 of INPUT, table nat"), "answers to new connections", "no way", out}},
		{name: "another source while the session is not tracked", run: "iptables -t nat -A INPUT -p tcp --dport 22 -j SNAT --to-source 198.51.100.77", names: []string{rule("1 of INPUT, table nat"), "another source", in}},
		{name: "sent to another host, to which this one forwards", setup: "sysctl -qw net.ipv4.ip_forward=1",
			run: "iptables -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to-destination 192.0.2.9", names: []string{rule("1 of PREROUTING, table nat"), "192.0.2.9", in}},
	}}.run(t)
}

func TestSessionThroughARedirectIsKept(t *testing.T) {
	group{family: "4", port: "2222", setup: "iptables -t nat -A PREROUTING -p tcp --dport 2222 -j REDIRECT --to-ports 22", cases: []lockoutCase{
		{name: "flushing nat", run: "iptables -t nat -F", names: []string{in, "2222"}, helpless: true},
		{name: "deleting the redirection", run: "iptables -t nat -D PREROUTING 1", names: []string{in, "2222"}, helpless: true},
		{name: "another port redirected", run: "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 80", want: obeyed},
		{name: "port 22 opened and the rest dropped", run: openSSH + " && iptables -P INPUT DROP", want: obeyed},
		{name: "port 22 dropped", run: "iptables -A INPUT -p tcp --dport 22 -j DROP", names: []string{rule("1 of INPUT, table filter"), in}},
	}}.run(t)
}

func TestChainsThatCutOffAreRefused(t *testing.T) {
	const trap = "iptables -N trap; iptables -A trap -j DROP"
	const allow = "iptables -N allow; iptables -A allow -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -j allow; iptables -P INPUT DROP"
	group{family: "4", cases: []lockoutCase{
		{name: "jump to a chain that drops", setup: trap, run: "iptables -A INPUT -j trap", names: []string{rule("1 of trap, table filter"), in}},
		{name: "goto a chain that drops", setup: trap, run: "iptables -A INPUT -p tcp -g trap", names: []string{rule("1 of trap, table filter"), in}},
		{name: "filling a chain that is jumped to", setup: "iptables -N filled; iptables -A INPUT -j filled", run: "iptables -A filled -s 203.0.113.7 -j DROP", names: []string{rule("1 of filled, table filter"), in}},
		{name: "filling a chain two jumps away", setup: "iptables -N one; iptables -N two; iptables -A INPUT -j one; iptables -A one -j two", run: "iptables -A two -j DROP", names: []string{rule("1 of two, table filter"), in}},
		{name: "emptying the chain that saves", setup: allow, run: "iptables -F allow", names: []string{policy("INPUT, table filter"), in}},
		{name: "deleting the jump to the chain that saves", setup: allow, run: "iptables -D INPUT -j allow", names: []string{policy("INPUT, table filter"), in}},
		{name: "emptying a renamed chain that saves", setup: allow + "; iptables -E allow renamed", run: "iptables -F renamed", names: []string{policy("INPUT, table filter"), in}},
		{name: "renaming the chain that saves", setup: allow, run: "iptables -E allow renamed", want: obeyed},
		{name: "making and filling a chain that nobody jumps to", run: trap, want: obeyed},
		{name: "deleting a chain that nobody jumps to", setup: trap + "; iptables -F trap", run: "iptables -X trap", want: obeyed},
		{name: "jump to a chain that drops others", setup: "iptables -N bans; iptables -A bans -s 203.0.113.66 -j DROP", run: "iptables -I INPUT -j bans", want: obeyed},
		{name: "banning another in a chain that is jumped to", setup: "iptables -N bans; iptables -A INPUT -j bans", run: "iptables -I bans -s 203.0.113.66 -j REJECT", want: obeyed},
	}}.run(t)
}
