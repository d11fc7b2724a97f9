package space

import (
	"slices"
)

// share is values of one dimension that the same boxes have.
type share struct {
	values Values
	boxes  []*Box
}

// partition parts the values all of dimension d (nil: every one) by which of
// the boxes have them. The parts are disjoint and cover all.
func partition(d Dim, all Values, boxes []*Box) []share {
	switch boxes[0].dims[d].(type) {
	case *runs[n32]:
		return partitionRuns[n32](d, all, boxes)
	case *runs[Number]:
		return partitionRuns[Number](d, all, boxes)
	}
	return partitionBits(d, all, boxes)
}

// partitionBits refines the values bitmap by bitmap; there are few parts.
func partitionBits(d Dim, all Values, boxes []*Box) []share {
	if all == nil {
		all = upTo(dims[d].max)
	}
	same := map[bitmap][]*Box{}
	var sets []bitmap // in the order of their boxes, so that the result has an order
	for _, b := range boxes {
		v := *b.dims[d].(*bitmap)
		if same[v] == nil {
			sets = append(sets, v)
		}
		same[v] = append(same[v], b)
	}
	parts := []share{{values: all}}
	for i := range sets {
		n := len(parts)
		for p := range n {
			old := parts[p]
			in, out := And(old.values, &sets[i]), Minus(d, old.values, &sets[i])
			with := append(old.boxes[:len(old.boxes):len(old.boxes)], same[sets[i]]...)
			switch {
			case IsEmpty(in):
			case IsEmpty(out):
				parts[p].boxes = with
			default:
				parts[p] = share{out, old.boxes}
				parts = append(parts, share{in, with})
			}
		}
	}
	return parts
}

// edge is where an interval of set number set begins, or after which it ended.
type edge[T number[T]] struct {
	at    T
	set   int32
	begin bool
}

// partitionRuns walks along the ends of all intervals. Between two of them the
// same sets are open; stretches that have the same sets open are one part.
func partitionRuns[T number[T]](d Dim, all Values, boxes []*Box) []share {
	within, ok := all.(*runs[T])
	if !ok {
		within = fullRuns[T](d)
	}
	sets, members := distinct(d, boxes)
	s := sweep[T]{found: map[uint64][]int{}}
	for _, e := range edgesOf[T](sets) {
		if len(s.open) > 0 && s.at.Less(e.at) {
			s.stretch(run[T]{s.at, e.at.prev()})
		}
		s.at = e.at
		s.turn(e)
	}
	if len(s.open) > 0 { // to the greatest number, behind which there is no edge
		s.stretch(run[T]{s.at, s.at.top()})
	}
	covered := make([]run[T], 0, len(s.parts))
	shares := make([]share, 0, len(s.parts)+1)
	for _, p := range s.parts {
		covered = append(covered, p.runs...)
		if values := joined(p.runs).and(within); !values.isEmpty() {
			shares = append(shares, share{values, p.boxes(members)})
		}
	}
	if rest := within.minus(joined(covered)); !rest.isEmpty() {
		shares = append(shares, share{rest, nil})
	}
	return shares
}

// distinct gives the different sets of the boxes, and for each its boxes.
func distinct(d Dim, boxes []*Box) (sets []Values, members [][]*Box) {
	at := make(map[Values]int, len(boxes))
	for _, b := range boxes {
		k := key(b.dims[d])
		i, ok := at[k]
		if !ok {
			i = len(sets)
			at[k] = i
			sets, members = append(sets, b.dims[d]), append(members, nil)
		}
		members[i] = append(members[i], b)
	}
	return sets, members
}

// edgesOf lists the ends of the sets' intervals in order. An interval up to the
// greatest number has no end.
func edgesOf[T number[T]](sets []Values) []edge[T] {
	var edges []edge[T]
	for i, v := range sets {
		v, ok := v.(*runs[T])
		if !ok {
			continue
		}
		for _, x := range v.r {
			edges = append(edges, edge[T]{x.lo, int32(i), true})
			if x.hi != x.hi.top() {
				edges = append(edges, edge[T]{x.hi.next(), int32(i), false})
			}
		}
	}
	slices.SortFunc(edges, func(x, y edge[T]) int { return order(x.at, y.at) })
	return edges
}

// sweep is the walk along the edges.
type sweep[T number[T]] struct {
	at    T
	open  []int32 // sets that are open, sorted
	hash  uint64  // of open
	found map[uint64][]int
	parts []stretches[T]
}

// stretches is the values for which the same sets are open.
type stretches[T number[T]] struct {
	open []int32
	runs []run[T]
}

// boxes are the boxes whose set is open there.
func (p *stretches[T]) boxes(members [][]*Box) (list []*Box) {
	for _, set := range p.open {
		list = append(list, members[set]...)
	}
	return list
}

// turn opens or closes a set.
func (s *sweep[T]) turn(e edge[T]) {
	i, _ := slices.BinarySearch(s.open, e.set)
	if e.begin {
		s.open = slices.Insert(s.open, i, e.set)
	} else {
		s.open = slices.Delete(s.open, i, i+1)
	}
	s.hash ^= mix(uint64(e.set))
}

// mix spreads a number over 64 bits, as splitmix64 does.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// stretch notes that r has the sets that are open.
func (s *sweep[T]) stretch(r run[T]) {
	for _, i := range s.found[s.hash] {
		if p := &s.parts[i]; slices.Equal(p.open, s.open) {
			p.runs = append(p.runs, r)
			return
		}
	}
	s.found[s.hash] = append(s.found[s.hash], len(s.parts))
	s.parts = append(s.parts, stretches[T]{slices.Clone(s.open), []run[T]{r}})
}
