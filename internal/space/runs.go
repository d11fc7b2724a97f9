package space

import (
	"math/bits"
	"slices"
)

// run is the numbers from lo to hi, both included.
type run[T number[T]] struct{ lo, hi T }

// runs is a set of numbers as sorted intervals that neither overlap nor touch.
// It is never changed once made, so that boxes may share it.
type runs[T number[T]] struct{ r []run[T] }

func (a *runs[T]) isEmpty() bool { return len(a.r) == 0 }

// from gives the place of the first run that ends at x or later.
func (a *runs[T]) from(x T) int {
	lo, hi := 0, len(a.r)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if a.r[mid].hi.Less(x) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (a *runs[T]) has(x T) bool {
	i := a.from(x)
	return i < len(a.r) && !x.Less(a.r[i].lo)
}

// fewer reports whether looking each run of a up in b costs less than walking
// along both.
func (a *runs[T]) fewer(b *runs[T]) bool {
	return len(a.r)*bits.Len(uint(len(b.r))) < len(a.r)+len(b.r)
}

func (a *runs[T]) and(b *runs[T]) *runs[T] {
	if len(b.r) < len(a.r) {
		a, b = b, a
	}
	var out []run[T]
	jump, j := a.fewer(b), 0
	for _, x := range a.r {
		if jump {
			j = b.from(x.lo)
		}
		for j < len(b.r) && b.r[j].hi.Less(x.lo) {
			j++
		}
		for ; j < len(b.r) && !x.hi.Less(b.r[j].lo); j++ {
			out = append(out, run[T]{maxOf(x.lo, b.r[j].lo), minOf(x.hi, b.r[j].hi)})
			if x.hi.Less(b.r[j].hi) {
				break
			}
		}
	}
	return &runs[T]{out}
}

func maxOf[T number[T]](a, b T) T {
	if a.Less(b) {
		return b
	}
	return a
}

func minOf[T number[T]](a, b T) T {
	if b.Less(a) {
		return b
	}
	return a
}

// minus copies the runs that b leaves alone in one piece, so that a hole in
// ten thousand costs little more than moving their memory.
func (a *runs[T]) minus(b *runs[T]) *runs[T] {
	out := make([]run[T], 0, len(a.r)+len(b.r))
	i, jump := 0, b.fewer(a)
	var open run[T] // what is left of run i-1, if opened
	opened := false
	for _, x := range b.r {
		if opened {
			if open.hi.Less(x.lo) {
				out, opened = append(out, open), false
			} else if out, open, opened = cut(out, open, x); opened {
				continue
			}
		}
		next := i
		if jump {
			next = i + (&runs[T]{a.r[i:]}).from(x.lo)
		}
		for next < len(a.r) && a.r[next].hi.Less(x.lo) {
			next++
		}
		out, i = append(out, a.r[i:next]...), next
		for i < len(a.r) && !x.hi.Less(a.r[i].lo) && !opened {
			out, open, opened = cut(out, a.r[i], x)
			i++
		}
	}
	if opened {
		out = append(out, open)
	}
	return &runs[T]{append(out, a.r[i:]...)}
}

// cut takes x out of a run that it meets: what lies before x is finished, what
// lies behind it may meet more.
func cut[T number[T]](out []run[T], a, x run[T]) (done []run[T], rest run[T], left bool) {
	if a.lo.Less(x.lo) {
		out = append(out, run[T]{a.lo, x.lo.prev()})
	}
	if x.hi.Less(a.hi) {
		return out, run[T]{x.hi.next(), a.hi}, true
	}
	return out, run[T]{}, false
}

// or merges few runs into many by moving memory, as minus does.
func (a *runs[T]) or(b *runs[T]) *runs[T] {
	if len(a.r) < len(b.r) {
		a, b = b, a
	}
	out := make([]run[T], 0, len(a.r)+len(b.r))
	i, jump := 0, b.fewer(a)
	for _, x := range b.r {
		next := i
		if jump {
			next = i + (&runs[T]{a.r[i:]}).from(x.lo)
		}
		for next < len(a.r) && a.r[next].hi.Less(x.lo) {
			next++
		}
		out, i = append(out, a.r[i:next]...), next
		if n := len(out); n > 0 && (!out[n-1].hi.Less(x.lo) || out[n-1].hi.next() == x.lo) {
			x = run[T]{minOf(out[n-1].lo, x.lo), maxOf(out[n-1].hi, x.hi)}
			out = out[:n-1]
		}
		for i < len(a.r) && (!x.hi.Less(a.r[i].lo) || x.hi.next() == a.r[i].lo) {
			x = run[T]{minOf(a.r[i].lo, x.lo), maxOf(a.r[i].hi, x.hi)}
			i++
		}
		out = append(out, x)
	}
	return &runs[T]{append(out, a.r[i:]...)}
}

// joined makes a set of any intervals, which it takes over.
func joined[T number[T]](r []run[T]) *runs[T] {
	slices.SortFunc(r, func(x, y run[T]) int { return order(x.lo, y.lo) })
	out := r[:0]
	for _, x := range r {
		if n := len(out); n > 0 && (!out[n-1].hi.Less(x.lo) || out[n-1].hi.next() == x.lo) {
			out[n-1].hi = maxOf(out[n-1].hi, x.hi)
			continue
		}
		out = append(out, x)
	}
	return &runs[T]{out}
}

func (a *runs[T]) meets(b *runs[T]) bool {
	if len(b.r) < len(a.r) {
		a, b = b, a
	}
	jump, j := a.fewer(b), 0
	for _, x := range a.r {
		if jump {
			j = b.from(x.lo)
		}
		for j < len(b.r) && b.r[j].hi.Less(x.lo) {
			j++
		}
		if j < len(b.r) && !x.hi.Less(b.r[j].lo) {
			return true
		}
	}
	return false
}

// covers reports whether all of b is in a.
func (a *runs[T]) covers(b *runs[T]) bool {
	switch {
	case len(b.r) == 0:
		return true
	case len(a.r) == 0 || b.r[0].lo.Less(a.r[0].lo) || a.r[len(a.r)-1].hi.Less(b.r[len(b.r)-1].hi):
		return false
	case len(a.r) == 1:
		return true
	}
	jump, j := b.fewer(a), 0
	for _, x := range b.r {
		if jump {
			j = a.from(x.lo)
		}
		for j < len(a.r) && a.r[j].hi.Less(x.lo) {
			j++
		}
		if j == len(a.r) || x.lo.Less(a.r[j].lo) || a.r[j].hi.Less(x.hi) {
			return false
		}
	}
	return true
}

func order[T number[T]](a, b T) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}
