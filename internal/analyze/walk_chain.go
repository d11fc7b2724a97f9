package analyze

import (
	"moat/internal/ext"
	"moat/internal/simulate"
	"moat/internal/space"
)

// running is a flow in one chain.
type running struct {
	*walker
	f   *flow
	c   *modelChain
	now *current // of the flow, with the path to the chain
	// inside is what is gone for the rules that follow.
	inside *space.Pile
	// ended is what ended in the chain or went on another way: gone for the
	// calling chain too. left says that more is gone, to that one.
	ended []*space.Box
	left  *space.Pile // nil: nothing
}

// run meets the chain's rules from one on.
func (r *running) run(from int) {
	last := len(r.c.rules)
	if r.marked != nil && !r.marked.outside(r.m, r.f) {
		last = r.marked.lastOf(r.c)
	}
	if from > last {
		return
	}
	r.now = r.f.now.atPath(r.f)
	image := r.now.now(r.f.box)
	for _, i := range r.c.index.Meeting(nil, &image) {
		n := int(r.c.owner[i])
		if n >= from && n <= last && r.c.rules[n].action != counts && !r.stopped {
			r.meet(n, r.c.boxes[i])
		}
	}
}

// after is what is gone when the chain is done.
func (r *running) after() *space.Pile {
	if r.left == nil {
		return r.inside
	}
	p := r.f.gone.On()
	for _, b := range r.ended {
		p.Add(b)
	}
	return p
}

// take notes that the packets of was are gone for good, of which hit are the
// flow's. Those that left before are not taken.
func (r *running) take(was, hit *space.Box) {
	if r.left == nil {
		r.ended = append(r.ended, was)
	} else {
		r.left.Left(hit, func(b space.Box) bool { r.ended = append(r.ended, &b); return true })
	}
	r.inside.Add(was)
}

// leave notes that packets go on in the calling chain.
func (r *running) leave(b *space.Box) {
	if r.left == nil {
		r.left = &space.Pile{}
	}
	r.left.Add(b)
	r.inside.Add(b)
}

// meet does what rule n does to the packets in one of its set's boxes.
func (r *running) meet(n int, box *space.Box) {
	for _, was := range r.now.before(box) {
		hit, ok := r.f.box.And(&was)
		if !ok || r.stopped {
			continue
		}
		switch m := &r.c.rules[n]; {
		case r.marked.has(m):
			f := *r.f
			f.box, f.gone = hit, r.inside
			r.give(f, simulate.Unknown, simulate.Place{}, nil)
			r.take(&was, &hit)
		case m.action == jumps || m.action == goesTo:
			r.jump(n, m, &hit)
		default:
			r.act(n, m, &was, &hit)
		}
	}
}

// act does what a rule that is no jump does to the packets hit; was is the
// rule's packets, those of the flow and others.
func (r *running) act(n int, m *modelRule, was, hit *space.Box) {
	switch m.action {
	case accepts:
		if r.marked == nil || r.marked.later(r.m, r.f) {
			r.each(hit, func(f flow) { r.accept(f, n) })
		}
		r.take(was, hit)
	case drops:
		r.end(n, simulate.Drop, hit, was)
	case queues:
		r.end(n, simulate.Queue, hit, was)
	case returns:
		r.leave(was)
	case targets:
		r.target(n, m, was, hit)
	}
}

// end ends the packets' way.
func (r *running) end(n int, v simulate.Verdict, hit, was *space.Box) {
	f := *r.f
	f.box, f.gone = *hit, r.inside
	r.emit(f, v, r.place(n), r.c.rules[n].rule)
	r.take(was, hit)
}

func (r *running) place(n int) simulate.Place {
	return simulate.Place{Table: r.c.table, Chain: r.c.name, Rule: n + 1}
}

// accept ends the built-in chain for a flow.
func (r *running) accept(f flow, n int) {
	f.accepted(n+1, r.c)
	f.stack = nil
	r.onward(f)
}

// maxPieces is in how many pieces packets go on their own way at most; if there
// are more they go as one, with what is gone from them.
const maxPieces = 64

// each gives what is left of hit as flows of their own.
func (r *running) each(hit *space.Box, do func(flow)) {
	var pieces []space.Box
	all := r.inside.Left(hit, func(b space.Box) bool {
		pieces = append(pieces, b)
		return len(pieces) <= maxPieces
	})
	f := *r.f
	f.stack = append([]frame(nil), r.f.stack...)
	f.changes = append([]Rewrite(nil), r.f.changes...)
	if !all {
		f.box, f.gone = *hit, r.inside.On()
		do(f)
		return
	}
	for _, b := range pieces {
		if r.stopped {
			return
		}
		f.box, f.gone = b, &space.Pile{}
		do(f)
	}
}

// jump sends packets through another chain. Those that come back are on with
// the next rule, or with goto in the chain that called this one.
func (r *running) jump(n int, m *modelRule, hit *space.Box) {
	if !anyLeft(hit, r.inside) {
		return
	}
	f := *r.f
	f.box, f.gone = *hit, r.inside.On()
	f.depth++
	f.stack = append([]frame(nil), r.f.stack...)
	if m.action == jumps {
		f.stack = append(f.stack, frame{r.c, n + 1})
	}
	if f.depth > maxDepth {
		r.emit(f, simulate.Unknown, simulate.Place{}, nil) // jumps without an end
		r.take(hit, hit)
		return
	}
	sub := running{walker: r.walker, f: &f, c: m.to, inside: f.gone}
	f.gone = r.inside
	sub.run(0)
	for _, b := range sub.ended {
		if one, ok := hit.And(b); ok {
			r.take(&one, &one)
		}
	}
	if m.action == goesTo {
		r.leave(hit)
	}
}

// target does what a target extension does.
func (r *running) target(n int, m *modelRule, was, hit *space.Box) {
	if m.fate == ext.Drops || m.fate == ext.Rejects || m.fate == ext.Queues {
		r.end(n, verdictOf(m.fate), hit, was)
		return
	}
	p := r.place(n)
	effects := rewriter{r.m.Family, r.f.hook(), r.c.placeText(n), hit}.effects(m.rule.Target, r.f.now)
	if effects == nil {
		if m.fate == ext.GoesOn {
			return
		}
		effects = every(r.f.now)
	}
	r.each(hit, func(f flow) {
		for _, e := range effects {
			for _, b := range e.in.Boxes() {
				if one, ok := f.box.And(&b); ok && !r.stopped {
					g := f
					g.box, g.now, g.here = one, e.now, f.here || e.here
					g.changes = append(f.changes[:len(f.changes):len(f.changes)], Rewrite{p, m.rule})
					r.changed(g, n, m)
				}
			}
		}
	})
	r.take(was, hit)
}

// changed goes on with packets that a target changed.
func (r *running) changed(f flow, n int, m *modelRule) {
	switch m.fate {
	case ext.Accepts:
		r.accept(f, n)
	case ext.AcceptsOrDrops:
		found := doubt(m.rule.Target.Name()+" finds a socket"+f.now.since+" at "+r.c.placeText(n), false)
		r.parted(f, found, func(f flow) { r.accept(f, n) }, func(f flow) {
			r.emit(f, simulate.Drop, r.place(n), m.rule)
		})
	default:
		r.resume(f, r.c, n+1)
	}
}

// atPath gives c with the path by which the flow's chain was reached, which
// tells atoms apart that are asked twice.
func (c *current) atPath(f *flow) *current {
	if len(f.stack) == 0 && c.path == "" {
		return c
	}
	path := ""
	for _, s := range f.stack {
		path += " by " + s.chain.placeText(s.next-1)
	}
	if path == c.path {
		return c
	}
	n := *c
	n.path = path
	return &n
}
