package traffic

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
)

// family is IPv4 or IPv6: its program and the lab's addresses.
type family struct {
	name     string
	iptables string
	host     string // prefix length of one address, "32" or "128"
	icmp     string // name of its ICMP as a protocol
	client   string
	blocked  string // second address of the client
	server   string
	router   string // router's address towards the client
	behind   string // router's address towards the server
	other    string // a network that no host of the lab is in
}

var ipv4 = family{
	name: "ipv4", iptables: "iptables", host: "32", icmp: "icmp",
	client: lab.ClientAddr, blocked: lab.BlockedAddr, server: lab.ServerAddr,
	router: "203.0.113.1", behind: "198.51.100.1", other: "192.0.2.0/24",
}

var ipv6 = family{
	name: "ipv6", iptables: "ip6tables", host: "128", icmp: "icmpv6",
	client: lab.ClientAddr6, blocked: lab.BlockedAddr6, server: lab.ServerAddr6,
	router: "2001:db8:1::1", behind: "2001:db8:2::1", other: "2001:db8:3::/64",
}

// both runs a test for each family, beside each other and all other tests.
func both(t *testing.T, test func(t *testing.T, f family)) {
	t.Helper()
	t.Parallel()
	for _, f := range []family{ipv4, ipv6} {
		t.Run(f.name, func(t *testing.T) { t.Parallel(); test(t, f) })
	}
}

// rules gives a host rules in the shell's words, without the program's name:
// "-A INPUT -p tcp --dport 22 -j ACCEPT". The test ends when one is refused.
func (f family) rules(h *lab.Host, lines ...string) {
	var script strings.Builder
	for _, line := range lines {
		script.WriteString(f.iptables + " " + line + "\n")
	}
	h.Sh(script.String())
}

// needs skips the test where the kernel refuses Debian's program a rule that
// is right (exit code 4; a rule that is wrong has another code).
func (f family) needs(t *testing.T, rule string) {
	t.Helper()
	args := append([]string{f.iptables}, strings.Fields(rule)...)
	out, err := lab.Netns(t).Run(context.Background(), oracle, args...)
	switch {
	case err != nil || out.Code != 0 && out.Code != 4:
		t.Fatalf("Debian's %s %s: exit code %d, %v\n%s", f.iptables, rule, out.Code, err, out.Stderr)
	case out.Code == 4:
		t.Skipf("this kernel has no such rule: Debian's %s %s: %s", f.iptables, rule, out.Stderr)
	}
}

// rule is the place of a rule whose counter a test reads.
type rule struct {
	table, chain string
	number       int // from 1
}

// packets gives the packets that a rule has counted.
func (f family) packets(t *testing.T, h *lab.Host, r rule) int {
	t.Helper()
	packets, _ := f.counters(t, h, r)
	return packets
}

// counters gives the packets and bytes that a rule has counted, as -L prints
// them.
func (f family) counters(t *testing.T, h *lab.Host, r rule) (packets, bytes int) {
	t.Helper()
	list := f.iptables + " -t " + r.table + " -L " + r.chain + " " + strconv.Itoa(r.number) + " -v -x -n"
	out, _ := h.Sh(list)
	fields := strings.Fields(out)
	if len(fields) < 3 {
		t.Fatalf("%s: %s printed %q, want a rule", h.Name, list, out)
	}
	packets, err := strconv.Atoi(fields[0])
	bytes, err2 := strconv.Atoi(fields[1])
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("%s: %s printed %q, want counters first", h.Name, list, out)
	}
	return packets, bytes
}

// wantPackets reports an error unless a rule has counted exactly so many.
func (f family) wantPackets(t *testing.T, h *lab.Host, r rule, want int) {
	t.Helper()
	if got := f.packets(t, h, r); got != want {
		listing, _ := h.Sh(f.iptables + " -t " + r.table + " -L " + r.chain + " -v -x -n")
		t.Errorf("%s: rule %v counted %d packets, want %d\n%s", h.Name, r, got, want, listing)
	}
}

// counted is a match, as the words of a rule, and how many of a test's packets
// it must count.
type counted struct {
	match string
	want  int
}

// count puts one rule without a target for each match into a chain of its own,
// which all packets of a built-in chain go through (but ICMPv6, for neighbour
// discovery belongs to no test), calls send, which sends total packets, and
// compares what the rules have counted once all have arrived.
func (f family) count(t *testing.T, h *lab.Host, table, chain string, matches []counted, total int, send func()) {
	t.Helper()
	lines := []string{"-t " + table + " -N counted"}
	for _, c := range matches {
		lines = append(lines, "-t "+table+" -A counted "+c.match)
	}
	lines = append(lines, "-t "+table+" -A counted", "-t "+table+" -A "+chain+" ! -p ipv6-icmp -j counted")
	f.rules(h, lines...)
	send()
	f.arrived(t, h, rule{table, "counted", len(matches) + 1}, total)
	listing, _ := h.Sh(f.iptables + " -t " + table + " -L counted -v -x -n")
	lines = strings.Split(listing, "\n")[2:] // behind the chain and the names of the columns
	for i, c := range matches {
		if got := strings.Fields(lines[i])[0]; got != strconv.Itoa(c.want) {
			t.Errorf("%s %s counted %s packets of %d, want %d", f.iptables, c.match, got, total, c.want)
		}
	}
}

// arrived waits until a rule has counted so many packets.
func (f family) arrived(t *testing.T, h *lab.Host, r rule, want int) {
	t.Helper()
	got := 0
	err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		got = f.packets(t, h, r)
		return got >= want, nil
	})
	if err != nil || got != want {
		t.Fatalf("%s: rule %v counted %d packets, want %d: %v", h.Name, r, got, want, err)
	}
}

// udp gives a datagram from the client to a port of the server.
func (f family) udp(port uint16, payload string) lab.Packet {
	return lab.Packet{Src: at(f.client, 4000), Dst: at(f.server, port), Proto: lab.ProtoUDP, Payload: []byte(payload)}
}

// at gives an address with a port.
func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// sees waits for a packet on a host's wire; wait is short for what must not
// come.
func sees(t *testing.T, w *lab.Watch, wait time.Duration, match func(lab.Packet) bool) (lab.Packet, bool) {
	t.Helper()
	p, ok, err := w.Next(wait, match)
	if err != nil {
		t.Fatal(err)
	}
	return p, ok
}

// watch begins to watch a host's wire.
func watch(t *testing.T, h *lab.Host) *lab.Watch {
	t.Helper()
	w, err := h.Watch()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// inNet gives an address that no host has, in the network of another address
// or prefix of the lab.
func (f family) inNet(s string) string {
	addr, _, _ := strings.Cut(s, "/")
	return sameHost(map[bool]string{true: "192.0.2.99", false: "::99"}[f == ipv4], addr)
}

// sameHost gives the address with the host part of one and the network of the
// other; networks of the lab are a /24 of IPv4 and a /64 of IPv6.
func sameHost(host, network string) string {
	h, n := netip.MustParseAddr(host).AsSlice(), netip.MustParseAddr(network).AsSlice()
	prefix := 3 // bytes
	if len(n) == 16 {
		prefix = 8
	}
	a, _ := netip.AddrFromSlice(append(n[:prefix:prefix], h[prefix:]...)) // four or sixteen bytes, as they came
	return a.String()
}
