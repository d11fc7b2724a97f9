package analyze

import "moat/internal/space"

// final is what a dimension of packets is in the end, as a function of the
// packets as they came.
type final struct {
	kind  finalKind
	n     space.Number // constant
	value *value       // masked, bytewise or chosen
}

type finalKind uint8

const (
	asCame     finalKind = iota // unchanged
	isConstant                  // n
	isMasked                    // value's bits
	isBytewise                  // value's table
	isChosen                    // by the host or the kernel, among value.known
)

// finalOf is what a dimension of a class's packets is in the end, for those of
// them that are in part.
func finalOf(k *Class, part *space.Box, d space.Dim) final {
	if k.now == nil || k.now.changed>>d&1 == 0 {
		if n, single := space.Single(part.Values(d)); single {
			return final{kind: isConstant, n: n}
		}
		return final{}
	}
	v := k.now.dims[d]
	switch v.kind {
	case masked:
		return final{kind: isMasked, value: v}
	case bytewise:
		return final{kind: isBytewise, value: v}
	}
	if n, single := space.Single(v.known); single {
		return final{kind: isConstant, n: n}
	}
	return final{kind: isChosen, value: v}
}

// xor is the bits in which two numbers differ.
func xor(a, b space.Number) space.Number { return space.Number{Hi: a.Hi ^ b.Hi, Lo: a.Lo ^ b.Lo} }

// equalWhere is the packets as they came for which two finals of dimension d are
// the same value.
func equalWhere(d space.Dim, a, b final, wide bool) space.Set {
	if a.kind > b.kind {
		a, b = b, a
	}
	switch {
	case b.kind == isChosen:
		return everyIf(a.kind == isChosen && space.Equal(a.value.known, b.value.known))
	case a.kind == b.kind && a.kind == asCame:
		return space.All()
	case a.kind == b.kind && a.kind == isConstant:
		return everyIf(a.n == b.n)
	case b.kind == isConstant:
		return space.Where(d, b.n, fullMask(wide), wide, false)
	case b.kind == isBytewise:
		return equalBytes(d, a, b)
	case a.kind == isConstant:
		return b.value.equals(a.n, b.value.clear.Not(), false)
	case a.kind == isMasked:
		return equalMasked(a.value, b.value)
	case b.value.of != d:
		return space.Set{}
	}
	v := b.value
	return equalMasked(&value{of: d, wide: v.wide}, v)
}

// fullMask is all bits of a mark or an address.
func fullMask(wide bool) space.Number {
	if wide {
		return space.Number{}.Not()
	}
	return space.Num(uint32(1<<32 - 1))
}

// equalMasked compares two masked values: where both or neither clear a bit they
// must flip it alike, elsewhere the bit itself decides.
func equalMasked(a, b *value) space.Set {
	differ, one := xor(a.flip, b.flip), xor(a.clear, b.clear)
	if a.of != b.of || a.limit(differ.And(one.Not())) != (space.Number{}) {
		return space.Set{}
	}
	if a.limit(one) == (space.Number{}) {
		return space.All()
	}
	return space.Where(a.of, a.limit(differ), a.limit(one), a.wide || b.wide, false)
}

// equalBytes is equalWhere for b bytewise.
func equalBytes(d space.Dim, a, b final) space.Set {
	if a.kind == isMasked || a.kind == asCame && b.value.of != d || a.kind == isBytewise && a.value.of != b.value.of {
		return space.Set{}
	}
	return boxOf(b.value.of, space.Bytes(b.value.of, func(x uint8) bool {
		switch a.kind {
		case isConstant:
			return a.n == space.Num(b.value.table[x])
		case isBytewise:
			return a.value.table[x] == b.value.table[x]
		}
		return b.value.table[x] == x
	}))
}

// piece is packets of two classes, and the dimensions in which both leave them alike.
type piece struct {
	box   space.Box
	alike uint32
}

// translatedDims are the dimensions whose values make outcomes.
var translatedDims = [...]space.Dim{space.Dst, space.DPort, space.Src, space.SPort, space.Mark, space.ConnMark, space.TOS, space.TTL, space.State}

func alikeDims() uint32 { return bitsOf(translatedDims[:]...) }

// pieces parts packets that two classes have in common by whether they leave alike.
func pieces(b space.Box, old, now *Class, wide bool) []piece {
	list := []piece{{box: b}}
	for _, d := range translatedDims {
		var next []piece
		for _, p := range list {
			a, c := finalOf(old, &p.box, d), finalOf(now, &p.box, d)
			equal := equalWhere(d, a, c, wide && (d == space.Src || d == space.Dst))
			all := space.Of(p.box)
			for _, one := range all.And(equal).Boxes() {
				next = append(next, piece{one, p.alike | 1<<d})
			}
			for _, one := range all.Minus(equal).Boxes() {
				next = append(next, piece{one, p.alike})
			}
		}
		list = next
	}
	return list
}
