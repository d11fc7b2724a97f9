package traffic

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"moat/internal/lab"
)

// "--zone id: Assign this packet to zone id and only have lookups done in that
// zone": an answer in another zone belongs to no connection.
func TestCtZonesAreLookedUpApart(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t raw -A PREROUTING -j CT --zone 7")
		n := lab.NewPair(t)
		n.Server.Echo("udp 53,54,55,56")
		f.rules(n.Server,
			"-A OUTPUT -p udp -m conntrack --ctstate ESTABLISHED -j ACCEPT",
			"-A OUTPUT -p udp -j DROP",
			"-t raw -A PREROUTING -p udp --dport 54 -j CT --zone 7",
			"-t raw -A PREROUTING -p udp --dport 55 -j CT --zone 7",
			"-t raw -A OUTPUT -p udp --sport 55 -j CT --zone 7",
			"-t raw -A PREROUTING -p udp --dport 56 -j CT --zone-orig 7")
		n.Client.Expect(lab.UDP(lab.At(f.server, 53)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 54)), lab.Silent) // the answer is in zone 0
		n.Client.Expect(lab.UDP(lab.At(f.server, 55)), lab.Open)
		n.Client.Expect(lab.UDP(lab.At(f.server, 56)), lab.Open) // replies stay in zone 0
	})
}

// "--notrack: Disables connection tracking for this packet", as -j NOTRACK.
func TestCtNotrackLeavesPacketsUntracked(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		n := lab.NewPair(t)
		f.rules(n.Server,
			"-t raw -A PREROUTING -p udp --dport 9 -j CT --notrack",
			"-t raw -A PREROUTING -p udp --dport 10 -j NOTRACK")
		f.count(t, n.Server, "filter", "INPUT", []counted{
			{"-p udp -m conntrack --ctstate UNTRACKED", 2},
			{"-p udp -m conntrack --ctstate NEW", 1},
			{"-p udp --dport 11 -m state --state NEW", 1},
		}, 3, func() {
			for port := range uint16(3) {
				n.Client.Send(f.udp(9+port, "x"))
			}
		})
	})
}

// "--helper name: Use the helper identified by name for the connection": with
// the FTP helper the data connection that PORT announces is RELATED.
func TestCtHelperExpectsDataConnections(t *testing.T) {
	both(t, func(t *testing.T, f family) {
		f.needs(t, "-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp")
		n := lab.NewRouted(t)
		n.Server.Echo("tcp 21,2121")
		n.Client.Echo("tcp 51201,51202")
		// "-m helper" matches packets that belong to a connection which a helper expected.
		f.rules(n.Router,
			"-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
			"-A FORWARD -i eth1 -p tcp --syn -m helper --helper ftp",
			"-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			"-A FORWARD -i eth0 -p tcp -j ACCEPT",
			"-P FORWARD DROP")
		f.announce(t, n.Client, 2121, 51201) // no helper looks at this port
		n.Server.Expect(lab.TCP(lab.At(f.client, 51201)), lab.Silent)
		f.announce(t, n.Client, 21, 51202)
		n.Server.Expect(lab.TCP(lab.At(f.client, 51202)), lab.Open)
		f.wantPackets(t, n.Router, rule{"filter", "FORWARD", 1}, 1)
	})
}

// announce tells an FTP server's port the client's data port and waits for the
// echo; the connection stays open until the test ends. The helper reads lines
// only once it knows where one begins, hence USER first (PORT: RFC 959; EPRT:
// RFC 2428).
func (f family) announce(t *testing.T, client *lab.Host, port, data uint16) {
	t.Helper()
	var c net.Conn
	err := client.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", lab.At(f.server, port), lab.LongWait)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	command := fmt.Sprintf("PORT %s,%d,%d\r\n", strings.ReplaceAll(f.client, ".", ","), data>>8, data&0xff)
	if f == ipv6 {
		command = fmt.Sprintf("EPRT |2|%s|%d|\r\n", f.client, data)
	}
	buf := make([]byte, 256)
	for _, line := range []string{"USER moat\r\n", command} {
		if err := c.SetDeadline(time.Now().Add(lab.LongWait)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatalf("port %d: no echo of %q: %v", port, line, err)
		}
	}
}
