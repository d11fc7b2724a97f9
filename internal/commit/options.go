package commit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"moat/internal/rule"
)

// request is what the command line of iptables-apply asks for.
type request struct {
	timeout    time.Duration
	rulesFile  string // used when command is ""
	command    string
	saveFile   string // "" when not asked for
	help       bool
	version    bool
	useCommand bool
}

// option is a row of iptables-apply(8)'s table of options.
type option struct {
	short    byte
	long     string
	argument string // its name in the help; "" for none
	optional bool   // --long=value is taken too, although the option needs none
	help     string
	set      func(*request, string) error
}

var options = []option{
	{'t', "timeout", "seconds", false, "time for the answer (default: 10)", setTimeout},
	{'w', "write", "savefile", false, "write the rules there once they are confirmed (\"\": the default rulesfile)", setSaveFile},
	{'c', "command", "", true, "run a command that sets up the rules, instead of loading a rulesfile", setCommand},
	{'h', "help", "", false, "show this text", func(q *request, _ string) error { q.help = true; return nil }},
	{'V', "version", "", false, "show the version", func(q *request, _ string) error { q.version = true; return nil }},
}

const defaultTimeout = 10 * time.Second

// defaultRules and defaultCommand are the names that iptables-apply(8) gives.
func defaultRules(f rule.Family) string { return "/etc/network/" + f.Program() + ".up.rules" }

func defaultCommand(f rule.Family) string { return "/etc/network/" + f.Program() + ".up.run" }

// emptySaveFile stands for "-w ”" until the family's default is put in.
const emptySaveFile = "\x00"

// parseArgs reads a command line in getopt_long's manner: short options joined
// and with their value attached, long ones shortened, values after = or next,
// options and operands in any order, -- ends the options. An operand after the
// first is ignored, as Debian's script does.
func parseArgs(f rule.Family, args []string) (request, error) {
	q := request{timeout: defaultTimeout}
	var operands []string
	for len(args) > 0 && !q.help && !q.version {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			operands = append(operands, args...)
			args = nil
		case strings.HasPrefix(arg, "--"):
			args, err = q.long(arg[2:], args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			args, err = q.shorts(arg[1:], args)
		default:
			operands = append(operands, arg)
		}
		if err != nil {
			return q, err
		}
	}
	q.operands(f, operands)
	return q, nil
}

// operands puts the first operand or the family's default where it belongs.
func (q *request) operands(f rule.Family, operands []string) {
	if q.saveFile == emptySaveFile {
		q.saveFile = defaultRules(f)
	}
	switch {
	case q.command != "":
	case q.useCommand && len(operands) > 0:
		q.command = operands[0]
	case q.useCommand:
		q.command = defaultCommand(f)
	case len(operands) > 0:
		q.rulesFile = operands[0]
	default:
		q.rulesFile = defaultRules(f)
	}
}

// long reads one --option; rest are the words after it, and what is left of
// them comes back.
func (q *request) long(word string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(word, "=")
	var found *option
	for i := range options {
		o := &options[i]
		if o.long == name {
			found = o
			break
		}
		if strings.HasPrefix(o.long, name) {
			if found != nil {
				return nil, fmt.Errorf("option '--%s' is ambiguous", name)
			}
			found = o
		}
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("unrecognized option '--%s'", name)
	case found.argument == "" && hasValue && !found.optional:
		return nil, fmt.Errorf("option '--%s' doesn't allow an argument", found.long)
	case found.argument == "" || hasValue:
		return rest, found.set(q, value)
	case len(rest) == 0:
		return nil, fmt.Errorf("option '--%s' requires an argument", found.long)
	}
	return rest[1:], found.set(q, rest[0])
}

// shorts reads a word of joined short options, without its dash.
func (q *request) shorts(word string, rest []string) ([]string, error) {
	for i := range len(word) {
		o := shortOption(word[i])
		switch {
		case o == nil:
			return nil, fmt.Errorf("invalid option -- '%c'", word[i])
		case o.argument == "":
			if err := o.set(q, ""); err != nil {
				return nil, err
			}
		case i+1 < len(word):
			return rest, o.set(q, word[i+1:])
		case len(rest) == 0:
			return nil, fmt.Errorf("option requires an argument -- '%c'", word[i])
		default:
			return rest[1:], o.set(q, rest[0])
		}
	}
	return rest, nil
}

func shortOption(c byte) *option {
	for i := range options {
		if options[i].short == c {
			return &options[i]
		}
	}
	return nil
}

// setTimeout takes whole seconds, 0 to a day's worth: with more, a mistake is
// likelier than an admin who waits.
func setTimeout(q *request, v string) error {
	const most = 24 * 60 * 60
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n > most {
		return fmt.Errorf("timeout must be a positive number: %q is not one of 0 to %d seconds", v, most)
	}
	q.timeout = time.Duration(n) * time.Second
	return nil
}

// setCommand takes the command's name from --command=NAME; mostly it comes as
// the operand.
func setCommand(q *request, v string) error {
	q.useCommand, q.command = true, v
	return nil
}

func setSaveFile(q *request, v string) error {
	if q.saveFile = v; v == "" {
		q.saveFile = emptySaveFile
	}
	return nil
}

// helpText is what -h shows.
func helpText(f rule.Family) string {
	name := f.Program() + "-apply"
	var b strings.Builder
	fmt.Fprintf(&b, `%[1]s: change the rules and keep the change only if the host can still be reached

Usage: %[1]s [-hV] [-t seconds] [-w savefile] {[rulesfile] | -c [command]}

Loads rulesfile (default %[2]s), or with -c runs command
(default %[3]s), and asks whether new connections get
through. Unless the answer is yes, and in time, the earlier rules come back;
so they do when the terminal hangs up or a signal ends the program.

Options:
`, name, defaultRules(f), defaultCommand(f))
	for _, o := range options {
		left := fmt.Sprintf("-%c %s, --%s %s", o.short, o.argument, o.long, o.argument)
		if o.argument == "" {
			left = fmt.Sprintf("-%c, --%s", o.short, o.long)
		}
		fmt.Fprintf(&b, "  %-32s %s\n", left, o.help)
	}
	return b.String()
}
