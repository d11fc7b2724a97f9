package space

import "slices"

// Set is a set of packets: boxes that have no packet in common. The zero Set is
// empty. A Set is a value and is never changed.
type Set struct{ boxes []Box }

// All is every packet.
func All() Set { return Set{[]Box{{}}} }

// Of is the set of one box.
func Of(b Box) Set { return Set{[]Box{b}} }

// Boxes are the set's boxes. They belong to the set.
func (s Set) Boxes() []Box { return s.boxes }

// IsEmpty reports whether there is no packet.
func (s Set) IsEmpty() bool { return len(s.boxes) == 0 }

// And is the packets that are in both.
func (s Set) And(t Set) Set {
	if len(s.boxes) == 1 && s.boxes[0].IsAll() {
		return t
	}
	var out []Box
	for i := range s.boxes {
		for j := range t.boxes {
			if b, ok := s.boxes[i].And(&t.boxes[j]); ok {
				out = append(out, b)
			}
		}
	}
	return Set{out}
}

// pointers gives the set's boxes as Subtract wants them.
func (s Set) pointers() []*Box {
	p := make([]*Box, len(s.boxes))
	for i := range s.boxes {
		p[i] = &s.boxes[i]
	}
	return p
}

// Minus is the packets of s that are not in t.
func (s Set) Minus(t Set) Set {
	var out []Box
	take := t.pointers()
	for i := range s.boxes {
		s.boxes[i].Subtract(take, func(b Box) bool { out = append(out, b); return true })
	}
	return Set{out}
}

// Or is the packets that are in one of both.
func (s Set) Or(t Set) Set {
	if len(s.boxes) == 0 {
		return t
	}
	return Set{slices.Concat(s.boxes, t.Minus(s).boxes)}
}

// Not is all other packets.
func (s Set) Not() Set { return All().Minus(s) }

// Covers reports whether every packet of t is in s.
func (s Set) Covers(t Set) bool {
	take := s.pointers()
	for i := range t.boxes {
		if !t.boxes[i].Subtract(take, func(Box) bool { return false }) {
			return false
		}
	}
	return true
}

// Equal reports whether both are the same packets.
func (s Set) Equal(t Set) bool { return s.Covers(t) && t.Covers(s) }

// Meets reports whether the sets have packets in common.
func (s Set) Meets(t Set) bool {
	for i := range s.boxes {
		for j := range t.boxes {
			if _, ok := s.boxes[i].And(&t.boxes[j]); ok {
				return true
			}
		}
	}
	return false
}

// Union is the packets that are in one of the boxes, which may overlap.
func Union(boxes ...Box) Set {
	var s Set
	for i := range boxes {
		s = s.Or(Of(boxes[i]))
	}
	return s
}

// Compact is the same set with boxes joined that differ in one dimension only.
// It costs the square of their number.
func (s Set) Compact() Set {
	out := slices.Clone(s.boxes)
	for again := true; again; {
		again = false
		for i := 0; i < len(out); i++ {
			for j := i + 1; j < len(out); j++ {
				if joinBoxes(&out[i], &out[j]) {
					out = slices.Delete(out, j, j+1)
					again = true
					j--
				}
			}
		}
	}
	return Set{out}
}

// joinBoxes makes a the union of both if that is a box.
func joinBoxes(a, b *Box) bool {
	if a.equal(b, NumDims) {
		return true
	}
	for d := range NumDims {
		if a.dims[d] == nil || b.dims[d] == nil || !a.equal(b, d) {
			continue
		}
		*a, _ = a.Replace(d, Or(a.dims[d], b.dims[d]))
		return true
	}
	return joinSigns(a, b)
}

// joinSigns joins boxes that differ in the sign of one atom only.
func joinSigns(a, b *Box) bool {
	if len(a.lits) != len(b.lits) || a.used != b.used {
		return false
	}
	differs := -1
	for i := range a.lits {
		if a.lits[i] == b.lits[i] {
			continue
		}
		if differs >= 0 || a.lits[i].Atom != b.lits[i].Atom {
			return false
		}
		differs = i
	}
	if differs < 0 {
		return false
	}
	without := *a
	without.lits = slices.Delete(slices.Clone(a.lits), differs, differs+1)
	other := *b
	other.lits = without.lits
	if !without.equal(&other, NumDims) {
		return false
	}
	*a = without
	return true
}
