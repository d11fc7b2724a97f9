package text

import (
	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// Command is a command line of iptables as it was understood. One of Ops,
// List, Help and Version is what it asks for; -L and -S may have a Zero
// operation beside them, which comes after the listing.
type Command struct {
	Family rule.Family
	Table  string // one of the five
	// Ops are what is to be changed, or checked: several when an address list or
	// a host name with several addresses makes several rules.
	Ops         []change.Op
	List        *ListRequest // -L, -S
	Verbose     int          // how many times -v was given
	Numeric     bool         // -n
	Exact       bool         // -x
	LineNumbers bool         // --line-numbers
	Help        *HelpRequest // -h
	Version     bool         // -V
	Warnings    []string     // lines to print before anything is done
}

// ListRequest is what -L or -S lists.
type ListRequest struct {
	Chain string // "" for all
	Num   int    // rule number from 1; 0 for all
	Rules bool   // as commands (-S)
}

// HelpRequest is what -h was asked about beside iptables itself.
type HelpRequest struct {
	Named []*ext.Def // matches and targets, in the order in which they were named
}

// parser reads one command line, or one line of a restore file after another.
type parser struct {
	family   rule.Family
	program  string
	names    *netdb.DB
	restore  bool // some options have no place in a restore file
	warnings []string

	words   []string
	columns []int // of words, from 1; empty for a command line
	line    int   // from 1; 0 for a command line
	loaded  []loaded
	context ext.Context
	defs    [2][]*ext.Def // extensions met so far by kind: the same few come again and again
	slab    slab

	state
}

// state is what is known of the command so far.
type state struct {
	next   int    // index of the next word
	at     int    // index of the word that is being read; -1 when all were read
	bundle string // the rest of joined short options
	not    bool   // "!" was read
	eaten  string // an option and what it took for its value, if that looks like an option
	done   bool   // -h, -V or the other family's option: the rest does not count

	table       string
	verb        verb
	zero        bool // -Z beside -L or -S
	chain       string
	hasChain    bool
	num         int
	newName     string // of -E
	policy      string // of -P
	given       optionSet
	verbose     int
	wait        bool // -w
	interval    bool // -W
	help        bool
	version     bool
	otherFamily bool // -6 in a file of iptables-restore, -4 in one of ip6tables-restore

	rule     *rule.Rule
	src, dst addressList
	implicit bool // the protocol's match was loaded without -m
	target   int  // index in loaded of the target extension; -1 for none
}

// ParseCommand reads the arguments of iptables or ip6tables, without the
// program's own name. names is asked for what is not a number. Every error is
// an *Error with the exit code.
func ParseCommand(family rule.Family, program string, args []string, names *netdb.DB) (*Command, error) {
	p := newParser(family, program, names)
	p.words = args
	p.begin("filter")
	if err := p.read(); err != nil {
		return nil, err
	}
	return p.command()
}

func newParser(family rule.Family, program string, names *netdb.DB) *parser {
	p := &parser{family: family, program: program, names: names}
	p.context = ext.Context{Family: family, Names: names, Warn: func(line string) {
		p.warnings = append(p.warnings, line)
	}}
	return p
}

// begin makes the parser ready for a new line of words.
func (p *parser) begin(table string) {
	p.state = state{table: table, target: -1, at: -1}
	p.loaded = p.loaded[:0]
	p.rule = p.slab.peek()
	p.context.Rule, p.context.Table = p.rule, table
}

// read takes all words.
func (p *parser) read() error {
	for (p.bundle != "" || p.next < len(p.words)) && !p.done {
		if err := p.step(); err != nil {
			return err
		}
	}
	if p.done {
		return nil
	}
	if p.not {
		return p.fail("nothing appropriate following !")
	}
	p.at = -1
	return p.check()
}

// command makes the answer of ParseCommand.
func (p *parser) command() (*Command, error) {
	c := &Command{
		Family: p.family, Table: p.table, Warnings: p.warnings, Verbose: p.verbose, Version: p.version,
		Numeric: p.given.has('n'), Exact: p.given.has('x'), LineNumbers: p.given.has('0'),
	}
	switch {
	case p.version:
		return c, nil
	case p.help:
		c.Help = p.helpRequest()
		return c, nil
	}
	if p.verb == verbList || p.verb == verbListRules {
		c.List = &ListRequest{Chain: p.chain, Num: p.num, Rules: p.verb == verbListRules}
	}
	var err error
	c.Ops, err = p.appendOps(nil)
	return c, err
}

// helpRequest is what was named before -h, and the match of a protocol that was.
func (p *parser) helpRequest() *HelpRequest {
	p.loadImplicit()
	h := &HelpRequest{}
	for i := range p.loaded {
		h.Named = append(h.Named, p.loaded[i].def)
	}
	return h
}

// appendOps appends the operations of the command: none for -L and -S alone.
func (p *parser) appendOps(ops []change.Op) ([]change.Op, error) {
	op := change.Op{Table: p.table, Chain: p.chain, Num: p.num, Place: change.Place{Line: p.line}}
	switch p.verb {
	case verbList, verbListRules:
		if !p.zero {
			return ops, nil
		}
		op.Kind = change.Zero
		return append(ops, op), nil
	case verbPolicy:
		op.Policy, _ = rule.ParseVerdict(p.policy)
	case verbRename:
		op.NewName = p.newName
	}
	op.Kind = verbs[p.verb].op
	if !p.verb.hasRule() {
		return append(ops, op), nil
	}
	return p.appendRules(ops, op)
}

// appendRules appends one operation for each pair of a source and a destination.
func (p *parser) appendRules(ops []change.Op, op change.Op) ([]change.Op, error) {
	if err := p.finishRule(); err != nil {
		return ops, err
	}
	p.slab.take()
	op.Rule = p.rule
	ops = append(ops, op)
	if p.src.len() <= 1 && p.dst.len() <= 1 {
		return ops, nil
	}
	ops = ops[:len(ops)-1]
	for _, src := range p.src.all() {
		for _, dst := range p.dst.all() {
			r := *p.rule
			r.Src, r.Dst = src, dst
			op.Rule = &r
			ops = append(ops, op)
		}
	}
	return ops, nil
}
