package main

import (
	"fmt"
	"os"
	"strings"
)

// file writes a text into a file and gives its path.
func (b *bench) file(text string) (string, error) {
	f, err := os.CreateTemp(b.dir, "*.rules")
	if err != nil {
		return "", err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return "", err
	}
	return f.Name(), f.Close()
}

const small = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -p icmp -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 5432 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 6379 -j ACCEPT
-A INPUT -s 192.0.2.0/24 -j DROP
-A INPUT -s 198.51.100.0/24 -j DROP
-A INPUT -s 203.0.113.0/24 -j DROP
-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth1 -o eth0 -j ACCEPT
-A FORWARD -i eth2 -o eth0 -j ACCEPT
-A OUTPUT -o lo -j ACCEPT
-A OUTPUT -p tcp -m tcp --dport 25 -j ACCEPT
-A OUTPUT -d 192.0.2.0/24 -j DROP
COMMIT
`

// plainRule is rule i of plain; those under 0 are not in it.
func plainRule(i int) string {
	return fmt.Sprintf("-s %s -p tcp --dport %d -j DROP", address(10, i+100), (i+100)%65535+1)
}

// address is one of 16 million that begin with a byte.
func address(first, i int) string {
	return fmt.Sprintf("%d.%d.%d.%d", first, i>>16&255, i>>8&255, i&255)
}

// plain is a chain of n rules.
func plain(n int) string {
	var s strings.Builder
	s.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for i := range n {
		s.WriteString("-A INPUT " + plainRule(i) + "\n")
	}
	s.WriteString("COMMIT\n")
	return s.String()
}

// docker is what Docker writes for published ports: three rules for each.
func docker(n int) string {
	nat := "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n" +
		"-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n" +
		"-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n-A DOCKER -i docker0 -j RETURN\n"
	filter := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n" +
		"-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o docker0 -j DOCKER\n"
	var n1, n2 strings.Builder
	for i := range n / 3 {
		to, port := fmt.Sprintf("172.17.%d.%d", i>>8&255, i&255), i+1024
		fmt.Fprintf(&n1, "-A POSTROUTING -s %s/32 -d %s/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n", to, to)
		fmt.Fprintf(&n1, "-A DOCKER ! -i docker0 -p tcp -m tcp --dport %d -j DNAT --to-destination %s:80\n", port, to)
		fmt.Fprintf(&n2, "-A DOCKER -d %s/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n", to)
	}
	return nat + n1.String() + "COMMIT\n" + filter + n2.String() + "COMMIT\n"
}

// ufw is what ufw writes for applications and limits.
func ufw(n int) string {
	var s strings.Builder
	s.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:ufw-user-input - [0:0]\n:ufw-user-limit-accept - [0:0]\n:ufw-user-logging-input - [0:0]\n" +
		"-A INPUT -j ufw-user-input\n-A ufw-user-limit-accept -j ACCEPT\n")
	for i := range n / 4 {
		fmt.Fprintf(&s, "-A ufw-user-input -s %s/32 -p tcp -m multiport --dports 80,443,8000:8100 -m comment --comment \"'dapp_Nginx%%20Full'\" -j ACCEPT\n", address(10, i))
		fmt.Fprintf(&s, "-A ufw-user-input -s %s/32 -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m limit --limit 6/min --limit-burst 6 -j ufw-user-limit-accept\n", address(11, i))
		fmt.Fprintf(&s, "-A ufw-user-logging-input -s %s/32 -m conntrack --ctstate NEW -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix \"[UFW AUDIT] \"\n", address(12, i))
		fmt.Fprintf(&s, "-A ufw-user-input -s %s/32 -p udp -m udp --dport %d -j REJECT --reject-with icmp-port-unreachable\n", address(13, i), i%60000+1)
	}
	s.WriteString("COMMIT\n")
	return s.String()
}

// firewalld is what firewalld writes for services, and for rich rules with limits.
func firewalld(n int) string {
	var s strings.Builder
	s.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:IN_public - [0:0]\n:IN_public_allow - [0:0]\n:IN_public_deny - [0:0]\n" +
		"-A INPUT -j IN_public\n-A IN_public -j IN_public_deny\n-A IN_public -j IN_public_allow\n")
	for i := range n / 4 {
		fmt.Fprintf(&s, "-A IN_public_allow -s %s/32 -p tcp -m tcp --dport %d -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT\n", address(10, i), i%60000+1)
		fmt.Fprintf(&s, "-A IN_public_allow -p udp -m udp --dport %d -m conntrack --ctstate NEW,UNTRACKED -m mark --mark 0x64 -j ACCEPT\n", i%60000+1)
		fmt.Fprintf(&s, "-A IN_public_deny -m set --match-set bench src -m tcp -p tcp --dport %d -j REJECT --reject-with icmp-host-prohibited\n", i%60000+1)
		fmt.Fprintf(&s, "-A IN_public_allow -s %s/32 -p tcp -m tcp --dport 22 -m hashlimit --hashlimit-upto 10/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name bench -j ACCEPT\n", address(11, i))
	}
	s.WriteString("COMMIT\n")
	return s.String()
}

// kubeProxy is what kube-proxy writes for services of two endpoints each: two
// rules of the service, two of its chain, two for each endpoint, three chains.
func kubeProxy(n int) string {
	var chains, rules strings.Builder
	chains.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n")
	rules.WriteString("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n")
	for i := range n / 8 {
		service, ip := fmt.Sprintf("KUBE-SVC-%016X", i), address(10, i)
		comment := fmt.Sprintf("-m comment --comment \"default/service-%d:http", i)
		fmt.Fprintf(&chains, ":%s - [0:0]\n", service)
		fmt.Fprintf(&rules, "-A KUBE-SERVICES -d %s/32 -p tcp %s cluster IP\" -m tcp --dport 80 -j %s\n", ip, comment, service)
		fmt.Fprintf(&rules, "-A %s ! -s 10.244.0.0/16 -d %s/32 -p tcp %s cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ\n", service, ip, comment)
		for e := range 2 {
			end, to := fmt.Sprintf("KUBE-SEP-%015X%d", i, e), address(172, 2*i+e)
			fmt.Fprintf(&chains, ":%s - [0:0]\n", end)
			probability := []string{" -m statistic --mode random --probability 0.50000000000", ""}[e]
			fmt.Fprintf(&rules, "-A %s %s -> %s:8080\"%s -j %s\n", service, comment, to, probability, end)
			fmt.Fprintf(&rules, "-A %s -s %s/32 %s\" -j KUBE-MARK-MASQ\n", end, to, comment)
			fmt.Fprintf(&rules, "-A %s -p tcp %s\" -m tcp -j DNAT --to-destination %s:8080\n", end, comment, to)
		}
	}
	return chains.String() + rules.String() + "COMMIT\n"
}
