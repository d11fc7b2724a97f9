package netdb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
)

// etc makes a folder of files by name and content.
func etc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestProtocols(t *testing.T) {
	d := &DB{Etc: etc(t, map[string]string{"protocols": "# names\nxtcp 6 XTCP\nospf 89 OSPFIGP # a remark\nbad x\nbig 256\n"})}
	for number, want := range map[uint8]string{
		0: "all", 1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf",
		132: "sctp", 135: "mobility-header", 136: "udplite", 253: "",
	} {
		if got := d.ProtocolName(number); got != want {
			t.Errorf("protocol %d is %q, want %q", number, got, want)
		}
	}
	for name, want := range map[string]uint8{"xtcp": 6, "icmpv6": 58, "mh": 135, "ipv6-mh": 135, "OSPFIGP": 89, "all": 0} {
		if got, ok := d.Protocol(name); !ok || got != want {
			t.Errorf("%s is %d %v, want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"nosuch", "big", "bad", "a"} {
		if n, ok := d.Protocol(name); ok {
			t.Errorf("%s is %d", name, n)
		}
	}
	if got := BuiltinProtocolName(89); got != "" {
		t.Errorf("89 is built in as %q", got)
	}
}

func TestServices(t *testing.T) {
	d := &DB{Etc: etc(t, map[string]string{"services": "ssh 22/tcp # SSH\nhttp\t80/tcp www\ndomain 53/udp\nodd 1\nbig 65536/tcp\n"})}
	if p, ok := d.Service("www", "tcp"); !ok || p != 80 {
		t.Errorf("www is %d %v", p, ok)
	}
	if p, ok := d.Service("domain", ""); !ok || p != 53 {
		t.Errorf("domain is %d %v", p, ok)
	}
	for _, name := range []string{"domain", "odd", "big", "#"} {
		if p, ok := d.Service(name, "tcp"); ok {
			t.Errorf("%s/tcp is %d", name, p)
		}
	}
	if n := d.ServiceName(80, "tcp"); n != "http" {
		t.Errorf("80/tcp is %q", n)
	}
	if n := d.ServiceName(80, "udp"); n != "" {
		t.Errorf("80/udp is %q", n)
	}
}

func TestMissingFilesHaveNoNames(t *testing.T) {
	d := &DB{Etc: t.TempDir(), Resolve: noNames}
	if d.ServiceName(22, "tcp")+d.ProtocolName(89)+d.NetworkName(netip.IPv4Unspecified())+d.HostName(netip.MustParseAddr("127.0.0.1")) != "" {
		t.Error("a name came out of no file")
	}
}

func noNames(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

const hostsFile = `127.0.0.1	localhost
127.0.0.1	vm VM.Example
::1 localhost ip6-localhost
10.0.0.2 two
10.0.0.3 two # again
10.0.0.2 two
not-an-address x
::ffff:10.0.0.9 mapped
`

func TestHostsFile(t *testing.T) {
	d := &DB{Etc: etc(t, map[string]string{"hosts": hostsFile}), Resolve: noNames}
	for name, want := range map[string][]string{
		"localhost": {"127.0.0.1"}, "LocalHost": {"127.0.0.1"}, "vm.example": {"127.0.0.1"},
		"two": {"10.0.0.2", "10.0.0.3"}, "mapped": {"10.0.0.9"},
	} {
		got, err := d.Hosts(name, 4)
		var text []string
		for _, a := range got {
			text = append(text, a.String())
		}
		if err != nil || !slices.Equal(text, want) {
			t.Errorf("%s is %v (%v), want %v", name, text, err, want)
		}
	}
	if got, err := d.Hosts("ip6-localhost", 16); err != nil || len(got) != 1 || got[0] != netip.IPv6Loopback() {
		t.Errorf("ip6-localhost is %v (%v)", got, err)
	}
	for a, want := range map[string]string{"127.0.0.1": "localhost", "::1": "localhost", "10.0.0.3": "two", "10.0.0.4": ""} {
		if got := d.HostName(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is %q, want %q", a, got, want)
		}
	}
}

func TestNetworksFile(t *testing.T) {
	d := &DB{Etc: etc(t, map[string]string{"networks": "default 0.0.0.0\nloopback 127.0.0.0 lo\nshort 10.6\nbad 1.2.3.4.5\nbig 10.256\nempty\n"})}
	for a, want := range map[string]string{
		"0.0.0.0": "default", "127.0.0.0": "loopback", "10.6.0.0": "short", "10.6.0.1": "", "1.2.3.4": "", "10.0.0.0": "",
	} {
		if got := d.NetworkName(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is %q, want %q", a, got, want)
		}
	}
}

// A listing of many addresses must not ask a dead name server for each of them.
func TestResolverIsLeftAloneWhenItDoesNotAnswer(t *testing.T) {
	unreachable := &net.DNSError{Err: "network is unreachable", IsTemporary: true}
	for _, c := range []struct {
		name  string
		err   error
		asked int
	}{
		{"timeout", &net.DNSError{IsTimeout: true}, 1},
		{"unreachable", unreachable, maxFailures},
		{"other", errors.New("broken"), maxFailures},
		{"no name", &net.DNSError{IsNotFound: true}, 50},
	} {
		asked := 0
		d := &DB{Etc: t.TempDir(), Resolve: func(context.Context, string) ([]string, error) {
			asked++
			return nil, c.err
		}}
		for range 2 {
			for i := range 50 {
				if name := d.HostName(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})); name != "" {
					t.Errorf("%s: a name: %q", c.name, name)
				}
			}
		}
		if asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", c.name, asked, c.asked)
		}
	}
}

func TestResolverNamesAreAskedOnce(t *testing.T) {
	asked := 0
	d := &DB{Etc: t.TempDir(), Resolve: func(_ context.Context, a string) ([]string, error) {
		asked++
		return []string{"host-" + a + ".", "other."}, nil
	}}
	for range 3 {
		if got := d.HostName(netip.MustParseAddr("10.0.0.1")); got != "host-10.0.0.1" {
			t.Errorf("name is %q", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
