package ext

// HMARK: iptables-extensions(8), "HMARK".
// UAPI: linux/netfilter/xt_HMARK.h, struct xt_hmark_info, revision 0.

import (
	"net/netip"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// HMark sets the packet's mark to Offset plus a hash of its addresses, ports and
// protocol modulo Mod. Only the parts whose bit is in Given go into the hash.
type HMark struct {
	Given                uint32 // bits of XT_HMARK_*
	SrcLen, DstLen       uint8  // prefix lengths of the addresses; hmarkAll for all of an IPv4 address
	SPI, SPIMask         uint32 // instead of ports
	SPort, DPort         uint16
	SPortMask, DPortMask uint16
	ProtoMask            uint16
	Rnd, Mod, Offset     uint32
}

// Bits of struct xt_hmark_info: XT_HMARK_FLAG(XT_HMARK_*).
const (
	hmarkSrc = 1 << iota
	hmarkDst
	hmarkSPI
	hmarkSPIMask
	hmarkSPort
	hmarkDPort
	hmarkSPortMask
	hmarkDPortMask
	hmarkProto
	hmarkRnd
	hmarkMod
	hmarkOffset
	hmarkCt
	hmarkL3
	hmarkL34
	hmarkKnown = 1<<iota - 1
)

// hmarkAll is the prefix length for which all sixteen bytes of a mask are ones.
// 1.8.9 writes that for IPv4 too, where no length or more than 32 is asked for.
const hmarkAll = 128

var hmark = Def{
	Name: "HMARK", Kind: Target, Families: Both,
	Summary: "set the packet's mark by a hash of it",
	Options: []Option{
		{Name: "hmark-tuple", Value: "PART[,...]", Help: "parts of the packet to hash: src, dst, sport, dport, spi, proto, or ct for the connection's"},
		{Name: "hmark-mod", Value: "NUMBER", Required: true, Help: "marks are less than this (from 1)"},
		{Name: "hmark-offset", Value: "NUMBER", Help: "added to the mark"},
		{Name: "hmark-src-prefix", Value: "LENGTH", Help: "hash this many bits of the source"},
		{Name: "hmark-dst-prefix", Value: "LENGTH", Help: "hash this many bits of the destination"},
		{Name: "hmark-sport-mask", Value: "MASK", Help: "hash these bits of the source port"},
		{Name: "hmark-dport-mask", Value: "MASK", Help: "hash these bits of the destination port"},
		{Name: "hmark-spi-mask", Value: "MASK", Help: "hash these bits of the security parameter index"},
		{Name: "hmark-sport", Value: "NUMBER", Help: "OR the source port with this"},
		{Name: "hmark-dport", Value: "NUMBER", Help: "OR the destination port with this"},
		{Name: "hmark-spi", Value: "NUMBER", Help: "OR the security parameter index with this"},
		{Name: "hmark-proto-mask", Value: "MASK", Help: "hash these bits of the protocol"},
		{Name: "hmark-rnd", Value: "NUMBER", Required: true, Help: "start of the hash"},
	},
	Revisions: []Revision{{Rev: 0, Size: 60}},
	New:       func(rule.Family) Ext { return &HMark{} },
}

func init() { register(&hmark) }

// hmarkTuple are the parts that --hmark-tuple knows, each with its bit.
var hmarkTuple = [...]struct {
	name string
	bit  uint32
}{
	{"src", hmarkSrc}, {"dst", hmarkDst}, {"sport", hmarkSPortMask}, {"dport", hmarkDPortMask},
	{"spi", hmarkSPIMask}, {"proto", hmarkProto}, {"ct", hmarkCt},
}

func (t *HMark) Name() string { return "HMARK" }
func (t *HMark) Def() *Def    { return &hmark }

// hmarkField is a number of an HMark: its option without "hmark-", its bit, its
// width in bits, and how it is printed.
type hmarkField struct {
	name   string
	bit    uint32
	bits   uint8
	digits int // hexadecimal digits in the save format; 0: decimal
}

// hmarkFields are the numbers in the order in which they are printed.
var hmarkFields = [...]hmarkField{
	{"src-prefix", hmarkSrc, 8, 0}, {"dst-prefix", hmarkDst, 8, 0},
	{"sport-mask", hmarkSPortMask, 16, 4}, {"dport-mask", hmarkDPortMask, 16, 4}, {"spi-mask", hmarkSPIMask, 32, 8},
	{"sport", hmarkSPort, 16, 4}, {"dport", hmarkDPort, 16, 4}, {"spi", hmarkSPI, 32, 8},
	{"proto-mask", hmarkProto, 16, 2}, {"rnd", hmarkRnd, 32, 8}, {"mod", hmarkMod, 32, 0}, {"offset", hmarkOffset, 32, 0},
}

// value gives a field's number.
func (t *HMark) value(bit uint32) uint32 {
	switch bit {
	case hmarkSrc:
		return uint32(t.SrcLen)
	case hmarkDst:
		return uint32(t.DstLen)
	case hmarkSPortMask:
		return uint32(t.SPortMask)
	case hmarkDPortMask:
		return uint32(t.DPortMask)
	case hmarkSPIMask:
		return t.SPIMask
	case hmarkSPort:
		return uint32(t.SPort)
	case hmarkDPort:
		return uint32(t.DPort)
	case hmarkSPI:
		return t.SPI
	case hmarkProto:
		return uint32(t.ProtoMask)
	case hmarkRnd:
		return t.Rnd
	case hmarkMod:
		return t.Mod
	}
	return t.Offset
}

// set sets a field's number.
func (t *HMark) set(bit, n uint32) {
	t.Given |= bit
	switch bit {
	case hmarkSrc:
		t.SrcLen = uint8(n)
	case hmarkDst:
		t.DstLen = uint8(n)
	case hmarkSPortMask:
		t.SPortMask = uint16(n)
	case hmarkDPortMask:
		t.DPortMask = uint16(n)
	case hmarkSPIMask:
		t.SPIMask = n
	case hmarkSPort:
		t.SPort = uint16(n)
	case hmarkDPort:
		t.DPort = uint16(n)
	case hmarkSPI:
		t.SPI = n
	case hmarkProto:
		t.ProtoMask = uint16(n)
	case hmarkRnd:
		t.Rnd = n
	case hmarkMod:
		t.Mod = n
	case hmarkOffset:
		t.Offset = n
	}
}

func (t *HMark) Set(a *Arg) error {
	if a.Is("hmark-tuple") {
		return t.setTuple(a)
	}
	for i := range hmarkFields {
		if f := &hmarkFields[i]; a.Option.Name[len("hmark-"):] == f.name {
			return t.setField(a, f)
		}
	}
	return nil
}

// setField takes a number; one that a tuple before it gave is not given twice.
func (t *HMark) setField(a *Arg, f *hmarkField) error {
	if t.Given&f.bit != 0 {
		return a.Errorf("says again what is in --hmark-tuple")
	}
	least, most := uint64(0), uint64(1)<<f.bits-1
	switch {
	case f.bit == hmarkMod:
		least = 1
	case f.digits == 0 && f.bits == 8 && a.Family == rule.IPv6:
		most = 128
	}
	n, err := a.Uint(least, most)
	if f.bits == 8 && n > uint64(8*a.Family.AddrLen()) {
		n = hmarkAll
	}
	t.set(f.bit, uint32(n))
	return err
}

// setTuple reads a comma list of parts, of which the beginnings will do; each
// counts in full.
func (t *HMark) setTuple(a *Arg) error {
next:
	for word := range strings.SplitSeq(a.Value, ",") {
		for _, part := range hmarkTuple {
			if word != "" && hasPrefixFold(part.name, word) {
				all := uint32(1<<32 - 1)
				if part.bit == hmarkSrc || part.bit == hmarkDst {
					all = hmarkAll
				}
				t.set(part.bit, all)
				continue next
			}
		}
		return a.Errorf("knows src, dst, sport, dport, spi, proto and ct, not %q", word)
	}
	return nil
}

// Check asks for something to hash.
func (t *HMark) Check(*Context) error {
	if t.Given&^(hmarkRnd|hmarkMod|hmarkOffset) == 0 {
		return Errorf(t, "needs --hmark-tuple or one of the options for a part of the packet")
	}
	if t.Given&hmarkSPIMask != 0 && t.Given&(hmarkSPortMask|hmarkDPortMask) != 0 {
		return Errorf(t, "hashes the security parameter index or ports, not both")
	}
	return nil
}

func (t *HMark) Save(p *Printer) {
	for _, f := range hmarkFields {
		if t.Given&f.bit == 0 {
			continue
		}
		p.Str(" --hmark-" + f.name + " ")
		switch n := uint64(t.value(f.bit)); {
		case f.digits > 0:
			p.HexPad(n, f.digits)
		case f.bits == 8:
			p.Uint(min(n, uint64(8*p.Family.AddrLen())))
		default:
			p.Uint(n)
		}
	}
	if t.Given&hmarkCt != 0 {
		p.Str(" --hmark-tuple ct")
	}
}

// List prints a blank behind everything. 1.8.9 prints nothing for the length of
// an IPv6 prefix of 128 bits.
func (t *HMark) List(p *Printer) {
	p.Str(" HMARK ")
	if t.Given&hmarkMod != 0 {
		p.Str("mod ")
		p.Uint(uint64(t.Mod))
		p.Byte(' ')
	}
	if t.Given&hmarkOffset != 0 {
		p.Str("+ ")
		p.Hex(uint64(t.Offset))
		p.Byte(' ')
	}
	if t.Given&hmarkCt != 0 {
		p.Str("ct, ")
	}
	for _, f := range hmarkFields[:10] {
		if t.Given&f.bit == 0 {
			continue
		}
		p.Str(f.name + " ")
		switch n := uint64(t.value(f.bit)); {
		case f.digits > 0:
			p.Hex(n)
		case n < hmarkAll:
			p.Uint(n)
		case p.Family == rule.IPv4:
			p.Uint(32)
		}
		p.Byte(' ')
	}
}

// Info writes struct xt_hmark_info. Ports, or the index that shares their
// bytes, are in network order there.
func (t *HMark) Info(w nft.Info, _ uint8, f rule.Family) {
	inetAddr(w, hmarkMask(t.SrcLen, f))
	inetAddr(w, hmarkMask(t.DstLen, f))
	t.portsInfo(w, hmarkSPIMask, t.SPIMask, t.SPortMask, t.DPortMask)
	t.portsInfo(w, hmarkSPI, t.SPI, t.SPort, t.DPort)
	w.Host32(t.Given)
	w.Host16(t.ProtoMask)
	w.Host32(t.Rnd)
	w.Host32(t.Mod)
	w.Host32(t.Offset)
}

func (t *HMark) portsInfo(w nft.Info, bit, spi uint32, src, dst uint16) {
	if t.Given&bit != 0 {
		w.BE32(spi)
		return
	}
	w.BE16(src)
	w.BE16(dst)
}

// hmarkMask is a prefix's mask.
func hmarkMask(bits uint8, f rule.Family) netip.Addr {
	if bits == hmarkAll {
		f = rule.IPv6
	}
	return prefixMask(int(bits), f)
}

// readHMarkLen reads a mask as its length. Sixteen bytes of ones are hmarkAll;
// -1 is one with holes.
func readHMarkLen(r *nft.InfoReader, f rule.Family) int {
	b := r.Bytes(16)
	if len(b) < 16 {
		return -1
	}
	mask, _ := netip.AddrFromSlice(b)
	if n := maskLen(mask); f == rule.IPv6 || n == hmarkAll {
		return n
	}
	mask, _ = netip.AddrFromSlice(b[:4])
	return maskLen(mask)
}

// Read reads struct xt_hmark_info. Masks with holes have no iptables form.
func (t *HMark) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	src, dst := readHMarkLen(r, f), readHMarkLen(r, f)
	masks, ports := r.Bytes(4), r.Bytes(4)
	t.Given = r.Host32()
	t.ProtoMask = r.Host16()
	t.Rnd, t.Mod, t.Offset = r.Host32(), r.Host32(), r.Host32()
	if r.Err() != nil || src < 0 || dst < 0 || t.Given&^hmarkKnown != 0 {
		return nft.ErrMalformed
	}
	t.SrcLen, t.DstLen = uint8(src), uint8(dst)
	t.SPIMask, t.SPortMask, t.DPortMask = t.readPorts(hmarkSPIMask, masks)
	t.SPI, t.SPort, t.DPort = t.readPorts(hmarkSPI, ports)
	return nil
}

func (t *HMark) readPorts(bit uint32, b []byte) (spi uint32, src, dst uint16) {
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if t.Given&bit != 0 {
		return n, 0, 0
	}
	return 0, uint16(n >> 16), uint16(n)
}

// Mutate makes the packet's mark one that cannot be told.
func (t *HMark) Mutate(p *packet.Packet) { p.Known &^= packet.KnowMark }
