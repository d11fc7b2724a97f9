package text

import (
	"strings"

	"moat/internal/change"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// RestoreOptions say how a restore file is read.
type RestoreOptions struct {
	Counters bool   // -c: take the counters in brackets
	NoFlush  bool   // -n: tables keep what they have
	Table    string // -T: only the blocks of this table; "" for all
	// Warn, if not nil, is given each warning, a line without its newline.
	Warn func(string)
}

// ParseRestore reads a file in the format of iptables-save(8) into one script
// for all its tables. A table begins with ReplaceTable, or OpenTable under
// NoFlush; a built-in chain gets SetPolicy, with Counters under -c, and any
// other chain DeclareChain. The policy "-" leaves a built-in chain as it is.
// Lines that say -6 in an IPv4 file, or -4 in an IPv6 one, are left out. Every
// error is an *Error with its line, and the column where one word is wrong.
// Strings of the script are parts of a copy of data.
func ParseRestore(family rule.Family, program string, data []byte, o RestoreOptions, names *netdb.DB) (*change.Script, error) {
	r := &restoreParser{parser: newParser(family, program, names), RestoreOptions: o}
	r.restore, r.slab.many = true, true
	text := string(data)
	r.ops = make([]change.Op, 0, strings.Count(text, "\n")+1)
	r.script = change.Script{Family: family}
	if at := strings.IndexByte(text, 0); at >= 0 {
		r.line = strings.Count(text[:at], "\n") + 1
		return nil, r.fail("a zero byte stands in column %d", at-strings.LastIndexByte(text[:at], '\n'))
	}
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		r.line++
		if err := r.readLine(line); err != nil {
			return nil, err
		}
	}
	if r.inTable {
		r.line++
		e := r.failNamed("")
		e.Msg, e.Place.Line = "COMMIT expected at line "+itoa(r.line), 0
		return nil, e
	}
	r.script.Ops = r.ops
	return &r.script, nil
}

// restoreParser reads a restore file line after line.
type restoreParser struct {
	*parser
	RestoreOptions
	script  change.Script
	ops     []change.Op
	current string // the table of the block
	inTable bool
	skip    bool // the block is of a table that -T does not name
}

func (r *restoreParser) readLine(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if !r.inTable {
		if line[0] != '*' {
			return r.failNamed("")
		}
		return r.readTable(line)
	}
	switch {
	case line == "COMMIT":
		r.inTable = false
		return nil
	case r.skip:
		return nil
	case line[0] == ':':
		return r.readChain(line)
	}
	return r.readRule(line)
}

// readTable reads "*TABLE".
func (r *restoreParser) readTable(line string) error {
	r.begin("")
	name, _ := field(line[1:])
	if name == "" {
		return r.fail("%s: line %d table name invalid", r.program, r.line)
	}
	if rule.FindLayout(name) == nil {
		return r.fail("%s: line %d table name '%s' invalid", r.program, r.line, name)
	}
	r.current, r.inTable = name, true
	r.skip = r.Table != "" && r.Table != name
	if r.skip {
		return nil
	}
	kind := change.ReplaceTable
	if r.NoFlush {
		kind = change.OpenTable
	}
	r.ops = append(r.ops, change.Op{Kind: kind, Table: name, Place: change.Place{Line: r.line}})
	return nil
}

// readChain reads ":CHAIN POLICY [PACKETS:BYTES]".
func (r *restoreParser) readChain(line string) error {
	r.begin(r.current)
	name, rest := field(line[1:])
	policy, rest := field(rest)
	if name == "" {
		return r.fail("%s: line %d chain name invalid", r.program, r.line)
	}
	if err := r.checkDeclaredName(name); err != nil {
		return err
	}
	if policy == "" {
		return r.fail("%s: line %d policy invalid", r.program, r.line)
	}
	op := change.Op{Kind: change.DeclareChain, Table: r.current, Chain: name, Place: change.Place{Line: r.line}}
	if rule.FindLayout(r.current).Builtin(name) == nil {
		r.ops = append(r.ops, op)
		return nil
	}
	return r.readPolicy(op, policy, rest)
}

// readPolicy reads the policy and counters of a built-in chain.
func (r *restoreParser) readPolicy(op change.Op, policy, rest string) error {
	op.Kind = change.SetPolicy
	if r.Counters {
		text, _ := field(rest)
		c, ok := policyCounters(text)
		if !ok {
			return r.fail("invalid policy counters for chain '%s'", op.Chain)
		}
		op.Counters = &c
	}
	if policy == "-" {
		if r.NoFlush { // the chain stays as it is
			return nil
		}
		policy = rule.Accept.Name()
	}
	v, ok := rule.ParseVerdict(policy)
	if !ok || v > rule.Drop {
		return r.failNamed("Bad policy name.")
	}
	op.Policy = v
	r.ops = append(r.ops, op)
	return nil
}

// policyCounters reads "[5:60]"; the closing bracket may be missing.
func policyCounters(s string) (c rule.Counters, ok bool) {
	if s == "" || s[0] != '[' {
		return c, false
	}
	packets, bytes, ok := strings.Cut(s[1:], ":")
	if !ok || !beginsNumber(bytes) || !isNumber(packets) {
		return c, false
	}
	return rule.Counters{Packets: leadingNumber(packets), Bytes: leadingNumber(bytes)}, true
}

// isNumber reports whether s is a decimal number and nothing else.
func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// readRule reads a command, with the counters of its rule in front.
func (r *restoreParser) readRule(line string) error {
	r.begin(r.current)
	spec, err := r.readCounters(line)
	if err != nil {
		return err
	}
	if err := r.tokenize(spec, len(line)-len(spec)+1); err != nil {
		return err
	}
	if err := r.read(); err != nil {
		return err
	}
	for _, w := range r.warnings {
		if r.Warn != nil {
			r.Warn(w)
		}
	}
	r.warnings = r.warnings[:0]
	if r.otherFamily {
		return nil
	}
	if r.verb == verbList || r.verb == verbListRules {
		return r.fail("You cannot use `-%c' from %s", verbs[r.verb].letter, r.program)
	}
	r.ops, err = r.appendOps(r.ops)
	return err
}

// readCounters takes "[PACKETS:BYTES]" from the front of a line. The numbers
// count, and need to be numbers, only under -c.
func (r *restoreParser) readCounters(line string) (rest string, err error) {
	if line[0] != '[' {
		return line, nil
	}
	inside, rest, closed := strings.Cut(line[1:], "]")
	packets, bytes, ok := strings.Cut(inside, ":")
	if !closed || !ok || packets == "" {
		return "", r.fail("Bad line %d: need ]", r.line)
	}
	if !r.Counters {
		return rest, nil
	}
	if err := r.setCounters(packets, bytes); err != nil {
		return "", err
	}
	return rest, r.once('c', false)
}
