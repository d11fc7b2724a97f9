package ext

// CONNMARK: iptables-extensions(8), "CONNMARK".
// UAPI: linux/netfilter/xt_connmark.h: revision 1 struct xt_connmark_tginfo1,
// revision 2 struct xt_connmark_tginfo2.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// ConnMarkMode is what CONNMARK does: XT_CONNMARK_*.
type ConnMarkMode uint8

// The modes of CONNMARK.
const (
	ConnMarkSet     ConnMarkMode = iota // change the connection's mark
	ConnMarkSave                        // copy the packet's mark to the connection
	ConnMarkRestore                     // copy the connection's mark to the packet
)

// ConnMarkTarget changes the connection's mark, or copies it to or from the packet.
type ConnMarkTarget struct {
	Mode            ConnMarkMode
	Value           uint32 // ConnMarkSet: to be XORed in
	CtMask, PktMask uint32 // of the connection's and the packet's mark
	Shift           uint8  // bits by which the mark is shifted; needs revision 2
	Right           bool   // direction of Shift
}

// connmarkActions are the options that each say what to do.
var connmarkActions = []string{
	"set-xmark", "set-mark", "and-mark", "or-mark", "xor-mark", "save-mark", "restore-mark",
}

var connmarkTarget = Def{
	Name: "CONNMARK", Kind: Target, Families: Both,
	Summary: "change or copy the connection's mark",
	Options: []Option{
		{Name: "set-xmark", Value: "VALUE[/MASK]", Excludes: connmarkActions[1:], Help: "clear the bits of MASK, then XOR with VALUE"},
		{Name: "set-mark", Value: "VALUE[/MASK]", Excludes: connmarkActions[2:], Help: "clear the bits of MASK, then OR with VALUE"},
		{Name: "and-mark", Value: "BITS", Excludes: connmarkActions[3:], Help: "AND the mark with BITS"},
		{Name: "or-mark", Value: "BITS", Excludes: connmarkActions[4:], Help: "OR the mark with BITS"},
		{Name: "xor-mark", Value: "BITS", Excludes: connmarkActions[5:], Help: "XOR the mark with BITS"},
		{Name: "save-mark", Excludes: connmarkActions[6:], Help: "copy the packet's mark to the connection"},
		{Name: "restore-mark", Help: "copy the connection's mark to the packet"},
		{Name: "left-shift-mark", Value: "BITS", Help: "shift the mark to the left (0-31)"},
		{Name: "right-shift-mark", Value: "BITS", Help: "shift the mark to the right (0-31)"},
		{Name: "ctmask", Value: "MASK", Excludes: []string{"mask"}, Help: "bits of the connection's mark (default all)"},
		{Name: "nfmask", Value: "MASK", Excludes: []string{"mask"}, Help: "bits of the packet's mark (default all)"},
		{Name: "mask", Value: "MASK", Help: "the same for both"},
	},
	AnyOf:     connmarkActions,
	Revisions: []Revision{{Rev: 1, Size: 16}, {Rev: 2, Size: 16}},
	New:       func(rule.Family) Ext { return &ConnMarkTarget{CtMask: 1<<32 - 1, PktMask: 1<<32 - 1} },
}

func init() { register(&connmarkTarget) }

func (t *ConnMarkTarget) Name() string { return "CONNMARK" }
func (t *ConnMarkTarget) Def() *Def    { return &connmarkTarget }

// Set takes options in the order in which they stand: a mask before --set-mark
// is replaced by the mask of that.
func (t *ConnMarkTarget) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "save-mark":
		t.Mode = ConnMarkSave
	case "restore-mark":
		t.Mode = ConnMarkRestore
	case "left-shift-mark", "right-shift-mark":
		var n uint64
		n, err = a.Uint(0, 32) // 32 is the kernel's to refuse
		t.Shift, t.Right = uint8(n), a.Is("right-shift-mark")
	case "ctmask", "nfmask", "mask":
		err = t.setMask(a)
	default:
		t.Mode = ConnMarkSet
		t.Value, t.CtMask, err = a.markChange()
	}
	return err
}

func (t *ConnMarkTarget) setMask(a *Arg) error {
	n, err := a.Uint(0, 1<<32-1)
	if !a.Is("nfmask") {
		t.CtMask = uint32(n)
	}
	if !a.Is("ctmask") {
		t.PktMask = uint32(n)
	}
	return err
}

func (t *ConnMarkTarget) Save(p *Printer) {
	switch t.Mode {
	case ConnMarkSet:
		p.Str(" --set-xmark ")
		p.Hex(uint64(t.Value))
		p.Byte('/')
		p.Hex(uint64(t.CtMask))
	default:
		p.Str(" --")
		p.Str(t.Mode.word())
		p.Str("-mark --nfmask ")
		p.Hex(uint64(t.PktMask))
		p.Str(" --ctmask ")
		p.Hex(uint64(t.CtMask))
	}
	t.printShift(p, " --")
}

// word is the name of a mode that copies.
func (m ConnMarkMode) word() string {
	if m == ConnMarkSave {
		return "save"
	}
	return "restore"
}

func (t *ConnMarkTarget) printShift(p *Printer, before string) {
	switch {
	case t.Shift == 0:
		return
	case t.Right:
		p.Str(before + "right-shift-mark ")
	default:
		p.Str(before + "left-shift-mark ")
	}
	p.Uint(uint64(t.Shift))
}

func (t *ConnMarkTarget) List(p *Printer) {
	p.Str(" CONNMARK")
	switch {
	case t.Mode == ConnMarkSet:
		p.markChange(t.Value, t.CtMask)
	default:
		p.Byte(' ')
		p.Str(t.Mode.word())
		t.listMasks(p)
	}
	t.printShift(p, " ")
}

// listMasks prints the mask of the mark that is read, and of the one that is written.
func (t *ConnMarkTarget) listMasks(p *Printer) {
	switch {
	case t.CtMask == t.PktMask && t.CtMask == 1<<32-1:
	case t.CtMask == t.PktMask:
		p.Str(" mask ")
		p.Hex(uint64(t.CtMask))
	case t.Mode == ConnMarkSave:
		p.Str(" nfmask ")
		p.Hex(uint64(t.PktMask))
		p.Str(" ctmask ~")
		p.Hex(uint64(t.CtMask))
	default:
		p.Str(" ctmask ")
		p.Hex(uint64(t.CtMask))
		p.Str(" nfmask ~")
		p.Hex(uint64(t.PktMask))
	}
}

// Info writes struct xt_connmark_tginfo1 or xt_connmark_tginfo2.
func (t *ConnMarkTarget) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host32(t.Value)
	w.Host32(t.CtMask)
	w.Host32(t.PktMask)
	if rev > 1 {
		w.Bool(t.Right)
		w.U8(t.Shift)
	}
	w.U8(uint8(t.Mode))
}

// Read reads what Info writes.
func (t *ConnMarkTarget) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	t.Value, t.CtMask, t.PktMask = r.Host32(), r.Host32(), r.Host32()
	var direction uint8
	if rev > 1 {
		direction, t.Shift = r.U8(), r.U8()
		t.Right = direction == 1
	}
	t.Mode = ConnMarkMode(r.U8())
	if t.Mode > ConnMarkRestore || direction > 1 || t.Shift > 32 {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate changes the connection's or the packet's mark as far as both are known.
// Nothing happens to a packet without a connection.
func (t *ConnMarkTarget) Mutate(p *packet.Packet) {
	switch untracked(p) {
	case packet.Yes:
		return
	case packet.Unknown:
		defer forgetMarks(p, p.Mark, p.Connection.Mark, p.Known)
	}
	conn := knownMark{p.Connection.Mark, p.Has(packet.KnowConnMark)}
	pkt := knownMark{p.Mark, p.Has(packet.KnowMark)}
	switch t.Mode {
	case ConnMarkSet:
		conn = t.shifted(conn.change(t.CtMask, knownMark{t.Value, true}))
	case ConnMarkSave:
		conn = conn.change(t.CtMask, t.shifted(pkt.and(t.PktMask)))
	case ConnMarkRestore:
		pkt = pkt.change(t.PktMask, t.shifted(conn.and(t.CtMask)))
	}
	p.Connection.Mark, p.Mark = conn.value, pkt.value
	p.Known &^= packet.KnowConnMark | packet.KnowMark
	p.Known |= flag(conn.known, packet.KnowConnMark) | flag(pkt.known, packet.KnowMark)
}

// forgetMarks takes away the knowledge of marks that differ from what they were,
// when it is not known whether they were changed at all.
func forgetMarks(p *packet.Packet, pkt, conn uint32, known packet.Know) {
	if p.Mark != pkt {
		known &^= packet.KnowMark
	}
	if p.Connection.Mark != conn {
		known &^= packet.KnowConnMark
	}
	p.Known &= known
}

// knownMark is a mark that may not have been told.
type knownMark struct {
	value uint32
	known bool
}

// and gives the mark's bits in mask.
func (m knownMark) and(mask uint32) knownMark {
	return knownMark{m.value & mask, m.known || mask == 0}
}

// change clears the bits of mask and XORs with other.
func (m knownMark) change(mask uint32, other knownMark) knownMark {
	return knownMark{m.value&^mask ^ other.value, other.known && (m.known || mask == 1<<32-1)}
}

// shifted is the mark after the shift that was asked for, if any.
func (t *ConnMarkTarget) shifted(m knownMark) knownMark {
	if t.Right {
		return knownMark{m.value >> t.Shift, m.known}
	}
	return knownMark{m.value << t.Shift, m.known}
}
