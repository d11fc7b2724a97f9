package nft

import "golang.org/x/sys/unix"

// SetRef names a set: by name, and within the batch that made it also by ID.
type SetRef struct {
	Family uint8 // NFPROTO_*
	Table  string
	Set    string
	ID     uint32 // Set.ID of a set of the same batch; 0: none
}

// Element is one element of a set or map. Read from the kernel its slices
// point into the message. Numbers in keys and values are mostly in network
// byte order; nf_tables only compares bytes.
type Element struct {
	Key         []byte // nil: the catch-all element (NFT_SET_ELEM_CATCHALL)
	KeyEnd      []byte // last of a range, of sets of concatenated ranges only
	Flags       uint32 // NFT_SET_ELEM_*
	Data        []byte // value of a map; nil: none
	HasVerdict  bool   // value of a verdict map: Verdict and Chain
	Verdict     int32  // NF_ACCEPT, NFT_JUMP, …
	Chain       string // destination of a jump or goto
	Timeout     uint64 // milliseconds; 0: that of the set
	Expiration  uint64 // milliseconds from now; 0: none
	Userdata    []byte // at most NFT_USERDATA_MAXLEN bytes, but the kernel refuses exactly 255
	ObjRef      string // name of a stateful object, of object maps only
	Expr        []byte // NFTA_EXPR_* attributes of its only expression
	Expressions []byte // run of NFTA_LIST_ELEM, when it has more than one
}

// elementRun is the open message of elements.
type elementRun struct {
	ref   SetRef
	msg   uint8
	flags uint16
	list  int // offset of its list; 0: none is open
}

// BeginElements starts adding elements to a set; AddElement then appends them,
// and EndElements completes it. As one attribute holds less than 64 KiB they
// become as many messages as needed. Extra flags: unix.NLM_F_EXCL refuses
// elements that exist.
func (b *Batch) BeginElements(flags uint16, ref SetRef) {
	b.elements = elementRun{ref: ref, msg: NFT_MSG_NEWSETELEM, flags: unix.NLM_F_CREATE | flags}
}

// BeginDelElements starts deleting elements of a set: AddElement appends the
// keys. With unix.NLM_F_ECHO the kernel tells each as it was last.
func (b *Batch) BeginDelElements(flags uint16, ref SetRef) {
	b.elements = elementRun{ref: ref, msg: NFT_MSG_DELSETELEM, flags: flags}
}

// AddElement appends an element to what BeginElements or BeginDelElements started.
func (b *Batch) AddElement(e *Element) {
	if b.elements.list == 0 {
		b.openElements()
	}
	at := b.Len()
	b.element(e)
	if b.Len()-b.elements.list <= maxAttr || at == b.elements.list+attrHeaderLen {
		return
	}
	// It does not fit: put it into a new message.
	moved := append([]byte(nil), b.b[at:]...)
	b.Truncate(at)
	b.EndElements()
	b.openElements()
	b.AppendRaw(moved)
}

// EndElements completes what BeginElements or BeginDelElements started.
func (b *Batch) EndElements() {
	if b.elements.list != 0 {
		b.endAttr(b.elements.list, "element")
		b.EndMessage()
		b.elements.list = 0
	}
}

func (b *Batch) openElements() {
	r := &b.elements
	b.BeginMessage(r.msg, r.flags, r.ref.Family)
	b.elementList(r.ref)
	r.list = b.Begin(NFTA_SET_ELEM_LIST_ELEMENTS)
}

// elementList appends the attributes that name the set.
func (b *Buffer) elementList(ref SetRef) {
	b.AttrString(NFTA_SET_ELEM_LIST_TABLE, ref.Table)
	b.AttrString(NFTA_SET_ELEM_LIST_SET, ref.Set)
	b.attrBE32(NFTA_SET_ELEM_LIST_SET_ID, ref.ID)
}

// AddElements adds the elements to a set.
func (b *Batch) AddElements(flags uint16, ref SetRef, elements []Element) {
	b.BeginElements(flags, ref)
	for i := range elements {
		b.AddElement(&elements[i])
	}
	b.EndElements()
}

// DelElements deletes the elements with the same keys from a set.
func (b *Batch) DelElements(flags uint16, ref SetRef, elements []Element) {
	b.BeginDelElements(flags, ref)
	for i := range elements {
		b.AddElement(&elements[i])
	}
	b.EndElements()
}

// FlushElements deletes all elements of a set.
func (b *Batch) FlushElements(ref SetRef) {
	b.BeginMessage(NFT_MSG_DELSETELEM, 0, ref.Family)
	b.elementList(ref)
	b.EndMessage()
}

// element appends one element of a list.
func (b *Buffer) element(e *Element) {
	at := b.Begin(NFTA_LIST_ELEM)
	if e.Key != nil {
		b.data(NFTA_SET_ELEM_KEY, e.Key)
	}
	if e.KeyEnd != nil {
		b.data(NFTA_SET_ELEM_KEY_END, e.KeyEnd)
	}
	switch {
	case e.HasVerdict:
		b.verdict(NFTA_SET_ELEM_DATA, e.Verdict, e.Chain)
	case e.Data != nil:
		b.data(NFTA_SET_ELEM_DATA, e.Data)
	}
	b.attrBE32(NFTA_SET_ELEM_FLAGS, e.Flags)
	b.attrBE64(NFTA_SET_ELEM_TIMEOUT, e.Timeout)
	b.attrBE64(NFTA_SET_ELEM_EXPIRATION, e.Expiration)
	b.attrBytes(NFTA_SET_ELEM_USERDATA, e.Userdata)
	b.attrString(NFTA_SET_ELEM_OBJREF, e.ObjRef)
	b.nest(NFTA_SET_ELEM_EXPR, e.Expr)
	b.nest(NFTA_SET_ELEM_EXPRESSIONS, e.Expressions)
	b.End(at)
}

// nest appends encoded attributes inside typ unless there are none.
func (b *Buffer) nest(typ uint16, attrs []byte) {
	if len(attrs) > 0 {
		at := b.Begin(typ)
		b.AppendRaw(attrs)
		b.End(at)
	}
}

// verdict appends a verdict as NFTA_DATA_VERDICT inside attribute typ.
func (b *Buffer) verdict(typ uint16, code int32, chain string) {
	at := b.Begin(typ)
	v := b.Begin(NFTA_DATA_VERDICT)
	b.AttrBE32(NFTA_VERDICT_CODE, uint32(code))
	b.attrString(NFTA_VERDICT_CHAIN, chain)
	b.End(v)
	b.End(at)
}

// decode reads one element of a list in place.
func (e *Element) decode(a Attrs) (err error) {
	*e = Element{}
	for a.Next() {
		switch a.Type() {
		case NFTA_SET_ELEM_KEY:
			e.Key, err = keyBytes(a.Nested())
		case NFTA_SET_ELEM_KEY_END:
			e.KeyEnd, err = keyBytes(a.Nested())
		case NFTA_SET_ELEM_DATA:
			err = e.value(a.Nested())
		case NFTA_SET_ELEM_FLAGS:
			e.Flags = a.BE32()
		case NFTA_SET_ELEM_TIMEOUT:
			e.Timeout = a.BE64()
		case NFTA_SET_ELEM_EXPIRATION:
			e.Expiration = a.BE64()
		case NFTA_SET_ELEM_USERDATA:
			e.Userdata = a.Bytes()
		case NFTA_SET_ELEM_OBJREF:
			e.ObjRef = a.String()
		case NFTA_SET_ELEM_EXPR:
			e.Expr = a.Bytes()
		case NFTA_SET_ELEM_EXPRESSIONS:
			e.Expressions = a.Bytes()
		}
		if err != nil {
			return err
		}
	}
	return a.Err()
}

// keyBytes is the NFTA_DATA_VALUE among the attributes, nil if there is none.
func keyBytes(a Attrs) (value []byte, err error) {
	for a.Next() {
		if a.Type() == NFTA_DATA_VALUE {
			value = a.Bytes()
		}
	}
	return value, a.Err()
}

// value reads what a map gives for the element.
func (e *Element) value(a Attrs) error {
	for a.Next() {
		switch a.Type() {
		case NFTA_DATA_VALUE:
			e.Data = a.Bytes()
		case NFTA_DATA_VERDICT:
			e.HasVerdict = true
			v := a.Nested()
			for v.Next() {
				switch v.Type() {
				case NFTA_VERDICT_CODE:
					e.Verdict = int32(v.BE32())
				case NFTA_VERDICT_CHAIN:
					e.Chain = v.String()
				}
			}
			if err := v.Err(); err != nil {
				return err
			}
		}
	}
	return a.Err()
}

// DecodeElements calls each with every element of an NFT_MSG_NEWSETELEM or, of
// an echo, NFT_MSG_DELSETELEM. The Element points into m and is reused.
func DecodeElements(m Message, each func(*Element) error) error {
	var e Element
	return decodeElements(m, &e, each)
}

func decodeElements(m Message, e *Element, each func(*Element) error) error {
	a := NewAttrs(m.Attrs)
	for a.Next() {
		if a.Type() != NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		list := a.Nested()
		for list.Next() {
			if err := e.decode(list.Nested()); err != nil {
				return err
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if err := list.Err(); err != nil {
			return err
		}
	}
	return a.Err()
}
