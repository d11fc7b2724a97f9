package traffic

import (
	"net"
	"strings"
	"testing"

	"moat/internal/lab"
)

func TestMultiportListsPortsAndRanges(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-p udp -m multiport --dports 9,11", 2},
			{"-p udp -m multiport --dports 10:12", 3},
			{"-p udp -m multiport --dports 9,12:20", 2},
			{"-p udp -m multiport ! --dports 9,10", 2},
			{"-p udp -m multiport --sports 4000", 4},
			{"-p udp -m multiport --sports 9:12", 0},
			{"-p udp -m multiport --ports 12,4000", 4},
			{"-p udp -m multiport --ports 12,4001", 1},
			{"-p tcp -m multiport --dports 9:12", 0},
			{"-p udp --dport 10:11", 2},
			{"-p udp ! --dport 12", 3},
			{"-p udp --sport :3999", 0},
		}, 4, func() {
			for port := range uint16(4) {
				n.Client.Send(f.udp(9+port, "x"))
			}
		})
	})
}

func TestMultiportOpensWhatItLists(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		n.Server.Echo("tcp 22,80,443")
		f.rules(n.Server,
			"-A INPUT -p tcp -m multiport --dports 22,443 -j ACCEPT",
			"-A INPUT -p tcp -j REJECT --reject-with tcp-reset")
		n.Client.Expect(lab.TCP(lab.At(f.server, 22)), lab.Open)
		n.Client.Expect(lab.TCP(lab.At(f.server, 443)), lab.Open)
		n.Client.Expect(lab.TCP(lab.At(f.server, 80)), lab.Refused)
	})
}

func TestIprangeHoldsBothEnds(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		network := strings.TrimSuffix(f.client, "7")
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-m iprange --src-range " + f.client + "-" + f.blocked, 2},
			{"-m iprange --src-range " + network + "8-" + f.blocked, 1},
			{"-m iprange --src-range " + network + "8-" + network + "65", 0},
			{"-m iprange ! --src-range " + f.client + "-" + f.client, 1},
			{"-m iprange --dst-range " + f.server + "-" + f.server, 2},
			{"-m iprange --dst-range " + f.client + "-" + f.blocked, 0},
			{"-s " + f.client, 1},
			{"! -s " + f.client, 1},
			{"-s " + f.client + "/24 -d " + f.server, 2},
			{"-i eth0", 2},
			{"-i eth+", 2},
			{"! -i eth0", 0},
			{"-i lo", 0},
		}, 2, func() {
			p := f.udp(9, "x")
			n.Client.Send(p)
			p.Src = at(f.blocked, 4000)
			n.Client.Send(p)
		})
	})
}

func TestMacKnowsTheSendersCard(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		var mac string
		err := n.Client.Do(func() error {
			card, err := net.InterfaceByName("eth0")
			if err == nil {
				mac = card.HardwareAddr.String()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-m mac --mac-source " + strings.ToUpper(mac), 1},
			{"-m mac ! --mac-source " + mac, 0},
			{"-m mac --mac-source 02:00:00:00:00:01", 0},
		}, 1, func() { n.Client.Send(f.udp(9, "x")) })
	})
}

// "--set-mark value[/mask]: Zeroes out the bits given by mask and ORs value
// into the packet mark", read later by -m mark.
func TestMarkGoesFromTableToTable(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		f.rules(n.Server,
			"-t mangle -A PREROUTING -p udp -j MARK --set-mark 0xff",
			"-t mangle -A PREROUTING -p udp --dport 9 -j MARK --set-mark 0x20/0xf0",
			"-t mangle -A PREROUTING -p udp --dport 10 -j MARK --and-mark 0x0f",
			"-t mangle -A PREROUTING -p udp --dport 11 -j MARK --xor-mark 0xf0",
			"-t mangle -A PREROUTING -p udp --dport 12 -j MARK --or-mark 0x100")
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-p udp --dport 9 -m mark --mark 0x2f", 1},
			{"-p udp --dport 10 -m mark --mark 0x0f", 1},
			{"-p udp --dport 11 -m mark --mark 0x0f", 1},
			{"-p udp --dport 12 -m mark --mark 0x1ff", 1},
			{"-m mark --mark 0x0f/0x0f", 4},
			{"-m mark --mark 0x20/0xf0", 1},
			{"-m mark ! --mark 0x20/0xf0", 3},
			{"-m mark --mark 0", 0},
		}, 4, func() {
			for port := range uint16(4) {
				n.Client.Send(f.udp(9+port, "x"))
			}
		})
	})
}

// A connection's mark comes back on the packets that follow.
func TestConnmarkIsSavedAndRestored(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t mangle -A PREROUTING -j CONNMARK --restore-mark")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54")
		f.rules(n.Server,
			"-t mangle -A PREROUTING -p udp --dport 53 -j MARK --set-mark 5",
			"-t mangle -A PREROUTING -p udp --dport 53 -j CONNMARK --save-mark",
			"-t mangle -A OUTPUT -p udp -j CONNMARK --restore-mark",
			"-t mangle -A OUTPUT -p udp -m mark --mark 5",
			"-t mangle -A OUTPUT -p udp -m connmark --mark 5")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Open)
		f.wantPackets(t, n.Server, rule{"mangle", "OUTPUT", 1}, 2)
		f.wantPackets(t, n.Server, rule{"mangle", "OUTPUT", 2}, 1)
		f.wantPackets(t, n.Server, rule{"mangle", "OUTPUT", 3}, 1)
	})
}

func TestAddrtypeKnowsKindsOfAddresses(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		group := "224.0.0.1"
		kinds := []counted{
			{"-m addrtype --dst-type LOCAL", 1},
			{"-m addrtype ! --dst-type LOCAL", 1},
			{"-m addrtype --dst-type MULTICAST", 1},
			{"-m addrtype --src-type LOCAL", 0},
			{"-m addrtype --dst-type LOCAL --limit-iface-in", 1},
		}
		if f == ipv4 {
			// IPv6 counts every local address as UNICAST too, and asks that all of several types hold.
			kinds = append(kinds, counted{"-m addrtype --src-type UNICAST", 2}, counted{"-m addrtype --dst-type UNICAST", 0},
				counted{"-m addrtype --dst-type LOCAL,MULTICAST", 2})
		} else {
			group = "ff02::1"
		}
		f.count(t, n.Server, "raw", "PREROUTING", kinds, 2, func() {
			p := f.udp(9, "x")
			n.Client.Send(p)
			p.Dst = at(group, 9)
			n.Client.Sh("ip route add " + group + "/" + f.host + " dev eth0 2>/dev/null || ip -6 route add multicast " + group + " dev eth0 table local")
			n.Client.Send(p)
		})
	})
}
