package analyze

import (
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// Class is packets that all go the same way.
type Class struct {
	Way   simulate.Way // that was asked for
	Taken simulate.Way // the one that routing gave them after their destination was changed
	// Packets are the class as the packets came in. Its atoms are the doubts: what
	// no packet alone decides, and what the kernel chooses.
	Packets space.Box
	Verdict simulate.Verdict
	By      simulate.Place // rule or policy that decided, as simulate.Result has it; zero for packets without hops left
	What    *rule.Rule     // nil for a policy
	// Rewritten are the rules that changed the packets, in order.
	Rewritten []Rewrite
	now       *current
}

// Rewrite is a rule that changed packets.
type Rewrite struct {
	simulate.Place
	What *rule.Rule
}

// Now is what packets of the class are as they leave in a dimension that rules
// changed: the values that they may have. changed is false where they are as they
// came; known is false where the value depends on how they came.
func (c *Class) Now(d space.Dim) (v space.Values, changed, known bool) {
	n := c.now.dims[d]
	if n == nil || c.now.changed>>d&1 == 0 {
		return nil, false, false
	}
	return n.known, true, n.kind == ofKnown
}

// Classes parts the packets of from by what becomes of them on a way. The
// classes have no packet in common and together are from.
func (m *Model) Classes(w simulate.Way, from space.Set) []Class {
	var list []Class
	m.Each(w, from, func(c Class) bool { list = append(list, c); return true })
	return list
}

// Each gives the classes one by one, until yield returns false; it returns
// whether it came to the end.
func (m *Model) Each(w simulate.Way, from space.Set, yield func(Class) bool) bool {
	wk := walker{m: m, way: w, yield: yield}
	return wk.walk(from)
}

// walk walks the packets of from; it returns whether it came to the end.
func (w *walker) walk(from space.Set) bool {
	boxes := from.Boxes()
	for i := range boxes {
		f := flow{box: boxes[i], gone: &space.Pile{}, now: &current{}, way: w.way}
		f.by = simulate.Place{Table: "filter", Chain: w.way.Hook().Chain()}
		if w.enterHook(f); w.stopped {
			return false
		}
	}
	return true
}

// walker is one walk with sets of packets. It goes depth first, so that what
// has been taken from a flow is known when the flow goes on.
type walker struct {
	m       *Model
	way     simulate.Way // that was asked for
	yield   func(Class) bool
	stopped bool
	marked  *marks // nil unless only packets are asked for that come to a mark
}

// flow is packets on their way: those of box that are not gone.
type flow struct {
	box  space.Box   // as they came
	gone *space.Pile // as they came; what is on it has ended or gone another way
	now  *current

	way    simulate.Way
	phase  int // of the way's hooks
	at     int // station of the hook that comes next
	base   *modelChain
	stack  []frame
	depth  int
	here   bool // sent to this host by REDIRECT
	untold bool // rules do not see the connection yet
	routed bool // routing chose an interface that is not told

	by      simulate.Place
	what    *rule.Rule
	weight  int
	changes []Rewrite
}

// frame is where packets go on when a chain ends.
type frame struct {
	chain *modelChain
	next  int
}

// maxDepth is how many jumps and gotos within each other are followed; it is
// simulate's limit, beyond which a ruleset jumps in circles.
const maxDepth = 64

var wayHooks = [...][]rule.Hook{
	simulate.In:      {rule.Prerouting, rule.Input},
	simulate.Through: {rule.Prerouting, rule.Forward, rule.Postrouting},
	simulate.Out:     {rule.Output, rule.Postrouting},
}

func (f *flow) hook() rule.Hook { return wayHooks[f.way][f.phase] }

// enterHook shows the packets the interfaces that their hook has, and goes on.
func (w *walker) enterHook(f flow) {
	h := f.hook()
	f.at = 0
	none := func(d space.Dim) {
		f.now = f.now.with(d, &value{known: space.One(d, space.Number{})})
	}
	shown := func(d space.Dim) {
		if v := f.now.dims[d]; v != nil && v.kind == ofKnown && space.Has(v.known, space.Number{}) {
			f.now = f.now.without(d)
		}
	}
	shown(space.In)
	shown(space.Out)
	if h == rule.Output || f.way == simulate.Out {
		none(space.In)
	}
	if h == rule.Prerouting || h == rule.Input {
		none(space.Out)
	} else if f.routed {
		f.now = f.now.with(space.Out, &value{known: space.Complement(space.Out, space.Names(""))})
	}
	w.onward(f)
}

// onward takes a flow to the next station of its way, or to its end.
func (w *walker) onward(f flow) {
	stations := w.m.hooks[f.hook()]
	if w.marked != nil && !w.marked.later(w.m, &f) {
		return
	}
	if f.at == len(stations) {
		w.endOfHook(f)
		return
	}
	s := stations[f.at]
	f.at++
	f.base, f.stack, f.depth = s.chain, nil, 0
	switch {
	case s.chain == nil:
		w.track(f)
	case s.nat:
		w.nat(f)
	case s.priority < priorityTrack && s.chain.matters() && !f.untold:
		w.untracked(f)
	default:
		w.resume(f, s.chain, 0)
	}
}

// untracked takes packets through a chain before connection tracking, where they
// have no connection: state INVALID. What comes by lo has had it since it was sent.
func (w *walker) untracked(f flow) {
	lo := boxOf(space.In, space.Names("lo"))
	if f.way == simulate.Out {
		lo = space.Set{}
	}
	w.parted(f, lo, func(f flow) { w.resume(f, f.base, 0) }, func(f flow) {
		f.untold = true
		f.now = f.now.with(space.State, constant(space.State, space.Num(packet.Invalid), w.m.Family))
		w.resume(f, f.base, 0)
	})
}

// track gives packets their connection, unless rules have said that they are
// not to be tracked.
func (w *walker) track(f flow) {
	if f.untold {
		f.untold = false
		untracked := space.One(space.State, space.Num(packet.Untracked))
		if v := f.now.dims[space.State]; !space.Covers(untracked, v.known) {
			f.now = f.now.without(space.State)
		}
	}
	w.onward(f)
}

// nat sends the packets that begin a connection through the chain, and others
// past it. Where the chain can do nothing but be named as what accepted, and
// another will be named instead, they need not be told apart.
func (w *walker) nat(f flow) {
	if !f.base.matters() && (f.weight > 1 || w.m.filters(f.way)) {
		w.onward(f)
		return
	}
	w.parted(f, w.natSet(&f), func(f flow) { w.resume(f, f.base, 0) }, w.onward)
}

// filters reports whether table filter has a chain on a way.
func (m *Model) filters(w simulate.Way) bool {
	for _, s := range m.hooks[w.Hook()] {
		if s.chain != nil && s.chain.table == "filter" {
			return true
		}
	}
	return false
}

// natSet is the packets, as they came, that nat chains see: the first of each
// connection. What came in by lo was translated when it left.
func (w *walker) natSet(f *flow) space.Set {
	notICMP := boxOf(space.Proto, space.Bytes(space.Proto, func(x uint8) bool { return !packet.IsICMP(x) }))
	related := f.now.isState(func(s packet.State) bool { return s == packet.Related }).And(notICMP)
	confirmed := nowIn(f.now, space.Status, space.Bytes(space.Status, func(x uint8) bool { return x&packet.StatusConfirmed != 0 }))
	set := f.now.isState(func(s packet.State) bool { return s == packet.New }).Minus(confirmed).Or(related)
	if f.way != simulate.Out {
		set = set.Minus(boxOf(space.In, space.Names("lo")))
	}
	return set
}

// parted goes on with the flow's packets that are in a set, and with the others.
func (w *walker) parted(f flow, in space.Set, with, without func(flow)) {
	all := space.Of(f.box)
	some := all.And(in)
	for _, b := range some.Boxes() {
		if w.stopped {
			return
		}
		part := f
		part.box = b
		with(part)
	}
	for _, b := range all.Minus(in).Boxes() {
		if w.stopped {
			return
		}
		part := f
		part.box = b
		without(part)
	}
}

// matters reports whether the chain has rules that can do anything.
func (c *modelChain) matters() bool {
	if c == nil {
		return false
	}
	for i := range c.rules {
		if c.rules[i].action != counts {
			return true
		}
	}
	return c.base == nil || c.base.Policy == rule.Drop
}

// accepted notes what accepts the packets when rule number (from 1; 0: the
// policy) of a chain does: see simulate, where table filter's word counts most.
func (f *flow) accepted(number int, in *modelChain) {
	weight := 1
	switch {
	case f.base.table == "filter" && f.base.base.Hook == f.way.Hook():
		weight = 3
	case number > 0:
		weight = 2
	}
	if weight < f.weight {
		return
	}
	f.weight, f.what = weight, nil
	f.by = simulate.Place{Table: f.base.table, Chain: f.base.name}
	if number > 0 {
		f.by = simulate.Place{Table: in.table, Chain: in.name, Rule: number}
		f.what = in.rules[number-1].rule
	}
}

// resume takes a flow through a chain from a rule on, and from there back
// through the chains that called it, to the policy of the built-in one.
func (w *walker) resume(f flow, c *modelChain, from int) {
	for {
		r := running{walker: w, f: &f, c: c, inside: f.gone.On()}
		r.run(from)
		if w.stopped {
			return
		}
		f.gone = r.after()
		if len(f.stack) == 0 {
			break
		}
		top := f.stack[len(f.stack)-1]
		f.stack = f.stack[:len(f.stack)-1]
		f.depth = len(f.stack)
		c, from = top.chain, top.next
	}
	if w.marked != nil && !w.marked.policies[f.base] && !w.marked.later(w.m, &f) || !anyLeft(&f.box, f.gone) {
		return
	}
	if w.marked != nil && w.marked.policies[f.base] {
		w.give(f, simulate.Unknown, simulate.Place{}, nil)
		return
	}
	if f.base.base.Policy == rule.Drop {
		w.emit(f, simulate.Drop, simulate.Place{Table: f.base.table, Chain: f.base.name}, nil)
		return
	}
	f.accepted(0, nil)
	w.onward(f)
}

// anyLeft reports whether any packet of b is not gone.
func anyLeft(b *space.Box, gone *space.Pile) bool {
	return !gone.Left(b, func(space.Box) bool { return false })
}

// emit gives the flow's packets as classes, unless only those that come to a mark
// are asked for.
func (w *walker) emit(f flow, v simulate.Verdict, by simulate.Place, what *rule.Rule) {
	if w.marked == nil {
		w.give(f, v, by, what)
	}
}

func (w *walker) give(f flow, v simulate.Verdict, by simulate.Place, what *rule.Rule) {
	f.gone.Left(&f.box, func(b space.Box) bool {
		w.stopped = !w.yield(Class{w.way, f.way, b, v, by, what, f.changes, f.now})
		return !w.stopped
	})
}

// endOfHook takes packets from one hook to the next, where routing may send
// them elsewhere than they were told to go.
func (w *walker) endOfHook(f flow) {
	if f.phase == len(wayHooks[f.way])-1 {
		w.emit(f, simulate.Accept, f.by, f.what)
		return
	}
	next := func(f flow) { w.hop(f, func(f flow) { f.phase++; w.enterHook(f) }) }
	if h := f.hook(); h != rule.Prerouting && h != rule.Output {
		next(f)
		return
	}
	w.parted(f, w.readdressed(&f), func(f flow) { w.route(f, next) }, next)
}

// hop takes one hop from packets that are passed on. Those that have none left,
// or were sent to all or others on the link, are dropped, which no rule and no
// policy decides.
func (w *walker) hop(f flow, next func(flow)) {
	if f.phase > 0 || f.way != simulate.Through {
		next(f)
		return
	}
	last := nowIn(f.now, space.TTL, space.Span(space.TTL, space.Number{}, space.Num(1)))
	last = last.Or(boxOf(space.PktType, space.One(space.PktType, space.Num(packet.ToHost))).Not())
	w.parted(f, last, func(f flow) { w.emit(f, simulate.Drop, simulate.Place{}, nil) }, func(f flow) {
		f.now = f.now.bytesNow(space.TTL, func(x uint8) uint8 { return x - 1 })
		next(f)
	})
}

// readdressed is the packets whose destination is not the one that they came with.
func (w *walker) readdressed(f *flow) space.Set {
	v := f.now.dims[space.Dst]
	switch {
	case v == nil || f.now.changed>>space.Dst&1 == 0:
		return space.Set{}
	case v.kind == masked:
		same, _ := space.Masked(space.Dst, v.flip, v.clear, v.wide)
		return boxOf(space.Dst, same).Not()
	}
	if _, single := space.Single(v.known); single {
		return boxOf(space.Dst, v.known).Not()
	}
	return space.All()
}

// leadsOut is the condition that packets for this host whose destination was
// changed leave it again.
const leadsOut = "the route of the new destination leads out"

// route asks where packets go whose destination was changed, as simulate does
// when there is no host to ask.
func (w *walker) route(f flow, next func(flow)) {
	loops := f.loopback()
	switch {
	case f.here && f.way != simulate.Out:
		f.way = simulate.In
		next(f)
	case f.way == simulate.Out && (f.here || loops):
		f.now = f.now.with(space.Out, constant(space.Out, space.NameNumber("lo"), w.m.Family))
		next(f)
	case f.way == simulate.Out:
		f.routed = true
		next(f)
	case f.way == simulate.In && !loops:
		forwarded := doubt(leadsOut, false)
		w.parted(f, forwarded, func(f flow) {
			f.way, f.routed = simulate.Through, true
			next(f)
		}, next)
	default:
		next(f)
	}
}

// loopback reports whether the packets' new destination is a loopback address.
func (f *flow) loopback() bool {
	v := f.now.dims[space.Dst]
	if v == nil || v.kind != ofKnown {
		return false
	}
	n, single := space.Single(v.known)
	return single && (n == space.Number{Lo: 1} || n.Hi == 0 && n.Lo>>24 == 127 && n.Lo < 1<<32)
}

// verdictOf is the verdict of a fate that ends packets.
func verdictOf(f ext.Fate) simulate.Verdict {
	switch f {
	case ext.Rejects:
		return simulate.Reject
	case ext.Queues:
		return simulate.Queue
	}
	return simulate.Drop
}
