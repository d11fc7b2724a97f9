// Package change says what a command or a restore file wants done to a
// firewall: a list of operations, as pure data. Text makes them, the kernel
// package turns them into one transaction, and the guard asks what they would
// do; a Script is a function from Ruleset to Ruleset, see Apply.
package change

import "moat/internal/rule"

// Kind is what an operation does.
type Kind uint8

const (
	Append       Kind = iota // -A: Rule at the end of Chain
	Insert                   // -I: Rule before rule Num (1 is the first; one past the end appends)
	Replace                  // -R: Rule in the place of rule Num
	Delete                   // -D: the first rule equal to Rule
	DeleteNum                // -D: rule Num
	Check                    // -C: there is a rule equal to Rule
	Flush                    // -F: all rules of Chain, or of all chains if Chain is ""
	Zero                     // -Z: counters of Chain, of rule Num in it, or of all chains if Chain is ""
	NewChain                 // -N
	DeleteChain              // -X: Chain, or all user-defined chains if ""
	SetPolicy                // -P: Policy; also Counters if not nil
	Rename                   // -E: Chain gets NewName
	ReplaceTable             // "*table" in a restore file without --noflush: the table begins empty
	DeclareChain             // ":CHAIN -" in a restore file: the chain exists and is empty
	OpenTable                // "*table" in a restore file with --noflush: the table stays as it is
	OpenChain                // Chain, a built-in one, exists; empty if it did not
)

// Place is where in a file an operation was written; zero for a command line.
type Place struct {
	Line   int // from 1
	Column int // in bytes, from 1; 0 when only the line is known
}

// Op is one operation. Which fields count depends on Kind.
type Op struct {
	Kind     Kind
	Table    string
	Chain    string
	Num      int // rule number from 1; 0 when none was given
	Rule     *rule.Rule
	NewName  string
	Policy   rule.Verdict
	Counters *rule.Counters
	Place    Place
}

// Script is a list of operations that are done together or not at all.
type Script struct {
	Family rule.Family
	Ops    []Op
}
