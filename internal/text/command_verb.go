package text

import (
	"strings"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
)

// verb is what a command does: the option in capitals.
type verb uint8

const (
	noVerb verb = iota
	verbAppend
	verbCheck
	verbDelete
	verbDeleteNum
	verbInsert
	verbReplace
	verbList
	verbListRules
	verbFlush
	verbZero
	verbNewChain
	verbDeleteChain
	verbPolicy
	verbRename
)

// verbs says of each verb its letter, its operation and which of the options
// that are not for every command it takes.
var verbs = [...]struct {
	letter  byte
	op      change.Kind
	options string
}{
	verbAppend:      {'A', change.Append, "sdpjviofc"},
	verbCheck:       {'C', change.Check, "sdpjviof"},
	verbDelete:      {'D', change.Delete, "sdpjviof"},
	verbDeleteNum:   {'D', change.DeleteNum, "v"},
	verbInsert:      {'I', change.Insert, "sdpjviofc"},
	verbReplace:     {'R', change.Replace, "sdpjviofc"},
	verbList:        {'L', 0, "nvx0"},
	verbListRules:   {'S', 0, "v"},
	verbFlush:       {'F', change.Flush, "v"},
	verbZero:        {'Z', change.Zero, "v"},
	verbNewChain:    {'N', change.NewChain, "v"},
	verbDeleteChain: {'X', change.DeleteChain, "v"},
	verbPolicy:      {'P', change.SetPolicy, "vc"},
	verbRename:      {'E', change.Rename, "v"},
}

// hasRule reports whether the command names a rule by what it says.
func (v verb) hasRule() bool {
	switch v {
	case verbAppend, verbCheck, verbDelete, verbInsert, verbReplace:
		return true
	}
	return false
}

// findVerb is the verb of an option's letter; noVerb if it has none.
func findVerb(letter byte) verb {
	for v := verbAppend; v <= verbRename; v++ {
		if verbs[v].letter == letter {
			return v
		}
	}
	return noVerb
}

// takeVerb takes a command option: value is its argument if has is set.
func (p *parser) takeVerb(v verb, value string, has bool) error {
	if p.not {
		return p.fail("unexpected '!' flag")
	}
	if err := p.setVerb(v); err != nil {
		return err
	}
	if !has { // all that need an argument have one
		value, has = p.plainWord()
	}
	if has {
		p.chain, p.hasChain = value, true
	}
	switch v {
	case verbDelete:
		return p.deleteNumber()
	case verbInsert, verbList, verbListRules, verbZero:
		if has {
			return p.number()
		}
	case verbReplace:
		if err := p.number(); err != nil {
			return err
		}
		if p.num == 0 {
			return p.fail("-R requires a rule number")
		}
	case verbNewChain:
		return p.checkNewName(value)
	case verbRename, verbPolicy:
		return p.secondName(v)
	}
	return nil
}

// setVerb notes the command; -Z may stand beside -L or -S, and nothing else twice.
func (p *parser) setVerb(v verb) error {
	list := func(v verb) bool { return v == verbList || v == verbListRules }
	switch {
	case p.verb == noVerb:
		p.verb = v
	case !p.zero && list(p.verb) && v == verbZero:
		p.zero = true
	case !p.zero && p.verb == verbZero && list(v):
		p.verb, p.zero = v, true
	default:
		return p.fail("Cannot use -%c with -%c", verbs[v].letter, verbs[p.verb].letter)
	}
	return nil
}

// deleteNumber takes the number that makes -D delete by number.
func (p *parser) deleteNumber() error {
	if err := p.number(); err != nil {
		return err
	}
	if p.num != 0 {
		p.verb = verbDeleteNum
	}
	return nil
}

// number takes a rule number if one follows.
func (p *parser) number() error {
	w, ok := p.plainWord()
	if !ok {
		return nil
	}
	n, ok := ext.ParseUint(w)
	if !ok || n < 1 || n > 1<<31-1 {
		return p.fail("Invalid rule number `%s'", w)
	}
	p.num = int(n)
	return nil
}

// secondName takes the new name of -E or the policy of -P.
func (p *parser) secondName(v verb) error {
	w, ok := p.plainWord()
	switch {
	case v == verbRename && !ok:
		return p.fail("-E requires old-chain-name and new-chain-name")
	case v == verbRename:
		p.newName = w
	case !ok:
		return p.fail("-P requires a chain and a policy")
	default:
		p.policy = w
	}
	return nil
}

// checkNewName refuses names that a new chain cannot have because no command
// could then mean it.
func (p *parser) checkNewName(name string) error {
	if err := p.checkDeclaredName(name); err != nil {
		return err
	}
	if p.findExtension(ext.Target, name) != nil {
		return p.fail("chain name may not clash with target name")
	}
	if strings.ContainsAny(name, " \t\n\v\f\r") {
		return p.fail("Invalid chain name `%s'", name)
	}
	return nil
}

// checkDeclaredName is what a name in a ":CHAIN" line is held to.
func (p *parser) checkDeclaredName(name string) error {
	if name != "" && (name[0] == '-' || name[0] == '!') {
		return p.fail("chain name not allowed to start with `%c'", name[0])
	}
	if _, ok := rule.ParseVerdict(name); ok || name == "" {
		return p.fail("chain name may not clash with target name")
	}
	return p.checkLength(name)
}

// maxChainName is the longest name of a chain in bytes: XT_EXTENSION_MAXNAMELEN
// of linux/netfilter/x_tables.h less its zero.
const maxChainName = 28

func (p *parser) checkLength(name string) error {
	if len(name) > maxChainName {
		return p.fail("chain name `%s' too long (must be under %d chars)", name, maxChainName+1)
	}
	return nil
}
