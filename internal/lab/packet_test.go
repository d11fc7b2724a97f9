package lab

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestPacketReadsBackAsBuilt(t *testing.T) {
	v4, v4b := netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("198.51.100.2:53")
	v6, v6b := netip.MustParseAddrPort("[2001:db8::1]:5"), netip.MustParseAddrPort("[2001:db8::2]:53")
	portless := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }
	for name, p := range map[string]Packet{
		"tcp4":     {Src: v4, Dst: v4b, Proto: ProtoTCP, TTL: 3, TOS: 0x10, ID: 7, DF: true, Flags: SYN | ACK, Seq: 1, Ack: 2, Payload: []byte("x")},
		"udp6":     {Src: v6, Dst: v6b, Proto: ProtoUDP, TTL: 255, TOS: 0xb8, Payload: []byte("odd")},
		"icmp4":    {Src: portless(v4), Dst: portless(v4b), Proto: ProtoICMP, TTL: 1, Type: 3, Code: 13, Payload: []byte{0, 0, 0, 0}},
		"fragment": {Src: portless(v4), Dst: portless(v4b), Proto: ProtoUDP, TTL: 1, MF: true, FragOff: 1480, Payload: []byte("12345678")},
		"gre6":     {Src: portless(v6), Dst: portless(v6b), Proto: 47, TTL: 1, Payload: []byte("gre")},
	} {
		b, err := p.Bytes()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := ParsePacket(append(b, "link padding"...)); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, p)
		}
	}
}

func TestWrongPacketIsRefused(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("[2001:db8::1]:5")
	for name, p := range map[string]Packet{
		"no addresses": {Proto: ProtoTCP},
		"two families": {Src: v4, Dst: v6},
		"odd offset":   {Src: v4, Dst: v4, FragOff: 3},
		"too long":     {Src: v4, Dst: v4, Payload: make([]byte, 65536)},
	} {
		if _, err := p.Bytes(); err == nil {
			t.Errorf("%s was built", name)
		}
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 20})
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePacket(b); err == nil && (!p.Src.Addr().IsValid() || len(p.Payload) > len(b)) {
			t.Errorf("%x read as %+v", b, p)
		}
	})
}
