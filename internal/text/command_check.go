package text

import (
	"strings"

	"moat/internal/rule"
)

// optionSet is a set of option letters: a to z and 0.
type optionSet uint32

func letterBit(letter byte) optionSet {
	if letter == '0' {
		return 1 << 31
	}
	return 1 << (letter - 'a')
}

func (s optionSet) has(letter byte) bool { return s&letterBit(letter) != 0 }

// restricted are the options that only some commands take, in the order in
// which the first that is wrong is named.
const restricted = "nsdpjvxio0cf"

// check refuses what cannot be said together, when all words were read.
func (p *parser) check() error {
	if p.interval && !p.wait {
		return p.fail("--wait-interval only makes sense with --wait")
	}
	if p.verb == noVerb {
		return p.fail("no command specified")
	}
	for i := range len(restricted) {
		letter := restricted[i]
		if p.given.has(letter) && !strings.Contains(verbs[p.verb].options, restricted[i:i+1]) {
			return p.fail("Illegal option `-%c' with this command", letter)
		}
	}
	if err := p.checkLength(p.chain); err != nil {
		return err
	}
	if p.verb.hasRule() {
		if err := p.checkInterfaces(); err != nil {
			return err
		}
		if err := p.finishAddresses(); err != nil {
			return err
		}
	}
	if rule.FindLayout(p.table) == nil {
		return NoTable(p.program, p.table)
	}
	return p.checkChain()
}

// checkInterfaces refuses conditions that no packet of a built-in chain meets.
func (p *parser) checkInterfaces() error {
	switch p.chain {
	case "PREROUTING", "INPUT":
		if p.given.has('o') {
			return p.fail("Can't use -o with %s: its packets have no output interface yet", p.chain)
		}
	case "POSTROUTING", "OUTPUT":
		if p.given.has('i') {
			return p.fail("Can't use -i with %s: its packets have no input interface any more", p.chain)
		}
	}
	return nil
}

// checkChain refuses a chain or policy that cannot be, whatever the kernel holds.
func (p *parser) checkChain() error {
	if p.verb == verbPolicy {
		return p.checkPolicy()
	}
	if !p.hasChain || p.chain != "" {
		return nil
	}
	switch p.verb {
	case verbList, verbListRules:
		return &Error{
			Program: p.program, Code: CodeFailed, Place: p.place(),
			Msg: "chain `' in table `" + p.table + "' is incompatible, use 'nft' tool.",
		}
	case verbCheck, verbDelete:
		return p.failNamed("Bad rule (does a matching rule exist in that chain?).")
	}
	return p.failNamed("No chain/target/match by that name.")
}

// checkPolicy refuses a policy that is none, and a chain that has none.
func (p *parser) checkPolicy() error {
	if v, ok := rule.ParseVerdict(p.policy); !ok || v > rule.Drop {
		msg := "Bad policy name."
		if !p.restore {
			msg += " Run `dmesg' for more information."
		}
		return p.failNamed(msg)
	}
	if rule.FindLayout(p.table).Builtin(p.chain) == nil {
		return p.failNamed("Bad built-in chain name.")
	}
	return nil
}
