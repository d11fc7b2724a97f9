package space

import "math/bits"

// bitmap is a set of numbers below 256. It is never changed once made.
type bitmap [4]uint64

func (a *bitmap) has(x uint8) bool { return a[x>>6]>>(x&63)&1 != 0 }
func (a *bitmap) add(x uint8)      { a[x>>6] |= 1 << (x & 63) }

func (a *bitmap) and(b *bitmap) *bitmap {
	return &bitmap{a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3]}
}

func (a *bitmap) or(b *bitmap) *bitmap {
	return &bitmap{a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]}
}

func (a *bitmap) minus(b *bitmap) *bitmap {
	return &bitmap{a[0] &^ b[0], a[1] &^ b[1], a[2] &^ b[2], a[3] &^ b[3]}
}

func (a *bitmap) isEmpty() bool         { return *a == bitmap{} }
func (a *bitmap) meets(b *bitmap) bool  { return *a.and(b) != bitmap{} }
func (a *bitmap) covers(b *bitmap) bool { return *b.minus(a) == bitmap{} }

// runs is how many intervals the set has: bits whose lower neighbour is not set.
func (a *bitmap) runs() (n int) {
	before := uint64(0)
	for _, w := range a {
		n += bits.OnesCount64(w &^ (w<<1 | before))
		before = w >> 63
	}
	return n
}

// upTo is the bitmap of all numbers up to max.
func upTo(max uint64) *bitmap {
	var b bitmap
	for x := range max + 1 {
		b.add(uint8(x))
	}
	return &b
}
