package guard

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"moat/internal/host"
	"moat/internal/kernel"
	"moat/internal/lab"
	"moat/internal/packet"
)

// carry puts a tunnel under the server's session, as one would be found whose kind
// the tests' kernel does not have.
func (s *server) carry(g *Guard, c host.Carrier) {
	s.t.Helper()
	q, err := newTunnel(&tunnel{c, g.parties[0]})
	if err != nil {
		s.t.Fatal(err)
	}
	g.parties = append(g.parties, q)
}

func TestTunnelsWithoutPortsAndOfUnknownClientsAreGuarded(t *testing.T) {
	const (
		gre     = "203.0.113.7 -> 198.51.100.2 protocol 47, in by eth0"
		openvpn = "one of its clients -> 198.51.100.2:1194 udp, not known which: openvpn tun0, carries 203.0.113.7:50522"
	)
	const dialled = "203.0.113.7:51820 -> 198.51.100.2:40000 udp, in by eth0, not tracked yet: wireguard wg0"
	here := netip.MustParseAddr(lab.ServerAddr)
	carriers := map[string]host.Carrier{
		gre:     {Tunnel: "gre gre1", Proto: packet.ProtoGRE, Local: netip.AddrPortFrom(here, 0), Remote: netip.AddrPortFrom(overIPv4.Client.Addr(), 0)},
		openvpn: {Tunnel: "openvpn tun0", Proto: packet.ProtoUDP, Local: netip.AddrPortFrom(here, 1194), AnyPort: true},
		dialled: {Tunnel: "wireguard wg0", Proto: packet.ProtoUDP, Local: netip.AddrPortFrom(here, 40000), Remote: netip.AddrPortFrom(overIPv4.Client.Addr(), 51820), Dials: true},
	}
	for _, c := range []struct{ who, before, order, lost, first string }{
		{gre, "", "iptables -A INPUT -p gre -j DROP", "packets of gre gre1", "iptables -I INPUT -s 203.0.113.7/32 -p gre -j ACCEPT"},
		{gre, "", "iptables -A OUTPUT -p 47 -j DROP", "packets of gre gre1", "iptables -I OUTPUT -d 203.0.113.7/32 -p gre -j ACCEPT"},
		{gre, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -P INPUT DROP", "packets of gre gre1", "-p gre -j ACCEPT"},
		{gre, "", "iptables -A INPUT -m conntrack --ctstate NEW -p gre -j DROP", "what begins gre gre1 anew", "-p gre -j ACCEPT"},
		{gre, "", "iptables -A INPUT -p udp -j DROP", "", ""},
		{gre, "", "iptables -A INPUT -p gre -s 203.0.113.8 -j DROP", "", ""},
		{gre, "", "iptables -A INPUT -p 4 -j DROP", "", ""},

		{openvpn, "", "iptables -A INPUT -p udp --dport 1194 -j DROP", "what begins openvpn tun0 anew", "iptables -I INPUT -p udp -m udp --dport 1194 -j ACCEPT"},
		{openvpn, "", "iptables -A OUTPUT -p udp --sport 1194 -j DROP", "answers to what begins openvpn tun0 anew", "iptables -I OUTPUT -p udp -m udp --sport 1194 -j ACCEPT"},
		{openvpn, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -P INPUT DROP", "what begins openvpn tun0 anew", "--dport 1194"},
		// Who it is may be among these, or not: nobody is bothered.
		{openvpn, "", "iptables -A INPUT -p udp -s 192.0.2.0/24 -j DROP", "", ""},
		{openvpn, "", "iptables -A INPUT -i eth0 -p udp -j DROP", "", ""},
		{openvpn, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT;iptables -A INPUT -s 203.0.113.0/24 -j ACCEPT", "iptables -P INPUT DROP", "", ""},
		{openvpn, "", "iptables -A INPUT -p udp --dport 53 -j DROP", "", ""},

		// It answers by itself to what this host begins.
		{dialled, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT;iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "iptables -P INPUT DROP", "", ""},
		{gre, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT;iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "iptables -P INPUT DROP", "what begins gre gre1 anew", "-p gre -j ACCEPT"},
		{dialled, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -P INPUT DROP", "packets of wireguard wg0", "iptables -I INPUT -s 203.0.113.7/32 -p udp -m udp --dport 40000 -j ACCEPT"},
		{dialled, "", "iptables -A OUTPUT -p udp --dport 51820 -j DROP", "packets of wireguard wg0", "-I OUTPUT"},
	} {
		t.Run(c.order, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, overIPv4)
			err := s.Server.Do(func() error {
				for line := range strings.SplitSeq(c.before, ";") {
					if line == "" {
						continue
					}
					if err := s.give(kernel.Unguarded, s.script(line)); err != nil {
						return err
					}
				}
				g := s.guard()
				s.carry(g, carriers[c.who])
				return s.give(g, s.script(c.order))
			})
			var r *Refusal
			switch {
			case c.lost == "" && err == nil && s.said.Len() == 0:
			case c.lost == "" || !errors.As(err, &r):
				t.Errorf("%v\n%s", err, &s.said)
			default:
				for _, want := range []string{c.who, c.lost, c.first} {
					if !strings.Contains(r.Error(), want) {
						t.Errorf("%q is not in\n%v", want, r)
					}
				}
			}
		})
	}
}

func TestTunnelWithinATunnelIsFollowed(t *testing.T) {
	t.Parallel()
	s := newServer(t, overIPv4)
	out, err := s.Server.RunShell("ip link add outer type vxlan id 1 remote 203.0.113.7 dstport 4789 dev eth0; ip addr add fd00::1/64 dev outer nodad; ip link set outer up\n" +
		"ip link add inner type vxlan id 2 local fd00::1 remote fd00::2 dstport 8472; ip addr add 10.9.0.1/24 dev inner; ip link set inner up")
	if err != nil {
		t.Fatal(err)
	}
	if out.Code != 0 {
		t.Skipf("the kernel has no VXLAN: %s", out.Stderr)
	}
	session := overIPv4
	session.Client, session.Server = netip.MustParseAddrPort("10.9.0.2:50522"), netip.MustParseAddrPort("10.9.0.1:22")
	var found []string
	err = s.Server.Do(func() error {
		p, err := newParty(session)
		if err != nil {
			return err
		}
		list, err := carriers(p)
		for _, q := range list {
			found = append(found, q.family().Program()+" "+q.describe())
		}
		return err
	})
	want := "ip6tables fd00::2 -> [fd00::1]:8472 udp, in by outer, each way by itself: vxlan inner, carries 10.9.0.2:50522 -> 10.9.0.1:22 tcp\n" +
		"iptables 203.0.113.7 -> 198.51.100.2:4789 udp, in by eth0, each way by itself: vxlan outer, carries vxlan inner"
	if got := strings.Join(found, "\n"); err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}
