package analyze

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moat/internal/change"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// shadowingRules is a small ruleset over few addresses and ports, so that its rules
// shadow each other often.
func shadowingRules(r *rand.Rand) string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	condition := func() string {
		switch r.IntN(11) {
		case 0:
			return fmt.Sprintf("-s 10.0.0.%d/%d", r.IntN(8), 29+r.IntN(4))
		case 1:
			return fmt.Sprintf("! -s 10.0.0.%d/%d", r.IntN(8), 29+r.IntN(4))
		case 2, 3:
			return fmt.Sprintf("-p tcp -m tcp --dport %d:%d", 1+r.IntN(4), 4+r.IntN(3))
		case 4:
			return fmt.Sprintf("-p udp -m multiport --dports %d,%d", 1+r.IntN(4), 5+r.IntN(2))
		case 5:
			return "-i " + pick("eth0", "eth1", "eth+")
		case 6:
			return "-m conntrack --ctstate " + pick("NEW", "ESTABLISHED,RELATED", "INVALID", "NEW,ESTABLISHED")
		case 7:
			return fmt.Sprintf("-m mark --mark 0x%d", r.IntN(3))
		case 8:
			return "-m limit --limit 5/min"
		case 9:
			return "-p " + pick("tcp", "udp", "icmp")
		}
		return ""
	}
	target := func() string {
		return pick("-j ACCEPT", "-j DROP", "-j ACCEPT", "-j DROP", "-j REJECT", "-j RETURN", "-j C1", "-j C2", "-g C3", "-j LOG", "-j MARK --set-xmark 0x1/0xffffffff", "")
	}
	var s strings.Builder
	s.WriteString("*filter\n:INPUT " + pick("ACCEPT", "DROP") + "\n:FORWARD ACCEPT\n:C1 -\n:C2 -\n:C3 -\n")
	for i, chain := range []string{"INPUT", "FORWARD", "C1", "C2", "C3"} {
		for range 2 + r.IntN(7) {
			to := target()
			if n := strings.TrimLeft(to, "-jg C"); len(n) == 1 && int(n[0]-'0') <= i-1 { // no circles
				to = "-j DROP"
			}
			first, second := condition(), ""
			if r.IntN(3) == 0 {
				if second = condition(); strings.Contains(first, "-p ") && strings.Contains(second, "-p ") || strings.Fields(first + " .")[0] == strings.Fields(second + " .")[0] {
					second = ""
				}
				if strings.Contains(first, "-s ") && strings.Contains(second, "-s ") {
					second = ""
				}
			}
			s.WriteString(strings.Join(strings.Fields("-A "+chain+" "+first+" "+second+" "+to), " ") + "\n")
		}
	}
	return s.String() + "COMMIT\n"
}

// shadowedPacket is a packet over the addresses and ports of shadowingRules.
func shadowedPacket(r *rand.Rand) (packet.Packet, simulate.Way) {
	way := simulate.Way(r.IntN(2))
	p := packet.Packet{
		Family: rule.IPv4, Src: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(9))}), Dst: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
		In: [...]string{"eth0", "eth1", "lo"}[r.IntN(3)], Proto: [...]uint8{6, 17, 1}[r.IntN(3)], Mark: uint32(r.IntN(3)),
		Known: packet.KnowFragment | packet.KnowState | packet.KnowMark | packet.KnowPorts | packet.KnowFlags,
	}
	if way == simulate.Through {
		p.Out = "eth2"
	}
	p.Connection.State = [...]packet.State{packet.New, packet.Established, packet.Related, packet.Invalid}[r.IntN(4)]
	p.Transport = packet.Transport{Src: 1, Dst: uint16(r.IntN(8)), Flags: 2}
	if p.Proto == 1 {
		p.Transport = packet.Transport{Type: 8}
		p.Known = p.Known&^(packet.KnowPorts|packet.KnowFlags) | packet.KnowICMP
	}
	return p, way
}

// fateOf is what a packet meets: its verdict, its mark in the end, and the
// rules with an effect that it matched. Limits answer as they are told.
func fateOf(f *simulate.Firewall, p packet.Packet, w simulate.Way, limit packet.Answer) string {
	got := f.Walk(p, simulate.Options{Way: w, Fixed: map[string]packet.Answer{"limit": limit}})
	s := fmt.Sprint(got.Verdict, got.Packet.Mark)
	for _, step := range got.Trace {
		if step.Action != "" && step.What != nil {
			if t := step.What.Target; t == nil || t.Name() == "LOG" || t.Name() == "MARK" {
				s += fmt.Sprintf(" %p", step.What)
			}
		}
	}
	return s
}

// TestFindingsHoldOnRandomRulesets removes what findings call dead or useless,
// one by one and all at once: no packet may meet another fate. Examples are
// asked again.
func TestFindingsHoldOnRandomRulesets(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	points, found := 0, map[string]int{}
	for points < 120000 {
		rules := shadowingRules(r)
		s := subject(t, rule.IPv4, rules)
		list := audit(t, AuditInput{Subjects: []*Subject{s}}, "shadowed", "impossible", "useless", "contradiction", "late-block")
		var all []change.Op
		for i := range list {
			f := &list[i]
			found[f.Name]++
			if f.Example != nil && s.verdictOf(f.Example.Text) != f.Example.Verdict {
				t.Fatalf("%s\n%s: %s is not %v", rules, f.Place, f.Example.Text, f.Example.Verdict)
			}
			if f.Name == "late-block" && f.Severity == Warning { // it blocks something
				continue
			}
			op := change.Op{Kind: change.DeleteNum, Table: f.Place.Table, Chain: f.Place.Chain, Num: f.Place.Rule}
			all = append(all, op)
			points += sameFate(t, r, s, []change.Op{op}, rules, 30)
		}
		slices.SortFunc(all, func(a, b change.Op) int { return b.Num - a.Num })
		points += sameFate(t, r, s, all, rules, 200)
	}
	t.Log(points, "packets,", found)
	for _, name := range []string{"shadowed", "impossible", "useless", "contradiction"} {
		if found[name] < 10 {
			t.Errorf("only %d of %s", found[name], name)
		}
	}
}

// sameFate compares packets before and after operations.
func sameFate(t *testing.T, r *rand.Rand, s *Subject, ops []change.Op, rules string, n int) int {
	t.Helper()
	after := s.after(ops)
	if after == nil {
		t.Fatalf("%s\n%+v is refused", rules, ops)
	}
	for range n {
		p, w := shadowedPacket(r)
		limit := packet.Of(r.IntN(2) == 0)
		if was, is := fateOf(s.Firewall(), p, w, limit), fateOf(after.Firewall(), p, w, limit); was != is {
			t.Fatalf("%s\nwithout %+v: %+v way %v was %s, is %s", rules, ops, p, w, was, is)
		}
	}
	return n
}
