package space

import "slices"

// Pile is boxes that are to be taken away from others. Boxes that differ in one
// dimension only are kept as one, so that thousands of blocked addresses are a
// box, and thousands of addresses for a few ports a box for each port. The zero
// Pile is empty.
type Pile struct {
	under  *Pile // what this one lies on; it must not change meanwhile
	groups map[uint64][]*group
	sorted []layer // of at least twice as many groups as the next
	tail   []*group
	size   int
}

// group is boxes that are alike but for one dimension, joined.
type group struct {
	box  Box
	like Box // box without dim
	dim  Dim // NumDims: the box stands alone
}

// layer is groups with an index of what is alike in them.
type layer struct {
	groups []*group
	index  *Index
}

// pileTail is how many groups are looked at one by one.
const pileTail = 32

// On gives an empty pile that lies on p: it has p's boxes too.
func (p *Pile) On() *Pile { return &Pile{under: p} }

// Len is how many boxes were added to the pile and those under it.
func (p *Pile) Len() int {
	n := 0
	for ; p != nil; p = p.under {
		n += p.size
	}
	return n
}

// Add puts a box on the pile.
func (p *Pile) Add(b *Box) {
	p.size++
	d := b.smallest()
	like := *b
	if d < NumDims {
		like.dims[d], like.used = nil, like.used&^(1<<d)
	}
	h := like.hash() ^ mix(uint64(d))
	for _, g := range p.groups[h] {
		if g.dim == d && d < NumDims && g.like.equal(&like, NumDims) {
			g.box, _ = g.box.Replace(d, Or(g.box.dims[d], b.dims[d]))
			return
		}
	}
	g := &group{*b, like, d}
	if p.groups == nil {
		p.groups = map[uint64][]*group{}
	}
	p.groups[h] = append(p.groups[h], g)
	p.tail = append(p.tail, g)
	if len(p.tail) >= pileTail {
		p.file()
	}
}

// file makes an index of the tail, and joins those that became too small beside it.
func (p *Pile) file() {
	all, n := p.tail, len(p.sorted)
	for n > 0 && len(p.sorted[n-1].groups) < 2*len(all) {
		n--
		all = slices.Concat(p.sorted[n].groups, all)
	}
	like := make([]*Box, len(all))
	for i, g := range all {
		like[i] = &g.like
	}
	p.sorted = append(p.sorted[:n], layer{all, NewIndex(like)})
	p.tail = nil
}

// Meeting appends the boxes of the pile that meet b. They stay as they are when
// more is added to the pile.
func (p *Pile) Meeting(list []*Box, b *Box) []*Box {
	var found []int32
	for ; p != nil; p = p.under {
		for _, x := range p.sorted {
			found = x.index.Meeting(found[:0], b)
			for _, i := range found {
				list = x.groups[i].meeting(list, b)
			}
		}
		for _, g := range p.tail {
			list = g.meeting(list, b)
		}
	}
	return list
}

func (g *group) meeting(list []*Box, b *Box) []*Box {
	if !g.box.Meets(b) {
		return list
	}
	box := g.box
	return append(list, &box)
}

// Left gives what is left of b without the boxes of the pile, as Subtract does.
func (p *Pile) Left(b *Box, yield func(Box) bool) bool {
	return b.Subtract(p.Meeting(nil, b), yield)
}

// hash is equal for boxes that are equal.
func (b *Box) hash() uint64 {
	h := uint64(b.used)
	b.Dims(func(d Dim, v Values) {
		switch v := v.(type) {
		case *bitmap:
			for _, w := range v {
				h = mix(h ^ w)
			}
		default:
			for lo, hi := range Runs(v) {
				h = mix(mix(h^lo.Lo) ^ hi.Lo ^ lo.Hi<<7 ^ hi.Hi)
			}
		}
	})
	for _, l := range b.lits {
		for i := range len(l.Text) {
			h = h*0x100000001b3 ^ uint64(l.Text[i])
		}
		if l.Not {
			h = mix(h)
		}
	}
	return h
}
