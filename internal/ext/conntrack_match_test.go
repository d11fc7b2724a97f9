package ext

import (
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// inState is a packet whose connection's state alone is told.
func inState(s packet.State) packet.Packet {
	return packet.Packet{Proto: 6, Known: packet.KnowState, Connection: packet.Connection{State: s}}
}

// trackedPacket is a packet of a connection that is told as a whole: an answer to
// 10.0.0.9:5000, which was sent from 192.0.2.1:80 to 198.51.100.1:8080.
func trackedPacket() packet.Packet {
	p := inState(packet.Established)
	p.Known |= packet.KnowStatus | packet.KnowDirection | packet.KnowOriginal | packet.KnowReplyTuple | packet.KnowExpire
	c := &p.Connection
	c.Status, c.Reply, c.Expire = packet.StatusSeenReply|packet.StatusDNAT, true, 100
	c.Original = packet.Tuple{Src: netip.MustParseAddr("10.0.0.9"), Dst: netip.MustParseAddr("198.51.100.1"), SrcPort: 5000, DstPort: 8080, Proto: 6}
	c.ReplyTuple = packet.Tuple{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("10.0.0.9"), SrcPort: 80, DstPort: 5000, Proto: 6}
	return p
}

func TestConntrackStateDecides(t *testing.T) {
	translated, plain := inState(packet.New), inState(packet.New)
	translated.Known |= packet.KnowStatus
	translated.Connection.Status = packet.StatusDNAT
	plain.Known |= packet.KnowStatus
	onlyStatus := packet.Packet{Known: packet.KnowStatus, Connection: packet.Connection{Status: packet.StatusSNAT}}
	checkAnswers(t, &conntrack, rule.IPv4, []answerCase{
		{inState(packet.New), "--ctstate NEW", packet.Yes}, {inState(packet.New), "! --ctstate NEW", packet.No},
		{inState(packet.Established), "--ctstate RELATED,ESTABLISHED", packet.Yes}, {inState(packet.Related), "--ctstate RELATED,ESTABLISHED", packet.Yes},
		{inState(packet.Invalid), "--ctstate INVALID", packet.Yes}, {inState(packet.Untracked), "--ctstate INVALID", packet.No},
		{inState(packet.Untracked), "--ctstate UNTRACKED", packet.Yes}, {inState(packet.Untracked), "! --ctstate NEW", packet.Yes},
		{packet.Packet{}, "--ctstate NEW", packet.Unknown}, {packet.Packet{}, "--ctstate INVALID,NEW,ESTABLISHED,RELATED,UNTRACKED", packet.Yes},
		{translated, "--ctstate DNAT", packet.Yes}, {translated, "--ctstate SNAT", packet.No}, {plain, "--ctstate DNAT", packet.No}, {plain, "! --ctstate DNAT", packet.Yes},
		{inState(packet.New), "--ctstate DNAT", packet.Unknown}, {inState(packet.New), "--ctstate NEW,DNAT", packet.Yes}, {inState(packet.Invalid), "--ctstate DNAT", packet.No},
		{onlyStatus, "--ctstate SNAT,NEW", packet.Yes}, {onlyStatus, "--ctstate DNAT,NEW", packet.Unknown}, {onlyStatus, "--ctstate DNAT", packet.No},
	})
	checkAnswers(t, &state, rule.IPv4, []answerCase{
		{inState(packet.New), "--state NEW", packet.Yes}, {inState(packet.New), "! --state NEW", packet.No}, {packet.Packet{}, "--state NEW", packet.Unknown},
	})
}

// TestConntrackWithoutConnection: the state decides alone, and nothing else does.
func TestConntrackWithoutConnection(t *testing.T) {
	checkAnswers(t, &conntrack, rule.IPv4, []answerCase{
		{inState(packet.Invalid), "--ctstate INVALID --ctproto 99", packet.Yes}, {inState(packet.Invalid), "--ctproto 6", packet.No},
		{inState(packet.Untracked), "! --ctproto 6", packet.No}, {inState(packet.Untracked), "! --ctstate NEW --ctproto 99", packet.Yes},
		{inState(packet.Invalid), "--ctstate NEW --ctproto 6", packet.No},
		// Of an untold state both ways count: it decides where they agree.
		{packet.Packet{Proto: 6}, "--ctproto 17", packet.No}, {packet.Packet{Proto: 6}, "--ctproto 6", packet.Unknown},
		{packet.Packet{Proto: 6}, "--ctstate NEW --ctproto 6", packet.Unknown},
	})
}

func TestConntrackConnectionDecides(t *testing.T) {
	p, bare := trackedPacket(), inState(packet.New)
	icmp := inState(packet.Related)
	icmp.Proto = 1
	echo := inState(packet.New)
	echo.Proto = 1
	checkAnswers(t, &conntrack, rule.IPv4, []answerCase{
		{p, "--ctdir REPLY", packet.Yes}, {p, "--ctdir ORIGINAL", packet.No}, {bare, "--ctdir ORIGINAL", packet.Unknown},
		{p, "--ctproto tcp", packet.Yes}, {p, "! --ctproto tcp", packet.No}, {bare, "--ctproto 6", packet.Yes}, {bare, "--ctproto 17", packet.No},
		{icmp, "--ctproto 6", packet.Unknown}, {echo, "--ctproto 1", packet.Yes},
		{p, "--ctorigsrc 10.0.0.9 --ctorigdst 198.51.100.0/24 --ctreplsrc 192.0.2.1 --ctrepldst 10.0.0.0/8", packet.Yes},
		{p, "! --ctorigsrc 10.0.0.0/24", packet.No}, {p, "! --ctreplsrc 10.0.0.0/24", packet.Yes}, {p, "--ctrepldst 10.0.0.8", packet.No},
		{p, "--ctorigsrcport 5000 --ctorigdstport 8000:8080 --ctreplsrcport 80 --ctrepldstport 5000", packet.Yes}, {p, "! --ctreplsrcport 80", packet.No},
		{bare, "--ctorigsrc 10.0.0.9", packet.Unknown}, {bare, "--ctorigdstport 80", packet.Unknown}, {bare, "--ctorigdstport 80 --ctproto 17", packet.No},
		{p, "--ctstatus SEEN_REPLY,ASSURED", packet.Yes}, {p, "! --ctstatus SEEN_REPLY", packet.No}, {p, "--ctstatus ASSURED", packet.No},
		{bare, "--ctstatus ASSURED", packet.Unknown}, {bare, "--ctstatus NONE", packet.No}, {bare, "! --ctstatus NONE", packet.Yes},
		{p, "--ctexpire 50:100", packet.Yes}, {p, "--ctexpire 99", packet.No}, {p, "! --ctexpire :99", packet.Yes}, {bare, "--ctexpire 9", packet.Unknown},
		{p, "--ctstate ESTABLISHED --ctdir REPLY", packet.Yes}, {p, "--ctstate NEW --ctdir REPLY", packet.No},
	})
	p6 := trackedPacket()
	p6.Connection.Original.Src = netip.MustParseAddr("2001:db8::9")
	p6.Connection.Original.Proto, p6.Connection.Original.DstPort = 58, 0
	checkAnswers(t, &conntrack, rule.IPv6, []answerCase{
		{p6, "--ctorigsrc 2001:db8::/32", packet.Yes}, {p6, "! --ctorigsrc 2001:db8::9", packet.No}, {p6, "--ctorigsrc 2001:db9::/32", packet.No},
		{p6, "--ctorigsrcport 5000", packet.Unknown}, // an ICMPv6 echo's identifier stands there
	})
}

// TestMatchAllocatesNothing: the matches of which rulesets are made answer
// millions of packets a second.
func TestMatchAllocatesNothing(t *testing.T) {
	p := tcpPacket()
	p.Src, p.Dst = netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("192.0.2.1")
	c := trackedPacket()
	p.Connection, p.Known = c.Connection, p.Known|c.Known|packet.KnowMark|packet.KnowICMP
	icmpPacket := p
	icmpPacket.Proto = 1
	matches := []Matcher{
		&TCP{Src: PortMatch{Range{1, 9}, true}, Dst: PortMatch{Range{22, 22}, false}, Mask: 2, Comp: 2, Option: 1},
		&TCP{Src: anyPort, Dst: PortMatch{Range{22, 22}, false}}, &UDP{PortMatch{Range{1, 1}, true}, PortMatch{Range{2, 2}, true}},
		&Multiport{Side: 2, Ports: []Range{{1, 2}, {22, 22}}}, &MarkMatch{Mask: 1}, &ConnMarkMatch{Mask: 1},
		&IPRange{Src: AddrRange{p.Src, p.Dst}, Dst: AddrRange{p.Src, p.Dst}}, &Comment{}, &MAC{}, &HopLimit{}, &Length{},
		&Conntrack{Given: xtConntrackState, State: xtStateEstablished},
		&Conntrack{Given: xtConntrackAll, State: xtStateEstablished, Addr: [4]AddrMask{{p.Src, p.Src}, {p.Src, p.Src}, {p.Src, p.Src}, {p.Src, p.Src}}},
	}
	for _, m := range matches {
		if n := testing.AllocsPerRun(100, func() { m.Match(&p) }); n != 0 {
			t.Errorf("%T: %v allocations", m, n)
		}
	}
	m := &ICMP{Type: 8, CodeTo: 255}
	if n := testing.AllocsPerRun(100, func() { m.Match(&icmpPacket) }); n != 0 {
		t.Errorf("%T: %v allocations", m, n)
	}
}
