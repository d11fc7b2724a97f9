package kernel

import (
	"cmp"
	"errors"
	"slices"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ErrIncompatible is the answer to reading a rule or chain that iptables
// cannot express, such as one that refers to an nf_tables set.
var ErrIncompatible = errors.New("incompatible, use 'nft' tool")

// View is a table as it was when the view was opened: its chains without their
// rules, which are read when they are asked for.
type View struct {
	k      *Kernel
	Family rule.Family
	Table  string
	// Exists says that the kernel has the table. The built-in chains are in
	// Chains either way.
	Exists bool
	// Chains are the built-in chains in the order of their hooks, and then the
	// user-defined ones by name.
	Chains []*Head
	// Foreign says that the table has base chains that are not those of iptables.
	Foreign bool
}

// Head is a chain without its rules.
type Head struct {
	rule.Chain
	Exists bool   // in the kernel; a built-in chain that is not there accepts everything
	Use    uint32 // the kernel's count of rules in the chain and jumps to it
}

// saveOrder is the order in which iptables-nft-save 1.8.9 writes the tables,
// whatever the order of their making (found by making them in five orders).
var saveOrder = [...]string{"mangle", "security", "raw", "filter", "nat"}

// Tables gives the names of the tables of iptables that the kernel has, in the
// order in which iptables-save writes them.
func (k *Kernel) Tables(f rule.Family) ([]string, error) {
	has := map[string]bool{}
	err := k.conn.DumpTables(uint8(f), func(t *nft.Table) error {
		has[t.Name] = has[t.Name] || t.Family == uint8(f)
		return nil
	})
	var names []string
	for _, name := range saveOrder {
		if has[name] {
			names = append(names, name)
		}
	}
	return names, err
}

// View reads the chains of a table. A table that the kernel does not have is
// seen with its built-in chains only.
func (k *Kernel) View(f rule.Family, table string) (*View, error) {
	layout := rule.FindLayout(table)
	if layout == nil {
		return nil, &Error{Code: ExitVersion, Msg: "table '" + table + "' does not exist"}
	}
	v := &View{k: k, Family: f, Table: table}
	for i := range layout.Chains {
		v.Chains = append(v.Chains, &Head{Chain: builtinChain(&layout.Chains[i])})
	}
	builtin := len(v.Chains)
	err := k.conn.DumpChains(uint8(f), table, func(c *nft.Chain) error {
		if c.Table == table {
			v.Exists = true
			v.add(layout, c)
		}
		return nil
	})
	if err != nil && !nft.IsNotFound(err) {
		return nil, err
	}
	slices.SortFunc(v.Chains[builtin:], func(a, b *Head) int { return cmp.Compare(a.Name, b.Name) })
	return v, nil
}

func builtinChain(b *rule.Builtin) rule.Chain {
	return rule.Chain{Name: b.Hook.Chain(), Base: &rule.Base{Hook: b.Hook, Priority: b.Priority, Type: b.Type}}
}

// add takes a chain of the kernel into the view.
func (v *View) add(layout *rule.Layout, c *nft.Chain) {
	if c.Hook == nil {
		v.Chains = append(v.Chains, &Head{Chain: rule.Chain{Name: c.Name}, Exists: true, Use: c.Use})
		return
	}
	b := layout.Builtin(c.Name)
	if b == nil || !isBuiltin(b, c) {
		v.Foreign = true
		return
	}
	h := v.Chain(c.Name)
	h.Exists, h.Use = true, c.Use
	if c.Policy != nil && *c.Policy == uint32(nft.NF_DROP) {
		h.Base.Policy = rule.Drop
	}
	if c.Counters != nil {
		h.Counters = rule.Counters{Packets: c.Counters.Packets, Bytes: c.Counters.Bytes}
	}
}

// Chain finds a chain by name; nil if the view does not have it.
func (v *View) Chain(name string) *Head {
	for _, h := range v.Chains {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// EachRule reads the rules of a chain in order and gives each to f, which may
// return nft.ErrStop. The rule is f's only during the call: its memory serves
// the next one. A rule that iptables cannot express ends it with ErrIncompatible.
func (v *View) EachRule(chain *Head, f func(*rule.Rule) error) error {
	if !chain.Exists {
		return nil
	}
	var r rule.Rule
	into := func() *rule.Rule { return &r }
	return v.k.eachRule(v.Family, v.Table, chain.Name, into, func(r *rule.Rule) error {
		if r.Foreign {
			return ErrIncompatible
		}
		return f(r)
	})
}

// eachRule reads the rules of a chain into what into gives; one that went
// meanwhile is a race.
func (k *Kernel) eachRule(f rule.Family, table, chain string, into func() *rule.Rule, each func(*rule.Rule) error) error {
	d := newDecoder(f)
	err := k.conn.DumpRules(uint8(f), table, chain, func(view *nft.RuleView) error {
		r := into()
		if err := d.read(view, r); err != nil {
			return err
		}
		return each(r)
	})
	if nft.IsNotFound(err) {
		return nft.ErrInterrupted
	}
	return err
}

func newRule() *rule.Rule { return new(rule.Rule) }

// Ruleset reads all tables of a family, or the named ones, in one piece. Rules
// that iptables cannot express are in it with Foreign set.
func (k *Kernel) Ruleset(f rule.Family, tables ...string) (*rule.Ruleset, error) {
	var rs *rule.Ruleset
	err := k.Consistently(func() (err error) {
		rs = &rule.Ruleset{Family: f}
		names := tables
		if len(names) == 0 {
			if names, err = k.Tables(f); err != nil {
				return err
			}
		}
		for _, name := range names {
			t, err := k.readTable(f, name)
			if err != nil {
				return err
			}
			rs.Tables = append(rs.Tables, t)
		}
		return nil
	})
	return rs, err
}

func (k *Kernel) readTable(f rule.Family, name string) (*rule.Table, error) {
	v, err := k.View(f, name)
	if err != nil {
		return nil, err
	}
	t := &rule.Table{Name: name}
	for _, h := range v.Chains {
		c := h.Chain
		if h.Exists {
			err := k.eachRule(f, name, c.Name, newRule, func(r *rule.Rule) error {
				c.Rules = append(c.Rules, r)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		t.Chains = append(t.Chains, &c)
	}
	return t, nil
}

// Beside gives the tables with base chains that see packets of a family beside
// those of iptables, as nft names them: "inet firewalld". A base chain without
// rules that accepts is none of them.
func (k *Kernel) Beside(f rule.Family) (tables []string, err error) {
	names := map[uint8]string{uint8(f): f.String(), nft.NFPROTO_INET: "inet", nft.NFPROTO_NETDEV: "netdev"}
	err = k.conn.DumpChains(nft.NFPROTO_UNSPEC, "", func(c *nft.Chain) error {
		family, sees := names[c.Family]
		drops := c.Policy != nil && *c.Policy == uint32(nft.NF_DROP)
		if !sees || c.Hook == nil || c.Use == 0 && !drops {
			return nil
		}
		if layout := rule.FindLayout(c.Table); layout != nil && c.Family == uint8(f) {
			if b := layout.Builtin(c.Name); b != nil && isBuiltin(b, c) {
				return nil
			}
		}
		if name := family + " " + c.Table; !slices.Contains(tables, name) {
			tables = append(tables, name)
		}
		return nil
	})
	return tables, err
}
