package text

import "moat/internal/ext"

// HelpItem is an option as help, manual and completion know it.
type HelpItem struct {
	Form string       // "[!] --source -s address[/mask][...]": "!" if it may stand there, names, what follows
	Help string       // one line
	Only ext.Families // 0 for both
}

// CommandHelp gives the commands of iptables, in the order of iptables(8).
func CommandHelp() []HelpItem { return exported(helpCommands[:]) }

// OptionHelp gives the options of iptables that need no extension.
func OptionHelp() []HelpItem { return exported(helpOptions[:]) }

// RestoreOptionHelp gives the options of iptables-restore.
func RestoreOptionHelp() []HelpItem { return withLetters(restoreHelp[:], restoreOptions[:]) }

// SaveOptionHelp gives the options of iptables-save.
func SaveOptionHelp() []HelpItem { return withLetters(saveHelp[:], saveOptions[:]) }

func exported(items []helpItem) []HelpItem {
	list := make([]HelpItem, len(items))
	for i, o := range items {
		list[i] = HelpItem{Form: o.form, Help: o.help, Only: o.only}
	}
	return list
}

// withLetters puts the short option, if there is one, behind each long name.
// -4 and -6 have only long forms in these programs.
func withLetters(items []fileHelp, options []option) []HelpItem {
	list := make([]HelpItem, len(items))
	for i, item := range items {
		form := "--" + item.name
		for _, o := range options {
			if o.name == item.name && o.letter != '4' && o.letter != '6' {
				form += " -" + string(rune(o.letter))
			}
		}
		if item.value != "" {
			form += " " + item.value
		}
		list[i] = HelpItem{Form: form, Help: item.help}
	}
	return list
}

// OptionNames gives the names of all long options of iptables, with their dashes.
func OptionNames() []string {
	names := make([]string, len(baseOptions))
	for i := range baseOptions {
		names[i] = "--" + baseOptions[i].name
	}
	return names
}
