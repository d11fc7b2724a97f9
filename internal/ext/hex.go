package ext

import "strconv"

// HexPad appends a number as C's 0x%0*x does: at least width digits, in small letters.
func (p *Printer) HexPad(n uint64, width int) {
	p.Str("0x")
	p.hexDigits(n, width)
}

// hexDigits appends at least width hexadecimal digits.
func (p *Printer) hexDigits(n uint64, width int) {
	var b [16]byte
	digits := strconv.AppendUint(b[:0], n, 16)
	for i := len(digits); i < width; i++ {
		p.Byte('0')
	}
	p.B = append(p.B, digits...)
}
