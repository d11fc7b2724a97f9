package analyze

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// ruleMaker makes random rulesets whose conditions and changes meet often.
type ruleMaker struct {
	*rand.Rand
	f rule.Family
}

func (r ruleMaker) chance(n int) bool { return r.IntN(n) == 0 }

func (r ruleMaker) addr() netip.Addr {
	if r.f == rule.IPv6 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: byte(r.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(8))})
}

func (r ruleMaker) address() rule.Address {
	if !r.chance(3) {
		return rule.Address{}
	}
	a := r.addr()
	bits := a.BitLen() - r.IntN(4)
	p, _ := a.Prefix(bits)
	mask := netip.PrefixFrom(allOnes(a), bits).Masked().Addr()
	if r.chance(6) { // a mask with holes
		b := mask.AsSlice()
		b[len(b)-1] &^= 2
		mask, _ = netip.AddrFromSlice(b)
		ip := p.Addr().AsSlice()
		ip[len(ip)-1] &^= 2
		a, _ = netip.AddrFromSlice(ip)
		return rule.Address{IP: a, Mask: mask, Not: r.chance(4)}
	}
	return rule.Address{IP: p.Addr(), Mask: mask, Not: r.chance(4)}
}

func allOnes(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := range b {
		b[i] = 255
	}
	ones, _ := netip.AddrFromSlice(b)
	return ones
}

func (r ruleMaker) iface() rule.Interface {
	if !r.chance(5) {
		return rule.Interface{}
	}
	return rule.Interface{Name: [...]string{"eth0", "eth+", "wg0", "lo", "+"}[r.IntN(5)], Not: r.chance(4)}
}

func (r ruleMaker) ports() ext.PortMatch {
	from := uint16(r.IntN(6))
	return ext.PortMatch{Range: [...]ext.Range{{From: 0, To: 65535}, {From: from, To: from}, {From: from, To: from + 2}}[r.IntN(3)], Not: false}
}

// matches makes conditions, and the protocol that they ask for.
func (r ruleMaker) matches(x *rule.Rule) {
	switch r.IntN(6) {
	case 0, 1:
		x.Proto.Number = 6
		m := &ext.TCP{Src: ext.PortMatch{Range: ext.Range{To: 65535}}, Dst: r.ports()}
		if r.chance(4) {
			m.Mask, m.Comp, m.NotFlags = 0x17, 2, r.chance(2)
		}
		if m.Dst.To != 65535 {
			m.Dst.Not = r.chance(5)
		}
		x.Matches = append(x.Matches, m)
	case 2:
		x.Proto.Number = 17
		x.Matches = append(x.Matches, &ext.UDP{Src: r.ports(), Dst: r.ports()})
	case 3:
		x.Proto.Number = 6
		x.Matches = append(x.Matches, &ext.Multiport{Side: uint8(r.IntN(3)), Ports: []ext.Range{{From: 1, To: 1}, {From: 3, To: 5}}, Not: r.chance(4)})
	case 4:
		v6 := r.f == rule.IPv6
		x.Proto.Number = map[bool]uint16{false: 1, true: 58}[v6]
		x.Matches = append(x.Matches, &ext.ICMP{V6: v6, Type: [...]uint8{8, 0}[r.IntN(2)], CodeTo: 255, Not: r.chance(4)})
	}
	if r.chance(4) {
		x.Matches = append(x.Matches, conntrackMatch(r))
	}
	if r.chance(4) {
		masks := [...]uint32{1<<32 - 1, 1, 6, 0xff}
		mask := masks[r.IntN(len(masks))]
		x.Matches = append(x.Matches, &ext.MarkMatch{Value: uint32(r.IntN(8)) & mask, Mask: mask, Not: r.chance(3)})
	}
	if r.chance(8) {
		x.Matches = append(x.Matches, &ext.ConnMarkMatch{Value: uint32(r.IntN(4)), Mask: 1<<32 - 1, Not: r.chance(3)})
	}
	if r.chance(10) {
		x.Matches = append(x.Matches, &ext.TOSMatch{Value: uint8(r.IntN(4)) << 2, Mask: 0xff, Not: r.chance(3)})
	}
	if r.chance(15) {
		x.Matches = append(x.Matches, ext.Find(ext.Match, "limit", r.f).New(r.f))
	}
}

// conntrackMatch asks for states, with SNAT and DNAT among them.
func conntrackMatch(r ruleMaker) *ext.Conntrack {
	const states = 1
	m := &ext.Conntrack{Given: states, State: uint16([...]int{1 << 3, 1<<1 | 1<<2, 1, 1 << 7, 1 << 6, 1 << 8}[r.IntN(6)])}
	if r.chance(4) {
		m.Not = states
	}
	return m
}

// target makes a target for a rule of a chain that may call others.
func (r ruleMaker) target(c *rule.Chain, table string, others []string, hook rule.Hook) rule.Target {
	if len(others) > 0 && r.chance(3) {
		return rule.Jump{Chain: others[r.IntN(len(others))], Goto: r.chance(4)}
	}
	if table == "nat" {
		return r.natTarget(hook)
	}
	switch r.IntN(12) {
	case 0, 1:
		return rule.Accept
	case 2, 3:
		return rule.Drop
	case 4:
		return rule.Return
	case 5:
		return &ext.Mark{Value: uint32(r.IntN(8)), Mask: [...]uint32{1<<32 - 1, 3, 0}[r.IntN(3)]}
	case 6:
		return &ext.ConnMarkTarget{
			Mode: ext.ConnMarkMode(r.IntN(3)), Value: uint32(r.IntN(4)), CtMask: [...]uint32{1<<32 - 1, 3}[r.IntN(2)], PktMask: [...]uint32{1<<32 - 1, 7}[r.IntN(2)],
			Shift: uint8(r.IntN(10) / 9),
		}
	case 7:
		return [...]rule.Target{&ext.TOSTarget{Value: uint8(r.IntN(4)) << 2, Mask: 0xff}, &ext.DSCPTarget{Value: uint8(r.IntN(4))}}[r.IntN(2)]
	case 8:
		if table == "raw" {
			return &ext.CT{NoTrack: true}
		}
		return rule.Queue
	case 9:
		return &ext.Reject{}
	case 10:
		return ext.Find(ext.Target, "LOG", r.f).New(r.f).(rule.Target)
	}
	return nil
}

func (r ruleMaker) natTarget(hook rule.Hook) rule.Target {
	n := ext.NATRange{Addr: ext.AddrRange{From: r.addr()}}
	n.Addr.To = n.Addr.From
	if r.chance(4) {
		n.Addr.To = n.Addr.From.Next()
	}
	if r.chance(3) {
		n.HasPorts, n.Ports = true, ext.Range{From: 3, To: 3 + uint16(r.IntN(2))}
	}
	if r.chance(5) {
		return [...]rule.Target{rule.Accept, rule.Return}[r.IntN(2)]
	}
	if hook == rule.Prerouting || hook == rule.Output {
		if r.chance(5) {
			return &ext.Redirect{NATRange: ext.NATRange{HasPorts: n.HasPorts, Ports: n.Ports}}
		}
		return &ext.DNAT{NATRange: n}
	}
	if r.chance(4) {
		return &ext.Masquerade{}
	}
	return &ext.SNAT{NATRange: n}
}

// ruleset makes all five tables, each with user chains that call later ones.
func (r ruleMaker) ruleset(size int) *rule.Ruleset {
	rs := &rule.Ruleset{Family: r.f}
	for _, l := range rule.Layouts {
		if r.chance(5) {
			continue
		}
		t := &rule.Table{Name: l.Table}
		for _, b := range l.Chains {
			own := []string{b.Hook.Chain() + "-1", b.Hook.Chain() + "-2"}
			base := &rule.Base{Hook: b.Hook, Priority: b.Priority, Type: b.Type, Policy: rule.Verdict(r.IntN(6) / 5)}
			if l.Table == "nat" {
				base.Policy = rule.Accept
			}
			for i, name := range append([]string{b.Hook.Chain()}, own...) {
				c := &rule.Chain{Name: name}
				if i == 0 {
					c.Base = base
				}
				for range r.IntN(size) {
					x := &rule.Rule{Src: r.address(), Dst: r.address(), In: r.iface(), Out: r.iface()}
					r.matches(x)
					x.Target = r.target(c, l.Table, own[min(i, len(own)):], b.Hook)
					c.Rules = append(c.Rules, x)
				}
				t.Chains = append(t.Chains, c)
			}
		}
		rs.Tables = append(rs.Tables, t)
	}
	return rs
}

// likelyPoint is a packet that random rules know.
func (r ruleMaker) likelyPoint(w simulate.Way) space.Point {
	var p space.Point
	small := func(d space.Dim, n int) { p.At[d] = space.Num(r.IntN(n)) }
	p.At[space.Src], p.At[space.Dst] = space.AddrNumber(r.addr()), space.AddrNumber(r.addr())
	name := func() space.Number {
		return space.NameNumber([...]string{"eth0", "eth1", "wg0", "lo"}[r.IntN(4)])
	}
	if w != simulate.Out {
		p.At[space.In] = name()
	}
	if w != simulate.In {
		p.At[space.Out] = name()
	}
	p.At[space.Proto] = space.Num([...]uint8{6, 17, 1, 58, 47}[r.IntN(5)])
	small(space.SPort, 8)
	small(space.DPort, 8)
	p.At[space.Flags] = space.Num([...]uint8{2, 16, 18}[r.IntN(3)])
	p.At[space.ICMP] = space.Num([...]uint16{8 << 8, 0}[r.IntN(2)])
	small(space.State, 4)
	if p.At[space.State].Lo != uint64(packet.New) {
		small(space.ConnMark, 5)
		p.At[space.Status] = space.Num(r.IntN(64))
	}
	p.At[space.TOS], p.At[space.TTL] = space.Num(r.IntN(4)<<2), space.Num(2+r.IntN(60))
	return p
}

// TestClassesAreWhatSimulationSays walks random rulesets of both families with
// all packets, and packets of the classes one by one: verdict and deciding place
// are the same, and every packet is in exactly one class for each answer to
// what it does not decide.
func TestClassesAreWhatSimulationSays(t *testing.T) {
	t.Parallel()
	var n tally
	for seed := range uint64(160) {
		f := [...]rule.Family{rule.IPv4, rule.IPv6}[seed%2]
		r := ruleMaker{rand.New(rand.NewPCG(11, seed)), f}
		rs := r.ruleset(2 + int(seed%6))
		m, fw := NewModel(rs), simulate.New(rs)
		for _, w := range []simulate.Way{simulate.In, simulate.Through, simulate.Out} {
			classes := m.Classes(w, Arriving(w))
			for i := range classes {
				p := r.likelyPoint(w)
				for range 3 {
					if !classes[i].Packets.Sample(&p, r.Rand) {
						continue
					}
					n.agrees(t, fw, &classes[i], &p, f, seed)
				}
			}
			for range 60 {
				p := r.likelyPoint(w)
				n.inOneClass(t, classes, &p, f, fw, w, seed)
			}
			if t.Failed() {
				t.Logf("seed %d, way %v", seed, w)
				return
			}
		}
	}
	t.Logf("%+v", n)
	if n.points < 100_000 || n.same < 50_000 || n.phantoms*50 > n.points {
		t.Errorf("too few points or too many that were not decided: %+v", n)
	}
}

// tally counts points of classes.
type tally struct {
	points   int
	same     int // verdict and place are the same
	doubted  int // the class is one of several ways that the simulation leaves
	phantoms int // the class hangs on a doubt that the simulation has not
}

// agrees compares a class with the simulation of a packet at a point of it.
func (n *tally) agrees(t *testing.T, fw *simulate.Firewall, c *Class, at *space.Point, f rule.Family, seed uint64) {
	t.Helper()
	p := PacketAt(at, f)
	x := space.PointOf(&p)
	if bare := c.Packets.WithoutLiterals(); !bare.Has(&x) || !masksHold(&c.Packets, &x) || p.Fragment {
		return // no packet is at the point, or not all of it is told
	}
	n.points++
	k := fw.Walker()
	v, by := k.Decide(&p, c.Way)
	if v == c.Verdict && by == c.By {
		n.same++
		return
	}
	// With doubts, the class is one of the ways in which the packet may end. A
	// class may know more: that a chosen port lies in its range.
	for _, e := range fw.Walk(p, simulate.Options{Way: c.Way, Ends: true}).Ends {
		if e.Verdict == c.Verdict && e.By == c.By || e.Verdict == simulate.Unknown {
			n.doubted++
			return
		}
	}
	if v != simulate.Unknown && knowsLess(&c.Packets) {
		n.phantoms++
		return
	}
	t.Errorf("seed %d: %v\nis in class %v\n%v by %v; simulated: %v by %v\n%s", seed, describe(&p), c.Packets, c.Verdict, c.By, v, by, traceOf(fw, &p, c.Way))
}

// knowsLess reports whether a class hangs on a doubt about a value that rules
// computed, which the simulation of one packet may know.
func knowsLess(b *space.Box) bool {
	return slices.ContainsFunc(b.Literals(), func(l space.Literal) bool { return !l.IsMasked() && !l.Drawn && strings.Contains(l.Text, " 0x") })
}

// inOneClass looks a packet up in all classes.
func (n *tally) inOneClass(t *testing.T, classes []Class, at *space.Point, f rule.Family, fw *simulate.Firewall, w simulate.Way, seed uint64) {
	t.Helper()
	p := PacketAt(at, f)
	x := space.PointOf(&p)
	in := 0
	for i := range classes {
		if !classes[i].Packets.Has(&x) {
			continue
		}
		in++
		n.agrees(t, fw, &classes[i], &x, f, seed)
	}
	if in != 1 {
		t.Errorf("seed %d way %v: %v is in %d classes\n%s", seed, w, describe(&p), in, traceOf(fw, &p, w))
	}
}

func describe(p *packet.Packet) string {
	return fmt.Sprintf("in %q out %q %v:%d -> %v:%d proto %d flags %#x icmp %d/%d state %v status %#x mark %d connmark %d tos %d frag %v", p.In, p.Out, p.Src, p.Transport.Src,
		p.Dst, p.Transport.Dst, p.Proto, p.Transport.Flags, p.Transport.Type, p.Transport.Code, p.Connection.State, p.Connection.Status, p.Mark, p.Connection.Mark, p.TOS, p.Fragment)
}

func traceOf(fw *simulate.Firewall, p *packet.Packet, w simulate.Way) (s string) {
	for _, step := range fw.Walk(*p, simulate.Options{Way: w}).Trace {
		if step.Match != packet.No {
			s += fmt.Sprintf("  %v %v %s\n", step.Place, step.Match, step.Action)
		}
	}
	return s
}
