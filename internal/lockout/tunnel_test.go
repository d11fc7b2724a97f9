package lockout

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/lab"
	"moat/internal/sshlab"
)

// Addresses within the tunnel of the tests.
const innerClient, innerServer = "10.9.0.2", "10.9.0.1"

// tunnelled is a lab whose server is reached through a tunnel.
type tunnelled struct {
	*sshlab.Lab
	sh *sshlab.Shell
}

// throughTunnel makes ssh go to the server's address within the tunnel.
var throughTunnel = []string{"-o", "HostName=" + innerServer, "-o", "HostKeyAlias=server"}

// tunnelCase is a command given in a session that comes through a tunnel.
type tunnelCase struct {
	setup string // on the console, before
	run   string
	want  answer
	names []string // words of the refusal
}

func (l *tunnelled) run(t *testing.T, cases []tunnelCase) {
	for _, c := range cases {
		t.Run(c.run, func(t *testing.T) { l.try(t, &c) })
	}
}

func (l *tunnelled) try(t *testing.T, c *tunnelCase) {
	l.Reset()
	if c.setup != "" {
		l.MustConsole("set -e; " + c.setup)
	}
	if l.sh == nil || !l.sh.Alive() {
		l.sh = l.Login("4", throughTunnel...)
	}
	before := l.State()
	o := l.sh.Run(c.run)
	as := lockoutCase{want: c.want, names: c.names}
	if c.want == refused {
		if o.Code != 1 || !strings.HasPrefix(o.Stderr, "moat: refused, nothing was changed: this would cut off your own connection") || l.State() != before {
			t.Fatalf("not refused: exit code %d\n%s\n%s", o.Code, o.Stderr, l.State())
		}
		checkNames(t, &as, o.Stderr)
		first := parseRefusal(o.Stderr)["first"]
		if len(first) == 0 {
			t.Fatalf("no remedy:\n%s", o.Stderr)
		}
		as = lockoutCase{want: obeyed}
		for _, command := range first {
			checkObeyed(t, &as, command, l.sh.Run(command))
		}
		o = l.sh.Run(c.run)
	}
	checkObeyed(t, &as, c.run, o)
	if !l.sh.Alive() || !l.CanLogin("4", throughTunnel...) {
		t.Errorf("the session is cut off, or no new login\n%s", l.State())
	}
}

// newWireGuard joins client and server by WireGuard, whose packets go to the
// server's given address.
func newWireGuard(t *testing.T, server string) *tunnelled {
	for _, program := range []string{"wireguard-go", "wg"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs wireguard-go and wireguard-tools: %v", err)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("the kernel has no tun: %v", err)
	}
	mounts := [2]lab.Mount{{From: t.TempDir(), To: "/run/wireguard"}, {From: t.TempDir(), To: "/run/wireguard"}}
	l := &tunnelled{Lab: sshlab.New(t, mounts[0])}
	dir := t.TempDir()
	hosts := [2]*lab.Host{l.Server, l.Client}
	commands := func(i int, script string) *lab.Cmd {
		c := hosts[i].CommandContext(context.Background(), "sh", "-ec", script)
		c.Dir, c.Env, c.Mounts = dir, sshlab.Env(), mounts[i:i+1]
		return c
	}
	for i, name := range [...]string{"server", "client"} {
		if err := commands(i, "wg genkey >"+name+"; wg pubkey <"+name+" >"+name+".pub; LOG_LEVEL=error exec wireguard-go -f wg0").Start(); err != nil {
			t.Fatal(err)
		}
		socket := filepath.Join(mounts[i].From, "wg0.sock")
		if err := lab.WaitFor(lab.LongWait, func() (bool, error) { _, err := os.Stat(socket); return err == nil, nil }); err != nil {
			t.Fatalf("wireguard-go: %v", err)
		}
	}
	for i, script := range [...]string{
		"wg set wg0 private-key server listen-port 51820 peer $(cat client.pub) allowed-ips " + innerClient + "/32; ip addr add " + innerServer + "/24 dev wg0",
		"wg set wg0 private-key client listen-port 40000 peer $(cat server.pub) allowed-ips " + innerServer + "/32 endpoint " + server + ":51820; ip addr add " + innerClient + "/24 dev wg0",
	} {
		out, err := commands(i, script+"; ip link set wg0 mtu 1280 up").Finish()
		if err != nil || out.Code != 0 {
			t.Fatalf("%s: %v %+v", script, err, out)
		}
	}
	return l
}

// TestWhatCarriesAWireGuardSessionIsGuarded: wireguard-go stands for the kernel's
// WireGuard; to rules its packets are the same.
func TestWhatCarriesAWireGuardSessionIsGuarded(t *testing.T) {
	t.Parallel()
	session := "203.0.113.7:40000 -> 198.51.100.2:51820 udp, in by eth0"
	carries := "wireguard wg0, carries " + innerClient + ":"
	newWireGuard(t, lab.ServerAddr).run(t, []tunnelCase{
		{run: "iptables -A INPUT -p udp --dport 51820 -j DROP", names: []string{
			session, carries, "packets of wireguard wg0", in, rule("1 of INPUT, table filter"), "-I INPUT -s 203.0.113.7/32 -p udp -m udp --dport 51820 -j ACCEPT"}},
		{setup: "iptables -A INPUT -i wg0 -j ACCEPT", run: "iptables -P INPUT DROP", names: []string{session, carries, policy("INPUT, table filter")}},
		{setup: "iptables -A INPUT -i wg0 -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
			run: "iptables -P INPUT DROP", names: []string{"what begins wireguard wg0 anew", policy("INPUT, table filter")}},
		{run: "iptables -A OUTPUT -p udp --sport 51820 -j DROP", names: []string{session, out}},
		{run: "iptables -t raw -A PREROUTING -i eth0 -p udp -j DROP", names: []string{session, in}},
		{run: "iptables -A INPUT -i wg0 -p tcp --dport 22 -j DROP", names: []string{innerClient + ":", "22 tcp, in by wg0", in}},
		{run: "iptables -A INPUT -i eth0 -p tcp --dport 22 -j DROP", want: obeyed},
		{run: "iptables -A INPUT -p udp --dport 53 -j DROP", want: obeyed},
		{run: "iptables -A INPUT -p udp -s 203.0.113.8 -j DROP", want: obeyed},
		{setup: "iptables -A INPUT -i wg0 -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -p udp --sport 40000 --dport 51820 -j ACCEPT", run: "iptables -P INPUT DROP", want: obeyed},
		{run: "ip6tables -P INPUT DROP", want: obeyed},
	})
}

// TestWhatCarriesAnIPv4SessionOverIPv6IsGuarded: ip6tables can cut it off, too.
func TestWhatCarriesAnIPv4SessionOverIPv6IsGuarded(t *testing.T) {
	t.Parallel()
	session := "[2001:db8:1::7]:40000 -> [2001:db8:2::2]:51820 udp, in by eth0"
	newWireGuard(t, "["+lab.ServerAddr6+"]").run(t, []tunnelCase{
		{run: "ip6tables -A INPUT -p udp --dport 51820 -j DROP", names: []string{session, "carries " + innerClient + ":", in}},
		{run: "ip6tables -P INPUT DROP", names: []string{session, "IPv6 neighbour discovery", policy("INPUT, table filter")}},
		{run: "ip6tables -P OUTPUT DROP", names: []string{session, policy("OUTPUT, table filter")}},
		{run: "iptables -A INPUT -p udp --dport 51820 -j DROP", want: obeyed},
		{run: "iptables -A INPUT -i wg0 -j DROP", names: []string{"22 tcp, in by wg0"}},
		{run: "ip6tables -A INPUT -p tcp -j DROP", want: obeyed},
	})
}

// TestWhatCarriesAVXLANSessionIsGuarded has the kernel's own tunnel, whose ends each
// send from ports of their choice.
func TestWhatCarriesAVXLANSessionIsGuarded(t *testing.T) {
	t.Parallel()
	l := &tunnelled{Lab: sshlab.New(t)}
	for _, c := range []struct {
		host         *lab.Host
		other, inner string
	}{{l.Server, lab.ClientAddr, innerServer}, {l.Client, lab.ServerAddr, innerClient}} {
		out, err := c.host.RunShell("ip link add vx0 type vxlan id 7 remote " + c.other + " dstport 4789 dev eth0; ip addr add " + c.inner + "/24 dev vx0; ip link set vx0 up")
		if err != nil {
			t.Fatal(err)
		}
		if out.Code != 0 {
			t.Skipf("the kernel has no VXLAN: %s", out.Stderr)
		}
	}
	session := "203.0.113.7 -> 198.51.100.2:4789 udp, in by eth0"
	l.run(t, []tunnelCase{
		{run: "iptables -A INPUT -p udp --dport 4789 -j DROP", names: []string{session, "vxlan vx0, carries " + innerClient + ":", in}},
		{run: "iptables -A OUTPUT -p udp --dport 4789 -j DROP", names: []string{session, out, "-d 203.0.113.7/32 -p udp -m udp --dport 4789"}},
		{setup: "iptables -A INPUT -i vx0 -j ACCEPT", run: "iptables -P INPUT DROP", names: []string{session, policy("INPUT, table filter")}},
		{setup: "iptables -A INPUT -i vx0 -j ACCEPT; " + established, run: "iptables -P INPUT DROP", names: []string{session, policy("INPUT, table filter")}},
		{run: "iptables -A INPUT -p udp --sport 4789 -j DROP", want: obeyed},
		{run: "iptables -A INPUT -i eth0 -p tcp -j DROP", want: obeyed},
	})
}

// TestWhatCarriesAnOpenVPNSessionIsGuarded: a tun device is any program's, and only
// its sockets tell what carries it.
func TestWhatCarriesAnOpenVPNSessionIsGuarded(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openvpn"); err != nil {
		t.Skipf("needs openvpn: %v", err)
	}
	l := &tunnelled{Lab: sshlab.New(t)}
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("openvpn", "--genkey", "secret", key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const options = " --dev tun0 --proto udp4 --cipher AES-256-CBC --verb 1 --secret "
	for _, end := range []struct { // the client first, whose tun0 is not the server's
		host   *lab.Host
		script string
	}{
		{l.Client, "openvpn --nobind --remote " + lab.ServerAddr + " 1194 --ifconfig " + innerClient + " " + innerServer + options},
		{l.Server, "openvpn --port 1194 --ifconfig " + innerServer + " " + innerClient + options},
	} {
		c := end.host.Command("sh", "-c", "exec "+end.script+key)
		c.Dir, c.Env = "/", sshlab.Env()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.WaitFor(lab.LongWait, func() (bool, error) {
		out, err := l.Client.RunShell("timeout 2 bash -c 'exec 3<>/dev/tcp/" + innerServer + "/22'")
		return out.Code == 0, err
	}); err != nil {
		t.Fatalf("openvpn: %v", err)
	}
	session := "one of its clients -> 198.51.100.2:1194 udp, in by eth0, not known which: openvpn tun0, carries " + innerClient + ":"
	known := "198.51.100.2:1194 udp, in by eth0, ESTABLISHED: openvpn tun0, carries " + innerClient + ":"
	l.run(t, []tunnelCase{
		{run: "iptables -A INPUT -p udp --dport 1194 -j DROP", names: []string{session, "-I INPUT -p udp -m udp --dport 1194 -j ACCEPT"}},
		{setup: "iptables -A INPUT -i tun0 -j ACCEPT", run: "iptables -P INPUT DROP", names: []string{session, policy("INPUT, table filter")}},
		{run: "iptables -A OUTPUT -p udp --sport 1194 -j DROP", names: []string{session, out}},
		{run: "iptables -A INPUT -s 192.0.2.0/24 -j DROP", want: obeyed},
		{run: "iptables -A INPUT -i eth0 -p tcp -j DROP", want: obeyed},
		// From here on connection tracking tells who it is.
		{setup: established, run: "iptables -A INPUT -s 203.0.113.0/24 -p udp -j DROP", names: []string{known, in}},
	})
}
