package commit

import (
	"bytes"
	"slices"
	"strings"
)

// savedTable is one table of a text that iptables-save wrote.
type savedTable struct {
	name   string
	chains []*savedChain
}

// savedChain is a chain with its rules in their order.
type savedChain struct {
	name     string
	policy   string // "-" for a user-defined chain
	counters string // of the policy, "[packets:bytes]"
	rules    []savedRule
}

// savedRule is a rule as it stands in the text.
type savedRule struct {
	counters string // "[packets:bytes]", or "" where the text has none
	spec     string // what follows the chain's name: "-s 10.0.0.1/32 -j DROP"
}

// isBuiltin reports whether the kernel made the chain.
func (c *savedChain) isBuiltin() bool { return c.policy != "-" }

// parseSaved reads a text that iptables-save wrote: "*table", a line
// ":CHAIN POLICY [packets:bytes]" a chain, then "-A CHAIN rule" lines with
// counters in front if they were asked for. Comments are left out, and with
// them the tables that iptables cannot express.
func parseSaved(text []byte) []*savedTable {
	var tables []*savedTable
	var t *savedTable
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "*"):
			t = &savedTable{name: strings.TrimSpace(line[1:])} // by hand, blanks may be about
			tables = append(tables, t)
		case t == nil || line == "" || line[0] == '#' || line == "COMMIT":
		case line[0] == ':':
			name, rest, _ := strings.Cut(line[1:], " ")
			policy, counters, _ := strings.Cut(rest, " ")
			t.chains = append(t.chains, &savedChain{name: name, policy: policy, counters: counters})
		default:
			t.addRule(line)
		}
	}
	return tables
}

// isIncompatible says if a text has only a comment of a table, because iptables
// cannot express what is in it.
func isIncompatible(text []byte, table string) bool {
	return bytes.Contains(text, []byte("# Table `"+table+"' is incompatible"))
}

// addRule reads "[1:60] -A CHAIN rule" into its chain.
func (t *savedTable) addRule(line string) {
	var r savedRule
	if line[0] == '[' {
		r.counters, line, _ = strings.Cut(line, " ")
	}
	rest, isRule := strings.CutPrefix(line, "-A ")
	if !isRule {
		return
	}
	name, spec, _ := strings.Cut(rest, " ")
	if c := t.chain(name); c != nil {
		r.spec = spec
		c.rules = append(c.rules, r)
	}
}

// chain finds a chain by its name; nil if there is none, also in no table.
func (t *savedTable) chain(name string) *savedChain {
	if t == nil {
		return nil
	}
	for _, c := range t.chains {
		if c.name == name {
			return c
		}
	}
	return nil
}

func findTable(tables []*savedTable, name string) *savedTable {
	for _, t := range tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

// emptied is the table as the kernel has it when nobody asked anything of it.
func (t *savedTable) emptied() *savedTable {
	e := &savedTable{name: t.name}
	for _, c := range t.chains {
		if c.isBuiltin() {
			e.chains = append(e.chains, &savedChain{name: c.name, policy: "ACCEPT", counters: "[0:0]"})
		}
	}
	return e
}

// appendTo writes the table for iptables-restore; without counters, all rules
// begin at zero.
func (t *savedTable) appendTo(b []byte, counters bool) []byte {
	b = append(b, "*"+t.name+"\n"...)
	for _, c := range t.chains {
		b = append(b, ":"+c.name+" "+c.policy...)
		if c.counters != "" {
			b = append(b, " "+c.counters...)
		}
		b = append(b, '\n')
	}
	for _, c := range t.chains {
		for _, r := range c.rules {
			if counters && r.counters != "" {
				b = append(b, r.counters+" "...)
			}
			b = append(b, "-A "+c.name...)
			if r.spec != "" {
				b = append(b, " "+r.spec...)
			}
			b = append(b, '\n')
		}
	}
	return append(b, "COMMIT\n"...)
}

// savedText gives tables as one text for iptables-restore.
func savedText(tables []*savedTable, counters bool) []byte {
	var b []byte
	for _, t := range tables {
		b = t.appendTo(b, counters)
	}
	return b
}

// sameRules reports whether two tables say the same but for counters. A table
// that is not there is like an empty one.
func (t *savedTable) sameRules(o *savedTable) bool {
	switch {
	case t == nil && o == nil:
		return true
	case t == nil:
		t = o.emptied()
	case o == nil:
		o = t.emptied()
	}
	return slices.EqualFunc(t.chains, o.chains, func(a, b *savedChain) bool {
		return a.name == b.name && a.policy == b.policy && slices.EqualFunc(a.rules, b.rules, func(x, y savedRule) bool { return x.spec == y.spec })
	})
}

// jumpTarget is the chain or target that a rule's -j or -g names; "" for none.
// Words in quotation marks, as in comments, are no options.
func (r savedRule) jumpTarget() string {
	rest, isNext := r.spec, false
	for rest != "" {
		if rest[0] == '"' {
			rest, isNext = afterQuotation(rest), false
			continue
		}
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		if isNext {
			return word
		}
		isNext = word == "-j" || word == "-g"
	}
	return ""
}

// afterQuotation gives what follows the quotation that s begins with.
func afterQuotation(s string) string {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return strings.TrimPrefix(s[i+1:], " ")
		}
	}
	return ""
}

// withEmptied adds to a text the empty form of every table that only live has:
// a restore leaves tables alone that its text does not name.
func withEmptied(text, live []byte) []byte {
	known := parseSaved(text)
	out := slices.Clone(text)
	for _, t := range parseSaved(live) {
		if findTable(known, t.name) == nil {
			out = t.emptied().appendTo(out, true)
		}
	}
	return out
}
