package simulate

import (
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// index finds the rules of a chain that a packet can match. It is a tree: at
// each node the rules that have a condition on one dimension (an address, a
// port …) are laid out along it, cut at every bound of a condition; each cell
// has the few rules that hold there, and an index of its own if they are many.
// Rules without a usable condition are in every answer. What the index gives is
// compared with the packet in full, so it decides nothing itself.
type index struct {
	nodes  []node
	always []int32 // rules by number from 0, in order
}

// node is the rules that have a condition on one dimension.
type node struct {
	dim    dimension
	bounds []space.Number // cell i is from bounds[i] up to bounds[i+1]; bounds[0] is 0
	cells  []cell
	rules  []int32 // all of them, for a packet that does not tell the dimension
}

type cell struct {
	rules []int32
	sub   *index // instead of rules
}

// dimension is what of a packet a node looks at.
type dimension uint8

const (
	dimSrc dimension = iota
	dimDst
	dimDstPort
	dimSrcPort
	dimIn
	dimOut
	dimProto
	dimensions
)

// span is a run of values, both ends included.
type span struct{ from, to space.Number }

// Sizes at which an index is worth its memory and time.
const (
	fewRules  = 8  // are looked at one by one
	maxSpread = 24 // cells that a rule may be in, on the average
)

// newIndex gives the index of a chain's rules; nil if they are few.
func newIndex(lines []line) *index {
	if len(lines) <= fewRules {
		return nil
	}
	all := make([]int32, len(lines))
	for i := range all {
		all[i] = int32(i)
	}
	return buildIndex(lines, all, 0)
}

// buildIndex takes dimension after dimension, the most telling first, and lays
// out the rules that have a condition on it. used are those that are decided.
func buildIndex(lines []line, rules []int32, used uint8) *index {
	x := &index{}
	for len(rules) > fewRules {
		best, gain := dimensions, 0
		for d := range dimensions {
			if used>>d&1 == 0 {
				if g := gainOf(lines, rules, d); g > gain {
					best, gain = d, g
				}
			}
		}
		if best == dimensions {
			break
		}
		used |= 1 << best
		var rest []int32
		x.nodes = append(x.nodes, buildNode(lines, rules, best, used, &rest))
		rules = rest
	}
	x.always = rules
	return x
}

// gainOf is how many rules fewer a packet has to be compared with, on the
// average over the cells, if the rules are laid out along a dimension.
func gainOf(lines []line, rules []int32, d dimension) int {
	events, count := eventsOf(lines, rules, d)
	if count == 0 {
		return 0
	}
	active, cells, entries := 0, 1, 0
	for i, e := range events {
		active += e.change()
		if i+1 == len(events) || events[i+1].at != e.at {
			cells++
			entries += active
		}
	}
	if entries > maxSpread*count+64 {
		return 0
	}
	return count - entries/cells
}

// event is a bound at which a rule begins or ends to hold.
type event struct {
	at    space.Number
	rule  int32
	begin bool
}

func (e event) change() int {
	if e.begin {
		return 1
	}
	return -1
}

// eventsOf gives the sorted bounds of the rules that have a condition on d.
func eventsOf(lines []line, rules []int32, d dimension) (events []event, count int) {
	var spans []span
	for _, r := range rules {
		spans = lines[r].spans(d, spans[:0])
		if len(spans) == 0 {
			continue
		}
		count++
		for _, s := range spans {
			events = append(events, event{s.from, r, true})
			if end := s.to.Add(space.Num(1)); end != (space.Number{}) {
				events = append(events, event{end, r, false})
			}
		}
	}
	slices.SortFunc(events, func(a, b event) int {
		switch {
		case a.at.Less(b.at):
			return -1
		case b.at.Less(a.at):
			return 1
		}
		return 0
	})
	return events, count
}

// buildNode lays out the rules with a condition on d; the others are the rest.
func buildNode(lines []line, rules []int32, d dimension, used uint8, rest *[]int32) node {
	n := node{dim: d, bounds: []space.Number{{}}, cells: []cell{{}}}
	var spans []span
	for _, r := range rules {
		if spans = lines[r].spans(d, spans[:0]); len(spans) == 0 {
			*rest = append(*rest, r)
		} else {
			n.rules = append(n.rules, r)
		}
	}
	events, _ := eventsOf(lines, rules, d)
	active := map[int32]int{} // a rule may have several spans that touch
	for i, e := range events {
		if active[e.rule] += e.change(); active[e.rule] == 0 {
			delete(active, e.rule)
		}
		if i+1 < len(events) && events[i+1].at == e.at {
			continue
		}
		c := cell{rules: sortedKeys(active)}
		if len(c.rules) > 2*fewRules {
			c.split(lines, used)
		}
		if e.at == (space.Number{}) {
			n.cells[0] = c
			continue
		}
		n.bounds, n.cells = append(n.bounds, e.at), append(n.cells, c)
	}
	return n
}

func sortedKeys(active map[int32]int) []int32 {
	if len(active) == 0 {
		return nil
	}
	list := make([]int32, 0, len(active))
	for r := range active {
		list = append(list, r)
	}
	slices.Sort(list)
	return list
}

// split gives a cell with many rules an index of its own, if that helps.
func (c *cell) split(lines []line, used uint8) {
	if sub := buildIndex(lines, c.rules, used); len(sub.nodes) > 0 {
		c.sub = sub
	}
}

// spans appends the runs of values of d in which the rule can match; none if it
// has no condition there, or one that is no few runs.
func (l *line) spans(d dimension, list []span) []span {
	switch d {
	case dimSrc:
		return l.src.span(l.rule.Src, list)
	case dimDst:
		return l.dst.span(l.rule.Dst, list)
	case dimIn:
		return nameSpan(l.rule.In, list)
	case dimOut:
		return nameSpan(l.rule.Out, list)
	case dimProto:
		if p := l.rule.Proto; !p.IsAny() && !p.Not {
			return append(list, span{space.Num(p.Number), space.Num(p.Number)})
		}
		return list
	}
	return l.portSpans(d == dimSrcPort, list)
}

func (m *masked) span(a rule.Address, list []span) []span {
	if m.any || m.not || a.PrefixLen() < 0 {
		return list
	}
	host := m.mask.Not()
	if a.IP.Is4() {
		host = host.And(space.Number{Lo: 1<<32 - 1})
	}
	return append(list, span{m.ip, m.ip.Or(host)})
}

func nameSpan(i rule.Interface, list []span) []span {
	if i.IsAny() || i.Not || i.Name == "+" {
		return list
	}
	for from, to := range space.Runs(space.Names(i.Name)) {
		list = append(list, span{from, to})
	}
	return list
}

// portSpans are the ports of the first match that names some; it is enough to
// find the rule by. A rule for all protocols but one looks at what others have
// in the ports' place.
func (l *line) portSpans(src bool, list []span) []span {
	if l.rule.Proto.Not {
		return list
	}
	for _, m := range l.rule.Matches {
		x, ok := m.(ext.PortLister)
		if !ok {
			continue
		}
		ranges, dst := x.PortRanges()
		if !src {
			ranges = dst
		}
		for _, r := range ranges {
			list = append(list, span{space.Num(r.From), space.Num(r.To)})
		}
		if len(list) > 0 {
			break
		}
	}
	return list
}

// value is the packet's value in a dimension. A packet without ports meets no
// condition on them: none is true then. What a later fragment has in their place
// is not told here.
func (s *state) value(d dimension) (v space.Number, told, none bool) {
	p := &s.p
	switch d {
	case dimSrc:
		return s.src, p.Src.IsValid(), false
	case dimDst:
		return s.dst, p.Dst.IsValid(), false
	case dimIn:
		return space.NameNumber(p.In), !p.HiddenIn, false
	case dimOut:
		return space.NameNumber(p.Out), !p.HiddenOut, false
	case dimProto:
		return space.Num(p.Proto), true, false
	case dimSrcPort:
		return space.Num(p.Transport.Src), p.Has(packet.KnowSrcPort) && !p.Fragment, !packet.HasPorts(p.Proto)
	}
	return space.Num(p.Transport.Dst), p.Has(packet.KnowDstPort) && !p.Fragment, !packet.HasPorts(p.Proto)
}

// look begins to find the packet's rules in the chain that it has come to.
func (x *index) look(s *state) {
	s.cursors.n, s.cursors.all = 0, false
	x.add(s)
}

func (x *index) add(s *state) {
	s.cursors.add(x.always)
	for i := range x.nodes {
		n := &x.nodes[i]
		v, told, none := s.value(n.dim)
		switch {
		case none:
		case !told:
			s.cursors.add(n.rules)
		default:
			c := &n.cells[n.find(v)]
			if c.sub != nil {
				c.sub.add(s)
			} else {
				s.cursors.add(c.rules)
			}
		}
	}
}

// find gives the cell that a value lies in.
func (n *node) find(v space.Number) int {
	lo, hi := 0, len(n.bounds)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if v.Less(n.bounds[mid]) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo
}

// cursors are the sorted lists of rules that a packet can match, each from
// where it has been read to.
type cursors struct {
	lists [16][]int32
	n     int
	all   bool // there were more lists: every rule is a candidate
}

func (c *cursors) add(list []int32) {
	switch {
	case len(list) == 0:
	case c.n == len(c.lists):
		c.all = true
	default:
		c.lists[c.n] = list
		c.n++
	}
}

// next gives the first rule from number from on; end if there is none.
func (c *cursors) next(from, end int) int {
	if c.all {
		return from
	}
	best := int32(end)
	for i := range c.n {
		list := c.lists[i]
		for len(list) > 0 && int(list[0]) < from {
			list = list[1:]
		}
		c.lists[i] = list
		if len(list) > 0 && list[0] < best {
			best = list[0]
		}
	}
	return int(best)
}
