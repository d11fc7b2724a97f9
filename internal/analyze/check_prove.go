package analyze

import (
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/simulate"
	"moat/internal/space"
)

// maxAgainst is as many counterexamples as anybody reads.
const maxAgainst = 3

// prove holds a set of packets against what a test expects: it parts them into
// the classes that the rules make of them and looks at each. Those that are not
// as expected give counterexamples.
func (c *checker) prove(t *Test, p *TestPackets, s *Subject, out *PacketsResult) {
	from := RangeSet(p.Many, s.Family)
	for _, x := range t.Except {
		from = from.Minus(OpenSet(x, s.Family))
	}
	if from.IsEmpty() {
		c.errs.failAt(p.Line, p.Column, "no packet of %s is left here, so that nothing would be tested", s.Family.Name())
		return
	}
	f := proof{checker: c, t: t, p: p, s: s, out: out, fixed: merged(t.Assume, p.Many.Fixed), shown: map[simulate.Place]bool{}}
	for _, k := range c.model(s, f.fixed).Classes(p.Many.Way, from) {
		out.Classes++
		switch {
		case k.Verdict == simulate.Unknown: // it was not followed to its end
			f.against = append(f.against, k)
			f.maybe = append(f.maybe, packetOnly(k.Packets))
		case t.admits(k.Verdict, k.What):
			f.maybe = append(f.maybe, packetOnly(k.Packets))
		default:
			f.against = append(f.against, k)
		}
	}
	f.counter()
}

// proof is one set of packets held against one test.
type proof struct {
	*checker
	t       *Test
	p       *TestPackets
	s       *Subject
	out     *PacketsResult
	fixed   map[string]packet.Answer
	against []Class // that are not as expected
	// maybe are packets of which some are as expected, or would be if the doubts
	// were answered so: the classes without their doubts.
	maybe []space.Box
	shown map[simulate.Place]bool
}

// counter makes counterexamples out of the classes against, one for each rule
// that decides: first those that no doubt can make as expected.
func (f *proof) counter() {
	deciders := map[simulate.Place]bool{}
	for i := range f.against {
		k := &f.against[i]
		deciders[k.By] = true
		if len(f.out.Against) < maxAgainst && !f.shown[k.By] && k.Verdict != simulate.Unknown {
			f.certain(k)
		}
	}
	for i := range f.against {
		k := &f.against[i]
		if len(f.out.Against) < maxAgainst && !f.shown[k.By] {
			f.doubtful(k)
		}
	}
	f.out.More = max(0, len(deciders)-len(f.shown))
}

// certain shows a packet of the class that is not as expected whatever is
// answered to all doubts, if there is one.
func (f *proof) certain(k *Class) {
	box := k.Packets
	if hasDoubts(&box) {
		var some bool
		if box, some = leftWithout(packetOnly(box), f.maybe); !some {
			return
		}
	}
	q, ok := f.witness(box)
	if !ok {
		return
	}
	outcome, example := f.judged(q)
	if outcome == TestPassed {
		f.errs.failAt(f.p.Line, f.p.Column, "the proof says that %s %s, and the simulator that it is as expected: one of them is wrong, please report this", q, placeVerdict(k))
		return
	}
	f.add(k, outcome, example)
}

// doubtful shows a packet of the class that is not as expected if the class's
// doubts are answered so. The simulator may know the answer from the host: what
// an ipset holds, where addresses are.
func (f *proof) doubtful(k *Class) {
	q, ok := f.witness(k.Packets)
	if !ok {
		return
	}
	outcome, example := f.judged(q)
	if outcome == TestPassed { // the host knows more than the proof
		outcome = TestUnknown
		example.Verdict, example.By = simulate.Unknown, Ref{}
		for _, l := range k.Packets.Literals() {
			if !l.IsMasked() {
				example.Doubts = append(example.Doubts, doubtOf(l, k.Verdict))
			}
		}
	}
	for _, shown := range f.out.Against {
		if shown.Packet == example.Packet {
			return
		}
	}
	f.add(k, outcome, example)
}

func (f *proof) add(k *Class, outcome TestOutcome, example Counterexample) {
	f.out.Outcome = max(f.out.Outcome, outcome)
	f.out.Against = append(f.out.Against, example)
	f.shown[k.By] = true
}

func placeVerdict(k *Class) string {
	return "meets " + k.Verdict.String() + " in " + k.By.Table + " " + k.By.Chain
}

// doubtOf is a literal as a doubt.
func doubtOf(l space.Literal, v simulate.Verdict) CheckDoubt {
	d := CheckDoubt{Match: l.Text, IfYes: v}
	if l.Not {
		d.IfYes, d.IfNo = simulate.Unknown, v
	}
	return d
}

// hasDoubts reports whether a box has literals that no packet decides.
func hasDoubts(b *space.Box) bool {
	for _, l := range b.Literals() {
		if !l.IsMasked() {
			return true
		}
	}
	return false
}

// packetOnly is a box without its doubts.
func packetOnly(b space.Box) space.Box {
	if !hasDoubts(&b) {
		return b
	}
	bare := b.WithoutLiterals()
	for _, l := range b.Literals() {
		if l.IsMasked() {
			bare, _ = bare.WithLiteral(l) // as it was: the box is not empty
		}
	}
	return bare
}

// leftWithout is some of a box's packets that are in none of others.
func leftWithout(b space.Box, others []space.Box) (left space.Box, some bool) {
	take := make([]*space.Box, len(others))
	for i := range others {
		take[i] = &others[i]
	}
	b.Subtract(take, func(one space.Box) bool {
		left, some = one, true
		return false
	})
	return left, some
}

// witness is a packet of a box as a question.
func (f *proof) witness(b space.Box) (*question.Question, bool) {
	k, _, ok := Witness(b, f.s.Family)
	q := &question.Question{Packet: k, Way: f.p.Many.Way, WayTold: true, Fixed: f.fixed}
	return q, ok
}

// tellable are the facts about a witness that a reader can do without unless
// they change what becomes of it.
var tellable = [...]packet.Know{
	packet.KnowTTL, packet.KnowTOS, packet.KnowLength, packet.KnowPacketType, packet.KnowConnMark, packet.KnowStatus, packet.KnowDirection,
}

// judged asks the simulator about a witness, told with as few words as give the
// same answer. What is asked is what the words say when they are read again.
func (f *proof) judged(q *question.Question) (TestOutcome, Counterexample) {
	best := f.reread(q)
	if best == nil {
		best = q
	}
	outcome, example := f.t.judge(best, f.s)
	for _, k := range tellable {
		fewer := *best
		fewer.Packet.Known &^= k
		shorter := f.reread(&fewer)
		if shorter == nil {
			continue
		}
		if o, e := f.t.judge(shorter, f.s); o == outcome && e.Verdict == example.Verdict && e.By == example.By {
			best, example = shorter, e
		}
	}
	return outcome, example
}

// reread reads the question's own words; nil if they are not understood.
func (f *proof) reread(q *question.Question) *question.Question {
	read, err := question.Parse(q.String(), question.Options{Family: f.s.Family})
	if err != nil {
		return nil
	}
	read.Packet.Host = f.options.Host
	return read
}
