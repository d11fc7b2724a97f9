package cli

import (
	"fmt"
	"slices"
	"strings"
)

// xmlWord is one word of a rule. What stood in quotes is never an option.
type xmlWord struct {
	text   string
	quoted bool
}

// dash reports whether the word begins with a hyphen, quoted or not.
func (w xmlWord) dash() bool { return strings.HasPrefix(w.text, "-") }

func (w xmlWord) isOption() bool { return w.dash() && !w.quoted }

func (w xmlWord) isNot() bool { return w.text == "!" && !w.quoted }

// isTarget reports whether a target's name follows.
func (w xmlWord) isTarget() bool {
	return !w.quoted && (w.text == "-j" || w.text == "--jump" || w.isGoto())
}

func (w xmlWord) isGoto() bool { return !w.quoted && (w.text == "-g" || w.text == "--goto") }

// name is an option's name without its hyphens.
func (w xmlWord) name() string { return strings.TrimLeft(w.text, "-") }

// xml is the word as text, with its quotes.
func (w xmlWord) xml() string {
	if w.quoted {
		return "&quot;" + xmlText(w.text) + "&quot;"
	}
	return xmlText(w.text)
}

// xmlWords splits a rule into words. Within "…" a backslash stands before any
// byte, and the closing quote ends the word.
func xmlWords(line string) []xmlWord {
	var words []xmlWord
	var word []byte
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\' && i+1 < len(line):
			i++
			word = append(word, line[i])
		case quoted && c == '"':
			words, word, quoted = append(words, xmlWord{string(word), true}), word[:0], false
		case c == '"':
			quoted = true
		case !quoted && (c == ' ' || c == '\t'):
			if len(word) > 0 {
				words, word = append(words, xmlWord{text: string(word)}), word[:0]
			}
		default:
			word = append(word, c)
		}
	}
	if len(word) > 0 {
		words = append(words, xmlWord{string(word), quoted})
	}
	return words
}

// rule writes one rule, perhaps as an action more of the rule before.
func (x *xmlWriter) rule(line string) error {
	packets, bytes := "", ""
	if line[0] == '[' {
		counters, rest, closed := strings.Cut(line[1:], "]")
		if !closed {
			return x.invalid("has no ] behind its counters")
		}
		packets, bytes, _ = strings.Cut(counters, ":")
		line = rest
	}
	words := xmlWords(line)
	if len(words) < 2 || words[0].text != "-A" {
		return x.failed(fmt.Sprintf("line %d failed - no chain found", x.line))
	}
	chain := x.find(words[1].text)
	if chain == nil {
		return x.failed(fmt.Sprintf("line %d failed - no chain found", x.line))
	}
	x.openChain(chain)
	words = words[2:]
	split := slices.IndexFunc(words, xmlWord.isTarget)
	if split < 0 {
		split = len(words)
	}
	x.printRule(packets, bytes, words[:split], words[split:])
	return nil
}

// openChain begins a chain's element unless it is open.
func (x *xmlWriter) openChain(c *xmlChain) {
	if x.chain != c {
		x.closeChain()
		x.printChain(c, ">")
		x.chain = c
	}
}

func (x *xmlWriter) printRule(packets, bytes string, conditions, actions []xmlWord) {
	together := x.combine && x.open && !x.ended && len(conditions) > 0 && len(actions) > 0 && sameWords(conditions, x.last)
	if together {
		x.print("<!-- Combine action from next rule -->\n")
	} else {
		x.closeRule()
		x.openRule(packets, bytes, conditions)
	}
	x.actions(actions)
	x.last, x.ended = conditions, endsRule(actions)
}

// sameWords compares without regard to quotes.
func sameWords(a, b []xmlWord) bool {
	return slices.EqualFunc(a, b, func(a, b xmlWord) bool { return a.text == b.text })
}

// openRule begins a rule's element and writes its conditions.
func (x *xmlWriter) openRule(packets, bytes string, conditions []xmlWord) {
	x.open = true
	x.print("      <rule ")
	if packets != "" && bytes != "" {
		x.print(`packet-count="`, xmlText(packets), `" byte-count="`, xmlText(bytes), `" `)
	}
	x.print(">\n")
	if len(conditions) > 0 {
		x.print("       <conditions>\n")
		x.conditions(conditions)
		x.print("       </conditions>\n")
	}
	x.print("       <actions>\n")
}

// closeRule ends the rule that is open, if any.
func (x *xmlWriter) closeRule() {
	if x.open {
		x.print("       </actions>\n\n      </rule>\n\n")
		x.open = false
	}
}

// endsRule reports whether no action can follow: the packet's way ends there, or
// there is no action at all.
func endsRule(actions []xmlWord) bool {
	if len(actions) < 2 {
		return true
	}
	switch actions[1].text {
	case "ACCEPT", "DROP", "QUEUE", "RETURN":
		return true
	}
	return actions[0].isGoto()
}

// isMatch reports whether a match's name follows.
func (w xmlWord) isMatch() bool { return w.text == "-m" && !w.quoted }

// conditions writes options before the first -m in the element "match" and the
// others in an element named after their match.
func (x *xmlWriter) conditions(words []xmlWord) {
	n := until(words, xmlWord.isMatch)
	switch options := withoutNot(words[:n]); {
	case len(options) == 0:
	case options[0].isOption() || options[0].isNot():
		x.element(xmlWord{}, "match", options)
	default:
		x.options(options)
	}
	x.elements(words[n:], xmlWord.isMatch)
}

// actions writes targets, each with its options.
func (x *xmlWriter) actions(words []xmlWord) {
	x.elements(words, func(w xmlWord) bool { return w.isTarget() || w.isMatch() })
}

// elements writes runs of options, each of which begins with a word for which
// begins holds, and after it the name of their element.
func (x *xmlWriter) elements(words []xmlWord, begins func(xmlWord) bool) {
	for len(words) > 1 {
		first, name := words[0], words[1].text
		words = words[2:]
		n := until(words, begins)
		x.element(first, name, withoutNot(words[:n]))
		words = words[n:]
	}
}

// until is the number of words before the first for which begins holds.
func until(words []xmlWord, begins func(xmlWord) bool) int {
	if n := slices.IndexFunc(words, begins); n >= 0 {
		return n
	}
	return len(words)
}

// withoutNot leaves out a "!" at the end: before -m or -j it means nothing.
func withoutNot(words []xmlWord) []xmlWord {
	if n := len(words); n > 0 && words[n-1].isNot() {
		return words[:n-1]
	}
	return words
}

// element writes one match or target. A chain that is jumped to stands within
// "call" or "goto".
func (x *xmlWriter) element(first xmlWord, name string, options []xmlWord) {
	tag := xmlText(name)
	within := ""
	if first.isGoto() {
		within, tag = tag, "goto"
	} else if first.isTarget() && x.find(name) != nil {
		within, tag = tag, "call"
	}
	if within == "" && len(options) == 0 {
		x.print("        <", tag, "  />\n")
		return
	}
	x.print("        <", tag, " >\n")
	if within != "" {
		x.print("          <", within, " />\n")
	}
	x.options(options)
	x.print("        </", tag, ">\n")
}

// options writes each option as an element, with its arguments as text.
func (x *xmlWriter) options(words []xmlWord) {
	not := false
	for i := 0; i < len(words); {
		switch w := words[i]; {
		case w.isNot():
			not = true
			i++
		case w.isOption():
			i += x.option(w, not, words[i+1:])
			not = false
		default:
			i += x.text(words[i:])
		}
	}
}

// option writes one option and gives the number of words that it took.
func (x *xmlWriter) option(w xmlWord, not bool, rest []xmlWord) int {
	x.print("          <", xmlText(w.name()), " ")
	if not {
		x.print(` invert="1"`)
	}
	if len(rest) == 0 || rest[0].dash() {
		x.print(" />\n")
		return 1
	}
	x.print(">")
	n := x.text(rest)
	x.print("</", xmlText(w.name()), ">\n")
	return 1 + n
}

// text writes the words up to the next option or "!", or a word that in quotes
// only looks like an option, and gives their number.
func (x *xmlWriter) text(words []xmlWord) int {
	n := 0
	for ; n < len(words) && !words[n].isNot() && (n == 0 || !words[n].dash()) && !words[n].isOption(); n++ {
		if n > 0 {
			x.print(" ")
		}
		x.print(words[n].xml())
	}
	return n
}
