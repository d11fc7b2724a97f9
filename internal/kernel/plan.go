package kernel

import (
	"errors"
	"slices"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// plan computes the transaction of a script: what the operations make of the
// tables as they are, read as far as needed and no further, and then the
// messages that bring it about.
type plan struct {
	k      *Kernel
	family rule.Family
	script *change.Script
	gen    uint32
	read   bool       // the plan rests on what was read: it is tied to the generation
	dry    bool       // nothing is sent
	op     *change.Op // the operation that is being applied
	notes  *[]Note    // what -v tells; nil if nobody asks
	trace  *Trace     // what -vv tells; nil if nobody asks
	tables []*tableState
	known  []*tableState // read beforehand, not yet touched by an operation
	since  uint32        // generation that the script was computed from; 0 for any
	leave  leave         // of the gate
}

// Apply does all operations of a script in one transaction, or none. When other
// writers change the ruleset meanwhile it computes again. Errors are *Error
// where iptables has words for them.
func (k *Kernel) Apply(s *change.Script) error {
	watched, err := k.watches(s)
	if err != nil {
		return err
	}
	if !watched {
		if quick, err := k.quick(s); quick {
			return err
		}
	}
	return k.apply(s, watched, nil, nil)
}

// Recompute does what a script says that was computed from the rules as they are
// now: if another writer changes anything between the reading in compute and the
// transaction, compute is called again.
func (k *Kernel) Recompute(compute func() (*change.Script, error)) error {
	for range maxTries {
		gen, err := k.conn.Generation()
		if err != nil {
			return permission(err)
		}
		s, err := compute()
		if isRace(err) {
			continue
		}
		if err != nil || len(s.Ops) == 0 {
			return err
		}
		watched, err := k.watches(s)
		if err != nil {
			return err
		}
		p := &plan{k: k, family: s.Family, script: s, since: gen}
		if err := p.run(watched); !isRace(err) {
			return permission(err)
		}
	}
	return &Error{Code: ExitResource, Msg: "the ruleset keeps changing: the change was given up after many tries"}
}

// ApplyVerbosely is Apply that also tells what -v prints: each rule that was
// put or found, and each chain that was flushed, zeroed or deleted. With an
// error the notes go up to the operation that failed.
func (k *Kernel) ApplyVerbosely(s *change.Script) (notes []Note, err error) {
	watched, err := k.watches(s)
	if err == nil {
		err = k.apply(s, watched, &notes, nil)
	}
	return notes, err
}

func (k *Kernel) apply(s *change.Script, watched bool, notes *[]Note, trace *Trace) error {
	for range maxTries {
		if notes != nil {
			*notes = nil
		}
		trace.begin()
		p := &plan{k: k, family: s.Family, script: s, notes: notes, trace: trace}
		err := p.run(watched)
		if isRace(err) {
			continue
		}
		return permission(err)
	}
	return &Error{Code: ExitResource, Msg: "the ruleset keeps changing: the change was given up after many tries"}
}

// run computes the transaction and makes it; watched by the gate, that sees what
// becomes of all tables first.
func (p *plan) run(watched bool) (err error) {
	if p.gen, err = p.k.conn.Generation(); err != nil {
		return err
	}
	if p.since != 0 {
		if p.read = true; p.gen != p.since {
			return nft.ErrInterrupted
		}
	}
	var before *rule.Ruleset
	if watched {
		if err := p.loadAll(); err != nil {
			return err
		}
		before = p.ruleset()
	}
	for i := range p.script.Ops {
		if err := p.step(i); err != nil {
			return p.unlessRaced(err)
		}
	}
	if watched {
		if err := p.judge(before); err != nil {
			return err
		}
	}
	return p.commit()
}

// unlessRaced gives a refusal that was computed, or calls it a race if the
// ruleset changed meanwhile: then it may rest on two states that never were one.
func (p *plan) unlessRaced(err error) error {
	var refused *Error
	if !errors.As(err, &refused) {
		return err
	}
	now, genErr := p.k.conn.Generation()
	switch {
	case genErr != nil:
		return genErr
	case now != p.gen:
		return nft.ErrInterrupted
	}
	return err
}

// table gives the state of a table, begun on first use.
func (p *plan) table(op *change.Op) (*tableState, error) {
	for _, t := range p.tables {
		if t.name == op.Table {
			return t, nil
		}
	}
	for i, t := range p.known {
		if t.name == op.Table {
			p.known = slices.Delete(p.known, i, i+1)
			p.tables = append(p.tables, t)
			return t, nil
		}
	}
	layout := rule.FindLayout(op.Table)
	if layout == nil {
		return nil, &Error{Code: ExitVersion, Msg: change.NoTable(op.Table), Op: op}
	}
	t := &tableState{name: op.Table, layout: layout, index: map[string]*chainState{}}
	p.tables = append(p.tables, t)
	return t, nil
}

// ask finds out whether the kernel has the table.
func (p *plan) ask(t *tableState) error {
	if t.asked {
		return nil
	}
	_, err := p.k.conn.GetTable(uint8(p.family), t.name)
	if err != nil && !nft.IsNotFound(err) {
		return err
	}
	t.asked, t.exists, p.read = true, err == nil, true
	return nil
}

// step applies operation i to the state.
func (p *plan) step(i int) error {
	op := &p.script.Ops[i]
	p.op = op
	t, err := p.table(op)
	if err != nil {
		return err
	}
	switch op.Kind {
	case change.OpenChain:
		_, err := p.need(t, op, i)
		return err
	case change.ReplaceTable:
		return p.replaceTable(t, i)
	case change.OpenTable:
		t.wanted = true
		return nil
	case change.Append, change.Insert, change.Replace, change.Delete, change.DeleteNum, change.Check:
		return p.ruleOp(t, op, i)
	case change.Flush:
		return p.flush(t, op, i)
	case change.Zero:
		return p.zero(t, op, i)
	case change.NewChain, change.DeclareChain:
		return p.newChain(t, op, i)
	case change.DeleteChain:
		return p.deleteChain(t, op, i)
	case change.SetPolicy:
		return p.setPolicy(t, op, i)
	}
	return p.renameChain(t, op, i)
}

// replaceTable begins the table anew; what earlier blocks of the same file put
// into it goes too.
func (p *plan) replaceTable(t *tableState, i int) error {
	if err := p.ask(t); err != nil {
		return err
	}
	if err := p.noteReplace(t); err != nil {
		return err
	}
	*t = tableState{name: t.name, layout: t.layout, asked: true, exists: t.exists,
		replaced: true, wanted: true, index: map[string]*chainState{}, op: i}
	return nil
}

// need gives the chain of an operation, and makes a built-in chain that the
// kernel does not have yet; nil if there is no such chain.
func (p *plan) need(t *tableState, op *change.Op, i int) (*chainState, error) {
	c, err := p.find(t, op.Chain)
	if c != nil || err != nil {
		return c, err
	}
	b := t.layout.Builtin(op.Chain)
	if b == nil {
		return nil, nil
	}
	if err := p.ask(t); err != nil {
		return nil, err
	}
	return p.create(t, op.Chain, b, i), nil
}

// create adds a chain that the transaction makes.
func (p *plan) create(t *tableState, name string, b *rule.Builtin, i int) *chainState {
	c := &chainState{name: name, base: b, created: i + 1, loaded: true}
	t.wanted = true
	t.chains = append(t.chains, c)
	t.index[name] = c
	return c
}

// checkTarget refuses a rule that jumps to a chain that is not there. Chains
// that are built in are left to the kernel, which refuses them.
func (p *plan) checkTarget(t *tableState, op *change.Op) error {
	j, ok := op.Rule.Target.(rule.Jump)
	if !ok {
		return nil
	}
	c, err := p.find(t, j.Chain)
	if err != nil || c != nil || t.layout.Builtin(j.Chain) != nil {
		return err
	}
	return noTarget(op, j.Chain)
}

// ruleOp applies an operation on one rule.
func (p *plan) ruleOp(t *tableState, op *change.Op, i int) error {
	if op.Rule != nil {
		if err := p.checkTarget(t, op); err != nil {
			return err
		}
	}
	switch op.Kind {
	case change.Append, change.Insert:
		return p.addRule(t, op, i)
	case change.Delete, change.Check:
		return p.byRule(t, op, i)
	}
	return p.byNumber(t, op, i)
}

func (p *plan) addRule(t *tableState, op *change.Op, i int) error {
	c, err := p.need(t, op, i)
	if err != nil {
		return err
	}
	if op.Kind == change.Append {
		p.note(op, "")
	}
	if c == nil {
		return fail(op, msgNoChain)
	}
	e := entry{rule: op.Rule, op: i}
	switch {
	case op.Kind == change.Append && c.loaded:
		c.rules = append(c.rules, e)
	case op.Kind == change.Append:
		c.tail = append(c.tail, e)
	case op.Num <= 1:
		p.note(op, "")
		c.head = append(c.head, e)
	default:
		return p.insertAt(t, c, op, e)
	}
	return nil
}

func (p *plan) insertAt(t *tableState, c *chainState, op *change.Op, e entry) error {
	if err := p.load(t, c, false); err != nil {
		return err
	}
	at := max(op.Num, 1) - 1
	if at > len(c.rules) {
		return fail(op, change.InsertTooBig)
	}
	p.note(op, "")
	c.rules = slices.Insert(c.rules, at, e)
	return nil
}

// byRule applies -D and -C of a rule by its text.
func (p *plan) byRule(t *tableState, op *change.Op, i int) error {
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	if c == nil {
		return fail(op, msgBadRule)
	}
	wanted := p.k.canonical(p.family, op.Rule)
	if len(p.script.Ops) == 1 && !c.loaded && p.trace == nil {
		return p.byRuleAlone(t, c, op, i, wanted)
	}
	if err := p.load(t, c, true); err != nil {
		return err
	}
	for at := range c.rules {
		r := c.rules[at].rule
		if c.rules[at].handle == 0 {
			r = p.k.canonical(p.family, r)
		}
		if !r.Foreign && ext.EqualRules(r, wanted) {
			p.note(op, "")
			if op.Kind == change.Delete {
				c.remove(at, i)
			}
			return nil
		}
	}
	return fail(op, msgBadRule)
}

// byRuleAlone finds the rule of a script's only operation without keeping the
// chain in memory, and stops reading once it is found.
func (p *plan) byRuleAlone(t *tableState, c *chainState, op *change.Op, i int, wanted *rule.Rule) error {
	found := uint64(0)
	d := newDecoder(p.family)
	var r rule.Rule
	err := p.dump(t, c, func(v *nft.RuleView) error {
		if err := d.read(v, &r); err != nil {
			return err
		}
		if !r.Foreign && ext.EqualRules(&r, wanted) {
			found = v.Handle
			return nft.ErrStop
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found == 0 {
		return fail(op, msgBadRule)
	}
	p.note(op, "")
	if op.Kind == change.Delete {
		c.dead = append(c.dead, entry{handle: found, op: i})
	}
	return nil
}

// byNumber applies -R, and -D of a rule number.
func (p *plan) byNumber(t *tableState, op *change.Op, i int) error {
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	if c == nil {
		return fail(op, msgNoChain)
	}
	if err := p.load(t, c, false); err != nil {
		return err
	}
	at := op.Num - 1
	if at < 0 || at >= len(c.rules) {
		if op.Kind == change.Replace {
			return fail(op, change.ReplaceTooBig)
		}
		return fail(op, change.DeleteTooBig)
	}
	c.remove(at, i)
	if op.Kind == change.Replace {
		p.note(op, "")
		c.rules = slices.Insert(c.rules, at, entry{rule: op.Rule, op: i})
	}
	return nil
}

// remove takes rule at out of a loaded chain; if the kernel has it, it is to go.
func (c *chainState) remove(at, op int) {
	e := c.rules[at]
	c.rules = slices.Delete(c.rules, at, at+1)
	if e.handle != 0 {
		e.op, e.zero = op, nil
		c.dead = append(c.dead, e)
	}
}

// clear takes all rules out of a chain.
func (c *chainState) clear(op int) {
	if c.was != "" && c.flush == 0 {
		c.flush = op + 1
	}
	c.loaded, c.rules, c.head, c.tail, c.dead = true, nil, nil, nil, nil
}

// Check says if Apply would take a script, as far as that can be known without
// the kernel's own check of the rules, and changes nothing.
func (k *Kernel) Check(s *change.Script) error { return k.dry(s, false) }

func (k *Kernel) dry(s *change.Script, watched bool) error {
	for range maxTries {
		p := &plan{k: k, family: s.Family, script: s, dry: true}
		if err := p.run(watched); !isRace(err) {
			return permission(err)
		}
	}
	return &Error{Code: ExitResource, Msg: "the ruleset keeps changing: the check was given up after many tries"}
}
