package text

import (
	"strconv"
	"strings"

	"moat/internal/rule"
)

// RestoreArgs are the options of iptables-restore.
type RestoreArgs struct {
	Counters bool   // -c
	NoFlush  bool   // -n
	Table    string // -T; "" for all
	Test     bool   // -t: read, check, change nothing
	Verbose  int    // -v
	Help     bool   // -h
	Version  bool   // -V
	File     string // "" for standard input
	Warnings []string
}

// SaveArgs are the options of iptables-save.
type SaveArgs struct {
	Counters bool   // -c
	Table    string // -t; "" for all that exist
	File     string // -f; "" for standard output
	Version  bool   // -V
	Warnings []string
}

// restoreOptions are those of iptables-restore(8); -w and -W are accepted,
// since there is no lock to wait for, and so is the old -b.
var restoreOptions = [...]option{
	{"counters", 'c', noArgument}, {"verbose", 'v', noArgument}, {"version", 'V', noArgument},
	{"test", 't', noArgument}, {"help", 'h', noArgument}, {"noflush", 'n', noArgument},
	{"modprobe", 'M', needsArgument}, {"table", 'T', needsArgument},
	{"wait", 'w', optionalArgument}, {"wait-interval", 'W', optionalArgument},
	{"ipv4", '4', noArgument}, {"ipv6", '6', noArgument}, {"", 'b', noArgument},
}

// saveOptions are those of iptables-save(8), and two old ones.
var saveOptions = [...]option{
	{"counters", 'c', noArgument}, {"version", 'V', noArgument}, {"table", 't', needsArgument},
	{"modprobe", 'M', needsArgument}, {"file", 'f', needsArgument},
	{"ipv4", '4', noArgument}, {"ipv6", '6', noArgument}, {"dump", 'd', noArgument}, {"", 'b', noArgument},
}

const binaryWarning = "-b/--binary has no effect: there is only the text form"

// ParseRestoreArgs reads the arguments of iptables-restore or
// ip6tables-restore, without the program's own name. Errors are *Error.
func ParseRestoreArgs(family rule.Family, program string, args []string) (*RestoreArgs, error) {
	a := &RestoreArgs{}
	p := &argParser{family: family, program: program, options: restoreOptions[:], hint: "Try `" + program + " -h' for more information."}
	files, err := p.parse(args, func(letter byte, value string) bool {
		switch letter {
		case 'c':
			a.Counters = true
		case 'n':
			a.NoFlush = true
		case 't':
			a.Test = true
		case 'v':
			a.Verbose++
		case 'T':
			a.Table = value
		case 'b':
			a.Warnings = append(a.Warnings, binaryWarning)
		case 'h', 'V':
			a.Help, a.Version = letter == 'h', letter == 'V'
			return false
		}
		return true
	})
	if err != nil || a.Help || a.Version {
		return a, err
	}
	switch len(files) {
	case 0:
	case 1:
		a.File = files[0]
	default:
		return nil, p.unknownArguments()
	}
	return a, nil
}

// ParseSaveArgs reads the arguments of iptables-save or ip6tables-save,
// without the program's own name. Errors are *Error.
func ParseSaveArgs(family rule.Family, program string, args []string) (*SaveArgs, error) {
	a := &SaveArgs{}
	p := &argParser{
		family: family, program: program, options: saveOptions[:],
		hint: "Look at manual page `" + program + ".8' for more information.",
	}
	words, err := p.parse(args, func(letter byte, value string) bool {
		switch letter {
		case 'c':
			a.Counters = true
		case 't':
			a.Table = value
		case 'f':
			a.File = value
		case 'b':
			a.Warnings = append(a.Warnings, binaryWarning)
		case 'V':
			a.Version = true
		}
		return letter != 'V'
	})
	if err != nil || a.Version {
		return a, err
	}
	if len(words) > 0 {
		return nil, p.unknownArguments()
	}
	return a, nil
}

// argParser reads options as getopt_long(3) does, wherever they stand.
type argParser struct {
	family  rule.Family
	program string
	options []option
	hint    string
}

func (p *argParser) fail(msg string) *Error {
	return &Error{Program: p.program, Form: Named, Code: CodeFailed, Msg: msg, Hint: p.hint}
}

func (p *argParser) unknownArguments() *Error {
	return &Error{Program: p.program, Form: Bare, Code: CodeFailed, Msg: "Unknown arguments found on commandline"}
}

// parse gives each option to take, until that reports false, and returns the
// words that are no options.
func (p *argParser) parse(args []string, take func(letter byte, value string) bool) (words []string, err error) {
	for len(args) > 0 {
		w := args[0]
		args = args[1:]
		var more bool
		switch {
		case w == "--":
			return append(words, args...), nil
		case strings.HasPrefix(w, "--"):
			args, more, err = p.long(w, args, take)
		case len(w) > 1 && w[0] == '-':
			args, more, err = p.short(w[1:], args, take)
		default:
			words, more = append(words, w), true
		}
		if err != nil || !more {
			return words, err
		}
	}
	return words, nil
}

// short takes joined short options.
func (p *argParser) short(letters string, args []string, take func(byte, string) bool) ([]string, bool, error) {
	for letters != "" {
		letter := letters[0]
		letters = letters[1:]
		o := p.byLetter(letter)
		if o == nil {
			return nil, false, p.fail("invalid option -- '" + string(rune(letter)) + "'")
		}
		value := ""
		if o.arg != noArgument {
			value, letters = letters, ""
		}
		if o.arg != noArgument && value == "" {
			var ok bool
			if value, args, ok = argument1(o, args); !ok {
				return nil, false, p.fail("option requires an argument -- '" + string(rune(letter)) + "'")
			}
		}
		if !take(letter, value) {
			return args, false, nil
		}
	}
	return args, true, nil
}

// argument1 takes the next word as the argument of o: any word if o needs one,
// else only one that looks like a number, which is what -w and -W take.
func argument1(o *option, args []string) (value string, rest []string, ok bool) {
	switch {
	case o.arg == needsArgument && len(args) == 0:
		return "", args, false
	case o.arg == needsArgument, len(args) > 0 && beginsNumber(args[0]) && args[0][0] != '-':
		return args[0], args[1:], true
	}
	return "", args, true
}

// byLetter finds a short option. -4 and -6 have only long forms here.
func (p *argParser) byLetter(letter byte) *option {
	for i := range p.options {
		if o := &p.options[i]; o.letter == letter && letter != '4' && letter != '6' {
			return o
		}
	}
	return nil
}

// long takes a long option, the word w.
func (p *argParser) long(w string, args []string, take func(byte, string) bool) ([]string, bool, error) {
	name, value, has := strings.Cut(w[2:], "=")
	o, ambiguous := p.byName(name)
	switch {
	case ambiguous:
		return nil, false, p.fail("option '" + w + "' is ambiguous")
	case o == nil:
		return nil, false, p.fail("unrecognized option '" + w + "'")
	case o.arg == noArgument && has:
		return nil, false, p.fail("option '--" + o.name + "' doesn't allow an argument")
	case o.letter == '4' && p.family != rule.IPv4, o.letter == '6' && p.family != rule.IPv6:
		return nil, false, p.fail("option '--" + o.name + "' is not for " + p.family.Program())
	}
	if o.arg != noArgument && !has {
		var ok bool
		if value, args, ok = argument1(o, args); !ok {
			return nil, false, p.fail("option '--" + o.name + "' requires an argument")
		}
	}
	return args, take(o.letter, value), nil
}

// byName finds a long option by its name or a beginning that no other has.
func (p *argParser) byName(name string) (o *option, ambiguous bool) {
	for i := range p.options {
		switch candidate := &p.options[i]; {
		case candidate.name == "" || !strings.HasPrefix(candidate.name, name):
		case candidate.name == name:
			return candidate, false
		case o != nil:
			ambiguous = true
		default:
			o = candidate
		}
	}
	return o, ambiguous
}

func itoa(n int) string { return strconv.Itoa(n) }
