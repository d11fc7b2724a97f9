package simulate

import (
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Options say how a packet is walked.
type Options struct {
	Way Way
	// Fixed answers for matches that the packet does not decide, by the name of
	// the match ("limit"): the question's own assumptions. nil: none.
	Fixed map[string]packet.Answer
	// NoTrace leaves Result.Trace empty.
	NoTrace bool
	// Ends fills Result.Ends.
	Ends bool
	// Track gives a packet that is tracked its Connection, where tracking looks it
	// up: rules of table raw may have said in which zones (Packet.Zones). Where ways
	// part it is called for each, and must answer by the packet alone. nil: the
	// connection is that which the packet has, whatever the zone.
	Track func(*packet.Packet)
	// Loop walks a packet of way Out that leaves by lo on as it comes in again.
	Loop bool
}

// Limits that keep a walk finite: rulesets that the kernel would refuse may
// jump in circles, and doubts multiply.
const (
	maxDepth = 64      // jumps within jumps; nf_tables allows 16
	maxSteps = 1 << 22 // rules met in one walk, all forks together
	maxForks = 1 << 13
)

// Walk says what becomes of a packet. p is as it comes in, or as the host makes
// it; p.In and p.Out are its interfaces, those that the way has.
func (f *Firewall) Walk(p packet.Packet, o Options) Result {
	w := walk{f: f, o: o}
	s := &state{traced: !o.NoTrace}
	s.begin(&p, o.Way)
	l := w.run(s)
	r := Result{
		Verdict: l.verdict, By: l.by, What: l.what, Policy: l.policy, Doubts: l.doubts, Trace: w.trace, Packet: s.left(),
	}
	if o.Ends {
		r.Ends = l.allEnds()
	}
	return r
}

// Walker decides packet after packet without a trace and without allocating for
// those that are certain. It is for one goroutine.
type Walker struct {
	w walk
	s state
}

// Walker gives a Walker for the firewall.
func (f *Firewall) Walker() *Walker { return &Walker{w: walk{f: f}} }

// Decide gives the verdict on a packet and what decided, as Walk does. It
// neither changes nor keeps p.
func (k *Walker) Decide(p *packet.Packet, w Way) (Verdict, Place) {
	k.w.forks, k.w.steps = 0, 0
	k.s.begin(p, w)
	l := k.w.run(&k.s)
	return l.verdict, l.by
}

// walk is one question being answered.
type walk struct {
	f     *Firewall
	o     Options
	trace []Step
	forks int
	steps int
}

// leaf is the end of one way through the rules.
type leaf struct {
	verdict Verdict
	by      Place
	what    *rule.Rule
	policy  rule.Verdict
	doubts  []Doubt
	ends    []End // of the forks; nil if there was none, or Options.Ends is not set
}

// run takes a packet from where it stands to its end.
func (w *walk) run(s *state) leaf {
	for {
		if s.chain == nil {
			if l, done := w.advance(s); done {
				return l
			}
			continue
		}
		i := s.nextLine()
		if i >= len(s.chain.lines) {
			if l, done := w.endOfChain(s); done {
				return l
			}
			continue
		}
		if w.steps++; w.steps > maxSteps {
			return leaf{doubts: []Doubt{s.doubt(i, "jumps without an end")}}
		}
		if l, done := w.meet(s, i); done {
			return l
		}
	}
}

// meet compares the packet with rule number i (from 0) and does what it says.
func (w *walk) meet(s *state, i int) (leaf, bool) {
	l := &s.chain.lines[i]
	answer, doubt := l.match(s, w.o.Fixed)
	switch {
	case answer == packet.No, answer == packet.Unknown && !l.changes():
		if s.traced {
			w.note(s, i, answer, "", nil)
		}
		return leaf{}, false
	case answer == packet.Unknown:
		return w.fork(s, s.doubt(i, doubt), func(yes *state) (leaf, bool) { return w.act(yes, i) }), true
	}
	return w.act(s, i)
}

// act does what rule i of the packet's chain says; it matches.
func (w *walk) act(s *state, i int) (leaf, bool) {
	l := &s.chain.lines[i]
	switch l.action {
	case actAccept:
		w.noteAction(s, i)
		s.accepted(i+1, l.rule)
	case actDrop:
		w.noteAction(s, i)
		return s.ended(Drop, i), true
	case actQueue:
		w.noteAction(s, i)
		return s.ended(Queue, i), true
	case actReturn:
		w.noteAction(s, i)
		return w.endOfChain(s)
	case actJump, actGoto:
		w.noteAction(s, i)
		if !s.enter(l) {
			return leaf{doubts: []Doubt{s.doubt(i, "jumps without an end")}}, true
		}
	case actExt:
		return w.actExt(s, i)
	default:
		w.noteAction(s, i)
	}
	return leaf{}, false
}

// actExt does what a target extension does.
func (w *walk) actExt(s *state, i int) (leaf, bool) {
	l := &s.chain.lines[i]
	before := s.change(w, l)
	if s.traced {
		w.noteChange(s, i, before)
	}
	switch l.fate {
	case ext.Accepts:
		s.accepted(i+1, l.rule)
	case ext.Drops:
		return s.ended(Drop, i), true
	case ext.Rejects:
		return s.ended(Reject, i), true
	case ext.Queues:
		return s.ended(Queue, i), true
	case ext.AcceptsOrDrops:
		return w.fork(s, s.doubt(i, l.rule.Target.Name()), func(yes *state) (leaf, bool) {
			yes.accepted(i+1, l.rule)
			return leaf{}, false
		}, func(no *state) leaf { return no.ended(Drop, i) }), true
	}
	return leaf{}, false
}

// endOfChain goes back to the calling chain; at the end of a built-in one its
// policy decides.
func (w *walk) endOfChain(s *state) (leaf, bool) {
	if s.back() {
		return leaf{}, false
	}
	c := s.station.chain
	if s.traced {
		w.trace = append(w.trace, Step{
			Place: Place{c.table, c.name, 0}, Match: packet.Yes, Action: c.base.Policy.Name(),
		})
	}
	if c.base.Policy == rule.Drop {
		return leaf{verdict: Drop, by: Place{c.table, c.name, 0}, policy: rule.Drop}, true
	}
	s.accepted(0, nil)
	return leaf{}, false
}
