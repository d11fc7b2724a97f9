package nft

import "golang.org/x/sys/unix"

// Set is an nf_tables set or map. Lengths are in bytes.
type Set struct {
	Family    uint8 // NFPROTO_*
	Table     string
	Name      string // "%d" in the name of an anonymous set becomes a number
	ID        uint32 // names the set within its batch
	Handle    uint64 // of a read set; names the set to DelSet when Name is empty
	Flags     uint32 // NFT_SET_*
	KeyType   uint32 // what nft(8) shows the key as; the kernel only keeps it
	KeyLen    uint32 // at most 64
	DataType  uint32 // NFT_DATA_VERDICT, or as KeyType; of maps only
	DataLen   uint32 // at most 64; of maps with values only, but the kernel tells 16 for verdicts
	ObjType   uint32 // NFT_OBJECT_*, of maps to stateful objects only
	Policy    uint32 // NFT_SET_POL_*
	Size      uint32 // elements that it holds at most; 0: no limit
	Fields    []uint32
	Timeout   uint64 // of elements, milliseconds; 0: none
	GC        uint32 // interval between removals of timed out elements, milliseconds
	Userdata  []byte // at most NFT_USERDATA_MAXLEN bytes
	Expr      []byte // of every new element: NFTA_EXPR_* attributes of one expression
	ExprsList []byte // of every new element: run of NFTA_LIST_ELEM, when it is more than one
}

// AddSet adds a set. Extra flags: unix.NLM_F_EXCL refuses one that exists,
// unix.NLM_F_ECHO tells its handle.
func (b *Batch) AddSet(flags uint16, s *Set) {
	b.BeginMessage(NFT_MSG_NEWSET, unix.NLM_F_CREATE|flags, s.Family)
	b.AttrString(NFTA_SET_TABLE, s.Table)
	b.AttrString(NFTA_SET_NAME, s.Name)
	b.AttrBE32(NFTA_SET_FLAGS, s.Flags)
	b.AttrBE32(NFTA_SET_KEY_TYPE, s.KeyType)
	b.AttrBE32(NFTA_SET_KEY_LEN, s.KeyLen)
	if s.Flags&NFT_SET_MAP != 0 {
		b.AttrBE32(NFTA_SET_DATA_TYPE, s.DataType)
		b.attrBE32(NFTA_SET_DATA_LEN, s.DataLen)
	}
	b.attrBE32(NFTA_SET_OBJ_TYPE, s.ObjType)
	b.attrBE32(NFTA_SET_POLICY, s.Policy)
	b.setDesc(s)
	b.AttrBE32(NFTA_SET_ID, s.ID) // the kernel refuses a set without
	b.attrBE64(NFTA_SET_TIMEOUT, s.Timeout)
	b.attrBE32(NFTA_SET_GC_INTERVAL, s.GC)
	b.attrBytes(NFTA_SET_USERDATA, s.Userdata)
	b.nest(NFTA_SET_EXPR, s.Expr)
	b.nest(NFTA_SET_EXPRESSIONS, s.ExprsList)
	b.EndMessage()
}

// setDesc appends the set's size and the lengths of a concatenation's fields.
func (b *Batch) setDesc(s *Set) {
	if s.Size == 0 && len(s.Fields) == 0 {
		return
	}
	at := b.Begin(NFTA_SET_DESC)
	b.attrBE32(NFTA_SET_DESC_SIZE, s.Size)
	if len(s.Fields) > 0 {
		list := b.Begin(NFTA_SET_DESC_CONCAT)
		for _, n := range s.Fields {
			field := b.Begin(NFTA_LIST_ELEM)
			b.AttrBE32(NFTA_SET_FIELD_LEN, n)
			b.End(field)
		}
		b.endAttr(list, "list of fields")
	}
	b.End(at)
}

// DelSet deletes a set, named by Name or, if that is empty, by Handle.
func (b *Batch) DelSet(s *Set) {
	b.BeginMessage(NFT_MSG_DELSET, 0, s.Family)
	b.AttrString(NFTA_SET_TABLE, s.Table)
	if s.Name != "" {
		b.AttrString(NFTA_SET_NAME, s.Name)
	} else {
		b.AttrBE64(NFTA_SET_HANDLE, s.Handle)
	}
	b.EndMessage()
}

// Decode reads an NFT_MSG_NEWSET; nothing in s points into m.
func (s *Set) Decode(m Message) error {
	*s = Set{Family: m.Family}
	a := NewAttrs(m.Attrs)
	for a.Next() {
		if s.number(&a) {
			continue
		}
		if err := s.attr(&a); err != nil {
			return err
		}
	}
	return a.Err()
}

// number takes in an attribute that is one number, and says if it was one.
func (s *Set) number(a *Attrs) bool {
	switch a.Type() {
	case NFTA_SET_HANDLE:
		s.Handle = a.BE64()
	case NFTA_SET_ID:
		s.ID = a.BE32()
	case NFTA_SET_FLAGS:
		s.Flags = a.BE32()
	case NFTA_SET_KEY_TYPE:
		s.KeyType = a.BE32()
	case NFTA_SET_KEY_LEN:
		s.KeyLen = a.BE32()
	case NFTA_SET_DATA_TYPE:
		s.DataType = a.BE32()
	case NFTA_SET_DATA_LEN:
		s.DataLen = a.BE32()
	case NFTA_SET_OBJ_TYPE:
		s.ObjType = a.BE32()
	case NFTA_SET_POLICY:
		s.Policy = a.BE32()
	case NFTA_SET_TIMEOUT:
		s.Timeout = a.BE64()
	case NFTA_SET_GC_INTERVAL:
		s.GC = a.BE32()
	default:
		return false
	}
	return true
}

// attr takes in an attribute that is no number.
func (s *Set) attr(a *Attrs) error {
	switch a.Type() {
	case NFTA_SET_TABLE:
		s.Table = a.String()
	case NFTA_SET_NAME:
		s.Name = a.String()
	case NFTA_SET_USERDATA:
		s.Userdata = append([]byte(nil), a.Bytes()...)
	case NFTA_SET_EXPR:
		s.Expr = append([]byte(nil), a.Bytes()...)
	case NFTA_SET_EXPRESSIONS:
		s.ExprsList = append([]byte(nil), a.Bytes()...)
	case NFTA_SET_DESC:
		return s.desc(a.Nested())
	}
	return nil
}

func (s *Set) desc(a Attrs) error {
	for a.Next() {
		switch a.Type() {
		case NFTA_SET_DESC_SIZE:
			s.Size = a.BE32()
		case NFTA_SET_DESC_CONCAT:
			list := a.Nested()
			for list.Next() {
				field := list.Nested()
				for field.Next() {
					if field.Type() == NFTA_SET_FIELD_LEN {
						s.Fields = append(s.Fields, field.BE32())
					}
				}
				if err := field.Err(); err != nil {
					return err
				}
			}
			if err := list.Err(); err != nil {
				return err
			}
		}
	}
	return a.Err()
}

// GetSet reads one set without its elements; IsNotFound if the table or the
// set is not there.
func (c *Conn) GetSet(family uint8, table, name string) (Set, error) {
	var s Set
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSET, 0, family)
	c.req.AttrString(NFTA_SET_TABLE, table)
	c.req.AttrString(NFTA_SET_NAME, name)
	err := c.ask(1, s.Decode)
	return s, err
}

// DumpSets calls each with every set of the family's table, without elements;
// an empty table means all tables. IsNotFound if the table is not there. The
// Set is reused for the next one; its fields may be kept.
func (c *Conn) DumpSets(family uint8, table string, each func(*Set) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSET, unix.NLM_F_DUMP, family)
	c.req.attrString(NFTA_SET_TABLE, table)
	var s Set
	return c.dump(func(m Message) error {
		if err := s.Decode(m); err != nil {
			return err
		}
		return each(&s)
	})
}
