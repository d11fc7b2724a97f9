package text

import (
	"strconv"
	"strings"

	"moat/internal/rule"
)

// take takes an option of iptables itself: value is its argument if has is set.
func (p *parser) take(o *option, value string, has bool) error {
	if v := findVerb(o.letter); v != noVerb {
		return p.takeVerb(v, value, has)
	}
	not := p.not
	p.not = false
	if len(value) > 1 && value[0] == '-' {
		p.eaten = "`-" + string(o.letter) + "' took `" + value + "' for its value; was that left out?"
	}
	switch o.letter {
	case 'p', 's', 'd', 'i', 'o', 'f', 'j', 'g', 'c':
		return p.takeCondition(o.letter, value, not)
	case 'm':
		if not {
			return p.fail("unexpected ! flag before --match")
		}
		return p.takeMatch(value)
	case 'v', 'n', 'x', '0':
		return p.takeDisplay(o.letter, not)
	case 't':
		return p.takeTable(value, not)
	case '4', '6':
		return p.takeFamily(o.letter)
	case 'w', 'W':
		return p.takeWait(o.letter, value, has)
	case 'h', 'V':
		if p.restore {
			return p.fail("You cannot use `-%c' from %s", o.letter, p.program)
		}
		p.help, p.version, p.done = o.letter == 'h', o.letter == 'V', true
	}
	return nil // -M: the kernel loads its modules itself
}

// once notes that an option was given, and refuses a second time and a "!"
// where it has no meaning.
func (p *parser) once(letter byte, not bool) error {
	if p.given.has(letter) && letter != 'v' {
		return p.fail("multiple -%c flags not allowed", letter)
	}
	if not && strings.IndexByte("jvnx0c", letter) >= 0 {
		return p.fail("cannot have ! before -%c", letter)
	}
	p.given |= letterBit(letter)
	return nil
}

func (p *parser) takeDisplay(letter byte, not bool) error {
	if letter == 'v' {
		p.verbose++
	}
	return p.once(letter, not)
}

func (p *parser) takeTable(table string, not bool) error {
	switch {
	case not:
		return p.fail("unexpected ! flag before --table")
	case p.restore:
		return p.fail("The -t option cannot be used in %s.", p.program)
	}
	p.table = table
	p.context.Table = table
	return nil
}

// takeFamily takes -4 or -6: in a file it says for which family the line is.
func (p *parser) takeFamily(letter byte) error {
	if (letter == '6') == (p.family == rule.IPv6) {
		return nil
	}
	if p.restore {
		p.otherFamily, p.done = true, true
		return nil
	}
	return p.fail("-%c is not for %s", letter, p.program)
}

// takeWait takes -w and -W, which say how long to wait for a lock that
// nf_tables does not need.
func (p *parser) takeWait(letter byte, value string, has bool) error {
	if p.restore {
		return p.fail("You cannot use `-%c' from %s", letter, p.program)
	}
	if !has {
		value, has = p.plainWord()
	}
	if letter == 'w' {
		p.wait = true
		if has && !beginsNumber(value) {
			return p.fail("wait seconds not numeric")
		}
		return nil
	}
	switch p.interval = true; {
	case !has:
		return p.fail("wait interval value required")
	case !beginsNumber(value):
		return p.fail("wait interval not numeric")
	case leadingNumber(value) > 999999:
		return p.fail("too long usec wait %s > 999999 usec", value)
	}
	p.warnings = append(p.warnings, "Ignoring deprecated --wait-interval option.")
	return nil
}

// beginsNumber reports whether scanf's %i finds a number: what follows it does not count.
func beginsNumber(s string) bool {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && s[0] >= '0' && s[0] <= '9'
}

// leadingNumber is the decimal number that s begins with; as strtoull(3) it
// stops at the largest number there is.
func leadingNumber(s string) uint64 {
	s = strings.TrimLeft(s, " \t\n\v\f\r+")
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(s[:end], 10, 64)
	if err != nil && end > 0 {
		return 1<<64 - 1
	}
	return n
}
