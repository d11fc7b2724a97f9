// Package persist keeps the firewall across reboots: the program logic of
// netfilter-persistent over /etc/iptables/rules.v4 and rules.v6.
//
// It means what Debian's netfilter-persistent and iptables-persistent 1.0.20
// mean (commands, settings, plugins, exit codes; found by running them), and
// adds what they lack: files that are never half written, and a last good
// version to load when a rules file is broken.
//
// # Files
//
// Beside each rules file, so that they are there as early in the boot as the
// rules file itself (/var may be mounted later), all of mode 0640:
//
//	rules.v4       what the admin edits, what save writes, what start loads
//	rules.v4.bak   the version before the last save
//	rules.v4.good  the last good version: a copy, not a link, of the last text
//	               that was saved by us or that the kernel took from rules.v4
//
// # Exit codes
//
//	0  everything asked for was done (also: usage was shown)
//	1  a plugin or a family failed; of a family that failed nothing changed
//	2  a rules file is broken and the last good version was loaded instead
//
// A start that ends with 1 or 2 fails the systemd unit, so that the admin sees
// it, but the rules that were loaded stay.
package persist
