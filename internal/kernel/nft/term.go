package nft

import "math/bits"

// TermKind says what a Term is.
type TermKind uint8

const (
	TermCompare TermKind = iota // Load op Value
	TermRange                   // Load within or outside Value..To
	TermLookup                  // Load in, or not in, the set named Set
	TermCounter
	TermVerdict
	TermMatch  // an xt match: Name, Rev, Info
	TermTarget // an xt target: Name, Rev, Info
	TermSet    // a packet property is set: Load says which, Value to what
	TermOther  // any other expression that acts or tests: Expr
)

// LoadKind says where a register's content came from.
type LoadKind uint8

const (
	LoadNone LoadKind = iota
	LoadMeta
	LoadPayload
	LoadCt
	LoadFib
	LoadImmediate
	LoadOther // an expression this package does not look into: Load.Expr
)

// Load is what a register holds: a property of the packet, perhaps masked.
type Load struct {
	Kind   LoadKind
	Key    uint32 // LoadMeta: NFT_META_*; LoadCt: NFT_CT_*; LoadFib: result
	Base   uint32 // LoadPayload: NFT_PAYLOAD_*
	Offset uint32 // LoadPayload: bytes
	Len    uint32 // LoadPayload: bytes
	Flags  uint32 // LoadFib
	Swap   bool   // the byte order was changed for a comparison of numbers
	Mask   []byte // nil: not masked
	Xor    []byte // nil or all zero: not inverted
	Data   []byte // LoadImmediate: the constant
	Expr   Expr   // LoadOther
}

// IsPayload reports whether it is the n bytes at offset of the header base.
func (l *Load) IsPayload(base, offset, n uint32) bool {
	return l.Kind == LoadPayload && l.Base == base && l.Offset == offset && l.Len == n
}

// IsMeta reports whether it is the packet property key, NFT_META_*.
func (l *Load) IsMeta(key uint32) bool { return l.Kind == LoadMeta && l.Key == key }

// Term is one condition or action of a rule: what a load, its masks and the
// expression that uses it mean together. Its slices lie in the receive buffer.
type Term struct {
	Kind    TermKind
	Load    Load
	Op      uint32 // NFT_CMP_*
	Value   []byte
	To      []byte // TermRange
	Set     []byte // TermLookup
	Packets uint64 // TermCounter
	Bytes   uint64 // TermCounter
	Verdict int32  // TermVerdict
	Name    []byte // TermVerdict: chain; TermMatch, TermTarget: name
	Rev     uint8
	Info    []byte
	Expr    *Expr // the expression that ends the term
	regs    *registers
}

// registers is what each 32-bit register holds; a 128-bit register is its first.
type registers struct {
	load [20]Load
	used uint32 // bit n: load n holds something
}

// index maps a register's number to its place: NFT_REG_1 is the same storage as NFT_REG32_00.
func (r *registers) index(reg uint32) int {
	switch {
	case reg >= NFT_REG_1 && reg <= NFT_REG_4:
		return int(reg-NFT_REG_1) * 4
	case reg >= NFT_REG32_00 && reg <= NFT_REG32_15:
		return int(reg - NFT_REG32_00)
	}
	return len(r.load) - 1 // no such register: a place that nothing loads
}

// at is what a register holds.
func (r *registers) at(reg uint32) *Load { return &r.load[r.index(reg)] }

// reset empties the registers that hold something, which are few.
func (r *registers) reset() {
	for ; r.used != 0; r.used &= r.used - 1 {
		r.load[bits.TrailingZeros32(r.used)] = Load{}
	}
}

// Register is what a register held when the term's expression ran; Kind is
// LoadNone if nothing did.
func (t *Term) Register(reg uint32) *Load { return t.regs.at(reg) }

// Terms reads a rule's expressions (the payload of NFTA_RULE_EXPRESSIONS) as a
// sequence of terms and calls yield for each, in order, with a Term that is
// reused. It stops early when yield returns false. Bytes that are no list of
// expressions give ErrMalformed.
func Terms(list []byte, yield func(*Term) bool) error {
	var r TermReader
	return r.Terms(list, yield)
}

// TermReader is Terms for many rules: its memory, which is large, serves one
// after the other. The zero TermReader is ready to use.
type TermReader struct {
	regs  registers
	exprs Exprs
	term  Term
}

// Terms is the function Terms.
func (r *TermReader) Terms(list []byte, yield func(*Term) bool) error {
	r.regs.reset()
	r.exprs = NewExprs(list)
	for r.exprs.Next() {
		e := r.exprs.Expr()
		if r.regs.fill(e) {
			continue
		}
		r.term = Term{Expr: e, regs: &r.regs}
		r.term.read(e)
		if !yield(&r.term) {
			return nil
		}
	}
	return r.exprs.Err()
}

// fill tracks an expression that only fills a register; false if it does more.
func (r *registers) fill(e *Expr) bool {
	switch e.Name {
	case "meta":
		if _, sets := e.FindAttr(NFTA_META_SREG); sets {
			return false
		}
		r.put(e.Attr(NFTA_META_DREG), Load{Kind: LoadMeta, Key: e.Attr(NFTA_META_KEY)})
	case "payload":
		return r.loadPayload(e)
	case "ct":
		return r.loadCt(e)
	case "fib":
		r.put(e.Attr(NFTA_FIB_DREG), Load{Kind: LoadFib, Key: e.Attr(NFTA_FIB_RESULT), Flags: e.Attr(NFTA_FIB_FLAGS)})
	case "bitwise":
		return r.mask(e)
	case "byteorder":
		l := *r.at(e.Attr(NFTA_BYTEORDER_SREG))
		l.Swap = true
		r.put(e.Attr(NFTA_BYTEORDER_DREG), l)
	case "immediate":
		return r.loadImmediate(e)
	case "rt", "socket", "exthdr", "numgen", "hash", "osf", "xfrm", "tunnel":
		const dreg = 1 // NFTA_RT_DREG, NFTA_EXTHDR_DREG, NFTA_NG_DREG …
		r.put(e.Attr(dreg), Load{Kind: LoadOther, Expr: *e})
	default:
		return false
	}
	return true
}

func (r *registers) put(reg uint32, l Load) {
	i := r.index(reg)
	r.load[i] = l
	r.used |= 1 << i
}

func (r *registers) loadPayload(e *Expr) bool {
	l := Load{Kind: LoadPayload}
	var dreg uint32
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_PAYLOAD_DREG:
			dreg = a.BE32()
		case NFTA_PAYLOAD_BASE:
			l.Base = a.BE32()
		case NFTA_PAYLOAD_OFFSET:
			l.Offset = a.BE32()
		case NFTA_PAYLOAD_LEN:
			l.Len = a.BE32()
		case NFTA_PAYLOAD_SREG:
			return false
		}
	}
	r.put(dreg, l)
	return true
}

func (r *registers) loadCt(e *Expr) bool {
	l := Load{Kind: LoadCt}
	var dreg uint32
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_CT_DREG:
			dreg = a.BE32()
		case NFTA_CT_KEY:
			l.Key = a.BE32()
		case NFTA_CT_DIRECTION: // addresses and ports of one direction: no iptables form
			l.Kind, l.Expr = LoadOther, *e
		case NFTA_CT_SREG:
			return false
		}
	}
	r.put(dreg, l)
	return true
}

// mask applies a bitwise expression to what its source holds. A second mask on
// the same value, or a shift, is left to the caller as an expression it does not know.
func (r *registers) mask(e *Expr) bool {
	var sreg, dreg, op uint32
	var mask, xor []byte
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_BITWISE_SREG:
			sreg = a.BE32()
		case NFTA_BITWISE_DREG:
			dreg = a.BE32()
		case NFTA_BITWISE_OP:
			op = a.BE32()
		case NFTA_BITWISE_MASK:
			mask = dataValue(a)
		case NFTA_BITWISE_XOR:
			xor = dataValue(a)
		}
	}
	l := *r.at(sreg)
	if op != 0 || l.Mask != nil {
		l = Load{Kind: LoadOther, Expr: *e}
	} else {
		l.Mask, l.Xor = mask, nonZero(xor)
	}
	r.put(dreg, l)
	return true
}

func (r *registers) loadImmediate(e *Expr) bool {
	l := Load{Kind: LoadImmediate}
	var dreg uint32
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_IMMEDIATE_DREG:
			if dreg = a.BE32(); dreg == NFT_REG_VERDICT {
				return false
			}
		case NFTA_IMMEDIATE_DATA:
			l.Data = dataValue(a)
		}
	}
	r.put(dreg, l)
	return true
}

// nonZero gives p, or nil when all its bytes are zero.
func nonZero(p []byte) []byte {
	for _, c := range p {
		if c != 0 {
			return p
		}
	}
	return nil
}

// read fills the term from the expression that ends it.
func (t *Term) read(e *Expr) {
	switch e.Name {
	case "cmp":
		t.readCompare(e)
	case "range":
		t.readRange(e)
	case "lookup":
		t.readLookup(e)
	case "counter":
		t.Kind = TermCounter
		t.Packets, t.Bytes = e.Counter()
	case "immediate":
		t.readVerdict(e)
	case "match":
		t.Kind = TermMatch
		t.Name, t.Rev, t.Info = xtInfo(e.Data)
	case "target":
		t.Kind = TermTarget
		t.Name, t.Rev, t.Info = xtInfo(e.Data)
	case "meta":
		t.Kind = TermSet
		t.Load = Load{Kind: LoadMeta, Key: e.Attr(NFTA_META_KEY)}
		t.Value = t.Register(e.Attr(NFTA_META_SREG)).Data
	default:
		t.Kind = TermOther
	}
}

func (t *Term) readCompare(e *Expr) {
	t.Kind = TermCompare
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_CMP_SREG:
			t.Load = *t.Register(a.BE32())
		case NFTA_CMP_OP:
			t.Op = a.BE32()
		case NFTA_CMP_DATA:
			t.Value = dataValue(a)
		}
	}
}

func (t *Term) readRange(e *Expr) {
	t.Kind = TermRange
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_RANGE_SREG:
			t.Load = *t.Register(a.BE32())
		case NFTA_RANGE_OP:
			t.Op = a.BE32()
		case NFTA_RANGE_FROM_DATA:
			t.Value = dataValue(a)
		case NFTA_RANGE_TO_DATA:
			t.To = dataValue(a)
		}
	}
}

func (t *Term) readLookup(e *Expr) {
	t.Kind = TermLookup
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_LOOKUP_SREG:
			t.Load = *t.Register(a.BE32())
		case NFTA_LOOKUP_SET:
			t.Set = cString(a.Bytes())
		case NFTA_LOOKUP_FLAGS:
			t.Op = a.BE32() & 1 // NFT_LOOKUP_F_INV
		case NFTA_LOOKUP_DREG: // a map: what it yields is no condition
			t.Kind = TermOther
		}
	}
}

func (t *Term) readVerdict(e *Expr) {
	t.Kind = TermOther
	for a := NewAttrs(e.Data); a.Next(); {
		if a.Type() == NFTA_IMMEDIATE_DATA {
			if code, chain, ok := verdict(a); ok {
				t.Kind, t.Verdict, t.Name = TermVerdict, code, chain
			}
		}
	}
}
