package simulate

import (
	"net/netip"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// state is a packet on its way: where it is, and what has been done to it.
type state struct {
	p        packet.Packet
	src, dst space.Number // of p's addresses; meaningless where those were not told
	way      Way

	phase   int // of the way's hooks
	at      int // station of the hook that comes next
	station *station
	chain   *chain // nil between stations
	next    int    // rule of chain that comes next, from 0
	stack   []frame
	cursors cursors // of chain

	in, out             string // the way's interfaces
	hiddenIn, hiddenOut bool
	cameTo              netip.Addr // destination for which the way was found
	cameWith            uint32     // mark for which it was found
	toHere              bool       // REDIRECT sent it to this host
	natSrc, natDst      bool       // decided for its connection
	hidden              hidden     // what rules do not see before connection tracking

	by     Place // what accepted it last
	what   *rule.Rule
	weight int // how much by says: see accepted

	traced bool
}

// frame is a chain to come back to.
type frame struct {
	chain   *chain
	next    int
	cursors cursors
}

// begin puts a packet at the beginning of its way, keeping the memory of s.
func (s *state) begin(p *packet.Packet, w Way) {
	s.p, s.way, s.phase, s.at = *p, w, 0, 0
	s.station, s.chain, s.stack = nil, nil, s.stack[:0]
	s.in, s.out, s.hiddenIn, s.hiddenOut = p.In, p.Out, p.HiddenIn, p.HiddenOut
	s.cameTo, s.cameWith, s.toHere, s.what, s.weight = p.Dst, p.Mark, false, nil, 0
	s.readAddresses()
	// What comes in by lo left by lo, and its connection was translated there.
	loops := w != Out && p.In == "lo"
	s.natSrc, s.natDst = loops, loops
	s.by = Place{"filter", w.Hook().Chain(), 0}
	s.hidden.is = false
	s.enterHook()
}

func (s *state) readAddresses() {
	if s.p.Src.IsValid() {
		s.src = space.AddrNumber(s.p.Src)
	}
	if s.p.Dst.IsValid() {
		s.dst = space.AddrNumber(s.p.Dst)
	}
}

// clone gives a second packet on the same way.
func (s *state) clone() *state {
	c := *s
	c.stack = append([]frame(nil), s.stack...)
	c.traced = false
	return &c
}

// hooks are the hooks of a way.
func (w Way) hooks() []rule.Hook {
	switch w {
	case In:
		return []rule.Hook{rule.Prerouting, rule.Input}
	case Through:
		return []rule.Hook{rule.Prerouting, rule.Forward, rule.Postrouting}
	}
	return []rule.Hook{rule.Output, rule.Postrouting}
}

// enterHook shows the packet the interfaces that its hook has.
func (s *state) enterHook() {
	h := s.way.hooks()[s.phase]
	s.p.Hook = h
	s.p.In, s.p.HiddenIn = s.in, s.hiddenIn
	s.p.Out, s.p.HiddenOut = s.out, s.hiddenOut
	if h == rule.Output || s.way == Out {
		s.p.In, s.p.HiddenIn = "", false
	}
	if h == rule.Prerouting || h == rule.Input {
		s.p.Out, s.p.HiddenOut = "", false
	}
	if h == rule.Input && s.p.Family == rule.IPv4 && (s.p.Fragment || s.p.MoreFollow) {
		s.reassemble()
	}
}

// reassemble makes a part of an IPv4 packet the whole, which is what INPUT sees
// once all parts are there. A part but the first does not tell of its transport
// header.
func (s *state) reassemble() {
	p := &s.p
	if p.Fragment {
		p.Known &^= packet.KnowPorts | packet.KnowFlags | packet.KnowICMP | packet.KnowTCPOptions | packet.KnowSPI
		p.Transport = packet.Transport{}
	}
	p.Fragment, p.MoreFollow, p.FragmentAt, p.Bytes = false, false, 0, nil
	p.Known = p.Known&^packet.KnowLength | packet.KnowFragment
}

// left is the packet as it left, with all interfaces of its way.
func (s *state) left() packet.Packet {
	p := s.p
	p.In, p.HiddenIn, p.Out, p.HiddenOut = s.in, s.hiddenIn, s.out, s.hiddenOut
	return p
}

// start begins with the first rule of a chain.
func (s *state) start(c *chain) {
	s.chain, s.next = c, 0
	if c.index != nil {
		c.index.look(s)
	}
}

// nextLine gives the number (from 0) of the next rule to look at, beyond the
// last when there is none.
func (s *state) nextLine() int {
	i := s.next
	if s.chain.index != nil {
		i = s.cursors.next(s.next, len(s.chain.lines))
	}
	s.next = i + 1
	return i
}

// enter follows a jump; false if it is too deep to be one that ends.
func (s *state) enter(l *line) bool {
	if l.to == nil {
		return true
	}
	if l.action == actJump {
		if len(s.stack) >= maxDepth {
			return false
		}
		s.stack = append(s.stack, frame{s.chain, s.next, s.cursors})
	}
	s.start(l.to)
	return true
}

// back returns to the calling chain; false at the end of a built-in one.
func (s *state) back() bool {
	if len(s.stack) == 0 {
		return false
	}
	f := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	s.chain, s.next, s.cursors = f.chain, f.next, f.cursors
	return true
}

// accepted ends the built-in chain. The answer names what accepted in table
// filter; without that table the last rule that said so, or the last policy.
func (s *state) accepted(number int, r *rule.Rule) {
	c := s.station.chain
	weight := 1
	switch {
	case c.table == "filter" && c.base.Hook == s.way.Hook():
		weight = 3
	case r != nil:
		weight = 2
	}
	if weight >= s.weight {
		place := Place{c.table, c.name, number}
		if number > 0 { // a rule may stand in a user-defined chain
			place.Table, place.Chain = s.chain.table, s.chain.name
		}
		s.weight, s.by, s.what = weight, place, r
	}
	s.chain, s.stack = nil, s.stack[:0]
}

// ended is the leaf of a rule that ends the packet's way.
func (s *state) ended(v Verdict, i int) leaf {
	return leaf{verdict: v, by: Place{s.chain.table, s.chain.name, i + 1}, what: s.chain.lines[i].rule}
}

// doubt is a match of rule i that was unknown.
func (s *state) doubt(i int, match string) Doubt {
	return Doubt{Place: Place{s.chain.table, s.chain.name, i + 1}, What: s.chain.lines[i].rule, Match: match}
}

// change lets a target change the packet, and gives the packet as it was before
// if somebody wants to see the difference.
func (s *state) change(w *walk, l *line) (before *packet.Packet) {
	if l.mutator == nil {
		return nil
	}
	if s.traced {
		p := s.p
		before = &p
	}
	l.mutator.Mutate(&s.p)
	if _, ok := l.rule.Target.(*ext.Redirect); ok {
		s.toHere = true
	}
	s.readAddresses()
	s.reindex()
	return before
}

// reindex looks the packet up again in the chains that it is in, since rules
// that could not match before may match now.
func (s *state) reindex() {
	if s.chain == nil {
		return
	}
	at := s.next
	for i := range s.stack {
		f := &s.stack[i]
		if f.chain.index != nil {
			f.chain.index.look(s)
			f.cursors = s.cursors
		}
	}
	if s.chain.index != nil {
		s.chain.index.look(s)
	}
	s.next = at
}
