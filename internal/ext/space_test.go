package ext

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// spaced makes a match of every kind that says its space, with options near
// those that randomPacket's packets have.
func spaced(r *rand.Rand) []Ext {
	not := func() bool { return r.IntN(3) == 0 }
	port := func() PortMatch {
		from := uint16(r.IntN(4))
		return [...]PortMatch{anyPort, {Range{0, 65535}, true}, {Range{from, from}, not()}, {Range{from, from + 2}, not()}, {Range{3, 1}, not()}}[r.IntN(5)]
	}
	addr := func() AddrRange {
		return [...]AddrRange{{}, {testAddr(r), testAddr(r)}}[r.IntN(2)]
	}
	nibble := func() uint8 { return uint8(r.IntN(16)) }
	mask := func() (value, mask uint32) {
		masks := [...]uint32{0, 1, 3, 6, 0xff, 1<<32 - 1, 0xfffffff0}
		mask = masks[r.IntN(len(masks))]
		return uint32(r.IntN(8)) & (mask | uint32(r.IntN(2)*7)), mask
	}
	markValue, markMask := mask()
	connValue, connMask := mask()
	code := [...]ICMP{{CodeTo: 255}, {CodeFrom: 1, CodeTo: 1}}[r.IntN(2)]
	code.Type, code.Not = [...]uint8{0, 1, 8, 255}[r.IntN(4)], not()
	v6 := code
	v6.V6 = true
	given := uint16(xtConntrackState*r.IntN(2) | xtConntrackStatus*r.IntN(2) | xtConntrackDirection*r.IntN(2) | xtConntrackProto*r.IntN(2))
	some, more := nibble(), nibble()
	ecn := uint8([...]int{xtECNIP, xtECNECE, xtECNCWR, xtECNAll}[r.IntN(4)])
	return []Ext{
		&TCP{Src: port(), Dst: port(), Mask: nibble() | 0x10, Comp: nibble(), NotFlags: not()}, &TCP{Src: port(), Dst: port()},
		&UDP{port(), port()},
		&Multiport{Side: uint8(r.IntN(3)), Ports: []Range{{1, 1}, {uint16(2 + r.IntN(3)), 5}}[:1+r.IntN(2)], Not: not()},
		&code, &v6,
		&Conntrack{Given: given, Not: given & uint16(r.Uint32()), State: uint16(r.Uint32()) & 0x1cf, Status: uint16(nibble()), Proto: [...]uint16{6, 17, 300}[r.IntN(3)]},
		&MarkMatch{markValue, markMask, not()}, &ConnMarkMatch{connValue, connMask, not()},
		&IPRange{addr(), addr(), not(), not()},
		&HopLimit{Mode: uint8(r.IntN(4)), Value: nibble()}, &HopLimit{Mode: uint8(r.IntN(4)), Value: nibble(), V6: true},
		&DSCPMatch{nibble(), not()}, &TOSMatch{nibble(), some | more, not()},
		&ECNMatch{Given: ecn, Not: ecn & uint8(r.Uint32()), ECT: uint8(r.IntN(4))},
		&Length{uint16(r.IntN(8)), uint16(r.IntN(8)), not()}, &PktType{packet.PacketType(r.IntN(4)), not()}, &Comment{"x"},
	}
}

func testAddr(r *rand.Rand) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(6))}) }

// randomPacket is a packet of which everything is told that a dimension holds.
func randomPacket(r *rand.Rand) packet.Packet {
	p := packet.Packet{
		Family: rule.IPv4, Src: testAddr(r), Dst: testAddr(r), Proto: [...]uint8{1, 6, 17, 58, 132}[r.IntN(5)],
		In: [...]string{"", "eth0", "eth1", "lo"}[r.IntN(4)], Out: [...]string{"", "eth0", "wg0"}[r.IntN(3)],
		Fragment: r.IntN(4) == 0, TOS: uint8(r.IntN(64)), TTL: uint8(r.IntN(16)), Length: uint32(r.IntN(8)),
		Mark: uint32(r.IntN(10)), PacketType: packet.PacketType(r.IntN(4)), Known: ^packet.Know(0),
	}
	p.Transport = packet.Transport{Src: uint16(r.IntN(6)), Dst: uint16(r.IntN(6)), Flags: uint8(r.Uint32()), Type: [...]uint8{0, 1, 8, 255}[r.IntN(4)], Code: uint8(r.IntN(2))}
	p.Connection = packet.Connection{State: packet.State(r.IntN(5)), Status: uint32(r.IntN(64)), Mark: uint32(r.IntN(10)), Reply: r.IntN(2) == 0}
	p.Connection.Original.Proto = p.Proto
	return p
}

// TestSpaceIsWhatMatches compares each match's space with its answers to single
// packets. A packet that does not fit the rule's protocol is none for it.
func TestSpaceIsWhatMatches(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	said := map[string][3]int{}
	for range 1500 {
		for _, x := range spaced(r) {
			s := x.(Spacer).Space(rule.IPv4)
			for range 8 {
				p := randomPacket(r)
				answer := x.(Matcher).Match(&p)
				if !portsFit(x, &p) || answer == packet.Unknown {
					continue
				}
				at := space.PointOf(&p)
				n := said[x.Name()]
				n[answer]++
				said[x.Name()] = n
				if has := s.Has(&at); !hasAtoms(s) && has != (answer == packet.Yes) {
					t.Fatalf("%s %+v of %+v: %v, but its space has it: %v\n%v", x.Name(), x, p, answer, has, s)
				}
			}
		}
	}
	for name, n := range said {
		if n[packet.Yes] < 100 || n[packet.No] < 100 && name != "comment" {
			t.Errorf("%s said yes %d times and no %d times", name, n[packet.Yes], n[packet.No])
		}
	}
	if len(said) < 17 {
		t.Errorf("only %d matches asked", len(said))
	}
}

// portsFit reports whether the packet has the fields that the match's rule is
// for: the kernel reads the same bytes of any header, for which there is no dimension.
func portsFit(x Ext, p *packet.Packet) bool {
	switch x.(type) {
	case *TCP, *ECNMatch:
		return p.Proto == 6
	case *UDP:
		return p.Proto == 17
	}
	return true
}

// hasAtoms reports whether a space hangs on what a point does not have.
func hasAtoms(s space.Set) bool {
	for _, b := range s.Boxes() {
		for _, l := range b.Literals() {
			if !l.IsMasked() {
				return true
			}
		}
	}
	return false
}

// TestRuleSpace looks at the conditions of a rule itself, and at atoms.
func TestRuleSpace(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 2))
	seen := map[string]int{}
	occurrence := func(text string) int { seen[text]++; return seen[text] }
	a := netip.MustParseAddr
	rules := []*rule.Rule{
		{Src: rule.Address{IP: a("10.0.0.4"), Mask: a("255.255.255.252")}, In: rule.Interface{Name: "eth+"}, Out: rule.Interface{Name: "wg0", Not: true}},
		{Dst: rule.Address{IP: a("10.0.0.1"), Mask: a("255.0.0.1"), Not: true}, Fragment: rule.OnlyFragments},
		{Proto: rule.Protocol{Number: 6, Not: true}, Fragment: rule.NotAFragment, In: rule.Interface{Name: "+", Not: false}},
		{In: rule.Interface{Name: "+", Not: true}},
		{Src: rule.Address{IP: a("0.0.0.0"), Mask: a("0.0.0.0"), Not: true}},
	}
	for range 3000 {
		p := randomPacket(r)
		at := space.PointOf(&p)
		inEth := p.In == "eth0" || p.In == "eth1"
		wants := []bool{
			p.Src.As4()[3] >= 4 && inEth && p.Out != "wg0", p.Dst.As4()[3]&1 == 0 && p.Fragment,
			p.Proto != 6 && !p.Fragment, false, false,
		}
		for i, c := range rules {
			s := RuleSpace(c, rule.IPv4, occurrence)
			if has := s.Has(&at); has != wants[i] {
				t.Fatalf("rule %d of %+v: %v\n%v", i, p, has, s)
			}
		}
	}
	limited := &rule.Rule{Matches: []rule.Match{&Owner{}, Find(Match, "limit", rule.IPv4).New(rule.IPv4)}}
	first, second := RuleSpace(limited, rule.IPv4, occurrence), RuleSpace(limited, rule.IPv4, occurrence)
	if first.Equal(second) || first.IsEmpty() || len(first.Boxes()[0].Literals()) != 2 {
		t.Errorf("two limits are\n%v%v", first, second)
	}
}
