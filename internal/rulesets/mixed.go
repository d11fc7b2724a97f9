package rulesets

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"moat/internal/rule"
)

// MixedMin is the least number of rules that Mixed makes.
const MixedMin = 20

// Mixed is a large ruleset for benchmarks, in save format: the firewall of a
// provider's router with a blocklist of prefixes that overlap, services of its
// own, and a chain for each customer. It has n rules, or MixedMin if that is
// more; equal arguments give equal texts. About 45 of 100 rules are in the
// blocklist, 30 the customers', 20 services, 5 address translation. But for
// the limit of one LOG rule, a packet and its connection's state decide each match.
func Mixed(f rule.Family, n int, seed uint64) string {
	m := &mixer{Rand: newRand(seed, f), family: f}
	m.frame()
	rest := max(n, MixedMin) - m.rules
	translated, services, customers := rest/20, rest/5, rest*3/10
	m.blocklist(rest - translated - services - customers)
	m.services(services)
	m.customers(customers)
	m.translated(translated)
	return m.text()
}

func newRand(seed uint64, f rule.Family) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(f))) }

// mixer makes a ruleset of Mixed.
type mixer struct {
	*rand.Rand
	family   rule.Family
	chains   []*mixedChain
	rules    int            // in all chains
	prefixes []netip.Prefix // those of the blocklist so far
}

type mixedChain struct {
	table, name string
	rules       []string
}

// add appends a rule to a chain, which is made when it is not there.
func (m *mixer) add(table, chain, format string, args ...any) {
	c := m.chain(table, chain)
	c.rules = append(c.rules, fmt.Sprintf(format, args...))
	m.rules++
}

// chain looks from the end: rules are added to the chain made last, mostly.
func (m *mixer) chain(table, name string) *mixedChain {
	for _, c := range slices.Backward(m.chains) {
		if c.table == table && c.name == name {
			return c
		}
	}
	c := &mixedChain{table: table, name: name}
	m.chains = append(m.chains, c)
	return c
}

// icmp are the family's words for its ICMP, for echo requests and for what
// must pass for paths to work.
func (m *mixer) icmp() (proto, match, option string, echo int, errors []int) {
	if m.family == rule.IPv6 {
		return "ipv6-icmp", "icmp6", "--icmpv6-type", 128, []int{1, 2, 133, 134, 135, 136}
	}
	return "icmp", "icmp", "--icmp-type", 8, []int{3, 11}
}

// frame adds the rules that every such firewall has.
func (m *mixer) frame() {
	proto, match, option, echo, errors := m.icmp()
	for _, chain := range [...]string{"INPUT", "FORWARD"} {
		if chain == "INPUT" {
			m.add("filter", chain, "-i lo -j ACCEPT")
		}
		m.add("filter", chain, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
		m.add("filter", chain, "-m conntrack --ctstate INVALID -j DROP")
		m.add("filter", chain, "-i eth0 -j blocklist")
	}
	for _, kind := range errors {
		m.add("filter", "INPUT", "-p %s -m %s %s %d -j ACCEPT", proto, match, option, kind)
	}
	m.add("filter", "INPUT", "-p %s -m %s %s %d -m length --length 28:1500 -j ACCEPT", proto, match, option, echo)
	m.add("filter", "INPUT", "-j services")
	m.add("filter", "FORWARD", "-j customers")
	m.add("filter", "INPUT", "-m limit --limit 5/min -j LOG --log-prefix \"dropped: \"")
	m.chain("filter", "blocklist")
	m.chain("filter", "services")
	m.chain("filter", "customers")
}

// blocklist adds n prefixes, few of them with a condition more.
func (m *mixer) blocklist(n int) {
	for range n {
		p := m.blocked()
		switch m.IntN(20) {
		case 0:
			m.add("filter", "blocklist", "-s %v -p tcp -m tcp --dport %d -j DROP", p, m.port())
		case 1:
			m.add("filter", "blocklist", "-m iprange --src-range %v-%v -j DROP", p.Addr(), rule.LastAddr(p))
		case 2:
			m.add("filter", "blocklist", "-s %v -p udp -j REJECT --reject-with %s", p, m.reject())
		case 3:
			m.add("filter", "blocklist", "-s %v -p tcp -m multiport --dports %s -j RETURN", p, m.ports())
		default:
			m.add("filter", "blocklist", "-s %v -j DROP", p)
		}
	}
}

// blocked is a new prefix; each fourth lies around or in one before.
func (m *mixer) blocked() netip.Prefix {
	p := m.prefix()
	if len(m.prefixes) > 0 && m.IntN(4) == 0 {
		p = m.prefixes[m.IntN(len(m.prefixes))]
		if m.IntN(2) == 0 {
			p = netip.PrefixFrom(p.Addr(), max(8, p.Bits()-1-m.IntN(6))).Masked()
		} else {
			p = netip.PrefixFrom(m.within(p), min(p.Addr().BitLen(), p.Bits()+1+m.IntN(6))).Masked()
		}
	}
	m.prefixes = append(m.prefixes, p)
	return p
}

// services adds n rules that let in what the router itself serves.
func (m *mixer) services(n int) {
	for i := range n {
		switch m.IntN(8) {
		case 0:
			m.add("filter", "services", "-p tcp -m conntrack --ctstate NEW -m multiport --dports %s -j ACCEPT", m.ports())
		case 1:
			m.add("filter", "services", "-s %v -p udp -m udp --dport %s -j ACCEPT", m.prefix(), m.span())
		case 2:
			m.add("filter", "services", "-i eth%d -p tcp -m tcp --dport %d --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", 1+m.IntN(4), m.port())
		case 3:
			m.add("filter", "services", "-i vlan+ -p udp -m udp --sport %d --dport %d -j ACCEPT", m.port(), m.port())
		case 4:
			m.add("filter", "services", "-s %v -p tcp -m tcp --dport %d -j REJECT --reject-with tcp-reset", m.prefix(), m.port())
		default:
			m.add("filter", "services", "-s %v -p tcp -m tcp --dport %d -m conntrack --ctstate NEW"+
				" -m comment --comment \"service %d\" -j ACCEPT", m.prefix(), m.port(), i)
		}
	}
}

// customers adds n rules: chains of up to a dozen rules, and the jump to each.
func (m *mixer) customers(n int) {
	for i := 0; n > 0; i++ {
		size := min(n, 4+m.IntN(10))
		n -= size
		chain, network := fmt.Sprintf("customer-%05d", i), m.customer(i)
		m.add("filter", "customers", "-d %v -o vlan%d -j %s", network, i%4000+1, chain)
		m.chain("filter", chain)
		for range size - 1 {
			m.customerRule(chain, network)
		}
	}
}

func (m *mixer) customerRule(chain string, network netip.Prefix) {
	host := m.within(network)
	switch m.IntN(7) {
	case 0:
		m.add("filter", chain, "-d %v/%d -p tcp -m multiport --dports %s -j ACCEPT", host, host.BitLen(), m.ports())
	case 1:
		m.add("filter", chain, "-s %v -d %v/%d -j ACCEPT", m.prefix(), host, host.BitLen())
	case 2:
		m.add("filter", chain, "-p tcp -m iprange --dst-range %v-%v -m tcp --dport %s -j ACCEPT", host, rule.LastAddr(network), m.span())
	case 3:
		m.add("filter", chain, "! -s %v -p tcp -m tcp --dport %d -j DROP", m.prefix(), m.port())
	case 4:
		proto, match, option, echo, _ := m.icmp()
		m.add("filter", chain, "-p %s -m %s %s %d -j ACCEPT", proto, match, option, echo)
	case 5:
		m.add("filter", chain, "-i eth0 -p udp -m udp --dport %s -m conntrack --ctstate NEW -j REJECT --reject-with %s", m.span(), m.reject())
	default:
		m.add("filter", chain, "-d %v/%d -p tcp -m tcp --dport %d -m conntrack --ctstate NEW -j ACCEPT", host, host.BitLen(), m.port())
	}
}

// translated adds n rules of the nat table: forwarded ports, and the customers' sources.
func (m *mixer) translated(n int) {
	for i := range n {
		network := m.customer(i)
		host, port := m.within(network), m.port()
		to := netip.AddrPortFrom(host, m.port())
		if i%3 == 0 {
			m.add("nat", "POSTROUTING", "-s %v -o eth0 -j MASQUERADE", network)
		} else {
			m.add("nat", "PREROUTING", "-d %v/%d -i eth0 -p tcp -m tcp --dport %d -j DNAT --to-destination %v", m.address(), host.BitLen(), port, to)
		}
	}
}

// customer is the network of a customer: 30 bits of IPv4, 64 of IPv6.
func (m *mixer) customer(i int) netip.Prefix {
	if m.family == rule.IPv6 {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xc, byte(i >> 16), byte(i >> 8), byte(i)}), 64)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 14), byte(i >> 6), byte(i << 2)}), 30)
}

// address is one of the outside: of 1.0.0.0 to 99.255.255.255, or of 2a00::/12
// with the bits that the world has spread its networks over.
func (m *mixer) address() netip.Addr {
	if m.family == rule.IPv6 {
		return m.within(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x2a, byte(m.IntN(16)), byte(m.IntN(256))}), 24))
	}
	first := byte(1 + m.IntN(98))
	if first >= 10 { // 10.0.0.0/8 is the customers'
		first++
	}
	return m.within(netip.PrefixFrom(netip.AddrFrom4([4]byte{first}), 8))
}

// prefix is one of the outside; long ones are more frequent, as in the field.
func (m *mixer) prefix() netip.Prefix {
	lengths := [...]int{12, 16, 18, 20, 22, 24, 24, 24, 26, 28, 30, 32, 32, 32}
	if m.family == rule.IPv6 {
		lengths = [...]int{28, 29, 32, 32, 36, 40, 44, 48, 48, 56, 64, 64, 64, 128}
	}
	return netip.PrefixFrom(m.address(), lengths[m.IntN(len(lengths))]).Masked()
}

// within is an address of a prefix.
func (m *mixer) within(p netip.Prefix) netip.Addr {
	b, last := p.Addr().AsSlice(), rule.LastAddr(p).AsSlice()
	for i := range b {
		b[i] |= byte(m.IntN(256)) & last[i]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// port is one that services have, or any.
func (m *mixer) port() uint16 {
	known := [...]uint16{22, 25, 53, 80, 110, 123, 143, 161, 443, 445, 587, 993, 1433, 3306, 3389, 5432, 6379, 8080, 8443, 9200}
	if m.IntN(3) > 0 {
		return known[m.IntN(len(known))]
	}
	return uint16(1 + m.IntN(65535))
}

// span is a range of ports, as --dport takes it.
func (m *mixer) span() string {
	from := 1024 + m.IntN(50000)
	return fmt.Sprintf("%d:%d", from, from+1+m.IntN(2000))
}

// ports are two to six ports and ranges, as --dports takes them.
func (m *mixer) ports() string {
	list := []string{fmt.Sprint(m.port()), m.span()}
	for range m.IntN(5) {
		list = append(list, fmt.Sprint(m.port()))
	}
	return strings.Join(list, ",")
}

func (m *mixer) reject() string {
	if m.family == rule.IPv6 {
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}

// text is the ruleset as iptables-save prints it.
func (m *mixer) text() string {
	var s strings.Builder
	for _, table := range [...]string{"filter", "nat"} {
		layout := rule.FindLayout(table)
		var user []*mixedChain
		for _, c := range m.chains {
			if c.table == table && layout.Builtin(c.name) == nil {
				user = append(user, c)
			}
		}
		slices.SortFunc(user, func(a, b *mixedChain) int { return strings.Compare(a.name, b.name) })
		fmt.Fprintf(&s, "*%s\n", table)
		var all []*mixedChain
		for _, b := range layout.Chains {
			c := m.chain(table, b.Hook.Chain())
			all = append(all, c)
			policy := rule.Accept
			if table == "filter" && c.name != "OUTPUT" {
				policy = rule.Drop
			}
			fmt.Fprintf(&s, ":%s %s [0:0]\n", c.name, policy.Name())
		}
		for _, c := range user {
			fmt.Fprintf(&s, ":%s - [0:0]\n", c.name)
		}
		for _, c := range append(all, user...) {
			for _, r := range c.rules {
				fmt.Fprintf(&s, "-A %s %s\n", c.name, r)
			}
		}
		s.WriteString("COMMIT\n")
	}
	return s.String()
}
