package space

import (
	"math"
	"math/bits"
	"slices"
	"sort"
)

// Index finds those of many boxes that meet another box. Each box is filed
// under the dimension in which it is smallest, in a tree of intervals; boxes that
// are small in none are looked at always. It does not change once made.
type Index struct {
	boxes []*Box
	trees [NumDims]tree
	loose []int32 // boxes in no tree
}

// maxFiled is how many intervals a box has at most in the dimension under
// which it is filed, and a box that is asked for in one that is looked up.
const maxFiled = 8

// NewIndex files boxes, which are known by their places in the list. The list
// belongs to the index.
func NewIndex(boxes []*Box) *Index {
	x := &Index{boxes: boxes}
	for i, b := range boxes {
		d := b.smallest()
		if d == NumDims {
			x.loose = append(x.loose, int32(i))
			continue
		}
		for lo, hi := range Runs(b.dims[d]) {
			x.trees[d].list = append(x.trees[d].list, entry{lo, hi, Number{}, int32(i)})
		}
	}
	for d := range x.trees {
		t := x.trees[d].list
		sort.Slice(t, func(i, j int) bool { return t[i].lo.Less(t[j].lo) })
		build(t)
	}
	return x
}

// nameShare is the part of all packets that one interface is taken for: a host
// has a dozen, of which a rule names one, whatever names there could be.
const nameShare = 1.0 / 16

// smallest is the dimension in which the box holds the least part of all
// values; NumDims if it is wide in each.
func (b *Box) smallest() Dim {
	best, least := NumDims, 0.5
	b.Dims(func(d Dim, v Values) {
		if Count(v) > maxFiled {
			return
		}
		size := sizeOf(v)
		if d.isName() && size < 0x1p112 { // names, or names that begin alike
			size = nameShare * 0x1p120
		}
		if size /= math.Exp2(float64(width(d, v))); size < least {
			best, least = d, size
		}
	})
	return best
}

// width is how many bits the values of a dimension have.
func width(d Dim, v Values) int {
	switch {
	case d.isName():
		return 120
	case d.isAddr() && isWide(v):
		return 128
	case d.isAddr():
		return 32
	}
	return bits.Len64(dims[d].max)
}

// entry is an interval of a box. max is the greatest hi of its subtree.
type entry struct {
	lo, hi, max Number
	box         int32
}

// tree is intervals sorted by their beginnings: the middle one is the root, the
// halves before and behind it are its subtrees.
type tree struct{ list []entry }

// build sets max and returns it.
func build(t []entry) (max Number) {
	if len(t) == 0 {
		return max
	}
	mid := len(t) / 2
	max = t[mid].hi
	for _, other := range [...]Number{build(t[:mid]), build(t[mid+1:])} {
		if max.Less(other) {
			max = other
		}
	}
	t[mid].max = max
	return max
}

// meet calls f for the entries that meet lo to hi, until it returns false.
func meet(t []entry, lo, hi Number, f func(int32) bool) bool {
	for len(t) > 0 {
		mid := len(t) / 2
		e := &t[mid]
		if e.max.Less(lo) {
			return true
		}
		if !meet(t[:mid], lo, hi, f) {
			return false
		}
		if hi.Less(e.lo) {
			return true
		}
		if !e.hi.Less(lo) && !f(e.box) {
			return false
		}
		t = t[mid+1:]
	}
	return true
}

// Meeting appends the places of the boxes that meet b, in order.
func (x *Index) Meeting(list []int32, b *Box) []int32 {
	from := len(list)
	add := func(i int32) bool {
		if x.boxes[i].Meets(b) {
			list = append(list, i)
		}
		return true
	}
	for _, i := range x.loose {
		add(i)
	}
	for d := range x.trees {
		t := x.trees[d].list
		switch v := b.dims[d]; {
		case len(t) == 0:
		case v == nil || Count(v) > maxFiled:
			for i := range t {
				add(t[i].box)
			}
		default:
			for lo, hi := range Runs(v) {
				meet(t, lo, hi, add)
			}
		}
	}
	slices.Sort(list[from:])
	return list[:from+len(slices.Compact(list[from:]))]
}

// First gives the first box that has a point, among those whose places are
// below a bound; -1 if none has.
func (x *Index) First(p *Point, below int) int {
	best := int32(below)
	try := func(i int32) bool {
		if i < best && x.boxes[i].Has(p) {
			best = i
		}
		return true
	}
	for _, i := range x.loose {
		if i >= best {
			break
		}
		try(i)
	}
	for d := range x.trees {
		if t := x.trees[d].list; len(t) > 0 {
			meet(t, p.At[d], p.At[d], try)
		}
	}
	if best == int32(below) {
		return -1
	}
	return int(best)
}
