package space

import (
	"net/netip"
	"strings"

	"moat/internal/packet"
)

// maxPrinted is how many intervals String writes of one dimension.
const maxPrinted = 8

// String writes the box for tests and logs: dimensions with their intervals,
// then the atoms.
func (b Box) String() string {
	var s strings.Builder
	b.Dims(func(d Dim, v Values) {
		s.WriteString(d.String() + " " + Text(d, v) + " ")
	})
	for _, l := range b.lits {
		if l.Not {
			s.WriteString("not ")
		}
		s.WriteString("(" + strings.TrimSpace(l.Text) + ") ")
	}
	if s.Len() == 0 {
		return "everything"
	}
	return strings.TrimSuffix(s.String(), " ")
}

// String writes one box a line.
func (s Set) String() string {
	var t strings.Builder
	for _, b := range s.boxes {
		t.WriteString(b.String() + "\n")
	}
	return t.String()
}

// Text writes values as "1,5-9"; those of more intervals than a few are cut off with "…".
func Text(d Dim, v Values) string {
	var s strings.Builder
	n := 0
	for lo, hi := range Runs(v) {
		if n++; n > 1 {
			s.WriteByte(',')
		}
		if n > maxPrinted {
			s.WriteString("…")
			break
		}
		s.WriteString(valueText(d, v, lo))
		if lo != hi {
			s.WriteString("-" + valueText(d, v, hi))
		}
	}
	if v == nil {
		return "any"
	}
	return s.String()
}

func valueText(d Dim, v Values, n Number) string {
	switch {
	case d.isName():
		return `"` + withoutFill(NameOf(n)) + `"`
	case d == State:
		return packet.State(n.Lo).String()
	case d.isAddr() && isWide(v):
		return AddrOf(n, 10).String()
	case d.isAddr():
		return netip.AddrFrom4([4]byte{byte(n.Lo >> 24), byte(n.Lo >> 16), byte(n.Lo >> 8), byte(n.Lo)}).String()
	}
	return decimal(n)
}
