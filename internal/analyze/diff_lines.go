package analyze

import (
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
	"moat/internal/text"
)

// Pair is an element that two lists have in common, by its places in both.
type Pair struct{ Old, New int }

// Common is a longest common subsequence of two lists. Lists that begin and end
// alike, and whose elements are mostly different ones, cost little more than
// reading them.
func Common[T comparable](old, now []T) []Pair {
	var pairs []Pair
	begin := 0
	for begin < len(old) && begin < len(now) && old[begin] == now[begin] {
		pairs = append(pairs, Pair{begin, begin})
		begin++
	}
	end := 0
	for end < len(old)-begin && end < len(now)-begin && old[len(old)-1-end] == now[len(now)-1-end] {
		end++
	}
	for _, p := range commonMiddle(old[begin:len(old)-end], now[begin:len(now)-end]) {
		pairs = append(pairs, Pair{p.Old + begin, p.New + begin})
	}
	for ; end > 0; end-- {
		pairs = append(pairs, Pair{len(old) - end, len(now) - end})
	}
	return pairs
}

// link is the end of a common subsequence, and what comes before it.
type link struct {
	pair   Pair
	before *link
}

// commonMiddle is Hunt's and Szymanski's way: for each element of old, the places
// in now that have it, the last one first. ends[n] ends the subsequence of n+1
// elements that ends first in now.
func commonMiddle[T comparable](old, now []T) []Pair {
	places := make(map[T][]int, len(now))
	for i, x := range now {
		places[x] = append(places[x], i)
	}
	var ends []*link
	for i, x := range old {
		for _, j := range slices.Backward(places[x]) {
			n, _ := slices.BinarySearchFunc(ends, j, func(l *link, j int) int { return l.pair.New - j })
			if n < len(ends) && ends[n].pair.New == j {
				continue
			}
			l := &link{pair: Pair{i, j}}
			if n > 0 {
				l.before = ends[n-1]
			}
			if n == len(ends) {
				ends = append(ends, l)
			} else {
				ends[n] = l
			}
		}
	}
	if len(ends) == 0 {
		return nil
	}
	pairs := make([]Pair, len(ends))
	for l := ends[len(ends)-1]; l != nil; l = l.before {
		ends = ends[:len(ends)-1]
		pairs[len(ends)] = l.pair
	}
	return pairs
}

// LineChange is a line that only one of two texts has.
type LineChange struct {
	// Place is the line's number in the old text, from 1, or that behind which
	// a new one stands.
	Place int
	Added bool
	Line  string
	// Under is the table and chain of a rule, such as "filter INPUT".
	Under string
}

// LineDiff is what has to be taken out of the old rules' text, and added, to get
// the new one; both in save format without counters and comments.
func LineDiff(old, now *rule.Ruleset) []LineChange {
	a, b := saveLines(old), saveLines(now)
	words := func(list []savedLine) []string {
		var out []string
		for _, l := range list {
			out = append(out, l.table+"\n"+l.text)
		}
		return out
	}
	var changes []LineChange
	i, j := 0, 0
	for _, p := range append(Common(words(a), words(b)), Pair{len(a), len(b)}) {
		for ; i < p.Old; i++ {
			changes = append(changes, LineChange{Place: i + 1, Line: a[i].text, Under: a[i].under()})
		}
		for ; j < p.New; j++ {
			changes = append(changes, LineChange{Place: i, Added: true, Line: b[j].text, Under: b[j].under()})
		}
		i, j = i+1, j+1
	}
	return changes
}

// savedLine is a line of the save format.
type savedLine struct{ table, chain, text string }

func (l savedLine) under() string { return strings.TrimSpace(l.table + " " + l.chain) }

// saveLines is a ruleset in save format without counters: tables in the order in
// which packets meet them, so that the order of two files makes no difference.
func saveLines(rs *rule.Ruleset) (lines []savedLine) {
	p := &ext.Printer{Family: rs.Family, Numeric: true}
	tables := slices.Clone(rs.Tables)
	slices.SortStableFunc(tables, func(a, b *rule.Table) int { return tableOrder(a.Name) - tableOrder(b.Name) })
	for _, t := range tables {
		lines = append(lines, savedLine{t.Name, "", "*" + t.Name})
		for _, c := range t.Chains {
			policy := "-"
			if c.Base != nil {
				policy = c.Base.Policy.Name()
			}
			lines = append(lines, savedLine{t.Name, c.Name, ":" + c.Name + " " + policy})
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				p.B = p.B[:0]
				text.AppendRule(p, c.Name, r, text.NoCounters)
				lines = append(lines, savedLine{t.Name, c.Name, strings.TrimSuffix(string(p.B), "\n")})
			}
		}
	}
	return lines
}
