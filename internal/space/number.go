package space

import (
	"math/bits"
	"strconv"
)

// Number is a value of any dimension: an unsigned number of 128 bits.
type Number struct{ Hi, Lo uint64 }

// Num is a small Number.
func Num[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int](n T) Number { return Number{Lo: uint64(n)} }

// Less orders numbers.
func (n Number) Less(m Number) bool { return n.Hi < m.Hi || n.Hi == m.Hi && n.Lo < m.Lo }

// And is the bits that both have.
func (n Number) And(m Number) Number { return Number{n.Hi & m.Hi, n.Lo & m.Lo} }

// Or is the bits that either has.
func (n Number) Or(m Number) Number { return Number{n.Hi | m.Hi, n.Lo | m.Lo} }

// Not is the other bits.
func (n Number) Not() Number { return Number{^n.Hi, ^n.Lo} }

// Add is the sum, without what does not fit.
func (n Number) Add(m Number) Number {
	lo, carry := bits.Add64(n.Lo, m.Lo, 0)
	hi, _ := bits.Add64(n.Hi, m.Hi, carry)
	return Number{hi, lo}
}

// Sub is the difference, modulo 2^128.
func (n Number) Sub(m Number) Number {
	lo, borrow := bits.Sub64(n.Lo, m.Lo, 0)
	hi, _ := bits.Sub64(n.Hi, m.Hi, borrow)
	return Number{hi, lo}
}

// decimal writes a number of 64 bits in decimal, greater ones in hexadecimal.
func decimal(n Number) string {
	if n.Hi == 0 {
		return strconv.FormatUint(n.Lo, 10)
	}
	return n.String()
}

// String is the number in hexadecimal.
func (n Number) String() string {
	if n.Hi == 0 {
		return "0x" + strconv.FormatUint(n.Lo, 16)
	}
	low := strconv.FormatUint(n.Lo, 16)
	return "0x" + strconv.FormatUint(n.Hi, 16) + "0000000000000000"[len(low):] + low
}

// number is what the ends of intervals are made of: n32 or Number.
type number[T any] interface {
	comparable
	Less(T) bool
	next() T // of the greatest: 0
	prev() T // of 0: the greatest
	wide() Number
	of(Number) T // cuts off what does not fit
	top() T      // the greatest
}

// n32 is a number of dimensions with at most 32 bits.
type n32 uint32

func (n n32) Less(m n32) bool { return n < m }
func (n n32) next() n32       { return n + 1 }
func (n n32) prev() n32       { return n - 1 }
func (n n32) wide() Number    { return Number{Lo: uint64(n)} }
func (n32) of(m Number) n32   { return n32(m.Lo) }
func (n32) top() n32          { return 1<<32 - 1 }

func (n Number) next() Number     { return n.Add(Number{Lo: 1}) }
func (n Number) prev() Number     { return n.Sub(Number{Lo: 1}) }
func (n Number) wide() Number     { return n }
func (Number) of(m Number) Number { return m }
func (Number) top() Number        { return Number{1<<64 - 1, 1<<64 - 1} }
