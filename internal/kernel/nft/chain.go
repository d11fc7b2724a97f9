package nft

import "golang.org/x/sys/unix"

// Hook is where a base chain sits. Priority is lower for chains that come earlier.
type Hook struct {
	Num      uint32 // NF_INET_*, or the family's own numbers
	Priority int32  // NF_IP_PRI_*
	Devices  []string
}

// Counters are numbers of packets and of their bytes.
type Counters struct {
	Packets, Bytes uint64
}

// Chain is an nf_tables chain. A chain with a Hook is a base chain and has a
// type and policy; the counters of its policy are there only if it was given some.
type Chain struct {
	Family   uint8 // NFPROTO_*
	Table    string
	Name     string
	Handle   uint64    // of a read chain; names the chain to change or delete
	Hook     *Hook     // nil: not a base chain, or unchanged
	Type     string    // "filter", "nat" or "route"; with Hook only
	Policy   *uint32   // NF_DROP or NF_ACCEPT; nil: not a base chain, or unchanged
	Counters *Counters // of packets that the policy decided; nil: none, or unchanged
	Flags    uint32    // NFT_CHAIN_*
	ID       uint32    // names a new chain within its batch; 0: none
	Use      uint32    // rules and jumps to it; of a read chain only
	Userdata []byte    // at most NFT_USERDATA_MAXLEN bytes
}

// AddChain adds a chain, or changes the policy and counters of one that
// exists. Extra flags: unix.NLM_F_EXCL refuses one that exists,
// unix.NLM_F_ECHO tells its handle.
func (b *Batch) AddChain(flags uint16, ch *Chain) {
	b.BeginMessage(NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE|flags, ch.Family)
	b.AttrString(NFTA_CHAIN_TABLE, ch.Table)
	b.attrString(NFTA_CHAIN_NAME, ch.Name)
	if ch.Hook != nil {
		b.hook(ch.Hook)
	}
	if ch.Policy != nil {
		b.AttrBE32(NFTA_CHAIN_POLICY, *ch.Policy)
	}
	b.attrString(NFTA_CHAIN_TYPE, ch.Type)
	if ch.Counters != nil {
		at := b.Begin(NFTA_CHAIN_COUNTERS)
		b.AttrBE64(NFTA_COUNTER_PACKETS, ch.Counters.Packets)
		b.AttrBE64(NFTA_COUNTER_BYTES, ch.Counters.Bytes)
		b.End(at)
	}
	if flags := ch.Flags &^ NFT_CHAIN_BASE; flags != 0 {
		b.AttrBE32(NFTA_CHAIN_FLAGS, flags)
	}
	b.attrBE32(NFTA_CHAIN_ID, ch.ID)
	b.attrBytes(NFTA_CHAIN_USERDATA, ch.Userdata)
	b.EndMessage()
}

func (b *Batch) hook(h *Hook) {
	at := b.Begin(NFTA_CHAIN_HOOK)
	b.AttrBE32(NFTA_HOOK_HOOKNUM, h.Num)
	b.AttrBE32(NFTA_HOOK_PRIORITY, uint32(h.Priority))
	switch {
	case len(h.Devices) == 1:
		b.AttrString(NFTA_HOOK_DEV, h.Devices[0])
	case len(h.Devices) > 1:
		devs := b.Begin(NFTA_HOOK_DEVS)
		for _, name := range h.Devices {
			b.AttrString(NFTA_DEVICE_NAME, name)
		}
		b.endAttr(devs, "list of devices")
	}
	b.End(at)
}

// RenameChain gives the chain with that handle another name.
func (b *Batch) RenameChain(family uint8, table string, handle uint64, name string) {
	b.BeginMessage(NFT_MSG_NEWCHAIN, 0, family)
	b.AttrString(NFTA_CHAIN_TABLE, table)
	b.AttrBE64(NFTA_CHAIN_HANDLE, handle)
	b.AttrString(NFTA_CHAIN_NAME, name)
	b.EndMessage()
}

// DelChain deletes a chain, named by Name or, if that is empty, by Handle. The
// kernel deletes its rules too, unless flags has unix.NLM_F_NONREC, which
// makes it refuse a chain with rules (EBUSY).
func (b *Batch) DelChain(flags uint16, ch *Chain) {
	b.BeginMessage(NFT_MSG_DELCHAIN, flags, ch.Family)
	b.AttrString(NFTA_CHAIN_TABLE, ch.Table)
	if ch.Name != "" {
		b.AttrString(NFTA_CHAIN_NAME, ch.Name)
	} else {
		b.AttrBE64(NFTA_CHAIN_HANDLE, ch.Handle)
	}
	b.EndMessage()
}

// Decode reads an NFT_MSG_NEWCHAIN; nothing in ch points into m.
func (ch *Chain) Decode(m Message) error {
	*ch = Chain{Family: m.Family}
	a := NewAttrs(m.Attrs)
	for a.Next() {
		if err := ch.attr(&a); err != nil {
			return err
		}
	}
	return a.Err()
}

// attr takes in one attribute of a chain.
func (ch *Chain) attr(a *Attrs) (err error) {
	switch a.Type() {
	case NFTA_CHAIN_TABLE:
		ch.Table = a.String()
	case NFTA_CHAIN_NAME:
		ch.Name = a.String()
	case NFTA_CHAIN_HANDLE:
		ch.Handle = a.BE64()
	case NFTA_CHAIN_HOOK:
		ch.Hook, err = decodeHook(a.Nested())
	case NFTA_CHAIN_POLICY:
		policy := a.BE32()
		ch.Policy = &policy
	case NFTA_CHAIN_USE:
		ch.Use = a.BE32()
	case NFTA_CHAIN_TYPE:
		ch.Type = a.String()
	case NFTA_CHAIN_COUNTERS:
		ch.Counters, err = decodeCounters(a.Nested())
	case NFTA_CHAIN_FLAGS:
		ch.Flags = a.BE32()
	case NFTA_CHAIN_ID:
		ch.ID = a.BE32()
	case NFTA_CHAIN_USERDATA:
		ch.Userdata = append([]byte(nil), a.Bytes()...)
	}
	return err
}

func decodeHook(a Attrs) (*Hook, error) {
	h := new(Hook)
	for a.Next() {
		switch a.Type() {
		case NFTA_HOOK_HOOKNUM:
			h.Num = a.BE32()
		case NFTA_HOOK_PRIORITY:
			h.Priority = int32(a.BE32())
		case NFTA_HOOK_DEV:
			if len(h.Devices) == 0 {
				h.Devices = []string{a.String()}
			}
		case NFTA_HOOK_DEVS: // the kernel gives NFTA_HOOK_DEV beside it for the first
			h.Devices = nil
			devs := a.Nested()
			for devs.Next() {
				h.Devices = append(h.Devices, devs.String())
			}
			if err := devs.Err(); err != nil {
				return nil, err
			}
		}
	}
	return h, a.Err()
}

func decodeCounters(a Attrs) (*Counters, error) {
	c := new(Counters)
	for a.Next() {
		switch a.Type() {
		case NFTA_COUNTER_PACKETS:
			c.Packets = a.BE64()
		case NFTA_COUNTER_BYTES:
			c.Bytes = a.BE64()
		}
	}
	return c, a.Err()
}

// GetChain reads one chain; IsNotFound if the table or the chain is not there.
func (c *Conn) GetChain(family uint8, table, name string) (Chain, error) {
	var ch Chain
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, 0, family)
	c.req.AttrString(NFTA_CHAIN_TABLE, table)
	c.req.AttrString(NFTA_CHAIN_NAME, name)
	err := c.ask(1, ch.Decode)
	return ch, err
}

// DumpChains calls each with every chain of the family's table; an empty table
// means all tables, NFPROTO_UNSPEC all families. The Chain is reused for the
// next one; its fields may be kept.
func (c *Conn) DumpChains(family uint8, table string, each func(*Chain) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, unix.NLM_F_DUMP, family)
	var ch Chain
	return c.dump(func(m Message) error {
		if err := ch.Decode(m); err != nil {
			return err
		}
		if table != "" && ch.Table != table { // the kernel has no filter by table here
			return nil
		}
		return each(&ch)
	})
}
