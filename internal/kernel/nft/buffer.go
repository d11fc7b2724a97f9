package nft

import "encoding/binary"

// Buffer is an append-only encoder of netlink messages and attributes.
// Attributes are written in place and their lengths patched when they are
// closed, so a batch of any size costs one growing slice and no copies.
// The zero Buffer is ready to use.
//
// Netlink headers and attribute headers are in host byte order; what nf_tables
// puts into attributes is in network byte order unless a method says Host.
type Buffer struct {
	b []byte
}

// Bytes gives the bytes written so far. They stay the Buffer's own.
func (b *Buffer) Bytes() []byte { return b.b }

// Len is the number of bytes written so far.
func (b *Buffer) Len() int { return len(b.b) }

// Reset forgets what was written and keeps the memory.
func (b *Buffer) Reset() { b.b = b.b[:0] }

// Truncate cuts the buffer back to n bytes, as Len gave them earlier.
func (b *Buffer) Truncate(n int) { b.b = b.b[:n] }

// attrHeaderLen is NLA_HDRLEN of linux/netlink.h: length and type, two bytes each.
const attrHeaderLen = 4

// attrNested is NLA_F_NESTED of linux/netlink.h.
const attrNested = 1 << 15

// align4 is NLA_ALIGN and NLMSG_ALIGN of linux/netlink.h: both pad to four bytes.
func align4(n int) int { return (n + 3) &^ 3 }

// pad appends zeros up to the next multiple of four bytes.
func (b *Buffer) pad() {
	for len(b.b)&3 != 0 {
		b.b = append(b.b, 0)
	}
}

// Begin opens a nested attribute and gives its offset for End.
func (b *Buffer) Begin(typ uint16) int {
	at := len(b.b)
	b.b = binary.NativeEndian.AppendUint16(b.b, 0)
	b.b = binary.NativeEndian.AppendUint16(b.b, typ|attrNested)
	return at
}

// BeginRaw opens an attribute whose payload is appended by the caller.
func (b *Buffer) BeginRaw(typ uint16) int {
	at := len(b.b)
	b.b = binary.NativeEndian.AppendUint16(b.b, 0)
	b.b = binary.NativeEndian.AppendUint16(b.b, typ)
	return at
}

// End closes the attribute opened at offset at: patches its length, pads.
// The payload of one attribute must stay under 64 KiB (nla_len is 16 bits).
func (b *Buffer) End(at int) {
	binary.NativeEndian.PutUint16(b.b[at:], uint16(len(b.b)-at))
	b.pad()
}

// header appends the header of an attribute with n bytes of payload.
func (b *Buffer) header(typ uint16, n int) {
	b.b = binary.NativeEndian.AppendUint16(b.b, uint16(attrHeaderLen+n))
	b.b = binary.NativeEndian.AppendUint16(b.b, typ)
}

// AttrBytes appends an attribute that holds data as it is.
func (b *Buffer) AttrBytes(typ uint16, data []byte) {
	b.header(typ, len(data))
	b.b = append(b.b, data...)
	b.pad()
}

// AttrString appends a zero-terminated string attribute.
func (b *Buffer) AttrString(typ uint16, s string) {
	b.header(typ, len(s)+1)
	b.b = append(b.b, s...)
	b.b = append(b.b, 0)
	b.pad()
}

// AttrU8 appends a one-byte attribute.
func (b *Buffer) AttrU8(typ uint16, v uint8) {
	b.header(typ, 1)
	b.b = append(b.b, v, 0, 0, 0)
}

// AttrBE16 appends a two-byte attribute in network byte order.
func (b *Buffer) AttrBE16(typ uint16, v uint16) {
	b.header(typ, 2)
	b.b = binary.BigEndian.AppendUint16(b.b, v)
	b.pad()
}

// AttrBE32 appends a four-byte attribute in network byte order.
func (b *Buffer) AttrBE32(typ uint16, v uint32) {
	b.header(typ, 4)
	b.b = binary.BigEndian.AppendUint32(b.b, v)
}

// AttrBE64 appends an eight-byte attribute in network byte order.
func (b *Buffer) AttrBE64(typ uint16, v uint64) {
	b.header(typ, 8)
	b.b = binary.BigEndian.AppendUint64(b.b, v)
}

// AppendRaw appends bytes as they are, without header or padding.
func (b *Buffer) AppendRaw(p []byte) { b.b = append(b.b, p...) }

// Attrs walks a run of attributes in place, without copying:
//
//	for a := nft.NewAttrs(p); a.Next(); {
//		switch a.Type() { case NFTA_RULE_CHAIN: name = a.String() }
//	}
//
// Malformed input ends the walk; Err then says so. No method panics on any input.
type Attrs struct {
	rest []byte
	data []byte
	typ  uint16
	bad  bool
}

// NewAttrs starts a walk over the attributes in p.
func NewAttrs(p []byte) Attrs { return Attrs{rest: p} }

// Next goes to the next attribute; false at the end or at malformed bytes.
func (a *Attrs) Next() bool {
	if len(a.rest) < attrHeaderLen {
		a.bad = a.bad || len(a.rest) != 0
		return false
	}
	n := int(binary.NativeEndian.Uint16(a.rest))
	if n < attrHeaderLen || n > len(a.rest) {
		a.bad = true
		return false
	}
	a.typ = binary.NativeEndian.Uint16(a.rest[2:]) & 0x3fff
	a.data = a.rest[attrHeaderLen:n]
	a.rest = a.rest[min(align4(n), len(a.rest)):]
	return true
}

// Err is ErrMalformed when the walk ended at bytes that are no attribute.
func (a *Attrs) Err() error {
	if a.bad {
		return ErrMalformed
	}
	return nil
}

// Type is the attribute's type without its flag bits.
func (a *Attrs) Type() uint16 { return a.typ }

// Bytes is the attribute's payload, in the caller's own buffer.
func (a *Attrs) Bytes() []byte { return a.data }

// Nested walks the attribute's payload as attributes.
func (a *Attrs) Nested() Attrs { return Attrs{rest: a.data} }

// String is the payload up to its first zero byte.
func (a *Attrs) String() string { return string(cString(a.data)) }

// U8 is a one-byte payload, 0 if it is shorter.
func (a *Attrs) U8() uint8 {
	if len(a.data) < 1 {
		return 0
	}
	return a.data[0]
}

// BE16 is a two-byte payload in network byte order, 0 if it is shorter.
func (a *Attrs) BE16() uint16 {
	if len(a.data) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(a.data)
}

// BE32 is a four-byte payload in network byte order, 0 if it is shorter.
func (a *Attrs) BE32() uint32 {
	if len(a.data) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(a.data)
}

// BE64 is an eight-byte payload in network byte order, 0 if it is shorter.
func (a *Attrs) BE64() uint64 {
	if len(a.data) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(a.data)
}

// cString cuts p at its first zero byte.
func cString(p []byte) []byte {
	for i, c := range p {
		if c == 0 {
			return p[:i]
		}
	}
	return p
}
