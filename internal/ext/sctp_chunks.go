package ext

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
)

// SCTPChunks is a condition on the types of a packet's chunks, and of some on
// their flags. The zero value is none.
type SCTPChunks struct {
	Mode  uint32     // one of sctpAny, sctpAll and sctpOnly
	Types [8]uint32  // bit n of word n/32: chunk type n
	Flags []SCTPFlag // at most four
}

// SCTPFlag says which flags a chunk must have: struct xt_sctp_flag_info.
type SCTPFlag struct {
	Chunk      uint8 // place in sctpChunks, which for most is the chunk's type
	Flag, Mask uint8
}

// The modes, SCTP_CHUNK_MATCH_* of the header, and XT_NUM_SCTP_FLAGS.
const (
	sctpAny      = 1
	sctpAll      = 2
	sctpOnly     = 4
	sctpMaxFlags = 4
)

// sctpModes are the modes by name.
var sctpModes = [...]struct {
	name string
	mode uint32
}{{"all", sctpAll}, {"any", sctpAny}, {"only", sctpOnly}}

// sctpChunks are the types of chunks by name. The flags are the letters of bits
// 7 to 0. Place 15 is I_DATA: 1.8.9 writes the place, not the type, next to
// flags, so that the kernel never finds I_DATA's.
var sctpChunks = [...]struct {
	name  string
	value uint8
	flags string
}{
	{"DATA", 0, "----IUBE"}, {"INIT", 1, ""}, {"INIT_ACK", 2, ""}, {"SACK", 3, ""}, {"HEARTBEAT", 4, ""},
	{"HEARTBEAT_ACK", 5, ""}, {"ABORT", 6, "-------T"}, {"SHUTDOWN", 7, ""}, {"SHUTDOWN_ACK", 8, ""}, {"ERROR", 9, ""},
	{"COOKIE_ECHO", 10, ""}, {"COOKIE_ACK", 11, ""}, {"ECN_ECNE", 12, ""}, {"ECN_CWR", 13, ""},
	{"SHUTDOWN_COMPLETE", 14, "-------T"}, {"I_DATA", 64, "----IUBE"}, {"RE_CONFIG", 130, ""}, {"PAD", 132, ""},
	{"ASCONF", 193, ""}, {"ASCONF_ACK", 128, ""}, {"FORWARD_TSN", 192, ""}, {"I_FORWARD_TSN", 194, ""},
}

// everyChunk has all types.
var everyChunk = [8]uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1}

// has reports whether a type is among the chunks.
func (c *SCTPChunks) has(n uint8) bool { return c.Types[n/32]>>(n%32)&1 != 0 }

// set takes --chunk-types: a mode, and ALL, NONE or a comma list in which
// empty places mean nothing.
func (c *SCTPChunks) set(a *Arg) error {
	for _, mode := range sctpModes {
		if strings.EqualFold(mode.name, a.Value) {
			c.Mode = mode.mode
		}
	}
	switch {
	case c.Mode == 0:
		return a.Bad("all, any or only, and chunk types")
	case strings.EqualFold(a.Second, "ALL"):
		c.Types = everyChunk
		return nil
	case strings.EqualFold(a.Second, "NONE"):
		return nil
	}
	for word := range strings.SplitSeq(a.Second, ",") {
		if err := c.add(a, word); word != "" && err != nil {
			return err
		}
	}
	return nil
}

// add takes TYPE or TYPE:FLAGS.
func (c *SCTPChunks) add(a *Arg, word string) error {
	name, flags, _ := strings.Cut(word, ":")
	for place, chunk := range sctpChunks {
		if !strings.EqualFold(chunk.name, name) {
			continue
		}
		c.Types[chunk.value/32] |= 1 << (chunk.value % 32)
		for i := range len(flags) {
			if !c.addFlag(uint8(place), flags[i]) {
				return a.Errorf("chunk type %s has no flag %q: DATA and I_DATA have I, U, B, E; ABORT and SHUTDOWN_COMPLETE have T", chunk.name, flags[i:i+1])
			}
		}
		return nil
	}
	return a.Errorf("%q is no chunk type: try DATA, INIT, SACK, ABORT … (see -h)", name)
}

// addFlag takes the letter of a flag: a capital sets it, a small one wants it
// off, unless the capital stands there too.
func (c *SCTPChunks) addFlag(place, letter byte) bool {
	at := strings.IndexByte(sctpChunks[place].flags, letter&^0x20)
	if at < 0 || letter == '-' || lower(letter) < 'a' || lower(letter) > 'z' {
		return false
	}
	i := slices.IndexFunc(c.Flags, func(f SCTPFlag) bool { return f.Chunk == place })
	if i < 0 {
		i = len(c.Flags)
		c.Flags = append(c.Flags, SCTPFlag{Chunk: place})
	}
	bit := uint8(0x80) >> at
	c.Flags[i].Mask |= bit
	if lower(letter) != letter {
		c.Flags[i].Flag |= bit
	}
	return true
}

// print prints mode and types in the order of their numbers.
func (c *SCTPChunks) print(p *Printer, numeric bool) {
	p.Byte(' ')
	for _, mode := range sctpModes {
		if mode.mode == c.Mode {
			p.Str(mode.name)
		}
	}
	p.Byte(' ')
	switch c.Types {
	case everyChunk:
		p.Str("ALL")
		return
	case [8]uint32{}:
		p.Str("NONE")
		return
	}
	comma := false
	for n := range 256 {
		if !c.has(uint8(n)) {
			continue
		}
		if comma {
			p.Byte(',')
		}
		comma = true
		p.chunk(uint8(n), numeric)
		c.printFlags(p, uint8(n))
	}
}

// chunk prints a type by its name, or as C's 0x%04X.
func (p *Printer) chunk(n uint8, numeric bool) {
	for _, chunk := range sctpChunks {
		if chunk.value == n && !numeric {
			p.Str(chunk.name)
			return
		}
	}
	const digits = "0123456789ABCDEF"
	p.Str("0x00")
	p.Byte(digits[n>>4])
	p.Byte(digits[n&15])
}

// printFlags prints ":" and the letters of the flags that a type has.
func (c *SCTPChunks) printFlags(p *Printer, n uint8) {
	for _, f := range c.Flags {
		if f.Chunk != n || int(n) >= len(sctpChunks) {
			continue
		}
		p.Byte(':')
		letters := sctpChunks[n].flags
		for i := range len(letters) {
			bit := uint8(0x80) >> i
			switch {
			case f.Mask&bit == 0:
			case f.Flag&bit != 0:
				p.Byte(letters[i])
			default:
				p.Byte(lower(letters[i]))
			}
		}
	}
}

// sctpMapWords is how many words the chunk map has: eight times those it needs.
const sctpMapWords = 64

// unused is what stands in the words that mean nothing: ones for all types.
func (c *SCTPChunks) unused() uint32 {
	if c.Types == everyChunk {
		return 1<<32 - 1
	}
	return 0
}

// info writes chunkmap, chunk_match_type, flag_info and flag_count. Without a
// condition 1.8.9 writes zeros, and 0xff for the chunk of flags that are not used.
func (c *SCTPChunks) info(w nft.Info) {
	for _, word := range c.Types {
		w.Host32(word)
	}
	for range sctpMapWords - len(c.Types) {
		w.Host32(c.unused())
	}
	w.Host32(c.Mode)
	for i := range sctpMaxFlags {
		f := SCTPFlag{Chunk: 0xff}
		if i < len(c.Flags) {
			f = c.Flags[i]
		}
		w.U8(f.Chunk)
		w.U8(f.Flag)
		w.U8(f.Mask)
	}
	w.Host32(uint32(len(c.Flags)))
}

// read reads what info writes.
func (c *SCTPChunks) read(r *nft.InfoReader) error {
	for i := range c.Types {
		c.Types[i] = r.Host32()
	}
	odd := false
	for range sctpMapWords - len(c.Types) {
		odd = r.Host32() != c.unused() || odd
	}
	c.Mode = r.Host32()
	var flags [sctpMaxFlags]SCTPFlag
	for i := range flags {
		flags[i] = SCTPFlag{r.U8(), r.U8(), r.U8()}
	}
	n := r.Host32()
	if odd || n > sctpMaxFlags || c.Mode != 0 && c.Mode != sctpAny && c.Mode != sctpAll && c.Mode != sctpOnly {
		return nft.ErrMalformed
	}
	c.Flags = append(c.Flags, flags[:n]...)
	return nil
}

// sctpChunk is a chunk of a packet: its type, and its flags if they were told.
type sctpChunk struct {
	kind, flags uint8
	told        bool
}

// chunksOf gives the chunks of a packet; nil: not told. Flags are only in its bytes.
func chunksOf(p *packet.Packet) (list []sctpChunk) {
	b := transportBytes(p)
	for at := 12; at+4 <= len(b); {
		list = append(list, sctpChunk{b[at], b[at+1], true})
		n := int(b[at+2])<<8 | int(b[at+3])
		if n == 0 {
			return nil // the kernel drops such a packet
		}
		at += (n + 3) &^ 3
	}
	if list == nil {
		for _, kind := range p.Transport.Chunks {
			list = append(list, sctpChunk{kind: kind})
		}
	}
	return list
}

// match looks at a packet's chunks; nil: they were not told. All: each that is
// asked for is there; any: one of them is; only: there are no others.
func (c *SCTPChunks) match(chunks []sctpChunk) packet.Answer {
	if chunks == nil {
		return packet.Unknown
	}
	answer := packet.Of(c.Mode != sctpAny)
	missing, doubtful := c.Types, c.Types
	for _, chunk := range chunks {
		is := c.meets(chunk)
		switch c.Mode {
		case sctpAny:
			answer = answer.Or(is)
		case sctpOnly:
			answer = answer.And(is)
		}
		bit := uint32(1) << (chunk.kind % 32)
		if is != packet.No {
			doubtful[chunk.kind/32] &^= bit
		}
		if is == packet.Yes {
			missing[chunk.kind/32] &^= bit
		}
	}
	switch {
	case c.Mode != sctpAll || missing == [8]uint32{}:
		return answer
	case doubtful == [8]uint32{}:
		return packet.Unknown
	}
	return packet.No
}

// meets reports whether a chunk is of a type that is asked for, with its flags.
func (c *SCTPChunks) meets(chunk sctpChunk) packet.Answer {
	if !c.has(chunk.kind) {
		return packet.No
	}
	for _, f := range c.Flags {
		switch {
		case f.Chunk != chunk.kind:
		case !chunk.told:
			return packet.Unknown
		default:
			return packet.Of(chunk.flags&f.Mask == f.Flag)
		}
	}
	return packet.Yes
}
