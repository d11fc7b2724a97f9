package simulate

import "slices"

// fork answers for both ways that a doubt leaves open: the packet goes through
// yes, and as if it had not matched through no (nil: on with the rules). What
// both agree on is certain.
func (w *walk) fork(s *state, d Doubt, yes func(*state) (leaf, bool), no ...func(*state) leaf) leaf {
	if w.forks++; w.forks > maxForks {
		return leaf{doubts: []Doubt{d}}
	}
	if s.traced {
		w.noteDoubt(s, d)
	}
	other := s.clone()
	first, done := yes(other)
	if !done {
		first = w.run(other)
	}
	var second leaf
	if len(no) > 0 {
		second = no[0](s)
	} else {
		second = w.run(s)
	}
	l := merge(d, first, second)
	if w.o.Ends {
		l.ends = joinEnds(first, second)
		if l.verdict != Unknown && len(l.ends) > 1 {
			l.doubts = joinDoubts(d, first, second)
		}
	}
	return l
}

// merge is the answer of two ways that part at a doubt.
func merge(d Doubt, yes, no leaf) leaf {
	if yes.verdict == no.verdict && (no.verdict != Unknown || slices.Equal(yes.doubts, no.doubts)) {
		return no // what hangs on the same doubts either way does not hang on this one
	}
	return leaf{doubts: joinDoubts(d, yes, no)}
}

// joinDoubts is a doubt and those of both ways that part at it.
func joinDoubts(d Doubt, yes, no leaf) []Doubt {
	d.IfYes, d.IfNo = yes.verdict, no.verdict
	doubts := []Doubt{d}
	for _, more := range [][]Doubt{yes.doubts, no.doubts} {
		for _, other := range more {
			if len(doubts) < maxDoubts && !hasDoubt(doubts, other) {
				doubts = append(doubts, other)
			}
		}
	}
	return doubts
}

// joinEnds is the ends of both ways, each once.
func joinEnds(yes, no leaf) []End {
	list := no.allEnds()
	for _, e := range yes.allEnds() {
		if !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// allEnds is the ends of the forks, or the leaf itself.
func (l *leaf) allEnds() []End {
	if l.ends != nil {
		return l.ends
	}
	return []End{{l.verdict, l.by, l.what, l.policy}}
}

// maxDoubts is as many as anybody reads.
const maxDoubts = 50

func hasDoubt(list []Doubt, d Doubt) bool {
	for _, have := range list {
		if have.Place == d.Place && have.Match == d.Match {
			return true
		}
	}
	return false
}
