package nft

import "golang.org/x/sys/unix"

// Where BeginRule puts a rule: NLM_F_* flags of NFT_MSG_NEWRULE.
const (
	RuleAppend  = unix.NLM_F_CREATE | unix.NLM_F_APPEND // last, or after the rule at Position
	RuleInsert  = unix.NLM_F_CREATE                     // first, or before the rule at Position
	RuleReplace = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
)

// RuleCompat is what extensions of xtables need to know of a rule: the
// protocol that it matches and if it matches any but that.
type RuleCompat struct {
	Proto uint32 // IPPROTO_*
	Flags uint32 // NFT_RULE_COMPAT_F_INV
}

// RuleHeader is all of a rule to be written but its expressions.
type RuleHeader struct {
	Family     uint8 // NFPROTO_*
	Table      string
	Chain      string
	ChainID    uint32 // Chain.ID of a chain of the same batch, instead of Chain
	Handle     uint64 // the rule that RuleReplace replaces
	Position   uint64 // handle of the rule before or after which this one goes; 0: none
	PositionID uint32 // ID of such a rule of the same batch; 0: none
	ID         uint32 // names this rule within its batch; 0: none
	Compat     *RuleCompat
	Userdata   []byte // at most NFT_USERDATA_MAXLEN bytes
}

// BeginRule starts a rule; the caller then appends its expressions to
// b.Buffer and calls EndRule. Flags are RuleAppend, RuleInsert or RuleReplace,
// with unix.NLM_F_ECHO to be told the rule's handle.
func (b *Batch) BeginRule(flags uint16, h *RuleHeader) {
	b.BeginMessage(NFT_MSG_NEWRULE, flags, h.Family)
	b.AttrString(NFTA_RULE_TABLE, h.Table)
	b.attrString(NFTA_RULE_CHAIN, h.Chain)
	b.attrBE32(NFTA_RULE_CHAIN_ID, h.ChainID)
	b.attrBE64(NFTA_RULE_HANDLE, h.Handle)
	b.attrBE64(NFTA_RULE_POSITION, h.Position)
	b.attrBE32(NFTA_RULE_POSITION_ID, h.PositionID)
	b.attrBE32(NFTA_RULE_ID, h.ID)
	if h.Compat != nil {
		at := b.Begin(NFTA_RULE_COMPAT)
		b.AttrBE32(NFTA_RULE_COMPAT_PROTO, h.Compat.Proto)
		b.AttrBE32(NFTA_RULE_COMPAT_FLAGS, h.Compat.Flags)
		b.End(at)
	}
	b.attrBytes(NFTA_RULE_USERDATA, h.Userdata)
	b.exprs = b.Begin(NFTA_RULE_EXPRESSIONS)
}

// EndRule completes the rule.
func (b *Batch) EndRule() {
	b.endAttr(b.exprs, "rule's expressions")
	b.EndMessage()
}

// AddRule appends a rule whose expressions are encoded already, as
// RuleView.Expressions gives them.
func (b *Batch) AddRule(flags uint16, h *RuleHeader, expressions []byte) {
	b.BeginRule(flags, h)
	b.AppendRaw(expressions)
	b.EndRule()
}

// DelRule deletes the rule with that handle.
func (b *Batch) DelRule(family uint8, table, chain string, handle uint64) {
	b.BeginMessage(NFT_MSG_DELRULE, 0, family)
	b.AttrString(NFTA_RULE_TABLE, table)
	b.AttrString(NFTA_RULE_CHAIN, chain)
	b.AttrBE64(NFTA_RULE_HANDLE, handle)
	b.EndMessage()
}

// FlushRules deletes all rules of a chain, or of all chains of the table when
// chain is empty.
func (b *Batch) FlushRules(family uint8, table, chain string) {
	b.BeginMessage(NFT_MSG_DELRULE, 0, family)
	b.AttrString(NFTA_RULE_TABLE, table)
	b.attrString(NFTA_RULE_CHAIN, chain)
	b.EndMessage()
}

// RuleView is a rule as the kernel told it. Its slices point into the message.
type RuleView struct {
	Family      uint8
	Table       []byte
	Chain       []byte
	Handle      uint64
	Position    uint64     // handle of the rule before it in its chain; 0: it is the first
	Expressions []byte     // run of NFTA_LIST_ELEM attributes
	Compat      RuleCompat // of an encoded rule; the kernel (6.18) does not tell it
	HasCompat   bool
	Userdata    []byte
}

// Decode reads an NFT_MSG_NEWRULE in place.
func (r *RuleView) Decode(m Message) error {
	*r = RuleView{Family: m.Family}
	a := NewAttrs(m.Attrs)
	for a.Next() {
		switch a.Type() {
		case NFTA_RULE_TABLE:
			r.Table = cString(a.Bytes())
		case NFTA_RULE_CHAIN:
			r.Chain = cString(a.Bytes())
		case NFTA_RULE_HANDLE:
			r.Handle = a.BE64()
		case NFTA_RULE_POSITION:
			r.Position = a.BE64()
		case NFTA_RULE_EXPRESSIONS:
			r.Expressions = a.Bytes()
		case NFTA_RULE_USERDATA:
			r.Userdata = a.Bytes()
		case NFTA_RULE_COMPAT:
			if err := r.compat(a.Nested()); err != nil {
				return err
			}
		}
	}
	return a.Err()
}

func (r *RuleView) compat(a Attrs) error {
	r.HasCompat = true
	for a.Next() {
		switch a.Type() {
		case NFTA_RULE_COMPAT_PROTO:
			r.Compat.Proto = a.BE32()
		case NFTA_RULE_COMPAT_FLAGS:
			r.Compat.Flags = a.BE32()
		}
	}
	return a.Err()
}

// GetRule calls each with the rule of that handle; IsNotFound if there is none.
// The view holds only during the call.
func (c *Conn) GetRule(family uint8, table, chain string, handle uint64, each func(*RuleView) error) error {
	return c.getRule(NFT_MSG_GETRULE, family, table, chain, handle, each)
}

// ResetRule is GetRule and sets the rule's counters and quotas to zero in the
// same step (Linux 6.2).
func (c *Conn) ResetRule(family uint8, table, chain string, handle uint64, each func(*RuleView) error) error {
	return c.getRule(NFT_MSG_GETRULE_RESET, family, table, chain, handle, each)
}

func (c *Conn) getRule(msg, family uint8, table, chain string, handle uint64, each func(*RuleView) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, msg, 0, family)
	c.req.AttrString(NFTA_RULE_TABLE, table)
	c.req.AttrString(NFTA_RULE_CHAIN, chain)
	c.req.AttrBE64(NFTA_RULE_HANDLE, handle)
	return c.ask(1, eachRule(each))
}

// DumpRules calls each with every rule in the order of the kernel: of one
// chain, of all chains of a table (chain empty), or of all tables of the family
// (both empty; NFPROTO_UNSPEC: of all). A table or chain that does not exist
// has no rules. The view holds only during the call, in which the Conn must
// not be used.
func (c *Conn) DumpRules(family uint8, table, chain string, each func(*RuleView) error) error {
	return c.dumpRules(NFT_MSG_GETRULE, family, table, chain, each)
}

// ResetRules is DumpRules and sets the counters and quotas of each rule to
// zero in the same step (Linux 6.2).
func (c *Conn) ResetRules(family uint8, table, chain string, each func(*RuleView) error) error {
	return c.dumpRules(NFT_MSG_GETRULE_RESET, family, table, chain, each)
}

func (c *Conn) dumpRules(msg, family uint8, table, chain string, each func(*RuleView) error) error {
	c.begin(NFNL_SUBSYS_NFTABLES, msg, unix.NLM_F_DUMP, family)
	c.req.attrString(NFTA_RULE_TABLE, table)
	c.req.attrString(NFTA_RULE_CHAIN, chain)
	return c.dump(eachRule(each))
}

// eachRule decodes messages into one RuleView.
func eachRule(each func(*RuleView) error) func(Message) error {
	var r RuleView
	return func(m Message) error {
		if err := r.Decode(m); err != nil {
			return err
		}
		return each(&r)
	}
}
