package space

import (
	"strconv"
	"strings"
)

// interval is values from lo to hi, both included.
type interval struct{ lo, hi Number }

// term is a part of a list: an interval, or one with holes.
type term struct {
	text string
	but  []string
}

// maxGrouped is up to how many intervals the shortest way to write them is
// looked for; that costs the square of their number.
const maxGrouped = 64

// listText writes intervals with as few items as it finds.
func (d *Describer) listText(dim Dim, list []interval) string {
	most := d.most()
	if len(list) > maxGrouped {
		all := d.universe(dim)
		if gaps := gapsOf(all, list); len(gaps) <= maxGrouped || len(gaps) < len(list) {
			return "any but " + d.cut(dim, gaps, most)
		}
		return d.cut(dim, list, most)
	}
	terms := d.group(dim, list)
	words := make([]string, 0, len(terms))
	for _, t := range terms {
		text := t.text
		if len(t.but) > 0 {
			text += " but " + joinMost(t.but, len(t.but), most)
			if len(terms) > 1 {
				text = "(" + text + ")"
			}
		}
		words = append(words, text)
	}
	return joinMost(words, len(words), most)
}

// cut writes the first intervals and how many follow.
func (d *Describer) cut(dim Dim, list []interval, most int) string {
	var words []string
	for i := 0; i < len(list) && i <= most; i++ {
		text, _ := d.one(dim, list[i])
		words = append(words, text)
	}
	return joinMost(words, len(list), most)
}

// joinMost joins the first words of a list that has n.
func joinMost(words []string, n, most int) string {
	if n <= most {
		return strings.Join(words, ",")
	}
	return strings.Join(words[:most-1], ",") + " and " + strconv.Itoa(n-most+1) + " more"
}

// group parts neighbouring intervals into terms so that the fewest items have to
// be written: step by step, the best way to write the first j of them.
func (d *Describer) group(dim Dim, list []interval) []term {
	type step struct {
		cost, from int
		term       term
	}
	best := make([]step, len(list)+1)
	for j := 1; j <= len(list); j++ {
		text, cost := d.one(dim, list[j-1])
		best[j] = step{best[j-1].cost + cost, j - 1, term{text: text}}
		for i := j; i >= 1; i-- {
			h := d.hull(dim, interval{list[i-1].lo, list[j-1].hi})
			if j < len(list) && !h.hi.Less(list[j].lo) {
				break // hulls only grow
			}
			if i > 1 && !list[i-2].hi.Less(h.lo) {
				continue
			}
			t, cost := d.holes(dim, h, list[i-1:j])
			if cost += best[i-1].cost; cost < best[j].cost {
				best[j] = step{cost, i - 1, t}
			}
		}
	}
	var terms []term
	for j := len(list); j > 0; j = best[j].from {
		terms = append([]term{best[j].term}, terms...)
	}
	return terms
}

// holes writes intervals as what h has but their gaps, and says what that costs.
func (d *Describer) holes(dim Dim, h interval, list []interval) (t term, cost int) {
	t.text, cost = "any", 2
	if h != d.universe(dim) {
		t.text, cost = d.one(dim, h)
	}
	for _, gap := range gapsOf(h, list) {
		text, one := d.one(dim, gap)
		t.but = append(t.but, text)
		cost += one
	}
	if len(t.but) > 0 {
		cost++
	}
	return t, cost
}

// gapsOf is what h has between intervals that are in it.
func gapsOf(h interval, list []interval) (gaps []interval) {
	at, open := h.lo, true
	for _, x := range list {
		if at.Less(x.lo) {
			gaps = append(gaps, interval{at, x.lo.prev()})
		}
		if at, open = x.hi.next(), x.hi != h.hi; !open {
			break
		}
	}
	if open {
		gaps = append(gaps, interval{at, h.hi})
	}
	return gaps
}

// hull is the smallest prefix or pattern that has all of x; for other
// dimensions every value.
func (d *Describer) hull(dim Dim, x interval) interval {
	all := d.universe(dim)
	if !dim.isAddr() && !dim.isName() || x == all {
		return all
	}
	width := 128
	if dim.isAddr() && all.hi.Hi == 0 {
		width = 32
	}
	same := commonBits(x, width)
	if dim.isName() {
		same = same / 8 * 8
	}
	free := lowBits(width - same)
	h := interval{x.lo.And(free.Not()), x.lo.Or(free)}
	if h.lo.Less(all.lo) {
		h.lo = all.lo
	}
	if all.hi.Less(h.hi) {
		h.hi = all.hi
	}
	return h
}

// lowBits is a number whose lowest n bits are set.
func lowBits(n int) Number {
	if n >= 64 {
		return Number{1<<(n-64) - 1, 1<<64 - 1}
	}
	return Number{Lo: 1<<n - 1}
}
