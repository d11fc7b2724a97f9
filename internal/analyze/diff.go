package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// Diff is what two rulesets do differently.
type Diff struct {
	Old, New *Subject
	// Changes are sorted: what matters most first. None means the same
	// behaviour, proved for all packets on all ways.
	Changes []Change
}

// Change is packets that have another fate under the new rules.
type Change struct {
	Way      simulate.Way
	Old, New Outcome
	// Packets are the packets, as they come. Their atoms are the doubts.
	Packets space.Set
	// Parts are boxes that together are the packets and may overlap, in a form
	// that is short to describe. More is how many boxes of Packets are in no Part.
	Parts []space.Box
	More  int
	// Doubtful says that the fates differ only when matches answer in a certain
	// way that no packet decides.
	Doubtful bool
	// Example is nil if there is no packet that both simulations confirm.
	Example *DiffExample
}

// Opens reports whether packets get through that did not before.
func (c *Change) Opens() bool {
	return c.New.Verdict == simulate.Accept && c.Old.Verdict != simulate.Accept
}

// Closes reports whether packets that got through do not any more.
func (c *Change) Closes() bool {
	return c.Old.Verdict == simulate.Accept && c.New.Verdict != simulate.Accept
}

// NewDiff compares two rulesets of one family.
func NewDiff(old, now *Subject) (*Diff, error) {
	if old.Family != now.Family {
		return nil, fmt.Errorf("%s has rules of %s and %s of %s: rules of one family can be compared",
			old.Source, old.Family.Name(), now.Source, now.Family.Name())
	}
	d := &Diff{Old: old, New: now}
	a := align(old.Ruleset, now.Ruleset)
	before, after := a.models(old.Ruleset, now.Ruleset)
	r := a.region(before, after)
	if !r.changed {
		return d, nil
	}
	for w := range simulate.Way(len(wayHooks)) {
		c := compareWay(before, after, w, a.affected(before, after, w, r.of(w, before, after)))
		for _, key := range c.order {
			d.Changes = append(d.Changes, d.change(c, key))
		}
	}
	slices.SortStableFunc(d.Changes, func(a, b Change) int { return a.compare(&b) })
	return d, nil
}

// changeKey is what packets of one Change have in common.
type changeKey struct {
	old, new Outcome
	doubtful bool
}

// differ collects what classes of two rulesets do differently on a way.
type differ struct {
	family rule.Family
	way    simulate.Way
	found  map[changeKey][]space.Box
	order  []changeKey
	real   space.Set // the packets that there can be
	whole  bool      // neither ruleset sees later fragments
}

// seesWhole reports whether no rule sees later fragments: where connections are
// tracked, and of IPv4 for this host at INPUT, they were put together before.
func seesWhole(m *Model, w simulate.Way) bool {
	early := func(t *rule.Table) bool {
		c := t.Chain(rule.Prerouting.Chain())
		return c != nil && (len(c.Rules) > 0 || c.Base != nil && c.Base.Policy != rule.Accept)
	}
	return tracks(m.Rules) || w == simulate.In && m.Family == rule.IPv4 && !slices.ContainsFunc(m.Rules.Tables, early)
}

// compareWay compares what becomes of packets on a way.
func compareWay(before, after *Model, w simulate.Way, from space.Set) *differ {
	c := &differ{family: before.Family, way: w, found: map[changeKey][]space.Box{}, whole: seesWhole(before, w) && seesWhole(after, w)}
	c.compare(before.Classes(w, from), after.Classes(w, from))
	return c
}

// compare looks at each pair of classes that have packets in common and may differ.
func (c *differ) compare(old, now []Class) {
	c.real = Real(c.family, c.whole).And(Arriving(c.way))
	var boxes [numFates][]*space.Box
	var classes [numFates][]*Class
	for i := range now {
		f := c.fate(&now[i])
		boxes[f], classes[f] = append(boxes[f], &now[i].Packets), append(classes[f], &now[i])
	}
	var found []int32
	for f := range boxes {
		index := space.NewIndex(boxes[f])
		for i := range old {
			if k := &old[i]; f == manyFates || c.fate(k) != f {
				found = index.Meeting(found[:0], &k.Packets)
				for _, j := range found {
					c.pair(k, classes[f][j])
				}
			}
		}
	}
}

// The fates of classes. Two of the same fate do not differ, unless that is manyFates.
const (
	isDropped = iota
	isAccepted
	isSent    // came for this host, but is sent on: it is compared on the way through
	manyFates // rejected with some answer, translated …
	numFates
)

func (c *differ) fate(k *Class) int {
	switch {
	case c.way == simulate.In && k.Taken == simulate.Through:
		return isSent
	case k.Verdict == simulate.Drop:
		return isDropped
	case k.Verdict == simulate.Accept && len(k.Rewritten) == 0:
		return isAccepted
	}
	return manyFates
}

// pair notes the packets of two classes if their outcomes differ.
func (c *differ) pair(old, now *Class) {
	both, ok := old.Packets.And(&now.Packets)
	if !ok {
		return
	}
	list := []piece{{both, alikeDims()}}
	if old.Verdict == simulate.Accept && now.Verdict == simulate.Accept {
		list = pieces(both, old, now, c.family == rule.IPv6)
	}
	for _, p := range list {
		o, n := outcomeOf(old, &p.box, c.family, p.alike), outcomeOf(now, &p.box, c.family, p.alike)
		switch {
		case o == n && p.alike == alikeDims():
			continue
		case o == n: // the same values, but not from the same ones
			n.With += ", in another way"
		}
		real := space.Of(p.box).And(c.real)
		for _, b := range real.Boxes() {
			key := changeKey{o, n, isDoubtful(&b)}
			if c.found[key] == nil {
				c.order = append(c.order, key)
			}
			c.found[key] = append(c.found[key], b)
		}
	}
}

// isDoubtful reports whether a box has conditions that no packet decides.
func isDoubtful(b *space.Box) bool {
	return slices.ContainsFunc(b.Literals(), func(l space.Literal) bool { return !l.IsMasked() })
}

// Routed reports whether all of the change hangs on where packets with another
// destination are routed, or on their new source: what only the host knows.
func (c *Change) Routed() bool {
	return !slices.ContainsFunc(c.Packets.Boxes(), func(b space.Box) bool {
		return !slices.ContainsFunc(b.Literals(), func(l space.Literal) bool { return !l.IsMasked() && !strings.HasPrefix(l.Text, "-m ") })
	})
}

// compare orders changes: what is opened, then what is closed, then the rest,
// what hangs on routes last; to this host, then through it, then from it; certain
// ones first; many packets before few.
func (c *Change) compare(d *Change) int {
	rank := func(c *Change) int {
		switch {
		case c.Routed():
			return 3
		case c.Opens():
			return 0
		case c.Closes():
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(c), rank(d)), cmp.Compare(c.Way, d.Way), compareBool(c.Doubtful, d.Doubtful),
		cmp.Compare(sizeOf(d.Packets), sizeOf(c.Packets)), cmp.Compare(c.Old.String(), d.Old.String()), cmp.Compare(c.New.String(), d.New.String()))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sizeOf is about which part of all packets is in a set.
func sizeOf(s space.Set) (size float64) {
	for _, b := range s.Boxes() {
		size += b.Share()
	}
	return size
}
