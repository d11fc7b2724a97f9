package host

import (
	"cmp"
	"net/netip"
	"slices"

	"moat/internal/packet"
	"moat/internal/rule"
)

// index finds routes by longest prefix and sets by name.
type index struct {
	rules4, rules6   []Rule
	tables4, tables6 map[uint32]*table
	sets             map[string]*Set
}

// table is one routing table of one family.
type table struct {
	bits   []int // prefix lengths that there are, longest first
	routes map[netip.Prefix][]*Route
}

// indexed builds the index with the first question.
func (f *Facts) indexed() *index {
	f.once.Do(func() {
		f.index.rules4, f.index.rules6 = f.rulesOf(rule.IPv4), f.rulesOf(rule.IPv6)
		f.index.tables4, f.index.tables6 = map[uint32]*table{}, map[uint32]*table{}
		for i := range f.Routes {
			r := &f.Routes[i]
			tables := f.index.tables6
			if r.Prefix.Addr().Is4() {
				tables = f.index.tables4
			}
			if tables[r.Table] == nil {
				tables[r.Table] = &table{routes: map[netip.Prefix][]*Route{}}
			}
			tables[r.Table].add(r)
		}
		for _, tables := range []map[uint32]*table{f.index.tables4, f.index.tables6} {
			for _, t := range tables {
				t.sort()
			}
		}
		f.index.sets = map[string]*Set{}
		for _, s := range f.Sets {
			f.index.sets[s.Name] = s
		}
	})
	return &f.index
}

func (f *Facts) rulesOf(family rule.Family) []Rule {
	var rules []Rule
	for _, r := range f.Rules {
		if r.Family == family {
			rules = append(rules, r)
		}
	}
	if rules == nil {
		return defaultRules(family)
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules
}

func (t *table) add(r *Route) {
	if t.routes[r.Prefix] == nil && !slices.Contains(t.bits, r.Prefix.Bits()) {
		t.bits = append(t.bits, r.Prefix.Bits())
	}
	t.routes[r.Prefix] = append(t.routes[r.Prefix], r)
}

// sort puts what the kernel tries first in front: long prefixes, routes for a
// type of service, small metrics.
func (t *table) sort() {
	slices.SortFunc(t.bits, func(a, b int) int { return b - a })
	for _, routes := range t.routes {
		slices.SortStableFunc(routes, func(a, b *Route) int {
			return cmp.Or(cmp.Compare(b.TOS, a.TOS), cmp.Compare(b.From.Bits(), a.From.Bits()), cmp.Compare(a.Metric, b.Metric))
		})
	}
}

// of gives rules and tables of a family.
func (x *index) of(family rule.Family) ([]Rule, map[uint32]*table) {
	if family == rule.IPv4 {
		return x.rules4, x.tables4
	}
	return x.rules6, x.tables6
}

// find is the outcome of a look-up: routes among which the host chooses by
// what no packet tells (several equal ones, IPv6); none for no route.
type find []*Route

// refusals stand for rules that refuse a packet.
var refusals = [...]Route{
	{Type: packet.AddressBlackhole}, {Type: packet.AddressUnreachable}, {Type: packet.AddressProhibit},
}

// lookup finds the route of a packet as policy routing says, and whether that
// is known.
func (f *Facts) lookup(q *question) (find, bool) {
	rules, tables := f.indexed().of(familyOf(q.dst))
	return follow(rules, tables, q)
}

// follow tries rules in order. A rule that may be for the packet or not is
// tried both ways, and the answer is known if both agree.
func follow(rules []Rule, tables map[uint32]*table, q *question) (find, bool) {
	for i := range rules {
		r := &rules[i]
		a := r.match(q)
		if a == packet.No || r.Action == Nop {
			continue
		}
		got, decided, known := r.act(rules[i+1:], tables, q)
		switch {
		case !known:
			return nil, false
		case a == packet.Yes && decided:
			return got, true
		case a == packet.Unknown:
			other, known := follow(rules[i+1:], tables, q)
			if !decided {
				got = other
			}
			return got, known && slices.Equal(got, other)
		}
	}
	return nil, true
}

// act does what a rule says; decided is false when the next rule has its turn.
func (r *Rule) act(rest []Rule, tables map[uint32]*table, q *question) (got find, decided, known bool) {
	switch r.Action {
	case ActBlackhole, ActUnreachable, ActProhibit:
		return find{&refusals[r.Action-ActBlackhole]}, true, true
	case GotoRule:
		at := slices.IndexFunc(rest, func(to Rule) bool { return to.Priority >= r.Goto })
		if at < 0 || rest[at].Priority != r.Goto { // the target is not there: as if the rule were not
			return nil, false, true
		}
		got, known = follow(rest[at:], tables, q)
		return got, true, known
	}
	t := tables[r.Table]
	if t == nil {
		return nil, false, true
	}
	got, known = t.lookup(q)
	if !known || len(got) == 0 || got[0].Type == packet.AddressThrow || got[0].Prefix.Bits() < r.Suppress {
		return nil, false, known
	}
	return got, true, true
}

// lookup finds the best route of one table.
func (t *table) lookup(q *question) (find, bool) {
	for _, bits := range t.bits {
		p, err := q.dst.Prefix(bits)
		if err != nil { // longer than an address: it is of no route
			continue
		}
		got, known := choose(t.routes[p], q)
		if len(got) > 0 || !known {
			return got, known
		}
	}
	return nil, true
}

// choose takes the first usable of the routes to one prefix, and those that
// are as good. IPv4 has only one of a metric, or replaces the older.
func choose(routes []*Route, q *question) (got find, known bool) {
	for _, r := range routes {
		if r.TOS != 0 && !q.tosTold {
			return nil, false
		}
		if r.TOS != 0 && r.TOS != q.tos&0x1c || !r.usable(q.out) {
			continue
		}
		if r.From.IsValid() && r.From.Bits() > 0 {
			switch within(r.From, q.src) {
			case packet.Unknown:
				return nil, false
			case packet.No:
				continue
			}
		}
		if len(got) > 0 && (got[0].Metric != r.Metric || q.dst.Is4() || got[0].From != r.From) {
			break
		}
		got = append(got, r)
	}
	return got, true
}

// usable reports whether a route has a way that is alive, out of an interface
// if one is asked for.
func (r *Route) usable(out string) bool {
	if len(r.Hops) == 0 {
		return true
	}
	for _, h := range r.Hops {
		if !h.Dead && (out == "" || h.Interface == out) {
			return true
		}
	}
	return false
}

// uses reports whether one of the routes has a way out of an interface.
func (g find) uses(dev string) bool {
	for _, r := range g {
		for _, h := range r.Hops {
			if h.Interface == dev {
				return true
			}
		}
	}
	return false
}

// kind is the type of the routes, AddressUnspec without any.
func (g find) kind() packet.AddressType {
	if len(g) == 0 {
		return packet.AddressUnspec
	}
	return g[0].kind()
}

// out is the interface of the routes, if all their ways share one.
func (g find) out() (dev string, one bool) {
	for _, r := range g {
		for _, h := range r.Hops {
			if h.Dead {
				continue
			}
			if dev != "" && dev != h.Interface {
				return "", false
			}
			dev = h.Interface
		}
	}
	return dev, true
}
