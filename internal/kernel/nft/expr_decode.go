package nft

// Expr is one expression of a rule as a dump gives it. Its slices lie in the
// receive buffer and are valid as long as that is.
type Expr struct {
	Name string // a constant of this package for names it knows
	Data []byte // the attributes within NFTA_EXPR_DATA
	Raw  []byte // the whole list element's payload, to be written back unchanged
}

// Exprs walks a list of expressions (NFTA_RULE_EXPRESSIONS) in place.
type Exprs struct {
	list Attrs
	expr Expr
	bad  bool
}

// NewExprs starts a walk over the payload of NFTA_RULE_EXPRESSIONS.
func NewExprs(list []byte) Exprs { return Exprs{list: NewAttrs(list)} }

// Next goes to the next expression; false at the end or at malformed bytes.
func (e *Exprs) Next() bool {
	if !e.list.Next() {
		e.bad = e.list.bad
		return false
	}
	e.expr = Expr{Raw: e.list.Bytes()}
	a := e.list.Nested()
	for a.Next() {
		switch a.Type() {
		case NFTA_EXPR_NAME:
			e.expr.Name = internName(cString(a.Bytes()))
		case NFTA_EXPR_DATA:
			e.expr.Data = a.Bytes()
		}
	}
	if a.bad || e.expr.Name == "" {
		e.bad = true
		return false
	}
	return true
}

// Expr is the expression that Next went to.
func (e *Exprs) Expr() *Expr { return &e.expr }

// Err is ErrMalformed when the walk ended at bytes that are no expression.
func (e *Exprs) Err() error {
	if e.bad {
		return ErrMalformed
	}
	return nil
}

// internName gives a known expression's name without allocating.
func internName(p []byte) string {
	for _, s := range [...]string{
		"cmp", "payload", "counter", "immediate", "meta", "match", "target", "bitwise", "range", "limit",
		"log", "lookup", "ct", "nat", "masq", "redir", "reject", "fib", "byteorder", "rt", "socket",
		"exthdr", "tproxy", "notrack", "queue", "quota", "connlimit", "numgen", "hash",
	} {
		if string(p) == s {
			return s
		}
	}
	return string(p)
}

// xtInfo reads an xt match or target expression: name, revision and payload.
func xtInfo(data []byte) (name []byte, rev uint8, info []byte) {
	for a := NewAttrs(data); a.Next(); {
		switch a.Type() {
		case NFTA_MATCH_NAME:
			name = cString(a.Bytes())
		case NFTA_MATCH_REV:
			rev = uint8(a.BE32())
		case NFTA_MATCH_INFO:
			info = a.Bytes()
		}
	}
	return name, rev, info
}

// dataValue reads NFTA_DATA_VALUE out of a nested data attribute.
func dataValue(a Attrs) []byte {
	for n := a.Nested(); n.Next(); {
		if n.Type() == NFTA_DATA_VALUE {
			return n.Bytes()
		}
	}
	return nil
}

// verdict reads NFTA_DATA_VERDICT out of a nested data attribute.
func verdict(a Attrs) (code int32, chain []byte, ok bool) {
	for n := a.Nested(); n.Next(); {
		if n.Type() != NFTA_DATA_VERDICT {
			continue
		}
		ok = true
		for v := n.Nested(); v.Next(); {
			switch v.Type() {
			case NFTA_VERDICT_CODE:
				code = int32(v.BE32())
			case NFTA_VERDICT_CHAIN:
				chain = cString(v.Bytes())
			}
		}
	}
	return code, chain, ok
}

// Limit reads a limit expression.
func (e *Expr) Limit() Limit {
	var l Limit
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_LIMIT_RATE:
			l.Rate = a.BE64()
		case NFTA_LIMIT_UNIT:
			l.Unit = a.BE64()
		case NFTA_LIMIT_BURST:
			l.Burst = a.BE32()
		case NFTA_LIMIT_TYPE:
			l.Type = a.BE32()
		case NFTA_LIMIT_FLAGS:
			l.Flags = a.BE32()
		}
	}
	return l
}

// Log reads a log expression.
func (e *Expr) Log() Log {
	var l Log
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_LOG_GROUP:
			l.Group, l.HasGroup = a.BE16(), true
		case NFTA_LOG_PREFIX:
			l.Prefix = a.String()
		case NFTA_LOG_SNAPLEN:
			l.Snaplen, l.HasSnaplen = a.BE32(), true
		case NFTA_LOG_QTHRESHOLD:
			l.Qthreshold, l.HasQthresh = a.BE16(), true
		case NFTA_LOG_LEVEL:
			l.Level, l.HasLevel = a.BE32(), true
		case NFTA_LOG_FLAGS:
			l.Flags, l.HasFlags = a.BE32(), true
		}
	}
	return l
}

// Counter reads a counter expression.
func (e *Expr) Counter() (packets, bytes uint64) {
	for a := NewAttrs(e.Data); a.Next(); {
		switch a.Type() {
		case NFTA_COUNTER_BYTES:
			bytes = a.BE64()
		case NFTA_COUNTER_PACKETS:
			packets = a.BE64()
		}
	}
	return packets, bytes
}

// Attr is the value of a four-byte attribute of the expression, 0 if absent.
func (e *Expr) Attr(typ uint16) uint32 {
	v, _ := e.FindAttr(typ)
	return v
}

// FindAttr is the value of a four-byte attribute of the expression.
func (e *Expr) FindAttr(typ uint16) (v uint32, ok bool) {
	for a := NewAttrs(e.Data); a.Next(); {
		if a.Type() == typ {
			return a.BE32(), true
		}
	}
	return 0, false
}
