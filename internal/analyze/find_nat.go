package analyze

import (
	"fmt"
	"net/netip"
	"slices"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// dnatRule is a rule that changes destinations, and what its packets are in
// the filter table.
type dnatRule struct {
	simulate.Place
	rollout *rollout // of PREROUTING
	visit   *visit
	to      *ext.NATRange
	toHere  bool // REDIRECT
}

// findDroppedNAT finds rules of table nat whose packets the filter then drops,
// every one of them that is the first of its connection.
func findDroppedNAT(_ *Auditor, s *Subject) (list []Finding) {
	pre := s.rollout("nat", rule.Prerouting)
	if pre == nil {
		return nil
	}
	for i := range pre.visits {
		t := dnatRule{Place: pre.visits[i].Place, rollout: pre, visit: &pre.visits[i]}
		if pre.seen[t.Place][0] != int32(i) || len(pre.seen[t.Place]) > 1 || !t.read() || !pre.reaches(t.visit) {
			continue
		}
		filter := s.filterOf(&t)
		if filter == nil {
			continue
		}
		f := Finding{Place: s.RefOf(t.Place), Because: "dropped by"}
		if f.Example = s.natExample(&t, filter); f.Example == nil {
			continue
		}
		f.Proof = []Ref{f.Example.By}
		f.Says = fmt.Sprintf("sends packets on that chain %s then drops, all of them", filter.base.Name)
		f.Fix = s.letIn(&t, filter, f.Example)
		list = append(list, f)
	}
	return list
}

// read takes the rule's target apart; false if it changes no destination that
// is known beforehand.
func (t *dnatRule) read() bool {
	switch target := t.visit.rule.Target.(type) {
	case *ext.DNAT:
		t.to = &target.NATRange
		return t.to.Addr.From.IsValid() && !t.to.Addr.From.IsLoopback()
	case *ext.Redirect:
		t.to, t.toHere = &target.NATRange, true
		return true
	}
	return false
}

// rollout gives the rollout of a table's built-in chain; nil if there is none.
func (s *Subject) rollout(table string, h rule.Hook) *rollout {
	for _, f := range s.Rollouts() {
		if f.table == table && f.base.Base.Hook == h {
			return f
		}
	}
	return nil
}

// filterOf gives the rollout of the filter's chain that drops all packets of a
// translation; nil if some are accepted. Where nobody told whose the new address
// is, the packets may go to this host or beyond: then both chains have to drop them.
func (s *Subject) filterOf(t *dnatRule) *rollout {
	in, through := s.rollout("filter", rule.Input), s.rollout("filter", rule.Forward)
	if in == nil || through == nil {
		return nil
	}
	switch local := s.owns(t.to.Addr.From); {
	case t.toHere, local == packet.Yes:
		if in.dropsAll(t) {
			return in
		}
	case local == packet.No:
		if through.dropsAll(t) {
			return through
		}
	case through.dropsAll(t) && in.dropsAll(t):
		return through
	}
	return nil
}

// owns says whether an address is the host's. Without a host to ask, one that a
// rule of FORWARD alone names by itself is another's.
func (s *Subject) owns(a netip.Addr) packet.Answer {
	if !a.IsValid() {
		return packet.Unknown
	}
	if s.host == nil {
		if s.namesBeyond(a) {
			return packet.No
		}
		return packet.Unknown
	}
	r, known := s.host.Route(&packet.Packet{Family: s.Family, Dst: a})
	if !known {
		return packet.Unknown
	}
	return packet.Of(r.Local)
}

// namesBeyond reports whether a rule to which only packets come that are passed on
// is for one address. A network would not do: the host has an address in it too.
func (s *Subject) namesBeyond(a netip.Addr) bool {
	is := func(x rule.Address) bool { return !x.Not && x.IP == a && x.PrefixLen() == a.BitLen() }
	here := s.rulesOf("INPUT")
	return slices.ContainsFunc(s.rulesOf("FORWARD"), func(r *rule.Rule) bool {
		return (is(r.Dst) || is(r.Src)) && !slices.Contains(here, r)
	})
}

// dropsAll reports whether a chain of the filter accepts no first packet of a
// connection that was translated.
func (f *rollout) dropsAll(t *dnatRule) bool {
	for i := range t.visit.boxes {
		b, ok := f.arriving(&t.visit.boxes[i], t)
		if ok && f.acceptsAny(&b) {
			return false
		}
	}
	return true
}

// arriving is the packets of a box as they come to the filter: translated, of
// a connection that is known to be. What rules in between may have changed, or
// ask again, can be anything.
func (f *rollout) arriving(b *space.Box, t *dnatRule) (space.Box, bool) {
	out, ok := b.WithoutLiterals(), true
	put := func(d space.Dim, v space.Values) {
		if ok {
			out, ok = out.Replace(d, v)
		}
	}
	for _, d := range [...]space.Dim{space.Mark, space.ConnMark, space.TOS, space.TTL, space.Out, space.Dir} {
		put(d, nil)
	}
	put(space.Status, space.Bytes(space.Status, func(x uint8) bool { return x&packet.StatusDNAT != 0 }))
	put(space.State, space.One(space.State, space.Num(packet.New)))
	put(space.Dst, nil)
	if t.to.Addr.From.IsValid() {
		put(space.Dst, space.Addrs(t.to.Addr.From, t.to.Addr.To))
	}
	if t.to.HasPorts {
		put(space.DPort, space.Span(space.DPort, space.Num(t.to.Ports.From), space.Num(t.to.Ports.To)))
		if t.to.HasBase {
			put(space.DPort, nil)
		}
	}
	if !ok {
		return out, false
	}
	return out.And(&f.hook)
}

// acceptsAny reports whether any packet of a box is accepted, or ends in a way
// that is not known to be no.
func (f *rollout) acceptsAny(b *space.Box) bool {
	for _, group := range [...]int{accepting, ending} {
		for _, t := range f.alike[group].meeting(b) {
			if verdictSide(f.visits[f.owner[t]].rule.Target) < 0 {
				continue
			}
			if both, meets := b.And(f.takes[t]); meets && f.gives(&both, t) {
				return true
			}
		}
	}
	return f.policy != rule.Drop.Name() && f.gives(b, int32(len(f.takes)))
}

// gives reports whether any packet of a box passes the takes before number below.
func (f *rollout) gives(b *space.Box, below int32) bool {
	if p := f.point(); b.Sample(&p, f.random) && f.index.First(&p, int(below)) < 0 {
		return true
	}
	_, some := f.leftOf(b, below)
	return some
}

// natExample is a packet that the rule translates and the filter drops.
func (s *Subject) natExample(t *dnatRule, filter *rollout) *Example {
	for i := range t.visit.boxes {
		left, some := t.rollout.usual(&t.visit.boxes[i], t.visit.first)
		if !some {
			continue
		}
		for try := range exampleTries {
			p := t.rollout.point()
			if try == 0 {
				p = t.rollout.plainPoint()
			}
			out := p.At[space.Out]
			p.At[space.State] = space.Num(packet.New)
			natural := p
			if !left.Sample(&p, t.rollout.random) {
				break
			}
			keepNatural(&p, &natural, &left)
			if p.At[space.Out] = (space.Number{}); filter.base.Base.Hook == rule.Forward {
				p.At[space.Out] = out
			}
			q, ok := asQuestion(&p, s.Family, filter.base.Base.Hook)
			if !ok {
				continue
			}
			e := s.Example("translated, then dropped", q, func(got simulate.Result) bool {
				return (got.Verdict == simulate.Drop || got.Verdict == simulate.Reject) && got.By.Table == "filter" && meets(got, t.Place)
			})
			if e != nil {
				return e
			}
		}
	}
	return nil
}

// letIn lets the translated packets in before the rule that drops the example,
// or behind all rules if it is the policy that does.
func (s *Subject) letIn(t *dnatRule, filter *rollout, e *Example) *Fix {
	r := &rule.Rule{Target: rule.Accept, Proto: t.visit.rule.Proto}
	if t.to.Addr.From.IsValid() {
		if t.to.Addr.From != t.to.Addr.To {
			return nil
		}
		ones := netip.PrefixFrom(t.to.Addr.From, t.to.Addr.From.BitLen())
		r.Dst = rule.Address{IP: ones.Addr(), Mask: hostMask(ones.Addr())}
	}
	if t.to.HasPorts && !r.Proto.Not {
		switch r.Proto.Number {
		case packet.ProtoTCP:
			m, _ := ext.Find(ext.Match, "tcp", s.Family).New(s.Family).(*ext.TCP)
			m.Dst.Range = t.to.Ports
			r.Matches = []rule.Match{m}
		case packet.ProtoUDP:
			m, _ := ext.Find(ext.Match, "udp", s.Family).New(s.Family).(*ext.UDP)
			m.Dst.Range = t.to.Ports
			r.Matches = []rule.Match{m}
		}
	}
	op := change.Op{Kind: change.Append, Table: "filter", Chain: filter.base.Name, Rule: r}
	switch {
	case e.By.Rule > 0 && e.By.Chain == filter.base.Name:
		op.Kind, op.Num = change.Insert, e.By.Rule
	case e.By.Rule > 0:
		op.Kind, op.Num = change.Insert, 1
	}
	return s.Fix("lets them in", []change.Op{op}, func(after *Subject) bool {
		let := ext.RuleSpace(r, s.Family, func(string) int { return 1 })
		return after.verdictOf(e.Text) == simulate.Accept && s.sameBeside(after, let)
	})
}

// hostMask is the mask of a single address.
func hostMask(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := range b {
		b[i] = 0xff
	}
	m, _ := netip.AddrFromSlice(b)
	return m
}
