package host

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"moat/internal/rule"
)

// attr is one attribute, without padding at its end.
func attr(kind uint16, v ...byte) []byte { return named(kind, string(v)) }

// named is an attribute that is a string, without a byte of zero at its end.
func named(kind uint16, v string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(v)))
	return append(binary.NativeEndian.AppendUint16(b, kind), v...)
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		b = append(b, p...)
	}
	return b
}

// Messages as the kernel sends them, but that the last attribute has no padding.
var (
	routeHeader = []byte{unix.AF_INET, 24, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST, 0, 0, 0, 0}
	hops        = join([]byte{16, 0, 0, 0, 2, 0, 0, 0}, attr(unix.RTA_GATEWAY, 192, 0, 2, 1), []byte{16, 0, 0, 0, 3, 0, 0, 0}, attr(unix.RTA_GATEWAY, 192, 0, 2, 9))
	routeText   = join(routeHeader, attr(unix.RTA_DST, 198, 51, 100, 0), attr(unix.RTA_MULTIPATH, hops...), attr(unix.RTA_OIF, 2, 0, 0, 0), attr(unix.RTA_VIA, unix.AF_INET))
	ruleText    = join([]byte{unix.AF_INET, 0, 24, 0, 0, 0, 0, 1, 0, 0, 0, 0}, attr(nl.FRA_SRC, 192, 0, 2, 0), attr(nl.FRA_IP_PROTO, 6), named(nl.FRA_IIFNAME, "eth0"), named(nl.FRA_OIFNAME, "eth10"))
	element     = attr(attrData, join(attr(attrIP, attr(1, 192, 0, 2, 7)...), named(attrIface, "eth0"), attr(attrCIDR, 24))...)
	setText     = join([]byte{unix.AF_INET, 0, 0, 0}, named(attrSetName, "nets"), named(attrTypeName, "hash:net,iface"),
		attr(attrData, attr(attrNetmask, 32)...), attr(attrADT, join(element, element)...))
)

// TestLastPaddingMayBeMissing reads messages of which the last attribute, or a
// string's last byte, is not padded.
func TestLastPaddingMayBeMissing(t *testing.T) {
	r, ok, err := readRoute(routeText, map[int]string{2: "eth0", 3: "eth1"})
	if err != nil || !ok || r.Prefix.String() != "198.51.100.0/24" || len(r.Hops) != 3 || r.Hops[1] != (Hop{Interface: "eth1", Gateway: netip.AddrFrom4([4]byte{192, 0, 2, 9})}) {
		t.Errorf("route %+v, %v, %v", r, ok, err)
	}
	q, ok, err := readRule(ruleText, rule.IPv4)
	if err != nil || !ok || q.From.String() != "192.0.2.0/24" || q.Proto != 6 || q.In != "eth0" || q.Out != "eth10" {
		t.Errorf("rule %+v, %v, %v", q, ok, err)
	}
	l := setList{byName: map[string]*Set{}}
	if err := l.read(setText); err != nil || len(l.sets) != 1 || l.sets[0].Name != "nets" || len(l.sets[0].Elements) != 2 || l.sets[0].Elements[1].Interface != "eth0" || l.sets[0].Undecided {
		t.Errorf("sets %+v, %v", l.sets, err)
	}
}

// TestMessagesThatAreCutOffAreNoAnswer cuts each message at each place: an error
// comes, or what stands before the cut.
func TestMessagesThatAreCutOffAreNoAnswer(t *testing.T) {
	for n := range routeText {
		if r, _, err := readRoute(routeText[:n:n], nil); err != nil && r.Prefix.IsValid() {
			t.Errorf("a route of %d bytes: %+v with %v", n, r, err)
		}
	}
	for n := range ruleText {
		if _, ok, err := readRule(ruleText[:n:n], rule.IPv4); ok == (err != nil) {
			t.Errorf("a rule of %d bytes: %v, %v", n, ok, err)
		}
	}
	for n := range setText {
		l := setList{byName: map[string]*Set{}}
		if err := l.read(setText[:n:n]); err == nil && len(l.sets) > 1 {
			t.Errorf("sets of %d bytes: %+v", n, l.sets)
		}
	}
	for n := range hops {
		if list, err := readHops(hops[:n:n], nil); err == nil && n%16 > unix.SizeofRtNexthop {
			t.Errorf("hops of %d bytes: %+v", n, list)
		}
	}
}

func FuzzReadRoutesAndSets(f *testing.F) {
	for _, m := range [][]byte{routeText, ruleText, setText} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		m = m[:len(m):len(m)]
		if _, ok, err := readRoute(m, nil); ok && err != nil {
			t.Fatalf("%x: a route with %v", m, err)
		}
		if _, ok, err := readRule(m, rule.IPv4); ok && err != nil {
			t.Fatalf("%x: a rule with %v", m, err)
		}
		l := setList{byName: map[string]*Set{}}
		for range 2 { // the second message is of a set that is known
			if err := l.read(m); err == nil && len(l.sets) > 1 {
				t.Fatalf("%x: one message, %d sets", m, len(l.sets))
			}
		}
	})
}
