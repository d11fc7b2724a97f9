package commit

// mergedRules are the rules of a chain after others' work was done to those of
// before the change.
type mergedRules struct {
	rules   []savedRule
	added   []savedRule // that others added
	deleted int         // that others deleted
}

// mergeRules does to was what leads from made to is. A rule that others added
// stands behind the neighbour that it had, or at the beginning or the end if it
// stood there. One that they only put back is not there twice.
func mergeRules(was, made, is []savedRule) mergedRules {
	m := ruleMerger{was: was, is: is}
	wasSpecs, madeSpecs, isSpecs := specs(was), specs(made), specs(is)
	m.pairUp(pair(madeSpecs, wasSpecs), pair(madeSpecs, isSpecs))
	m.absorb(wasSpecs, isSpecs)
	return m.join(len(made) > 0)
}

func specs(rules []savedRule) []string {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.spec
	}
	return list
}

// Where a rule of now comes from, if not from a rule of before the change.
const (
	fromChange = -1 // the change made it
	fromOthers = -2
)

type ruleMerger struct {
	was, is []savedRule
	from    []int  // for each rule of is: which of was it is, or fromChange or fromOthers
	gone    []bool // for each rule of was: others deleted it
	undone  []bool // for each rule of was: the change deleted it
}

// pairUp follows the rules that the change left: to what was, and to what is.
func (m *ruleMerger) pairUp(toWas, toIs pairing) {
	m.from = make([]int, len(m.is))
	for j := range m.from {
		m.from[j] = fromOthers
	}
	m.gone, m.undone = make([]bool, len(m.was)), make([]bool, len(m.was))
	for k := range m.undone {
		m.undone[k] = true
	}
	for i, k := range toWas {
		j := toIs[i]
		if k >= 0 {
			m.undone[k] = false
			m.gone[k] = j < 0
		}
		if j >= 0 {
			m.from[j] = k // -1 is fromChange
		}
	}
}

// absorb finds the rules that the change deleted and others put back.
func (m *ruleMerger) absorb(wasSpecs, isSpecs []string) {
	waiting := make(map[string][]int)
	for k, undone := range m.undone {
		if undone {
			waiting[wasSpecs[k]] = append(waiting[wasSpecs[k]], k)
		}
	}
	for j, from := range m.from {
		if list := waiting[isSpecs[j]]; from == fromOthers && len(list) > 0 {
			m.from[j], waiting[isSpecs[j]] = list[0], list[1:]
		}
	}
}

// join writes was without what is gone, with what others added in its place.
func (m *ruleMerger) join(wasAnchored bool) (out mergedRules) {
	head, end, behind := m.places(wasAnchored)
	out.rules = append(out.rules, head...)
	for k, r := range m.was {
		if m.gone[k] {
			out.deleted++
		} else {
			out.rules = append(out.rules, r)
		}
		out.rules = append(out.rules, behind[k]...)
	}
	out.rules = append(out.rules, end...)
	for j, from := range m.from {
		if from == fromOthers {
			out.added = append(out.added, m.is[j])
		}
	}
	return out
}

// places gives others' rules their places: before all, behind all, and behind
// each rule of was. Those of a chain that the change left empty come first, as
// bans do.
func (m *ruleMerger) places(wasAnchored bool) (head, end []savedRule, behind [][]savedRule) {
	behind = make([][]savedRule, len(m.was))
	last := len(m.is) // from here on all are others'
	for last > 0 && m.from[last-1] == fromOthers {
		last--
	}
	at, isFirst := -1, true
	for j, r := range m.is {
		switch from := m.from[j]; {
		case from != fromOthers:
			isFirst = false
			if from >= 0 {
				at = from
			}
		case isFirst && (last > 0 || !wasAnchored):
			head = append(head, r)
		case j >= last:
			end = append(end, r)
		case at < 0 && m.next(j) > 0:
			k := m.next(j) - 1
			behind[k] = append(behind[k], r)
		case at < 0:
			head = append(head, r)
		default:
			behind[at] = append(behind[at], r)
		}
	}
	return head, end, behind
}

// next is the first rule of was that stands behind place j; -1 if none does.
func (m *ruleMerger) next(j int) int {
	for ; j < len(m.from); j++ {
		if m.from[j] >= 0 {
			return m.from[j]
		}
	}
	return -1
}
