package nft

// BeginExprs opens a rule's list of expressions; End closes it.
func (b *Buffer) BeginExprs(typ uint16) int { return b.Begin(typ) }

// beginExpr opens one expression of a list; endExpr closes both levels.
func (b *Buffer) beginExpr(name string) (elem, data int) {
	elem = b.Begin(NFTA_LIST_ELEM)
	b.AttrString(NFTA_EXPR_NAME, name)
	return elem, b.Begin(NFTA_EXPR_DATA)
}

func (b *Buffer) endExpr(elem, data int) {
	b.End(data)
	b.End(elem)
}

// data appends a value as NFTA_DATA_VALUE inside attribute typ.
func (b *Buffer) data(typ uint16, value []byte) {
	at := b.Begin(typ)
	b.AttrBytes(NFTA_DATA_VALUE, value)
	b.End(at)
}

// ExprMeta loads a packet's property (NFT_META_*) into register 1.
func (b *Buffer) ExprMeta(key uint32) {
	e, d := b.beginExpr("meta")
	b.AttrBE32(NFTA_META_KEY, key)
	b.AttrBE32(NFTA_META_DREG, NFT_REG_1)
	b.endExpr(e, d)
}

// ExprMetaSet sets a packet's property (NFT_META_*) from register 1.
func (b *Buffer) ExprMetaSet(key uint32) {
	e, d := b.beginExpr("meta")
	b.AttrBE32(NFTA_META_KEY, key)
	b.AttrBE32(NFTA_META_SREG, NFT_REG_1)
	b.endExpr(e, d)
}

// ExprPayload loads n bytes at offset of a header (NFT_PAYLOAD_*) into register 1.
func (b *Buffer) ExprPayload(base, offset, n uint32) {
	e, d := b.beginExpr("payload")
	b.AttrBE32(NFTA_PAYLOAD_DREG, NFT_REG_1)
	b.AttrBE32(NFTA_PAYLOAD_BASE, base)
	b.AttrBE32(NFTA_PAYLOAD_OFFSET, offset)
	b.AttrBE32(NFTA_PAYLOAD_LEN, n)
	b.endExpr(e, d)
}

// ExprBitwise ANDs register 1 with mask; its XOR operand is zero.
func (b *Buffer) ExprBitwise(mask []byte) {
	var zero [16]byte
	e, d := b.beginExpr("bitwise")
	b.AttrBE32(NFTA_BITWISE_SREG, NFT_REG_1)
	b.AttrBE32(NFTA_BITWISE_DREG, NFT_REG_1)
	b.AttrBE32(NFTA_BITWISE_LEN, uint32(len(mask)))
	b.data(NFTA_BITWISE_MASK, mask)
	b.data(NFTA_BITWISE_XOR, zero[:len(mask)])
	b.endExpr(e, d)
}

// ExprCmp compares register 1 (NFT_CMP_*) with value, byte by byte as in memory.
func (b *Buffer) ExprCmp(op uint32, value []byte) {
	e, d := b.beginExpr("cmp")
	b.AttrBE32(NFTA_CMP_SREG, NFT_REG_1)
	b.AttrBE32(NFTA_CMP_OP, op)
	b.data(NFTA_CMP_DATA, value)
	b.endExpr(e, d)
}

// ExprRange asks whether register 1 is within (NFT_CMP_EQ) or outside
// (NFT_CMP_NEQ) from and to, both included.
func (b *Buffer) ExprRange(op uint32, from, to []byte) {
	e, d := b.beginExpr("range")
	b.AttrBE32(NFTA_RANGE_SREG, NFT_REG_1)
	b.AttrBE32(NFTA_RANGE_OP, op)
	b.data(NFTA_RANGE_FROM_DATA, from)
	b.data(NFTA_RANGE_TO_DATA, to)
	b.endExpr(e, d)
}

// ExprCounter counts packets and bytes, beginning at the given values.
func (b *Buffer) ExprCounter(packets, bytes uint64) {
	e, d := b.beginExpr("counter")
	b.AttrBE64(NFTA_COUNTER_BYTES, bytes)
	b.AttrBE64(NFTA_COUNTER_PACKETS, packets)
	b.endExpr(e, d)
}

// ExprVerdict ends the rule with a verdict (NF_ACCEPT, NFT_JUMP, …); chain is
// the destination of a jump or goto and otherwise empty.
func (b *Buffer) ExprVerdict(code int32, chain string) {
	e, d := b.beginExpr("immediate")
	b.AttrBE32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT)
	at := b.Begin(NFTA_IMMEDIATE_DATA)
	v := b.Begin(NFTA_DATA_VERDICT)
	b.AttrBE32(NFTA_VERDICT_CODE, uint32(code))
	if chain != "" {
		b.AttrString(NFTA_VERDICT_CHAIN, chain)
	}
	b.End(v)
	b.End(at)
	b.endExpr(e, d)
}

// ExprImmediate loads a constant into register 1.
func (b *Buffer) ExprImmediate(value []byte) {
	e, d := b.beginExpr("immediate")
	b.AttrBE32(NFTA_IMMEDIATE_DREG, NFT_REG_1)
	b.data(NFTA_IMMEDIATE_DATA, value)
	b.endExpr(e, d)
}

// Limit is a rate limit: Rate packets or bytes in each Unit seconds.
type Limit struct {
	Rate  uint64
	Unit  uint64 // seconds
	Burst uint32
	Type  uint32 // NFT_LIMIT_PKTS or NFT_LIMIT_PKT_BYTES
	Flags uint32 // NFT_LIMIT_F_INV: over the limit
}

// ExprLimit lets packets pass as long as the limit holds.
func (b *Buffer) ExprLimit(l Limit) {
	e, d := b.beginExpr("limit")
	b.AttrBE64(NFTA_LIMIT_RATE, l.Rate)
	b.AttrBE64(NFTA_LIMIT_UNIT, l.Unit)
	b.AttrBE32(NFTA_LIMIT_BURST, l.Burst)
	b.AttrBE32(NFTA_LIMIT_TYPE, l.Type)
	b.AttrBE32(NFTA_LIMIT_FLAGS, l.Flags)
	b.endExpr(e, d)
}

// Log is a log expression. Group is given for nfnetlink logging, Level and
// Flags (NF_LOG_*) for the kernel's log; the Has fields say which were present.
type Log struct {
	Prefix     string
	Group      uint16
	HasGroup   bool
	Snaplen    uint32 // bytes; 0 not given
	HasSnaplen bool
	Qthreshold uint16 // packets
	HasQthresh bool
	Level      uint32
	HasLevel   bool
	Flags      uint32
	HasFlags   bool
}

// ExprLog logs the packet and goes on.
func (b *Buffer) ExprLog(l Log) {
	e, d := b.beginExpr("log")
	if l.Prefix != "" {
		b.AttrString(NFTA_LOG_PREFIX, l.Prefix)
	}
	if l.HasGroup {
		b.AttrBE16(NFTA_LOG_GROUP, l.Group)
	}
	if l.HasSnaplen {
		b.AttrBE32(NFTA_LOG_SNAPLEN, l.Snaplen)
	}
	if l.HasQthresh {
		b.AttrBE16(NFTA_LOG_QTHRESHOLD, l.Qthreshold)
	}
	if l.HasLevel {
		b.AttrBE32(NFTA_LOG_LEVEL, l.Level)
	}
	if l.HasFlags {
		b.AttrBE32(NFTA_LOG_FLAGS, l.Flags)
	}
	b.endExpr(e, d)
}

// XT is the open info of an xt match or target: what BeginMatch gives and End takes.
type XT struct{ elem, data, info int }

// BeginMatch opens an xt match; the caller appends its info, then EndXT.
func (b *Buffer) BeginMatch(name string, rev uint8) XT { return b.beginXT("match", name, rev) }

// BeginTarget opens an xt target; the caller appends its info, then EndXT.
func (b *Buffer) BeginTarget(name string, rev uint8) XT { return b.beginXT("target", name, rev) }

// beginXT relies on matches and targets having the same attribute numbers.
func (b *Buffer) beginXT(kind, name string, rev uint8) XT {
	var x XT
	x.elem, x.data = b.beginExpr(kind)
	b.AttrString(NFTA_MATCH_NAME, name)
	b.AttrBE32(NFTA_MATCH_REV, uint32(rev))
	x.info = b.BeginRaw(NFTA_MATCH_INFO)
	return x
}

// EndXT pads the info to eight bytes (XT_ALIGN of linux/netfilter/x_tables.h)
// and closes the expression.
func (b *Buffer) EndXT(x XT) {
	for (len(b.b)-x.info-attrHeaderLen)&7 != 0 {
		b.b = append(b.b, 0)
	}
	b.End(x.info)
	b.endExpr(x.elem, x.data)
}

// ExprRaw appends an expression exactly as a dump gave it (Expr.Raw).
func (b *Buffer) ExprRaw(name string, data []byte) {
	e, d := b.beginExpr(name)
	b.AppendRaw(data)
	b.endExpr(e, d)
}
