package space

import (
	"iter"
	"net/netip"
	"strings"
)

// Values is a set of values of one dimension: sorted intervals, or a bitmap
// for dimensions of a byte and less. nil is every value. Values of different
// dimensions, or of addresses of different families, do not mix.
type Values interface {
	isValues()
}

func (*runs[T]) isValues() {}
func (*bitmap) isValues()  {}

// fullRuns is every value of a dimension as an interval.
func fullRuns[T number[T]](d Dim) *runs[T] {
	var zero T
	top := zero.top()
	switch {
	case d.isName():
		top = zero.of(Number{1<<56 - 1, 1<<64 - 1}) // 15 bytes
	case !d.isAddr():
		top = zero.of(Number{Lo: dims[d].max})
	}
	return &runs[T]{[]run[T]{{zero, top}}}
}

// Span is the values from lo to hi of a dimension that is no address; hi below
// lo is none. What lies beyond the dimension's greatest value is left out.
func Span(d Dim, lo, hi Number) Values {
	switch {
	case dims[d].bitmap:
		var b bitmap
		for x := lo; !hi.Less(x) && x.Hi == 0 && x.Lo <= dims[d].max; x = x.next() {
			b.add(uint8(x.Lo))
		}
		return &b
	case d.isName():
		return spanOf[Number](d, lo, hi)
	}
	return spanOf[n32](d, lo, hi)
}

func spanOf[T number[T]](d Dim, lo, hi Number) Values {
	full := fullRuns[T](d).r[0]
	if top := full.hi.wide(); top.Less(hi) {
		hi = top
	}
	if hi.Less(lo) {
		return &runs[T]{}
	}
	return &runs[T]{[]run[T]{{full.lo.of(lo), full.lo.of(hi)}}}
}

// One is a single value of a dimension that is no address.
func One(d Dim, n Number) Values { return Span(d, n, n) }

// Bytes is the values of a byte for which keep answers yes; for dimensions of
// a byte and less.
func Bytes(d Dim, keep func(uint8) bool) Values {
	var b bitmap
	for x := range dims[d].max + 1 {
		if keep(uint8(x)) {
			b.add(uint8(x))
		}
	}
	return &b
}

// Addrs is the addresses from one to another, both included, of one family.
func Addrs(from, to netip.Addr) Values {
	lo, hi := AddrNumber(from), AddrNumber(to)
	if from.Is4() {
		return spanOf[n32](Src, lo, hi)
	}
	return spanOf[Number](Src, lo, hi)
}

// Names is the interfaces that a pattern of iptables means: "eth0" is one
// name, "eth+" those that begin with eth, "+" all and no interface too.
func Names(pattern string) Values {
	lo := NameNumber(pattern)
	n := len(pattern) - 1
	if n < 0 || pattern[n] != '+' {
		return spanOf[Number](In, lo, lo)
	}
	if n > 15 {
		n = 15
	}
	lo = NameNumber(pattern[:n])
	var rest [16]byte
	for i := n; i < 15; i++ {
		rest[i] = 0xff
	}
	return spanOf[Number](In, lo, lo.Or(NameNumber(string(rest[:15]))))
}

// maxExpand is into how many intervals a masked condition is turned at most.
const maxExpand = 256

// Masked is the values that, ANDed with mask, are value, if that is not too
// many intervals. wide says that the values are IPv6 addresses.
func Masked(d Dim, value, mask Number, wide bool) (v Values, ok bool) {
	if value.And(mask) != value {
		return None(d, wide), true
	}
	if dims[d].bitmap {
		return Bytes(d, func(x uint8) bool { return uint64(x)&mask.Lo == value.Lo }), true
	}
	if wide || d.isName() {
		return maskedRuns[Number](d, value, mask)
	}
	return maskedRuns[n32](d, value, mask)
}

func maskedRuns[T number[T]](d Dim, value, mask Number) (Values, bool) {
	top := fullRuns[T](d).r[0].hi.wide()
	free := top.And(mask.Not())
	low := Number{} // the run of free bits at the end: one interval
	for bit := (Number{Lo: 1}); free.And(bit) != (Number{}); bit = bit.Add(bit) {
		low = low.Or(bit)
	}
	free = free.And(low.Not())
	var out []run[T]
	var zero T
	for part := (Number{}); ; {
		if len(out) == maxExpand {
			return nil, false
		}
		lo := value.Or(part)
		out = append(out, run[T]{zero.of(lo), zero.of(lo.Or(low))})
		if part = part.Sub(free).And(free); part == (Number{}) { // the next subset of the free bits
			return joined(out), true
		}
	}
}

// None is no value; wide says that the addresses are IPv6's.
func None(d Dim, wide bool) Values {
	switch {
	case dims[d].bitmap:
		return &bitmap{}
	case wide && d.isAddr() || d.isName():
		return &runs[Number]{}
	}
	return &runs[n32]{}
}

// Complement is the values of a dimension that are not in v. v may not be nil
// for addresses, whose family it tells.
func Complement(d Dim, v Values) Values {
	switch v := v.(type) {
	case *bitmap:
		return upTo(dims[d].max).minus(v)
	case *runs[n32]:
		return fullRuns[n32](d).minus(v)
	case *runs[Number]:
		return fullRuns[Number](d).minus(v)
	}
	return None(d, false)
}

// isFull reports whether v is every value of d.
func isFull(d Dim, v Values) bool {
	switch v := v.(type) {
	case *bitmap:
		return v.covers(upTo(dims[d].max))
	case *runs[n32]:
		return len(v.r) == 1 && v.covers(fullRuns[n32](d))
	case *runs[Number]:
		return len(v.r) == 1 && v.covers(fullRuns[Number](d))
	}
	return true
}

// And is the values that are in both.
func And(a, b Values) Values {
	switch x := a.(type) {
	case nil:
		return b
	case *bitmap:
		if y, ok := b.(*bitmap); ok {
			return x.and(y)
		}
	case *runs[n32]:
		if y, ok := b.(*runs[n32]); ok {
			return x.and(y)
		}
	case *runs[Number]:
		if y, ok := b.(*runs[Number]); ok {
			return x.and(y)
		}
	}
	return a // b is nil
}

// Or is the values that are in one of both.
func Or(a, b Values) Values {
	switch x := a.(type) {
	case *bitmap:
		if y, ok := b.(*bitmap); ok {
			return x.or(y)
		}
	case *runs[n32]:
		if y, ok := b.(*runs[n32]); ok {
			return x.or(y)
		}
	case *runs[Number]:
		if y, ok := b.(*runs[Number]); ok {
			return x.or(y)
		}
	}
	return nil
}

// Minus is the values of dimension d that are in a and not in b.
func Minus(d Dim, a, b Values) Values {
	if a == nil {
		return Complement(d, b)
	}
	switch x := a.(type) {
	case *bitmap:
		if y, ok := b.(*bitmap); ok {
			return x.minus(y)
		}
	case *runs[n32]:
		if y, ok := b.(*runs[n32]); ok {
			return x.minus(y)
		}
		return &runs[n32]{}
	case *runs[Number]:
		if y, ok := b.(*runs[Number]); ok {
			return x.minus(y)
		}
		return &runs[Number]{}
	}
	return &bitmap{}
}

// Meets reports whether a value is in both.
func Meets(a, b Values) bool {
	switch x := a.(type) {
	case *bitmap:
		if y, ok := b.(*bitmap); ok {
			return x.meets(y)
		}
	case *runs[n32]:
		if y, ok := b.(*runs[n32]); ok {
			return x.meets(y)
		}
	case *runs[Number]:
		if y, ok := b.(*runs[Number]); ok {
			return x.meets(y)
		}
	}
	return !(a != nil && IsEmpty(a)) && !(b != nil && IsEmpty(b))
}

// Covers reports whether all of b is in a. That b is every value, nil, is not
// covered by an a that is not.
func Covers(a, b Values) bool {
	switch x := a.(type) {
	case *bitmap:
		y, ok := b.(*bitmap)
		return ok && x.covers(y)
	case *runs[n32]:
		y, ok := b.(*runs[n32])
		return ok && x.covers(y)
	case *runs[Number]:
		y, ok := b.(*runs[Number])
		return ok && x.covers(y)
	}
	return true
}

// IsEmpty reports whether there is no value.
func IsEmpty(v Values) bool {
	switch v := v.(type) {
	case *bitmap:
		return v.isEmpty()
	case *runs[n32]:
		return v.isEmpty()
	case *runs[Number]:
		return v.isEmpty()
	}
	return false
}

// Equal reports whether both are the same values.
func Equal(a, b Values) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a == b || Covers(a, b) && Covers(b, a)
}

// Has reports whether n is among the values.
func Has(v Values, n Number) bool {
	switch v := v.(type) {
	case *bitmap:
		return n.Hi == 0 && n.Lo < 256 && v.has(uint8(n.Lo))
	case *runs[n32]:
		return n.Hi == 0 && n.Lo < 1<<32 && v.has(n32(n.Lo))
	case *runs[Number]:
		return v.has(n)
	}
	return true
}

// Count is how many intervals the values are; 0 for every value and for none.
func Count(v Values) int {
	switch v := v.(type) {
	case *runs[n32]:
		return len(v.r)
	case *runs[Number]:
		return len(v.r)
	case *bitmap:
		return v.runs()
	}
	return 0
}

// Runs gives the intervals of the values in order, both ends included; nothing
// for every value.
func Runs(v Values) iter.Seq2[Number, Number] {
	return func(yield func(lo, hi Number) bool) {
		switch v := v.(type) {
		case *bitmap:
			v.each(yield)
		case *runs[n32]:
			v.each(yield)
		case *runs[Number]:
			v.each(yield)
		}
	}
}

func (a *runs[T]) each(yield func(lo, hi Number) bool) {
	for _, x := range a.r {
		if !yield(x.lo.wide(), x.hi.wide()) {
			return
		}
	}
}

func (a *bitmap) each(yield func(lo, hi Number) bool) {
	for x := 0; x < 256; x++ {
		if a[x>>6]>>(x&63) == 0 { // no more in this word
			x |= 63
			continue
		}
		if !a.has(uint8(x)) {
			continue
		}
		lo := x
		for x < 255 && a.has(uint8(x+1)) {
			x++
		}
		if !yield(Num(lo), Num(x)) {
			return
		}
	}
}

// Key is a text that is the same for equal values and no others.
func Key(v Values) string {
	if v == nil {
		return "any"
	}
	var s strings.Builder
	for lo, hi := range Runs(v) {
		s.WriteString(" " + lo.String())
		if lo != hi {
			s.WriteString("-" + hi.String())
		}
	}
	return s.String()
}

// Single is the value of a set that has only one.
func Single(v Values) (n Number, ok bool) {
	for lo, hi := range Runs(v) {
		if ok || lo != hi {
			return Number{}, false
		}
		n, ok = lo, true
	}
	return n, ok
}
