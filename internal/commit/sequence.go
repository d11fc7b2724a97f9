package commit

// pairing says which elements of one list are those of another: to[i] is the
// index in the other list, or -1. Pairs do not cross.
type pairing []int

// longestTable bounds the table with which pair looks for the longest common
// part of two lists that have no anchors: cells.
const longestTable = 1 << 20

// pair finds which lines of a are lines of b, in the manner of a patience diff:
// what both begin and end with, then lines that stand once in each, and the
// same again between those.
func pair(a, b []string) pairing {
	p := make(pairing, len(a))
	for i := range p {
		p[i] = -1
	}
	p.span(a, b, 0, len(a), 0, len(b))
	return p
}

// span pairs a[a0:a1] with b[b0:b1].
func (p pairing) span(a, b []string, a0, a1, b0, b1 int) {
	for a0 < a1 && b0 < b1 && a[a0] == b[b0] {
		p[a0] = b0
		a0, b0 = a0+1, b0+1
	}
	for a0 < a1 && b0 < b1 && a[a1-1] == b[b1-1] {
		a1, b1 = a1-1, b1-1
		p[a1] = b1
	}
	if a0 == a1 || b0 == b1 {
		return
	}
	anchors := anchors(a, b, a0, a1, b0, b1)
	if len(anchors) == 0 {
		if (a1-a0+1)*(b1-b0+1) <= longestTable {
			p.longest(a, b, a0, a1, b0, b1)
		}
		return
	}
	for _, at := range anchors {
		p.span(a, b, a0, at[0], b0, at[1])
		p[at[0]] = at[1]
		a0, b0 = at[0]+1, at[1]+1
	}
	p.span(a, b, a0, a1, b0, b1)
}

// seen counts a line in both lists.
type seen struct{ inA, inB, atB int }

// anchors gives the most pairs of lines that stand once in each part and do not
// cross: a longest increasing run of the places in b.
func anchors(a, b []string, a0, a1, b0, b1 int) [][2]int {
	lines := make(map[string]*seen, a1-a0)
	for i := a0; i < a1; i++ {
		if s := lines[a[i]]; s != nil {
			s.inA++
		} else {
			lines[a[i]] = &seen{inA: 1}
		}
	}
	for j := b0; j < b1; j++ {
		if s := lines[b[j]]; s != nil {
			s.inB++
			s.atB = j
		}
	}
	var pairs [][2]int
	for i := a0; i < a1; i++ {
		if s := lines[a[i]]; s.inA == 1 && s.inB == 1 {
			pairs = append(pairs, [2]int{i, s.atB})
		}
	}
	return increasing(pairs)
}

// increasing gives the longest run of pairs whose second numbers rise.
func increasing(pairs [][2]int) [][2]int {
	before := make([]int, len(pairs)) // the pair that comes before in the best run
	var ends []int                    // ends[n]: the pair with the least end of a run of n+1
	for i, p := range pairs {
		low, high := 0, len(ends)
		for low < high {
			if mid := (low + high) / 2; pairs[ends[mid]][1] < p[1] {
				low = mid + 1
			} else {
				high = mid
			}
		}
		before[i] = -1
		if low > 0 {
			before[i] = ends[low-1]
		}
		if low == len(ends) {
			ends = append(ends, i)
		} else {
			ends[low] = i
		}
	}
	run := make([][2]int, len(ends))
	if len(ends) == 0 {
		return nil
	}
	for i, n := ends[len(ends)-1], len(ends)-1; n >= 0; i, n = before[i], n-1 {
		run[n] = pairs[i]
	}
	return run
}

// longest pairs the longest common part of two short lists.
func (p pairing) longest(a, b []string, a0, a1, b0, b1 int) {
	width := b1 - b0 + 1
	length := make([]int32, (a1-a0+1)*width) // of a[i:] and b[j:]
	for i := a1 - a0 - 1; i >= 0; i-- {
		for j := b1 - b0 - 1; j >= 0; j-- {
			if a[a0+i] == b[b0+j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < a1-a0 && j < b1-b0; {
		switch {
		case a[a0+i] == b[b0+j]:
			p[a0+i] = b0 + j
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
}
