package text

import "strconv"

// pad appends blanks until n bytes have been written since start.
func pad(b []byte, start, n int) []byte {
	for len(b)-start < n {
		b = append(b, ' ')
	}
	return b
}

// padLeft appends blanks so that a text of length n ends at the given width.
func padLeft(b []byte, n, width int) []byte {
	for ; n < width; n++ {
		b = append(b, ' ')
	}
	return b
}

// appendUintRight appends n in decimal, right-justified in width.
func appendUintRight(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], n, 10)
	b = padLeft(b, len(d), width)
	return append(b, d...)
}

// roundCounter gives a counter as listings without -x show it: up to 99999 as
// it is, above that in the smallest of K, M, G, T (powers of 1000, each step
// rounded half up) that leaves at most 9999, and T whatever is left. The steps
// wrap round at 2^64 as the C program's do. unit is 0 for none.
func roundCounter(n uint64) (rounded uint64, unit byte) {
	if n <= 99999 {
		return n, 0
	}
	for _, unit = range []byte("KMGT") {
		if n = (n + 500) / 1000; n <= 9999 {
			break
		}
	}
	return n, unit
}

// appendCounter appends a counter for a sentence, as in a chain's head.
func appendCounter(b []byte, n uint64, exact bool) []byte {
	if exact {
		return strconv.AppendUint(b, n, 10)
	}
	n, unit := roundCounter(n)
	b = strconv.AppendUint(b, n, 10)
	if unit != 0 {
		b = append(b, unit)
	}
	return b
}

// appendCounterColumn appends a counter and the blank that ends its column: 5
// wide, or 8 with exact numbers; longer numbers push the rest to the right.
func appendCounterColumn(b []byte, n uint64, exact bool) []byte {
	if exact {
		return append(appendUintRight(b, n, 8), ' ')
	}
	n, unit := roundCounter(n)
	if unit == 0 {
		return append(appendUintRight(b, n, 5), ' ')
	}
	return append(appendUintRight(b, n, 4), unit, ' ')
}
