package nft

import "encoding/binary"

// Info writes the C struct that is an xt match's or target's payload, field by
// field, with C's alignment. The struct begins where the Info was made.
//
// Such payloads are host structs, not attributes: numbers are in host byte
// order unless the method says BE; what layout a struct has depends on the
// revision and sometimes on the family. See linux/netfilter/xt_*.h.
type Info struct {
	buf  *Buffer
	base int
}

// NewInfo begins a struct at the end of b.
func NewInfo(b *Buffer) Info { return Info{buf: b, base: b.Len()} }

// Len is the number of bytes of the struct so far.
func (i Info) Len() int { return i.buf.Len() - i.base }

// Align pads with zeros to a multiple of n bytes.
func (i Info) Align(n int) {
	for i.Len()%n != 0 {
		i.buf.b = append(i.buf.b, 0)
	}
}

// Zero appends n zero bytes.
func (i Info) Zero(n int) {
	for ; n > 0; n-- {
		i.buf.b = append(i.buf.b, 0)
	}
}

// PadTo appends zeros until the struct is size bytes long.
func (i Info) PadTo(size int) { i.Zero(size - i.Len()) }

// U8 appends one byte.
func (i Info) U8(v uint8) { i.buf.b = append(i.buf.b, v) }

// Bool appends one byte, 0 or 1.
func (i Info) Bool(v bool) {
	if v {
		i.U8(1)
	} else {
		i.U8(0)
	}
}

// Host16 appends a 16-bit number in host order, aligned to 2.
func (i Info) Host16(v uint16) {
	i.Align(2)
	i.buf.b = binary.NativeEndian.AppendUint16(i.buf.b, v)
}

// BE16 appends a 16-bit number in network order, aligned to 2.
func (i Info) BE16(v uint16) {
	i.Align(2)
	i.buf.b = binary.BigEndian.AppendUint16(i.buf.b, v)
}

// Host32 appends a 32-bit number in host order, aligned to 4.
func (i Info) Host32(v uint32) {
	i.Align(4)
	i.buf.b = binary.NativeEndian.AppendUint32(i.buf.b, v)
}

// BE32 appends a 32-bit number in network order, aligned to 4.
func (i Info) BE32(v uint32) {
	i.Align(4)
	i.buf.b = binary.BigEndian.AppendUint32(i.buf.b, v)
}

// Host64 appends a 64-bit number in host order, aligned to 8.
func (i Info) Host64(v uint64) {
	i.Align(8)
	i.buf.b = binary.NativeEndian.AppendUint64(i.buf.b, v)
}

// Bytes appends bytes as they are, not aligned.
func (i Info) Bytes(p []byte) { i.buf.b = append(i.buf.b, p...) }

// String appends s in a field of n bytes, cut to n and filled with zeros.
func (i Info) String(s string, n int) {
	if len(s) > n {
		s = s[:n]
	}
	i.buf.b = append(i.buf.b, s...)
	i.Zero(n - len(s))
}

// InfoReader reads such a struct field by field, with the same alignment. The
// first field that lies outside the payload sets Err to ErrMalformed and reads
// as zero, as do all after it.
type InfoReader struct {
	p   []byte
	at  int
	err error
}

// NewInfoReader reads from p, which stays the caller's.
func NewInfoReader(p []byte) *InfoReader { return &InfoReader{p: p} }

// Err tells whether the payload was too short for what was read.
func (r *InfoReader) Err() error { return r.err }

// take gives the next n bytes after aligning to n's alignment a.
func (r *InfoReader) take(n, a int) []byte {
	if a > 1 {
		r.at = (r.at + a - 1) / a * a
	}
	if r.err != nil || n < 0 || r.at+n > len(r.p) {
		r.err = ErrMalformed
		return nil
	}
	p := r.p[r.at : r.at+n]
	r.at += n
	return p
}

// Skip passes over n bytes.
func (r *InfoReader) Skip(n int) { r.take(n, 1) }

// Align goes to the next multiple of n bytes.
func (r *InfoReader) Align(n int) { r.at = (r.at + n - 1) / n * n }

// U8 reads one byte.
func (r *InfoReader) U8() uint8 {
	if p := r.take(1, 1); p != nil {
		return p[0]
	}
	return 0
}

// Bool reads one byte and asks whether it is not zero.
func (r *InfoReader) Bool() bool { return r.U8() != 0 }

// Host16 reads a 16-bit number in host order, aligned to 2.
func (r *InfoReader) Host16() uint16 {
	if p := r.take(2, 2); p != nil {
		return binary.NativeEndian.Uint16(p)
	}
	return 0
}

// BE16 reads a 16-bit number in network order, aligned to 2.
func (r *InfoReader) BE16() uint16 {
	if p := r.take(2, 2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// Host32 reads a 32-bit number in host order, aligned to 4.
func (r *InfoReader) Host32() uint32 {
	if p := r.take(4, 4); p != nil {
		return binary.NativeEndian.Uint32(p)
	}
	return 0
}

// BE32 reads a 32-bit number in network order, aligned to 4.
func (r *InfoReader) BE32() uint32 {
	if p := r.take(4, 4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// Host64 reads a 64-bit number in host order, aligned to 8.
func (r *InfoReader) Host64() uint64 {
	if p := r.take(8, 8); p != nil {
		return binary.NativeEndian.Uint64(p)
	}
	return 0
}

// Bytes reads n bytes, not aligned; nil if there are fewer. They stay the payload's.
func (r *InfoReader) Bytes(n int) []byte { return r.take(n, 1) }

// String reads a field of n bytes up to its first zero.
func (r *InfoReader) String(n int) string { return string(cString(r.take(n, 1))) }
