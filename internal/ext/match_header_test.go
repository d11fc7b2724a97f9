package ext

import (
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// withRouting is a packet with a routing header.
func withRouting(data []byte) packet.Packet {
	return packet.Packet{Known: packet.KnowExtensions, Extensions: []packet.Extension{{Proto: headerRouting, Data: data}}}
}

// routingHeader is a routing header: next header, its type, segments left, the
// fourth to seventh byte, and addresses.
func routingHeader(next, kind, left uint8, rest [4]byte, addresses ...string) []byte {
	b := append([]byte{next, uint8(2 * len(addresses)), kind, left}, rest[:]...)
	for _, a := range addresses {
		b = append(b, netip.MustParseAddr(a).AsSlice()...)
	}
	return b
}

func TestRoutingDecides(t *testing.T) {
	p := withRouting(routingHeader(6, 0, 2, [4]byte{}, "::1", "::2", "::3"))
	two := withRouting(routingHeader(6, 2, 1, [4]byte{1}, "::1"))
	cut := withRouting(routingHeader(6, 0, 2, [4]byte{}, "::1")[:12])
	checkAnswers(t, &rt, rule.IPv6, []answerCase{
		{packet.Packet{}, "--rt-type 0", packet.Unknown}, {packet.Packet{Known: packet.KnowExtensions}, "! --rt-type 0", packet.No},
		{withRouting(nil), "--rt-type 0", packet.Unknown}, {p, "--rt-type 0", packet.Yes}, {p, "! --rt-type 0", packet.No},
		{p, "--rt-segsleft 1:2 --rt-len 56", packet.Yes}, {p, "--rt-segsleft 3:", packet.No}, {p, "! --rt-segsleft 3:", packet.Yes},
		{p, "! --rt-len 56", packet.No}, {p, "--rt-type 0 --rt-0-res", packet.Yes}, {two, "--rt-type 2", packet.Yes},
		{withRouting(routingHeader(6, 0, 0, [4]byte{1})), "--rt-type 0 --rt-0-res", packet.No},
		{p, "--rt-type 0 --rt-0-addrs ::1,::2,::3", packet.Yes}, {p, "--rt-type 0 --rt-0-addrs ::1,::3", packet.No},
		{p, "--rt-type 0 --rt-0-addrs ::1,::3 --rt-0-not-strict", packet.Yes},
		{p, "--rt-type 0 --rt-0-addrs ::3,::1 --rt-0-not-strict", packet.No}, {cut, "--rt-type 0 --rt-0-addrs ::1", packet.Unknown},
	})
}

func TestSRHDecides(t *testing.T) {
	// Last entry 2, tag 7; segment 0 is the last of the way, 2 the first; one is left.
	p := withRouting(routingHeader(6, headerTypeSRH, 1, [4]byte{2, 0, 0, 7}, "2001:db8::1", "2001:db8::2", "2001:db8::3"))
	cut := withRouting(routingHeader(6, headerTypeSRH, 1, [4]byte{2, 0, 0, 7}, "2001:db8::1")[:20])
	start := withRouting(routingHeader(6, headerTypeSRH, 2, [4]byte{2, 0, 0, 7}, "2001:db8::1", "2001:db8::2", "2001:db8::3"))
	checkAnswers(t, &srh, rule.IPv6, []answerCase{
		{packet.Packet{}, "", packet.Unknown}, {packet.Packet{Known: packet.KnowExtensions}, "", packet.No},
		{withRouting(routingHeader(6, 0, 0, [4]byte{})), "", packet.No}, {withRouting(nil), "", packet.Unknown},
		{p, "", packet.Yes}, {p, "--srh-next-hdr 6 --srh-hdr-len-eq 6 --srh-segs-left-lt 2 --srh-last-entry-gt 1 --srh-tag 7", packet.Yes},
		{p, "! --srh-tag 7", packet.No}, {p, "--srh-hdr-len-gt 6", packet.No}, {p, "! --srh-segs-left-eq 1", packet.No},
		{p, "--srh-psid 2001:db8::3", packet.Yes}, {p, "--srh-nsid 2001:db8::1", packet.Yes}, {p, "--srh-lsid 2001:db8::/32", packet.Yes},
		{p, "! --srh-lsid 2001:db8::/32", packet.No}, {p, "--srh-lsid 2001:db9::/32", packet.No}, {start, "--srh-psid ::/0", packet.No},
		{cut, "--srh-lsid 2001:db8::1", packet.Unknown},
	})
}

func TestSCTPDecides(t *testing.T) {
	p := packet.Packet{Proto: 132, Known: packet.KnowPorts, Transport: packet.Transport{Src: 5, Dst: 80, Chunks: []uint8{0, 3}}}
	untold := packet.Packet{Proto: 132}
	checkAnswers(t, &sctp, rule.IPv4, []answerCase{
		{packet.Packet{Proto: 6}, "--sport 5", packet.No}, {packet.Packet{Proto: 132, Fragment: true}, "--sport 5", packet.No},
		{untold, "--sport 5", packet.Unknown}, {untold, "--chunk-types any DATA", packet.Unknown}, {untold, "", packet.Yes},
		{p, "--sport 5 --dport 80:81", packet.Yes}, {p, "! --dport 80", packet.No},
		{p, "--chunk-types any DATA,INIT", packet.Yes}, {p, "--chunk-types all DATA,INIT", packet.No},
		{p, "--chunk-types all DATA", packet.Yes}, {p, "--chunk-types only DATA", packet.No}, {p, "--chunk-types only DATA,SACK", packet.Yes},
		{p, "! --chunk-types any INIT", packet.Yes}, {p, "--chunk-types any DATA:B", packet.Unknown}, {p, "--chunk-types any SACK,DATA:B", packet.Yes},
		{p, "--chunk-types all DATA:B", packet.Unknown}, {p, "--chunk-types all INIT,DATA:B", packet.No},
	})
}
