package analyze

import (
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// A packet that meets no changed rule goes the same way in both rulesets. So
// only those that may meet one have to be walked: the region. What rules change
// in a packet before it meets one is taken into account by asking for less.

// maxRegion is of how many boxes a region is made; beyond that it is everything.
const maxRegion = 64

// region is what may go another way under new rules, on any way.
type region struct {
	all     [len(wayHooks)]bool
	boxes   []space.Box // conditions of changed rules
	policy  bool        // a policy changed
	late    bool        // changed rules are in a table behind source translation
	changed bool
}

// region collects the conditions of changed rules.
func (a *alignment) region(before, after *Model) *region {
	r := &region{}
	for _, p := range a.chains {
		r.chain(p)
		for i, c := range [...]*rule.Chain{p.old, p.now} {
			if c == nil {
				continue
			}
			m := [...]*Model{before, after}[i].chain(p.table, p.name)
			for n, x := range c.Rules {
				if i == 0 && a.kept[x] || i == 1 && a.same[x] != nil {
					continue
				}
				r.add(p.table, &m.rules[n])
			}
		}
	}
	return r
}

// chain notes a built-in chain whose policy is another one. One that is not
// there accepts.
func (r *region) chain(p *chainPair) {
	var policies [2]rule.Verdict
	hook := rule.Hook(0)
	for i, c := range [...]*rule.Chain{p.old, p.now} {
		if c != nil && c.Base != nil {
			policies[i], hook = c.Base.Policy, c.Base.Hook
		}
	}
	if policies[0] == policies[1] {
		return
	}
	r.changed = true
	for w, hooks := range wayHooks {
		for _, h := range hooks {
			r.all[w] = r.all[w] || h == hook
		}
	}
	r.policy = true
}

func (r *region) add(table string, m *modelRule) {
	r.changed = true
	r.late = r.late || table == "security"
	for _, b := range m.set.Boxes() {
		b = b.WithoutLiterals()
		if table != "filter" { // PREROUTING sees no interface that the packet goes out by
			b, _ = b.Replace(space.Out, nil)
		}
		if table == "raw" { // it stands before connection tracking
			for _, d := range [...]space.Dim{space.State, space.Status, space.Dir, space.ConnMark} {
				b, _ = b.Replace(d, nil)
			}
		}
		r.boxes = append(r.boxes, b)
	}
}

// of gives the packets of the region that begin a way.
func (r *region) of(w simulate.Way, before, after *Model) space.Set {
	all := Arriving(w)
	if r.all[w] {
		return all
	}
	boxes := slices.Clone(r.boxes)
	others := uint32(0) // what is changed, but by translation to known addresses
	var changing []space.Box
	var translating []*modelRule
	for _, m := range [...]*Model{before, after} {
		m.eachTarget(func(x *modelRule) {
			dims := changedDims(x.rule.Target, r.late)
			if _, ok := x.rule.Target.(*ext.DNAT); ok && !r.policy {
				translating = append(translating, x)
				return
			}
			if others |= dims; dims != 0 {
				changing = append(changing, x.bare()...)
			}
		})
	}
	for _, x := range translating {
		boxes = append(boxes, r.translated(x, others)...)
	}
	if others != 0 {
		boxes = append(boxes, r.touched(changing, others)...)
	}
	s, ok := unionUpTo(boxes)
	if !ok {
		return all
	}
	return all.And(s)
}

// eachTarget gives the rules whose targets are extensions that do something.
func (m *Model) eachTarget(do func(*modelRule)) {
	for _, t := range m.Rules.Tables {
		for _, chain := range t.Chains {
			c := m.chain(t.Name, chain.Name)
			for n := range c.rules {
				if c.rules[n].action == targets {
					do(&c.rules[n])
				}
			}
		}
	}
}

// bare are the rule's boxes without what no dimension holds.
func (m *modelRule) bare() (list []space.Box) {
	for _, b := range m.set.Boxes() {
		list = append(list, b.WithoutLiterals())
	}
	return list
}

// translated is the packets that a DNAT rule sends to addresses and ports of a
// changed rule. others are dimensions that other rules change.
func (r *region) translated(x *modelRule, others uint32) (list []space.Box) {
	dnat, ok := x.rule.Target.(*ext.DNAT)
	if !ok {
		return nil
	}
	to := dnat.NATRange
	for _, b := range r.boxes {
		if !to.Addr.IsZero() && !space.Meets(b.Values(space.Dst), space.Addrs(to.Addr.From, to.Addr.To)) {
			continue
		}
		if to.HasPorts && to.Ports.From <= to.Ports.To && !to.HasBase && !space.Meets(b.Values(space.DPort), spanOf(space.DPort, to.Ports)) {
			continue
		}
		for _, open := range freed([]space.Box{b}, others|bitsOf(space.Dst, space.DPort, space.Status, space.Out)) {
			for _, in := range freed(x.bare(), others) {
				if both, ok := in.And(&open); ok {
					list = append(list, both)
				}
			}
		}
	}
	return list
}

// touched is the packets that rules may change so that they meet a changed rule
// by it, of which nothing is asked that may have changed.
func (r *region) touched(changing []space.Box, dims uint32) []space.Box {
	nat := changedDims(&ext.Redirect{}, true)
	what := freed(r.boxes, dims|nat)
	if r.policy { // wherever packets go then
		what = []space.Box{{}}
	}
	from, ok := unionUpTo(freed(changing, dims))
	if !ok {
		from = space.All()
	}
	to, ok := unionUpTo(what)
	if !ok {
		to = space.All()
	}
	return from.And(to).Boxes()
}

// freed takes conditions on dimensions away.
func freed(boxes []space.Box, dims uint32) []space.Box {
	var out []space.Box
	for _, b := range boxes {
		for d := range space.NumDims {
			if dims>>d&1 != 0 {
				b, _ = b.Replace(d, nil)
			}
		}
		out = append(out, b)
	}
	return out
}

// unionUpTo is the union of boxes, if that is not too many.
func unionUpTo(boxes []space.Box) (s space.Set, ok bool) {
	for i := range boxes {
		if s = s.Or(space.Of(boxes[i])); len(s.Boxes()) > maxRegion {
			return s, false
		}
	}
	return s, true
}

func bitsOf(dims ...space.Dim) (b uint32) {
	for _, d := range dims {
		b |= 1 << d
	}
	return b
}

// changedDims are the dimensions that a target may change for rules that come
// later; late says that there are such behind source translation.
func changedDims(t rule.Target, late bool) uint32 {
	nat := bitsOf(space.Src, space.Dst, space.SPort, space.DPort, space.Status, space.Out)
	switch t.(type) {
	case *ext.Mark, *ext.HMark, *ext.SetTarget:
		return bitsOf(space.Mark)
	case *ext.TProxy:
		return bitsOf(space.Mark)
	case *ext.ConnMarkTarget:
		return bitsOf(space.Mark, space.ConnMark)
	case *ext.CT:
		return bitsOf(space.State, space.Status, space.Dir, space.ConnMark)
	case *ext.TOSTarget, *ext.DSCPTarget:
		return bitsOf(space.TOS)
	case *ext.TTLTarget:
		return bitsOf(space.TTL)
	case *ext.ECNTarget:
		return bitsOf(space.TOS, space.Flags)
	case *ext.SNAT, *ext.Masquerade:
		if !late {
			return 0
		}
		return nat
	case *ext.DNAT, *ext.Redirect, *ext.NetMap, *ext.NPT:
		return nat
	case ext.Mutator:
		return bitsOf(space.Length) | nat
	}
	return 0
}

// Real is the packets that there can be: fields that a protocol or a packet
// without connection has not are zero. A later fragment belongs to no connection,
// since tracking puts fragments together first, and has something in the place of
// ports and flags, which rules look at. whole says that there are none, as where
// connections are tracked.
func Real(f rule.Family, whole bool) space.Set {
	type fields struct {
		protos space.Values
		zero   []space.Dim
	}
	icmp := space.Bytes(space.Proto, packet.IsICMP)
	ports := portsOnly()
	tcp := protoValues(packet.ProtoTCP)
	rest := space.Complement(space.Proto, space.Or(space.Or(icmp, ports), tcp))
	first, later := justOne(space.Fragment, 0), justOne(space.Fragment, 1)
	header := []space.Dim{space.SPort, space.DPort, space.Flags, space.ICMP}
	var boxes []space.Box
	for _, x := range []fields{
		{tcp, header[3:]}, {ports, header[2:]}, {icmp, header[:3]}, {rest, header}, {nil, header[3:]},
	} {
		b, _ := space.Box{}.With(space.Proto, x.protos)
		b, _ = b.With(space.Fragment, first)
		if x.protos == nil {
			if whole {
				continue
			}
			b, _ = b.Replace(space.Fragment, later)
		}
		for _, d := range x.zero {
			b, _ = b.With(d, justOne(d, 0))
		}
		boxes = append(boxes, b)
	}
	tracked := space.Bytes(space.State, func(x uint8) bool {
		return packet.State(x) != packet.Invalid && packet.State(x) != packet.Untracked
	})
	a, _ := space.Box{}.With(space.State, tracked)
	a, _ = a.With(space.Fragment, first)
	b, _ := space.Box{}.With(space.State, space.Complement(space.State, tracked))
	for _, d := range [...]space.Dim{space.Status, space.Dir, space.ConnMark} {
		b, _ = b.With(d, justOne(d, 0))
	}
	kinds, _ := space.Box{}.With(space.PktType, space.Span(space.PktType, space.Number{}, space.Num(packet.ToOther)))
	return space.Union(boxes...).And(space.Union(a, b)).And(space.Of(kinds))
}

// tracks reports whether a ruleset makes the kernel track connections, and with
// that put fragments together before any rule sees them.
func tracks(rs *rule.Ruleset) bool {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if t.Name == "nat" || slices.ContainsFunc(r.Matches, func(m rule.Match) bool { return tracksBy(m.Name()) }) {
					return true
				}
			}
		}
	}
	return false
}

// tracksBy reports whether a match has connections tracked.
func tracksBy(match string) bool {
	switch match {
	case "conntrack", "state", "connmark", "connbytes", "connlabel", "helper":
		return true
	}
	return false
}
