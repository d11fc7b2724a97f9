package host

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moat/internal/lab"
	"moat/internal/packet"
)

// track is Track on a host.
func track(t testing.TB, h *lab.Host, proto uint8, src, dst netip.AddrPort) (c Tracked, found bool) {
	t.Helper()
	if err := h.Do(func() (err error) { c, found, err = Track(proto, src, dst, 0); return err }); err != nil {
		t.Fatal(err)
	}
	return c, found
}

// tracking makes a host track what it takes and sends.
func tracking(t testing.TB, h *lab.Host, nat string) {
	t.Helper()
	sh(t, h, `
sysctl -qw net.netfilter.nf_conntrack_acct=1
nft -f - <<END
table inet track {
	chain in { type filter hook input priority 0; ct state invalid counter; ct mark set 0x2a; }
	chain nat { type nat hook prerouting priority -100; `+nat+`; }
}
END`)
}

func TestTrackedConnectionIsFoundInBothDirections(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	tracking(t, n.Server, "tcp dport 2222 redirect to :22")
	l := listen(t, n.Server, "tcp", "[::]:22")
	for _, c := range []struct{ to, asked string }{
		{lab.ServerAddr, lab.ServerAddr + ":22"}, {lab.ServerAddr6, "[" + lab.ServerAddr6 + "]:22"},
	} {
		talk := converse(t, l, n.Client, c.asked)
		in, found := track(t, n.Server, packet.ProtoTCP, talk.remote(), talk.local())
		want := packet.Tuple{
			Src: plain(talk.remote()).Addr(), Dst: plain(talk.local()).Addr(),
			SrcPort: talk.remote().Port(), DstPort: 22, Proto: packet.ProtoTCP,
		}
		state := in.Connection
		if !found || in.Reply || state.Original != want || state.State != packet.Established || state.Mark != 0x2a ||
			state.Status&packet.StatusConfirmed == 0 || state.Expire == 0 || state.Packets[0] == 0 || state.Bytes[1] == 0 {
			t.Errorf("%s in: %v, %+v", c.to, found, in)
		}
		for _, k := range []packet.Know{packet.KnowState, packet.KnowDirection, packet.KnowStatus, packet.KnowExpire, packet.KnowConnCounter, alwaysTold} {
			if in.Known&k != k {
				t.Errorf("%s: %#x is not told", c.to, k)
			}
		}
		out, found := track(t, n.Server, packet.ProtoTCP, talk.local(), talk.remote())
		if !found || !out.Reply || !out.Connection.Reply || out.Connection.State != packet.Established || out.Connection.Original != want {
			t.Errorf("%s out: %v, %+v", c.to, found, out)
		}
	}
	if c, found := track(t, n.Server, packet.ProtoTCP, netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort(lab.ServerAddr+":22")); found {
		t.Errorf("found %+v", c)
	}
	if c, found := track(t, n.Server, packet.ProtoTCP, netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[::1]:22")); found {
		t.Errorf("found %+v", c)
	}
}

func TestConnectionBehindNATIsFoundByTheSocketsAddresses(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	tracking(t, n.Server, "tcp dport 2222 redirect to :22")
	talk := converse(t, listen(t, n.Server, "tcp4", ":22"), n.Client, lab.ServerAddr+":2222")
	// Out of the host go answers by the addresses of the socket; what comes in has those of before the NAT.
	out, found := track(t, n.Server, packet.ProtoTCP, talk.local(), talk.remote())
	if !found || !out.Reply || out.Connection.Original.DstPort != 2222 || out.Connection.ReplyTuple.SrcPort != 22 || out.Connection.Status&packet.StatusDNAT == 0 {
		t.Errorf("%v, %+v", found, out)
	}
	if in, found := track(t, n.Server, packet.ProtoTCP, talk.remote(), talk.local()); found {
		t.Errorf("found %+v by addresses that no packet on the wire has", in)
	}
}

func TestConnectionWithoutAnswerIsNew(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	tracking(t, n.Server, "")
	server, client := netip.MustParseAddrPort(lab.ServerAddr+":60001"), netip.MustParseAddrPort(lab.ClientAddr+":5000")
	var u net.PacketConn
	err := n.Server.Do(func() (err error) { u, err = net.ListenPacket("udp4", ":60001"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	err = n.Client.Do(func() error {
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(client), net.UDPAddrFromAddrPort(server))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := u.ReadFrom(make([]byte, 9)); err != nil { // it has arrived
		t.Fatal(err)
	}
	in, found := track(t, n.Server, packet.ProtoUDP, client, server)
	if !found || in.Connection.State != packet.New || in.Reply {
		t.Errorf("%v, %+v", found, in)
	}
	if out, _ := track(t, n.Server, packet.ProtoUDP, server, client); out.Connection.State != packet.Established || !out.Reply {
		t.Errorf("an answer would be %+v", out)
	}
	var list []Tracked
	if err := n.Server.Do(func() (err error) { list, err = TrackedTo(packet.ProtoUDP, 60001); return err }); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Connection.Original != in.Connection.Original || list[0].Connection.State != packet.New {
		t.Errorf("%+v", list)
	}
}

func TestConnectionOlderThanTrackingIsNotFound(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	talk := converse(t, listen(t, n.Server, "tcp4", ":22"), n.Client, lab.ServerAddr+":22")
	if c, found := track(t, n.Server, packet.ProtoTCP, talk.remote(), talk.local()); found {
		t.Errorf("%+v", c)
	}
}

// TestConnectionIsFoundInItsZone has connections that are in zone 7 with both
// directions or with one.
func TestConnectionIsFoundInItsZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw     string       // what a packet that comes in is given
		in, out uint16       // zones in which it is found by packets of the client, of the server
		zones   packet.Zones // of the client's connection
	}{
		{"ct zone set 7", 7, 7, packet.Zones{Original: 7, Reply: 7}},
		{"ct original zone set 7", 7, 0, packet.Zones{Original: 7}},
		{"ct reply zone set 7", 0, 7, packet.Zones{Reply: 7}}, // the answer would collide with it, and is dropped
		{"ct zone set 0", 0, 0, packet.Zones{}},
	} {
		n := lab.NewPair(t)
		tracking(t, n.Server, "")
		sh(t, n.Server, "nft add table ip raw; nft add chain ip raw pre '{ type filter hook prerouting priority -300; }'; nft add rule ip raw pre "+c.raw)
		server, client := netip.MustParseAddrPort(lab.ServerAddr+":60001"), netip.MustParseAddrPort(lab.ClientAddr+":5000")
		exchange(t, n, server, client)
		in, found := trackIn(t, n.Server, client, server, c.in)
		if !found || in.Reply || in.Connection.Zones != c.zones {
			t.Errorf("%s, in: %v, %+v", c.raw, found, in)
		}
		out, found := trackIn(t, n.Server, server, client, c.out)
		if !found || !out.Reply || out.Connection.Zones != c.zones {
			t.Errorf("%s, out: %v, %+v", c.raw, found, out)
		}
		if x, found := trackIn(t, n.Server, client, server, 9); found {
			t.Errorf("%s, in another zone: %+v", c.raw, x)
		}
		var all []Tracked
		if err := n.Server.Do(func() (err error) { all, err = TrackAnswered(packet.ProtoUDP, server, client); return err }); err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].Connection.Zones != c.zones || !all[0].Reply {
			t.Errorf("%s, all: %+v", c.raw, all)
		}
	}
}

func trackIn(t *testing.T, h *lab.Host, src, dst netip.AddrPort, zone uint16) (c Tracked, found bool) {
	t.Helper()
	if err := h.Do(func() (err error) { c, found, err = Track(packet.ProtoUDP, src, dst, zone); return err }); err != nil {
		t.Fatal(err)
	}
	return c, found
}

// exchange sends a packet and its answer by UDP.
func exchange(t *testing.T, n *lab.Net, server, client netip.AddrPort) {
	t.Helper()
	send := func(h *lab.Host, from, to netip.AddrPort) {
		t.Helper()
		err := h.Do(func() error {
			c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(from))
			if err != nil {
				return err
			}
			_, err = c.WriteToUDPAddrPort([]byte("x"), to)
			if errors.Is(err, unix.EPERM) {
				err = nil
			}
			return errors.Join(err, c.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	arrived := func() bool { _, ok := lookAnywhere(t, n.Server, client, server); return ok }
	send(n.Client, client, server)
	for end := time.Now().Add(lab.LongWait); !arrived(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing has arrived")
		}
	}
	send(n.Server, server, client)
}

func lookAnywhere(t *testing.T, h *lab.Host, src, dst netip.AddrPort) (c Tracked, found bool) {
	t.Helper()
	for _, zone := range [...]uint16{0, 7} {
		if c, found = trackIn(t, h, src, dst, zone); found {
			return c, true
		}
	}
	return c, false
}

func TestStateIsThatOfTheNextPacket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status uint32
		reply  bool
		want   packet.State
	}{
		{packet.StatusConfirmed, false, packet.New},
		{packet.StatusConfirmed, true, packet.Established},
		{packet.StatusConfirmed | packet.StatusSeenReply, false, packet.Established},
		{packet.StatusExpected, false, packet.Related},
		{packet.StatusExpected | packet.StatusSeenReply, false, packet.Established},
		{packet.StatusExpected, true, packet.Established},
	} {
		tracked := Tracked{Connection: packet.Connection{Status: c.status}}
		if tracked.seenFrom(c.reply); tracked.Connection.State != c.want || tracked.Connection.Reply != c.reply {
			t.Errorf("status %#x, reply %v: %v", c.status, c.reply, tracked.Connection.State)
		}
	}
}

func TestConntrackIsReadWholeAndCutShort(t *testing.T) {
	t.Parallel()
	n := lab.NewPair(t)
	tracking(t, n.Server, "")
	talk := converse(t, listen(t, n.Server, "tcp4", ":22"), n.Client, lab.ServerAddr+":22")
	c, _ := track(t, n.Server, packet.ProtoTCP, talk.remote(), talk.local())
	if text := c.Connection.Original.Src.String(); !strings.HasPrefix(text, "203.") {
		t.Fatal(text)
	}
	m := tupleAttr(ctTupleOrig, c.Connection.Original).Serialize()
	for size := range m {
		_, _, _ = readConntrack(append(make([]byte, 4), m[:size]...)) // no panic
	}
	got, _, err := readConntrack(append(make([]byte, 4), m...))
	if err != nil || got.Original != c.Connection.Original {
		t.Errorf("%+v, %v", got, err)
	}
}
