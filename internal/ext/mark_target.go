package ext

// MARK: iptables-extensions(8), "MARK".
// UAPI: linux/netfilter/xt_mark.h, struct xt_mark_tginfo2, revision 2.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Mark changes the packet's mark: to the mark without the bits of Mask, XOR Value.
type Mark struct {
	Value, Mask uint32
}

// markOptions are the options that each say all of a Mark.
var markOptions = []string{"set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark"}

var markTarget = Def{
	Name: "MARK", Kind: Target, Families: Both,
	Summary: "change the packet's mark",
	Options: []Option{
		{Name: "set-xmark", Value: "VALUE[/MASK]", Excludes: markOptions[1:], Help: "clear the bits of MASK, then XOR with VALUE"},
		{Name: "set-mark", Value: "VALUE[/MASK]", Excludes: markOptions[2:], Help: "clear the bits of MASK, then OR with VALUE"},
		{Name: "and-mark", Value: "BITS", Excludes: markOptions[3:], Help: "AND the mark with BITS"},
		{Name: "or-mark", Value: "BITS", Excludes: markOptions[4:], Help: "OR the mark with BITS"},
		{Name: "xor-mark", Value: "BITS", Help: "XOR the mark with BITS"},
	},
	AnyOf:     markOptions,
	Revisions: []Revision{{Rev: 2, Size: 8}},
	New:       func(rule.Family) Ext { return &Mark{} },
	Native:    markSetNative,
}

func init() { register(&markTarget) }

func (t *Mark) Name() string { return "MARK" }
func (t *Mark) Def() *Def    { return &markTarget }

func (t *Mark) Set(a *Arg) (err error) {
	t.Value, t.Mask, err = a.markChange()
	return err
}

// markChange reads what a set-xmark, set-mark, and-mark, or-mark or xor-mark
// option makes of a mark: the mark without the bits of mask, XOR value.
func (a *Arg) markChange() (value, mask uint32, err error) {
	if a.Is("set-xmark") || a.Is("set-mark") {
		value, mask, err = a.UintMask()
		if a.Is("set-mark") {
			mask |= value
		}
		return value, mask, err
	}
	n, err := a.Uint(0, 1<<32-1)
	bits := uint32(n)
	switch {
	case a.Is("and-mark"):
		return 0, ^bits, err
	case a.Is("or-mark"):
		return bits, bits, err
	}
	return bits, 0, err
}

func (t *Mark) Save(p *Printer) {
	p.Option(false, "set-xmark")
	p.Byte(' ')
	p.Hex(uint64(t.Value))
	p.Byte('/')
	p.Hex(uint64(t.Mask))
}

func (t *Mark) List(p *Printer) {
	p.Str(" MARK")
	p.markChange(t.Value, t.Mask)
}

// markChange prints the simplest words for a change of a mark.
func (p *Printer) markChange(value, mask uint32) {
	switch {
	case value == 0:
		p.Str(" and ")
		p.Hex(uint64(^mask))
	case value == mask:
		p.Str(" or ")
		p.Hex(uint64(value))
	case mask == 0:
		p.Str(" xor ")
		p.Hex(uint64(value))
	case mask == 1<<32-1:
		p.Str(" set ")
		p.Hex(uint64(value))
	default:
		p.Str(" xset ")
		p.Hex(uint64(value))
		p.Byte('/')
		p.Hex(uint64(mask))
	}
}

// Info writes struct xt_mark_tginfo2.
func (t *Mark) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(t.Value)
	w.Host32(t.Mask)
}

// Read reads struct xt_mark_tginfo2.
func (t *Mark) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Value, t.Mask = r.Host32(), r.Host32()
	return nil
}

// markSetNative reads "meta mark set": to a constant, or to the mark with bits
// cleared and flipped. 1.8.9 calls such a rule unparsable; it says what MARK says.
func markSetNative(d *Decoder, _ *Def, t *nft.Term) bool {
	if t.Kind != nft.TermSet || !t.Load.IsMeta(nft.NFT_META_MARK) || d.Rule.Target != nil {
		return false
	}
	from := t.Register(t.Expr.Attr(nft.NFTA_META_SREG))
	switch {
	case from.Swap:
		return false
	case from.Kind == nft.LoadImmediate && len(from.Data) == 4 && from.Mask == nil && from.Xor == nil:
		d.Rule.Target = &Mark{Value: binary.NativeEndian.Uint32(from.Data), Mask: 1<<32 - 1}
		return true
	case from.IsMeta(nft.NFT_META_MARK) && len(from.Mask) == 4 && (from.Xor == nil || len(from.Xor) == 4):
		m := &Mark{Mask: ^binary.NativeEndian.Uint32(from.Mask)}
		if from.Xor != nil {
			m.Value = binary.NativeEndian.Uint32(from.Xor)
		}
		d.Rule.Target = m
		return true
	}
	return false
}

// Mutate changes the mark.
func (t *Mark) Mutate(p *packet.Packet) {
	changePacketMark(p, t.Value, t.Mask)
}

// changePacketMark clears the bits of mask in the packet's mark and XORs with
// value. The mark is known after that if it was before, or if no old bit is left.
func changePacketMark(p *packet.Packet, value, mask uint32) {
	p.Mark = p.Mark&^mask ^ value
	p.Known |= flag(mask == 1<<32-1, packet.KnowMark)
}
