package text

import (
	"strings"

	"moat/internal/ext"
)

// argument says whether something follows an option.
type argument uint8

const (
	noArgument       argument = iota
	needsArgument             // "-t nat", "-tnat", "--table nat", "--table=nat"
	optionalArgument          // joined only: "-w5", "--wait=5"
)

// option is an option of iptables itself. Its letter names it, also where
// there is only a long form ('0' is --line-numbers).
type option struct {
	name   string
	letter byte
	arg    argument
}

// baseOptions are all long options of iptables(8).
var baseOptions = [...]option{
	{"append", 'A', needsArgument}, {"delete", 'D', needsArgument}, {"check", 'C', needsArgument},
	{"insert", 'I', needsArgument}, {"replace", 'R', needsArgument},
	{"list", 'L', optionalArgument}, {"list-rules", 'S', optionalArgument},
	{"flush", 'F', optionalArgument}, {"zero", 'Z', optionalArgument},
	{"new-chain", 'N', needsArgument}, {"delete-chain", 'X', optionalArgument},
	{"rename-chain", 'E', needsArgument}, {"policy", 'P', needsArgument},
	{"source", 's', needsArgument}, {"destination", 'd', needsArgument},
	{"src", 's', needsArgument}, {"dst", 'd', needsArgument},
	{"protocol", 'p', needsArgument}, {"proto", 'p', needsArgument},
	{"in-interface", 'i', needsArgument}, {"out-interface", 'o', needsArgument},
	{"jump", 'j', needsArgument}, {"goto", 'g', needsArgument}, {"table", 't', needsArgument},
	{"match", 'm', needsArgument}, {"set-counters", 'c', needsArgument}, {"modprobe", 'M', needsArgument},
	{"numeric", 'n', noArgument}, {"verbose", 'v', noArgument}, {"exact", 'x', noArgument},
	{"wait", 'w', optionalArgument}, {"wait-interval", 'W', optionalArgument},
	{"fragments", 'f', noArgument}, {"fragment", 'f', noArgument},
	{"version", 'V', noArgument}, {"help", 'h', optionalArgument},
	{"line-numbers", '0', noArgument}, {"ipv4", '4', noArgument}, {"ipv6", '6', noArgument},
}

// shortOption finds an option by its letter; nil if there is none.
func shortOption(letter byte) *option {
	if letter == '0' { // --line-numbers has no short form
		return nil
	}
	i := strings.IndexByte(shortLetters, letter)
	if i < 0 {
		return nil
	}
	return &baseOptions[i]
}

// shortLetters are the letters of baseOptions in their order.
const shortLetters = "ADCIRLSFZNXEPsdsdppiojgtmcMnvxwWffVh046"

// found is what a long name means: an option of iptables, or of an extension
// of this command.
type found struct {
	base *option
	ext  int // index in parser.loaded
	opt  int // index in its Def.Options
}

// findLong finds the option that name, which may be shortened, means. A full
// name wins over a beginning, an extension's (policy has --proto) over
// iptables' own, and of several extensions the one loaded last.
func (p *parser) findLong(name string) (f found, ok bool) {
	for i := len(p.loaded) - 1; i >= 0; i-- {
		if _, at := p.loaded[i].def.Option(name); at >= 0 {
			return found{ext: i, opt: at}, true
		}
	}
	for i := range baseOptions {
		if baseOptions[i].name == name {
			return found{base: &baseOptions[i]}, true
		}
	}
	return p.findPrefix(name)
}

// findPrefix finds the only option whose name begins with prefix. Two names
// of one option are no contradiction, nor is the same option of two instances
// of a match: the later instance has it.
func (p *parser) findPrefix(prefix string) (f found, ok bool) {
	for i := range baseOptions {
		o := &baseOptions[i]
		if !strings.HasPrefix(o.name, prefix) {
			continue
		}
		if ok && f.base.letter != o.letter {
			return found{}, false
		}
		f, ok = found{base: o}, true
	}
	for i := len(p.loaded) - 1; i >= 0; i-- {
		for k := range p.loaded[i].def.Options {
			if !hasPrefix(&p.loaded[i].def.Options[k], prefix) {
				continue
			}
			if ok && (f.base != nil || p.loaded[f.ext].def != p.loaded[i].def || f.opt != k) {
				return found{}, false
			}
			if !ok {
				f, ok = found{ext: i, opt: k}, true
			}
		}
	}
	return f, ok
}

// hasPrefix reports whether a name of the option begins with prefix.
func hasPrefix(o *ext.Option, prefix string) bool {
	if strings.HasPrefix(o.Name, prefix) {
		return true
	}
	for _, alias := range o.Aliases {
		if strings.HasPrefix(alias, prefix) {
			return true
		}
	}
	return false
}

// step reads one word, or one letter of joined short options. As iptables
// does, words are taken in their order: one that belongs to no option is an
// error even if an option follows that would end the program.
func (p *parser) step() error {
	if p.bundle != "" {
		return p.short()
	}
	w := p.words[p.next]
	p.at = p.next
	p.next++
	switch {
	case w == "--":
		if p.next < len(p.words) {
			return p.fail("unknown arguments found on commandline")
		}
		return nil
	case len(w) > 2 && w[0] == '-' && w[1] == '-':
		return p.long(w)
	case len(w) > 1 && w[0] == '-':
		p.bundle = w[1:]
		return p.short()
	case w == "!":
		if p.not {
			return p.fail("multiple consecutive ! not allowed")
		}
		p.not = true
		return nil
	}
	return p.badArgument(w)
}

// short takes the next letter of joined short options.
func (p *parser) short() error {
	letter := p.bundle[0]
	p.bundle = p.bundle[1:]
	o := shortOption(letter)
	if o == nil {
		return p.fail("unknown option \"-%c\"", letter)
	}
	if o.arg == noArgument {
		return p.take(o, "", false)
	}
	value, has := p.bundle, p.bundle != ""
	p.bundle = ""
	if o.arg == needsArgument && !has {
		if value, has = p.word(); !has {
			return p.fail("option \"%s\" requires an argument", p.words[p.at])
		}
	}
	return p.take(o, value, has)
}

// long takes a long option, the word w.
func (p *parser) long(w string) error {
	name, value, has := strings.Cut(w[2:], "=")
	f, ok := p.findLong(name)
	if !ok && p.loadImplicit() {
		f, ok = p.findLong(name)
	}
	if !ok {
		return p.fail("unknown option \"%s\"", w)
	}
	var arg argument
	if f.base != nil {
		arg = f.base.arg
	} else if o := &p.loaded[f.ext].def.Options[f.opt]; o.Value != "" && !o.Optional {
		arg = needsArgument // an optional one is taken later: the next word, if that is no option
	}
	switch {
	case arg == noArgument && has:
		return p.fail("unknown option \"%s\": nothing can follow --%s", w, name)
	case arg == needsArgument && !has:
		if value, has = p.word(); !has {
			return p.fail("option \"%s\" requires an argument", w)
		}
	}
	if f.base != nil {
		return p.take(f.base, value, has)
	}
	return p.extension(f, w, value)
}

// word takes the next word, whatever it is.
func (p *parser) word() (w string, ok bool) {
	if p.next >= len(p.words) {
		return "", false
	}
	p.next++
	return p.words[p.next-1], true
}

// plainWord takes the next word if it is neither an option nor "!".
func (p *parser) plainWord() (w string, ok bool) {
	if p.next >= len(p.words) {
		return "", false
	}
	w = p.words[p.next]
	if w != "" && (w[0] == '-' || w[0] == '!') {
		return "", false
	}
	p.next++
	return w, true
}
