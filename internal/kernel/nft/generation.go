package nft

// Generation is the number of the ruleset's current generation. Every
// transaction in the network namespace makes a new one.
func (c *Conn) Generation() (uint32, error) {
	var id uint32
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC)
	err := c.ask(1, func(m Message) error {
		a := NewAttrs(m.Attrs)
		for a.Next() {
			if a.Type() == NFTA_GEN_ID {
				id = a.BE32()
			}
		}
		return a.Err()
	})
	return id, err
}
