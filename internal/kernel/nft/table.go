package nft

import "golang.org/x/sys/unix"

// Table is an nf_tables table.
type Table struct {
	Family   uint8 // NFPROTO_*
	Name     string
	Flags    uint32 // NFT_TABLE_F_*
	Use      uint32 // chains, sets and other objects in it; of a read table only
	Handle   uint64 // of a read table; names the table to DelTable when Name is empty
	Userdata []byte // at most NFT_USERDATA_MAXLEN bytes
}

// AddTable adds a table or changes its flags. Extra flags: unix.NLM_F_EXCL
// refuses one that exists, unix.NLM_F_ECHO tells its handle.
func (b *Batch) AddTable(flags uint16, t *Table) {
	b.BeginMessage(NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|flags, t.Family)
	b.AttrString(NFTA_TABLE_NAME, t.Name)
	b.AttrBE32(NFTA_TABLE_FLAGS, t.Flags)
	b.attrBytes(NFTA_TABLE_USERDATA, t.Userdata)
	b.EndMessage()
}

// DelTable deletes a table with all that is in it.
func (b *Batch) DelTable(t *Table) {
	b.BeginMessage(NFT_MSG_DELTABLE, 0, t.Family)
	b.attrString(NFTA_TABLE_NAME, t.Name)
	b.attrBE64(NFTA_TABLE_HANDLE, t.Handle)
	b.EndMessage()
}

// Decode reads an NFT_MSG_NEWTABLE; nothing in t points into m.
func (t *Table) Decode(m Message) error {
	*t = Table{Family: m.Family}
	a := NewAttrs(m.Attrs)
	for a.Next() {
		switch a.Type() {
		case NFTA_TABLE_NAME:
			t.Name = a.String()
		case NFTA_TABLE_FLAGS:
			t.Flags = a.BE32()
		case NFTA_TABLE_USE:
			t.Use = a.BE32()
		case NFTA_TABLE_HANDLE:
			t.Handle = a.BE64()
		case NFTA_TABLE_USERDATA:
			t.Userdata = append([]byte(nil), a.Bytes()...)
		}
	}
	return a.Err()
}

// GetTable reads one table; IsNotFound if there is none.
func (c *Conn) GetTable(family uint8, name string) (Table, error) {
	var t Table
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, 0, family)
	c.req.AttrString(NFTA_TABLE_NAME, name)
	err := c.ask(1, t.Decode)
	return t, err
}

// DumpTables calls each with every table of the family (NFPROTO_UNSPEC: all).
// The Table is reused for the next one; its fields may be kept.
func (c *Conn) DumpTables(family uint8, each func(*Table) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, unix.NLM_F_DUMP, family)
	var t Table
	return c.dump(func(m Message) error {
		if err := t.Decode(m); err != nil {
			return err
		}
		return each(&t)
	})
}
