package text

import "strings"

// restoreUsage is the answer to iptables-restore -h.
const restoreUsage = `Usage: PROGRAM [-c] [-v] [-V] [-t] [-h] [-n] [-T table] [-M command] [-4] [-6] [file]
	   [ --counters ]          restore counters too
	   [ --verbose ]           say what is done
	   [ --version ]           print the version
	   [ --test ]              read and check, change nothing
	   [ --help ]              print this
	   [ --noflush ]           keep what the tables hold
	   [ --table=<TABLE> ]     restore only this table
	   [ --modprobe=<command> ] accepted: the kernel loads its modules itself
	   [ --wait=<seconds> ]    accepted: there is no lock to wait for
	   [ --wait-interval=<usecs> ] accepted
	   [ --ipv4 ]              do nothing in ip6tables-restore
	   [ --ipv6 ]              do nothing in iptables-restore
`

// RestoreHelp is the answer of iptables-restore to -h, which it gives on stderr.
func RestoreHelp(program string) string {
	return strings.ReplaceAll(restoreUsage, "PROGRAM", program)
}

// SaveHelp is what iptables-save says after an option that it does not have;
// -h is one of those.
func SaveHelp(program string) string {
	return "Look at manual page `" + program + ".8' for more information.\n"
}
