package text

import (
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
)

// helpUsage are the forms of the command; PROGRAM stands for the program's name.
const helpUsage = `
Usage: PROGRAM -[ACD] chain rule-specification [options]
       PROGRAM -I chain [rulenum] rule-specification [options]
       PROGRAM -R chain rulenum rule-specification [options]
       PROGRAM -D chain rulenum [options]
       PROGRAM -[LS] [chain [rulenum]] [options]
       PROGRAM -[FZ] [chain] [options]
       PROGRAM -[NX] chain
       PROGRAM -E old-chain-name new-chain-name
       PROGRAM -P chain target [options]
       PROGRAM -h (print this help information)

Commands (long or short, as you like; a long name may be shortened as far as
it stays unambiguous):
`

// helpItem is an option with what follows it, and what it does.
type helpItem struct {
	form string
	help string
	only ext.Families // 0 for both
}

// helpCommands are the commands, in the order of iptables(8).
var helpCommands = [...]helpItem{
	{form: "--append  -A chain", help: "put the rule at the end of the chain"},
	{form: "--check   -C chain", help: "succeed if the chain has such a rule"},
	{form: "--delete  -D chain", help: "take the matching rule out of the chain"},
	{form: "--delete  -D chain rulenum", help: "take out rule rulenum (the first is 1)"},
	{form: "--insert  -I chain [rulenum]", help: "put the rule in as rulenum (default 1, the first)"},
	{form: "--replace -R chain rulenum", help: "put the rule in the place of rule rulenum"},
	{form: "--list    -L [chain [rulenum]]", help: "show the rules of the chain, or of all chains"},
	{form: "--list-rules -S [chain [rulenum]]", help: "show them as the commands that make them"},
	{form: "--flush   -F [chain]", help: "take all rules out of the chain, or of all chains"},
	{form: "--zero    -Z [chain [rulenum]]", help: "set counters to zero"},
	{form: "--new     -N chain", help: "make a user-defined chain"},
	{form: "--delete-chain -X [chain]", help: "remove the user-defined chain, or all of them"},
	{form: "--policy  -P chain target", help: "what happens at the end of a built-in chain"},
	{form: "--rename-chain -E old-chain new-chain", help: "give a chain another name, also where it is jumped to"},
}

// helpOptions are the options that need no extension.
var helpOptions = [...]helpItem{
	{form: "    --ipv4	-4", help: "does nothing (a line for ip6tables-restore to pass over)", only: ext.V4},
	{form: "    --ipv6	-6", help: "an error (a line for iptables-restore to pass over)", only: ext.V4},
	{form: "    --ipv4	-4", help: "an error (a line for ip6tables-restore to pass over)", only: ext.V6},
	{form: "    --ipv6	-6", help: "does nothing (a line for iptables-restore to pass over)", only: ext.V6},
	{form: "[!] --protocol	-p proto", help: "protocol, a number or a name such as `tcp'"},
	{form: "[!] --source	-s address[/mask][...]", help: "where the packet comes from"},
	{form: "[!] --destination -d address[/mask][...]", help: "where the packet goes to"},
	{form: "[!] --in-interface -i input name[+]", help: "interface it came in by ([+] for any ending)"},
	{form: "[!] --out-interface -o output name[+]", help: "interface it leaves by ([+] for any ending)"},
	{form: "[!] --fragment	-f", help: "only second and further fragments", only: ext.V4},
	{form: "    --jump	-j target", help: "target of the rule (may load an extension)"},
	{form: "    --goto	-g chain", help: "go on in the chain, without coming back"},
	{form: "    --match	-m match", help: "a further match (may load an extension)"},
	{form: "    --table	-t table", help: "the table to work on (default: `filter')"},
	{form: "    --numeric	-n", help: "addresses, ports and protocols as numbers"},
	{form: "    --verbose	-v", help: "say more"},
	{form: "    --exact	-x", help: "counters in full, not rounded"},
	{form: "    --line-numbers", help: "number the rules of a listing"},
	{form: "    --set-counters -c PKTS BYTES", help: "counters that the new rule begins with"},
	{form: "    --wait	-w [seconds]", help: "accepted: there is no lock to wait for"},
	{form: "    --wait-interval -W usecs", help: "accepted, as --wait"},
	{form: "    --modprobe=<command>", help: "accepted: the kernel loads its modules itself"},
	{form: "[!] --version	-V", help: "print the version"},
}

// AppendHelp appends the answer to -h: the program's forms, commands and
// options, and a section for each extension that the command line named.
// Targets come before matches, as in iptables-nft 1.8.9.
func AppendHelp(b []byte, program string, f rule.Family, named []*ext.Def) []byte {
	b = append(b, Version(program)...)
	b = append(b, '\n')
	b = append(b, strings.ReplaceAll(helpUsage, "PROGRAM", program)...)
	for i := range helpCommands {
		b = appendHelpItem(b, "  ", &helpCommands[i])
	}
	b = append(b, "\nOptions:\n"...)
	for i := range helpOptions {
		if o := &helpOptions[i]; o.only == 0 || o.only.Has(f) {
			b = appendHelpItem(b, "", o)
		}
	}
	for _, kind := range []ext.Kind{ext.Target, ext.Match} {
		for _, d := range named {
			if d.Kind == kind {
				b = AppendExtHelp(b, d, f)
			}
		}
	}
	return b
}

// helpColumn is where the explanations begin, a tab stop.
const helpColumn = 32

// appendHelpItem appends an option and its explanation, on a line of its own
// if the option leaves no room. A form with a tab in it is measured as on a terminal.
func appendHelpItem(b []byte, indent string, item *helpItem) []byte {
	b = append(b, indent...)
	b = append(b, item.form...)
	width := len(indent)
	for _, c := range item.form {
		width++
		if c == '\t' {
			width = (width + 7) / 8 * 8
		}
	}
	return appendExplanation(b, width, item.help)
}

// appendExplanation moves from column width to helpColumn, to the next line if
// need be, and appends the text.
func appendExplanation(b []byte, width int, help string) []byte {
	if width+2 > helpColumn {
		b = append(b, '\n')
		width = 0
	}
	b = padLeft(b, width, helpColumn)
	b = append(b, help...)
	return append(b, '\n')
}

// AppendExtHelp appends the section of one extension, an empty line before it.
func AppendExtHelp(b []byte, d *ext.Def, f rule.Family) []byte {
	kind := " match"
	if d.Kind == ext.Target {
		kind = " target"
	}
	b = append(b, '\n')
	b = append(b, d.Name...)
	b = append(b, kind...)
	b = append(b, " options:\n"...)
	for i := range d.Options {
		b = appendOptionHelp(b, &d.Options[i])
	}
	if d.HelpText == nil {
		return b
	}
	if more := d.HelpText(f); more != "" {
		b = append(b, more...)
		if !strings.HasSuffix(more, "\n") {
			b = append(b, '\n')
		}
	}
	return b
}

// appendOptionHelp appends an extension's option: "[!] --source-port, --sport PORT".
func appendOptionHelp(b []byte, o *ext.Option) []byte {
	start := len(b)
	if o.Not {
		b = append(b, "[!] --"...)
	} else {
		b = append(b, "    --"...)
	}
	b = append(b, o.Name...)
	for _, alias := range o.Aliases {
		b = append(b, ", --"...)
		b = append(b, alias...)
	}
	if o.Value != "" {
		b = append(b, ' ')
		b = append(b, o.Value...)
	}
	return appendExplanation(b, len(b)-start, o.Help)
}
