// Package commit changes the firewall for a while, and for good only when the
// admin says that the host can still be reached. It is the logic of
// iptables-apply and ip6tables-apply.
//
// The old rules are on disk (the journal) before anything changes, and they are
// put back when the answer is no, when none comes in time, when the terminal
// hangs up and when a signal asks the program to end. Rolling back gives the
// tables exactly what they held, also those that the change created.
package commit
