package analyze

import (
	"net/netip"
	"strings"
	"testing"

	"moat/internal/host"
	"moat/internal/rule"
)

// server is a host with eth0 to the world and eth1 to its own network.
func server(addresses ...string) *host.Facts {
	dev := func(name string, addresses ...string) host.Interface {
		i := host.Interface{Name: name, Up: true, Loopback: name == "lo"}
		for _, a := range addresses {
			i.Addresses = append(i.Addresses, host.Address{Prefix: netip.MustParsePrefix(a)})
		}
		return i
	}
	list := []host.Interface{dev("lo", "127.0.0.1/8", "::1/128"), dev("eth0", addresses...), dev("eth1", "192.168.1.1/24")}
	for i := range list {
		list[i].Index = i + 1
	}
	routes := []host.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: "eth0", Gateway: netip.MustParseAddr("198.51.100.1")}}}}
	if len(addresses) > 1 {
		routes = append(routes, host.Route{Prefix: netip.MustParsePrefix("::/0"), Hops: []host.Hop{{Interface: "eth0", Gateway: netip.MustParseAddr("fe80::1")}}})
	}
	return host.New(list, routes...)
}

const address4, address6 = "198.51.100.7/24", "2001:db8:5::7/64"

func TestListenersMakeOpenServicesWorse(t *testing.T) {
	rules := basis + "-A INPUT -i eth0 -p tcp --dport 5432 -j ACCEPT\n"
	listener := host.Listener{Proto: 6, Addr: netip.IPv4Unspecified(), Port: 5432, Program: "postgres"}
	local := listener
	local.Addr = netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		name, rules string
		listeners   []host.Listener
		severity    Severity // 0: nothing is found
		says        string
	}{
		{"listens", rules, []host.Listener{listener}, Error, "postgres listens on 5432"},
		{"listens for the host alone", rules, []host.Listener{local}, Note, "nothing listens"},
		{"another port", rules, []host.Listener{{Proto: 6, Addr: netip.IPv4Unspecified(), Port: 22}}, Note, "nothing listens"},
		{"inside", strings.Replace(rules, "eth0", "eth1", 1), []host.Listener{listener}, 0, ""},
		{"to another address", basis + "-A INPUT -d 198.51.100.99/32 -p tcp --dport 5432 -j ACCEPT\n", []host.Listener{listener}, 0, ""},
		{"to its address", basis + "-A INPUT -d 198.51.100.7/32 -p tcp --dport 5432 -j ACCEPT\n", []host.Listener{listener}, Error, "postgres"},
		{"all is open", open, []host.Listener{listener}, Error, "postgres"},
		{"all is open, for the host alone", open, []host.Listener{local}, 0, ""},
		{"not told", rules, nil, Warning, "does not say"},
	} {
		s := subject(t, rule.IPv4, c.rules)
		got := audit(t, AuditInput{Subjects: []*Subject{s}, Facts: server(address4), Listeners: c.listeners}, "open-service")
		if c.severity == 0 && len(got) == 0 {
			continue
		}
		if len(got) != 1 || got[0].Severity != c.severity || !strings.Contains(got[0].Says, c.says) || got[0].Fix == nil {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestWhatTheHostKnowsKeepsAuditQuiet(t *testing.T) {
	find := func(f *host.Facts, rules4, rules6, name string) int {
		in := AuditInput{Facts: f, Subjects: []*Subject{subject(t, rule.IPv4, rules4)}}
		if rules6 != "" {
			in.Subjects = append(in.Subjects, subject(t, rule.IPv6, rules6))
		}
		return len(audit(t, in, name))
	}
	strict, forwards, local := server(address4), server(address4), server(address4)
	local.Interfaces[1].RouteLocalnet = true
	for i := range strict.Interfaces {
		strict.Interfaces[i].RPFilter = 1
		forwards.Interfaces[i].Forward4 = true
	}
	forward := strings.Replace(basis, "FORWARD DROP", "FORWARD ACCEPT", 1)
	trust := basis + "-A INPUT -s 192.168.1.0/24 -j ACCEPT\n"
	loopback := basis + "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n"
	bridge := host.Interface{Name: "docker0", Index: 4, Up: true, Kind: "bridge", Forward4: true}
	bridge.Addresses = []host.Address{{Prefix: netip.MustParsePrefix("172.17.0.1/16")}}
	containers := host.New(append(forwards.Interfaces, bridge), host.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: "eth0", Gateway: netip.MustParseAddr("198.51.100.1")}}})
	for _, c := range []struct {
		name           string
		facts          *host.Facts
		rules4, rules6 string
		finding        string
		want           int
	}{
		{"IPv6 is open, and there are addresses", server(address4, address6), basis, open, "family-gap", 1},
		{"IPv6 is open, and there is no address", server(address4), basis, open, "family-gap", 0},
		{"IPv6 is open to neighbours", server(address4), basis, open, "policy-accept", 1},
		{"FORWARD of a host that forwards", forwards, forward, "", "policy-accept", 1},
		{"FORWARD of one that does not", server(address4), forward, "", "policy-accept", 0},
		{"private source, loose", server(address4), trust, "", "spoofed", 1},
		{"private source, strict", strict, trust, "", "spoofed", 0},
		{"private source of the outside", server("192.168.1.7/24"), trust, "", "spoofed", 0},
		{"loopback source that the kernel drops", server(address4), loopback, "", "spoofed", 0},
		{"loopback source that it does not", local, loopback, "", "spoofed", 1},
		{"a container behind its bridge", containers, docker + basis + toDocker + "COMMIT\n", "", "docker-past-input", 1},
		{"a container behind no bridge", forwards, docker + basis + toDocker + "COMMIT\n", "", "docker-past-input", 0},
		{"only the inside is open", server(address4), basis + "-A INPUT -i eth1 -j ACCEPT\n", "", "new-unneeded", 0},
		{"the outside is open", server(address4), basis + "-A INPUT -i eth0 -j ACCEPT\n", "", "new-unneeded", 1},
	} {
		if got := find(c.facts, c.rules4, c.rules6, c.finding); got != c.want {
			t.Errorf("%s: %d findings, want %d", c.name, got, c.want)
		}
	}
}
