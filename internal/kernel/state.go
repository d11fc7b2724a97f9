package kernel

import (
	"slices"

	"moat/internal/change"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// tableState is a table as the operations so far have made it.
type tableState struct {
	name     string
	layout   *rule.Layout
	exists   bool // in the kernel now
	asked    bool // exists is known
	replaced bool // the transaction deletes it and begins anew
	wanted   bool // the transaction needs it to exist
	flushed  bool // the transaction deletes all rules that were there
	all      bool // every chain of the kernel is in chains
	chains   []*chainState
	index    map[string]*chainState // by the name after the operations so far
	op       int                    // the operation that asked for replacement
	renamed  bool                   // the script has renamed a chain of the kernel
	drops    []*chainState          // chains that go, in the order of the operations
}

// chainState is a chain as the operations so far have made it.
type chainState struct {
	name    string
	was     string // its name in the kernel; "" if the transaction makes it
	handle  uint64
	base    *rule.Builtin // nil for a user-defined chain
	inUse   uint32        // the kernel's count of rules and jumps
	policy  *uint32       // as the kernel has it
	wants   *change.Op    // the SetPolicy that counts
	zeroed  bool          // its policy's counters are to be zero
	deleted bool
	rename  int // operation + 1 that renamed it
	created int // operation + 1 that created it
	gone    int // operation that deleted it
	flush   int // operation + 1 that deleted all rules it had

	loaded bool    // entries are all rules of the chain
	rules  []entry // loaded: the chain's rules in order, but for head
	head   []entry // rules put before the first, each before the one put earlier
	tail   []entry // not loaded: rules put after the last, in order
	dead   []entry // rules of the kernel that go
}

// entry is one rule of a chain: of the kernel (handle set) or new.
type entry struct {
	handle uint64
	rule   *rule.Rule
	op     int    // operation that brought it or deletes it
	zero   []byte // its expressions again with the counter at zero, if it is to be replaced by them
	// userdata is what nft noted with a rule that zero replaces, such as a comment.
	userdata []byte
	reset    bool // its counter is to be reset by a message of its own
}

// find gives the chain that has a name now, nil if there is none.
func (p *plan) find(t *tableState, name string) (*chainState, error) {
	if c, known := t.index[name]; known {
		return c, nil
	}
	if t.replaced || t.all || p.missing(t) {
		return nil, nil
	}
	got, err := p.k.conn.GetChain(uint8(p.family), t.name, name)
	if nft.IsNotFound(err) {
		t.index[name] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.read = true
	if got.Hook != nil && !t.owns(&got) {
		return nil, p.foreign(t, name)
	}
	return t.add(&got), nil
}

// owns reports whether a base chain is the built-in chain of its name.
func (t *tableState) owns(c *nft.Chain) bool {
	b := t.layout.Builtin(c.Name)
	return b != nil && isBuiltin(b, c)
}

// isBuiltin reports whether a base chain stands where the built-in chain does.
func isBuiltin(b *rule.Builtin, c *nft.Chain) bool {
	return c.Hook != nil && uint32(b.Hook) == c.Hook.Num && b.Priority == c.Hook.Priority && b.Type == c.Type
}

// foreign is what becomes of somebody else's base chain: iptables does not see
// it, and cannot make its own where one of the same name stands.
func (p *plan) foreign(t *tableState, name string) error {
	if t.layout.Builtin(name) == nil {
		t.index[name] = nil
		return nil
	}
	return &Error{Code: ExitResource, Failed: true, Op: p.op, Msg: "CHAIN_ADD failed (Operation not supported): chain " + name}
}

// add records a chain that the kernel has.
func (t *tableState) add(c *nft.Chain) *chainState {
	s := &chainState{name: c.Name, was: c.Name, handle: c.Handle, inUse: c.Use, policy: c.Policy}
	if c.Hook != nil {
		s.base = t.layout.Builtin(c.Name)
	}
	if t.flushed {
		s.loaded = true
	}
	t.chains = append(t.chains, s)
	t.index[s.name] = s
	return s
}

// missing asks whether the kernel lacks the table, so that nothing in it has
// to be asked for. It does not ask the kernel by itself.
func (p *plan) missing(t *tableState) bool { return t.asked && !t.exists }

// allChains reads the chains that are not known yet.
func (p *plan) allChains(t *tableState) error {
	if t.all || t.replaced || p.missing(t) {
		return nil
	}
	p.read = true
	seen := map[string]bool{}
	for _, c := range t.chains {
		seen[c.was] = true
	}
	err := p.k.conn.DumpChains(uint8(p.family), t.name, func(c *nft.Chain) error {
		if c.Table == t.name && !seen[c.Name] && (c.Hook == nil || t.owns(c)) {
			t.add(c)
		}
		return nil
	})
	if nft.IsNotFound(err) {
		err = nil
	}
	t.all = err == nil
	return err
}

// load reads a chain's rules. With decode false only their handles are kept.
func (p *plan) load(t *tableState, c *chainState, decode bool) error {
	if c.loaded || c.was == "" {
		return p.decoded(t, c, decode)
	}
	var rules []entry
	err := p.dump(t, c, func(v *nft.RuleView) error {
		e := entry{handle: v.Handle, op: -1}
		if decode {
			r, err := t.decode(p.family, v)
			if err != nil {
				return err
			}
			e.rule = r
		}
		rules = append(rules, e)
		return nil
	})
	if err != nil {
		return err
	}
	c.rules, c.loaded = rules, true
	c.join()
	return nil
}

// join puts the rules of head and tail into their places among the rules of a
// loaded chain.
func (c *chainState) join() {
	c.rules = append(c.rules, c.tail...)
	if len(c.head) > 0 {
		slices.Reverse(c.head)
		c.rules = append(c.head, c.rules...)
	}
	c.head, c.tail = nil, nil
}

// decoded reads the rules of a loaded chain once more if they were kept by
// handle only and are needed whole.
func (p *plan) decoded(t *tableState, c *chainState, decode bool) error {
	c.loaded = true
	c.join()
	missing := false
	for i := range c.rules {
		missing = missing || c.rules[i].rule == nil
	}
	if !decode || !missing {
		return nil
	}
	byHandle := map[uint64]*rule.Rule{}
	err := p.dump(t, c, func(v *nft.RuleView) error {
		r, err := t.decode(p.family, v)
		byHandle[v.Handle] = r
		return err
	})
	for i := range c.rules {
		e := &c.rules[i]
		if e.rule == nil {
			e.rule = byHandle[e.handle]
		}
		if e.rule == nil && err == nil {
			err = nft.ErrInterrupted // it was there a moment ago
		}
	}
	return err
}

func (p *plan) dump(t *tableState, c *chainState, each func(*nft.RuleView) error) error {
	p.read = true
	err := p.k.conn.DumpRules(uint8(p.family), t.name, c.was, p.trace.reading(each))
	if nft.IsNotFound(err) {
		return nft.ErrInterrupted // it was there a moment ago
	}
	return err
}
