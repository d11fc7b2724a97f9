package text

import (
	"fmt"
	"strings"
)

// fileHelp is a long option of iptables-save or iptables-restore.
type fileHelp struct {
	name  string
	value string // what follows it; "" for nothing
	help  string
}

// restoreHelp are the options of iptables-restore, in the order of its usage.
var restoreHelp = [...]fileHelp{
	{"counters", "", "restore counters too"},
	{"verbose", "", "say what is done"},
	{"version", "", "print the version"},
	{"test", "", "read and check, change nothing"},
	{"help", "", "print this"},
	{"noflush", "", "keep what the tables hold"},
	{"table", "TABLE", "restore only this table"},
	{"modprobe", "command", "accepted: the kernel loads its modules itself"},
	{"wait", "seconds", "accepted: there is no lock to wait for"},
	{"wait-interval", "usecs", "accepted"},
	{"ipv4", "", "no effect; an error in ip6tables-restore"},
	{"ipv6", "", "no effect; an error in iptables-restore"},
}

// saveHelp are the options of iptables-save.
var saveHelp = [...]fileHelp{
	{"counters", "", "save counters too"},
	{"table", "TABLE", "save only this table (default: all that exist)"},
	{"file", "filename", "write to this file, not to standard output"},
	{"version", "", "print the version"},
	{"modprobe", "command", "accepted: the kernel loads its modules itself"},
	{"ipv4", "", "no effect; an error in ip6tables-save"},
	{"ipv6", "", "no effect; an error in iptables-save"},
}

// RestoreHelp is the answer of iptables-restore to -h.
func RestoreHelp(program string) string {
	var b strings.Builder
	b.WriteString("Usage: " + program + " [-c] [-v] [-V] [-t] [-h] [-n] [-T table] [-M command] [-4] [-6] [file]\n")
	for _, o := range restoreHelp {
		form := "[ --" + o.name + " ]"
		if o.value != "" {
			form = "[ --" + o.name + "=<" + o.value + "> ]"
		}
		fmt.Fprintf(&b, "\t   %-23s %s\n", form, o.help)
	}
	return b.String()
}

// SaveHelp is what iptables-save says after an option that it does not have;
// -h is one of those.
func SaveHelp(program string) string {
	return "Look at manual page `" + program + ".8' for more information.\n"
}
