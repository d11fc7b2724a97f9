package ext

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// known is a packet of which everything below is told.
const known = packet.KnowTOS | packet.KnowTTL | packet.KnowMark | packet.KnowConnMark | packet.KnowPriority | packet.KnowChecksum |
	packet.KnowFlags | packet.KnowTCPOptions

// TestTargetsChangePackets lets each target that changes packets change one.
func TestTargetsChangePackets(t *testing.T) {
	heard := packet.Packet{Template: packet.Template{Set: true, Zone: 7}}
	for _, c := range []struct {
		name   string
		target Mutator
		before packet.Packet
		after  packet.Packet
	}{
		{"CT --notrack", &CT{NoTrack: true}, packet.Packet{}, packet.Packet{Known: packet.KnowState, Connection: packet.Connection{State: packet.Untracked}}},
		{"CT --notrack after the way through lo", &CT{NoTrack: true}, packet.Packet{Hook: rule.Prerouting, In: "lo"}, packet.Packet{Hook: rule.Prerouting, In: "lo"}},
		{"CT --zone", &CT{Zone: 1}, packet.Packet{}, packet.Packet{Template: packet.Template{Set: true, Zone: 1}}},
		{"CT --zone-reply mark", &CT{ZoneMark: true, Reply: true}, packet.Packet{}, packet.Packet{Template: packet.Template{Set: true, ZoneMark: true, Reply: true}}},
		{"CT --zone after another", &CT{Zone: 1}, heard, heard},
		{"CT --notrack after another", &CT{NoTrack: true}, heard, heard},
		{"CT --zone of what is not tracked", &CT{Zone: 1}, untrackedPacket(), untrackedPacket()},
		{"TRACE", &Trace{}, packet.Packet{}, packet.Packet{Traced: true}},
		{"CONNMARK set of an unknown mark", &ConnMarkTarget{Value: 5, CtMask: 1<<32 - 1}, marks(0, 0, 0), marks(0, 5, packet.KnowConnMark)},
		{"CONNMARK or of an unknown mark", &ConnMarkTarget{Value: 5, CtMask: 5}, marks(0, 0, 0), marks(0, 5, 0)},
		{"CONNMARK or", &ConnMarkTarget{Value: 5, CtMask: 5}, marks(1, 0xf0, known), marks(1, 0xf5, known)},
		{"CONNMARK without a connection", &ConnMarkTarget{Value: 5, CtMask: 1<<32 - 1}, untrackedPacket(), untrackedPacket()},
		{"CONNMARK of an untold state", &ConnMarkTarget{Value: 5, CtMask: 1<<32 - 1}, packet.Packet{Known: packet.KnowConnMark | packet.KnowMark},
			packet.Packet{Known: packet.KnowMark, Connection: packet.Connection{Mark: 5}}},
		{"CONNMARK set shifted", &ConnMarkTarget{Value: 5, CtMask: 1<<32 - 1, Shift: 4}, marks(1, 0, known), marks(1, 0x50, known)},
		{"CONNMARK save", &ConnMarkTarget{Mode: ConnMarkSave, CtMask: 0xff, PktMask: 0xf}, marks(0xab, 0x1234, known), marks(0xab, 0x120b, known)},
		{"CONNMARK save of an unknown mark", &ConnMarkTarget{Mode: ConnMarkSave, CtMask: 0xff, PktMask: 0xf}, marks(0, 7, packet.KnowConnMark), marks(0, 0, 0)},
		{"CONNMARK restore shifted", &ConnMarkTarget{Mode: ConnMarkRestore, CtMask: 0xff, PktMask: 1<<32 - 1, Shift: 4, Right: true}, marks(1, 0x1ab, known), marks(0xa, 0x1ab, known)},
		{"MARK", &Mark{Value: 5, Mask: 7}, marks(0xa, 0, known), marks(0xd, 0, known)},
		{"MARK of an unknown mark", &Mark{Value: 5, Mask: 7}, marks(0, 0, 0), marks(5, 0, 0)},
		{"MARK of all bits of an unknown mark", &Mark{Value: 5, Mask: 1<<32 - 1}, marks(0, 0, 0), marks(5, 0, packet.KnowMark)},
		{"MARK xor of an unknown mark", &Mark{Value: 5}, marks(0, 0, 0), marks(5, 0, 0)},
		{"SET --map-set", &SetTarget{Map: SetRef{Dirs: []bool{true}}, MapMark: true, MapPrio: true}, packet.Packet{Known: packet.KnowMark | packet.KnowPriority | packet.KnowTOS}, packet.Packet{Known: packet.KnowTOS}},
		{"TCPMSS lowers", &TCPMSS{MSS: 1000}, withMSS(1460, known), withMSS(1000, known)},
		{"TCPMSS never raises", &TCPMSS{MSS: 1500}, withMSS(1460, known), withMSS(1460, known)},
		{"TCPMSS of the path", &TCPMSS{Clamp: true}, withMSS(1460, known), withMSS(1460, known&^packet.KnowTCPOptions)},
		{"TCPMSS of untold options", &TCPMSS{MSS: 9}, packet.Packet{}, packet.Packet{}},
		{"TCPMSS without the option", &TCPMSS{MSS: 9}, packet.Packet{Known: packet.KnowTCPOptions | packet.KnowLength}, packet.Packet{}},
		{"DSCP", &DSCPTarget{Value: 46}, packet.Packet{TOS: 0x13, Known: known}, packet.Packet{TOS: 46<<2 | 3, Known: known}},
		{"TOS", &TOSTarget{Value: 0x10, Mask: 0x3f}, packet.Packet{TOS: 0xff, Known: known}, packet.Packet{TOS: 0xd0, Known: known}},
		{"TOS of an unknown one", &TOSTarget{Value: 0x10, Mask: 0xff}, packet.Packet{}, packet.Packet{TOS: 0x10, Known: packet.KnowTOS}},
		{"TTL set", &TTLTarget{Mode: TTLSet, Value: 9}, packet.Packet{}, packet.Packet{TTL: 9, Known: packet.KnowTTL}},
		{"TTL inc", &TTLTarget{Mode: TTLInc, Value: 9}, packet.Packet{TTL: 250}, packet.Packet{TTL: 255}},
		{"HL dec", &TTLTarget{V6: true, Mode: TTLDec, Value: 9}, packet.Packet{TTL: 64}, packet.Packet{TTL: 55}},
		{"HL dec below 0", &TTLTarget{V6: true, Mode: TTLDec, Value: 9}, packet.Packet{TTL: 4}, packet.Packet{TTL: 0}},
		{"TPROXY", &TProxy{Value: 1, Mask: 3}, marks(6, 0, known), marks(5, 0, known)},
		{"CLASSIFY", &Classify{Major: 1, Minor: 2}, packet.Packet{}, packet.Packet{Priority: 0x10002, Known: packet.KnowPriority}},
		{"CHECKSUM", &Checksum{}, packet.Packet{}, packet.Packet{Checksummed: true, Known: packet.KnowChecksum}},
		{"ECN remove", &ECNTarget{SetECE: true, SetCWR: true}, flagged(0xd2), flagged(0x12)},
		{"ECN", &ECNTarget{SetIP: true, IP: 2, SetECE: true, ECE: true}, packet.Packet{TOS: 0x11}, packet.Packet{TOS: 0x12, Transport: packet.Transport{Flags: 64}}},
		{"HMARK", &HMark{}, marks(3, 0, packet.KnowMark), marks(3, 0, 0)},
		{"TCPOPTSTRIP", &TCPOptStrip{Strip: [8]uint32{1<<2 | 1<<8, 0, 0, 0, 0, 0, 0, 1 << 31}}, options(2, 3, 8, 255, 4), options(3, 4)},
	} {
		got := c.before
		c.target.Mutate(&got)
		if !reflect.DeepEqual(got, c.after) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.after)
		}
	}
}

// marks is a packet of a new connection with marks.
func marks(pkt, conn uint32, know packet.Know) packet.Packet {
	return packet.Packet{Mark: pkt, Connection: packet.Connection{Mark: conn, State: packet.New}, Known: know | packet.KnowState}
}

func untrackedPacket() packet.Packet {
	return packet.Packet{Known: packet.KnowState | packet.KnowConnMark, Connection: packet.Connection{State: packet.Untracked}}
}

// withMSS is a packet whose only TCP option announces a segment size.
func withMSS(size uint16, know packet.Know) packet.Packet {
	data := binary.BigEndian.AppendUint16(nil, size)
	return packet.Packet{Known: know, Transport: packet.Transport{Options: []packet.TCPOption{{Kind: tcpOptionMSS, Data: data}}}}
}

func flagged(flags uint8) packet.Packet {
	return packet.Packet{Transport: packet.Transport{Flags: flags}, Known: known}
}

func options(kinds ...uint8) packet.Packet {
	var p packet.Packet
	for _, k := range kinds {
		p.Transport.Options = append(p.Transport.Options, packet.TCPOption{Kind: k})
	}
	return p
}

// TestNPTKeepsChecksums translates addresses, of which the first is the example
// of RFC 6296, section 3.1; the sum of the address in ones' complement stays.
func TestNPTKeepsChecksums(t *testing.T) {
	for _, c := range []struct {
		from, to   string
		addr, want string // want "": whatever keeps the sum
	}{
		{"fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234"},
		{"2001:db8:1::/48", "fd01:203:405::/48", "2001:db8:1:d550::1234", "fd01:203:405:1::1234"},
		{"fd00::/64", "2001:db8:0:5::/64", "fd00::1:2:3:4", ""},
		{"fd00::/64", "2001:db8:0:5::/64", "fd00::ffff:2:3:4", ""},
		{"fd00::/56", "2001:db8:0:500::/64", "fd00::7:2:3:4", ""},
		{"fd00::/16", "fc00::/16", "fd00:1::8", ""},
	} {
		from, to := netip.MustParsePrefix(c.from), netip.MustParsePrefix(c.to)
		n := &NPT{From: from.Addr(), To: to.Addr(), FromLen: uint8(from.Bits()), ToLen: uint8(to.Bits()), Source: true}
		p := packet.Packet{Src: netip.MustParseAddr(c.addr), Dst: netip.MustParseAddr("::1")}
		n.Mutate(&p)
		if !to.Contains(p.Src) || c.want != "" && p.Src.String() != c.want {
			t.Errorf("%s of %s to %s is %s, want %s", c.addr, c.from, c.to, p.Src, c.want)
		}
		before, after := onesSum(0, netip.MustParseAddr(c.addr).AsSlice()), onesSum(0, p.Src.AsSlice())
		if before%0xffff != after%0xffff {
			t.Errorf("%s to %s: the sum was %#x and is %#x", c.addr, p.Src, before, after)
		}
		n.Source = false
		p.Dst = netip.MustParseAddr("10.0.0.1")
		if n.Mutate(&p); p.Dst.String() != "10.0.0.1" {
			t.Errorf("DNPT changed an IPv4 address to %s", p.Dst)
		}
	}
}

// TestTargetsEndRules says what becomes of packets at targets that end a chain.
func TestTargetsEndRules(t *testing.T) {
	for _, c := range []struct {
		target Ender
		want   Fate
	}{{&NFQueue{}, Queues}, {&NetMap{}, Accepts}, {&TProxy{}, AcceptsOrDrops}, {&Reject{}, Rejects}, {&DNAT{}, Accepts}, {&SNAT{}, Accepts},
		{&Masquerade{}, Accepts}, {&Redirect{}, Accepts}, {&SynProxy{}, Drops}} {
		if got := c.target.Fate(); got != c.want {
			t.Errorf("%T: fate %d, want %d", c.target, got, c.want)
		}
	}
}
