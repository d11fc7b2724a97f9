package rule

// Ruleset is everything that iptables of one family can say: a value to read,
// compare and change, with no tie to a kernel.
type Ruleset struct {
	Family Family
	Tables []*Table
}

// Table finds a table by name; nil if the Ruleset does not have it.
func (r *Ruleset) Table(name string) *Table {
	for _, t := range r.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Table is a named list of chains, in the order in which they are listed.
type Table struct {
	Name   string
	Chains []*Chain
}

// Chain finds a chain by name; nil if the table does not have it.
func (t *Table) Chain(name string) *Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Chain is an ordered list of rules, built in (Base set) or user-defined.
type Chain struct {
	Name     string
	Base     *Base    // nil for a user-defined chain
	Counters Counters // of the policy; unused in user-defined chains
	Rules    []*Rule
}

// Base is what a built-in chain has and others do not.
type Base struct {
	Hook     Hook
	Priority int32
	Type     string // nf_tables chain type: "filter", "nat" or "route"
	Policy   Verdict
}

// Hook is where in a packet's way a built-in chain stands, numbered as
// enum nf_inet_hooks in linux/netfilter.h.
type Hook uint8

const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
)

// Chain is the name of the built-in chain at the hook.
func (h Hook) Chain() string {
	return [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}[h%5]
}

// Layout is one built-in table: its chains in the order iptables lists them.
type Layout struct {
	Table  string
	Chains []Builtin
}

// Builtin is one built-in chain of a table.
type Builtin struct {
	Hook     Hook
	Priority int32 // as iptables-nft gives it; the same for IPv6
	Type     string
}

// Layouts are the five tables, in the order of iptables(8). The chains, their
// hooks and priorities are what iptables-nft 1.8.9 creates in the kernel
// (nft list ruleset after one rule in each chain).
var Layouts = [...]Layout{
	{"filter", []Builtin{{Input, 0, "filter"}, {Forward, 0, "filter"}, {Output, 0, "filter"}}},
	{"nat", []Builtin{{Prerouting, -100, "nat"}, {Input, 100, "nat"}, {Output, -100, "nat"}, {Postrouting, 100, "nat"}}},
	{"mangle", []Builtin{
		{Prerouting, -150, "filter"}, {Input, -150, "filter"}, {Forward, -150, "filter"},
		{Output, -150, "route"}, {Postrouting, -150, "filter"},
	}},
	{"raw", []Builtin{{Prerouting, -300, "filter"}, {Output, -300, "filter"}}},
	{"security", []Builtin{{Input, 150, "filter"}, {Forward, 150, "filter"}, {Output, 150, "filter"}}},
}

// FindLayout finds a built-in table by name; nil for any other name.
func FindLayout(table string) *Layout {
	for i := range Layouts {
		if Layouts[i].Table == table {
			return &Layouts[i]
		}
	}
	return nil
}

// Builtin finds a built-in chain of the table by name; nil if there is none.
func (l *Layout) Builtin(chain string) *Builtin {
	for i := range l.Chains {
		if l.Chains[i].Hook.Chain() == chain {
			return &l.Chains[i]
		}
	}
	return nil
}
