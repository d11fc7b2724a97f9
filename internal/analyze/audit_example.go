package analyze

import (
	"moat/internal/question"
	"moat/internal/simulate"
)

// Example is a packet that shows what a finding says. The text is a question
// that moat explain takes, and the simulation of what the text says has been
// looked at before the example is part of a finding.
type Example struct {
	Text    string // in the language of moat explain
	Way     simulate.Way
	Verdict simulate.Verdict
	By      Ref    // the rule or policy that decides; the zero Ref for an unknown verdict
	Says    string // what it shows, in a few words: "gets through"; may be ""
}

// Example gives the packet of a question as an example, if what the question's
// text says meets holds; otherwise nil.
func (s *Subject) Example(says string, q *question.Question, holds func(simulate.Result) bool) *Example {
	words := q.String()
	read, err := question.Parse(words, question.Options{Family: s.Family})
	if err != nil {
		return nil
	}
	read.Packet.Host = s.host
	got := s.Indexed().Walk(read.Packet, simulate.Options{Way: read.Way, Fixed: read.Fixed})
	if !holds(got) {
		return nil
	}
	e := &Example{Text: words, Way: read.Way, Verdict: got.Verdict, Says: says}
	if got.Verdict != simulate.Unknown {
		e.By = s.RefOf(got.By)
	}
	return e
}

// meets reports whether a walk met a rule and the rule matched.
func meets(got simulate.Result, p simulate.Place) bool {
	for i := range got.Trace {
		if step := &got.Trace[i]; step.Place == p && step.Action != "" {
			return true
		}
	}
	return false
}

// verdictOf is what becomes of the packet that a question describes.
func (s *Subject) verdictOf(words string) simulate.Verdict {
	q, err := question.Parse(words, question.Options{Family: s.Family})
	if err != nil {
		return simulate.Unknown
	}
	q.Packet.Host = s.host
	return s.Indexed().Walk(q.Packet, simulate.Options{Way: q.Way, Fixed: q.Fixed, NoTrace: true}).Verdict
}
