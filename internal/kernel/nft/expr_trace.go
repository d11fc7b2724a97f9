package nft

// ExprTrace marks the packet for tracing. It uses 32-bit register 1, not 128-bit
// register 1, since that is what iptables-nft 1.8.9 writes.
func (b *Buffer) ExprTrace() {
	const reg = NFT_REG32_00 + 1
	e, d := b.beginExpr("immediate")
	b.AttrBE32(NFTA_IMMEDIATE_DREG, reg)
	b.data(NFTA_IMMEDIATE_DATA, []byte{1})
	b.endExpr(e, d)
	e, d = b.beginExpr("meta")
	b.AttrBE32(NFTA_META_KEY, NFT_META_NFTRACE)
	b.AttrBE32(NFTA_META_SREG, reg)
	b.endExpr(e, d)
}
