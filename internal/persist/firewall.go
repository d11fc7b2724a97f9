package persist

import (
	"io"

	"moat/internal/rule"
)

// Firewall is what this package and package commit need of the kernel. The
// caller gives one that is bound to a network namespace.
type Firewall interface {
	// Save writes every table of the family as iptables-save does. counters
	// adds the counters of rules ("iptables-save -c"); chain policies always
	// carry theirs. With no table in the kernel it writes nothing.
	Save(family rule.Family, w io.Writer, counters bool) error

	// Restore reads the save format and makes it the state of the tables that
	// it names, in one kernel transaction: after an error nothing has changed.
	// name stands for the input in errors ("rules.v4:14: …").
	Restore(family rule.Family, name string, r io.Reader, opts RestoreOptions) error

	// Check says if Restore would take the text, and changes nothing.
	Check(family rule.Family, name string, r io.Reader) error

	// Flush empties every table of the family that iptables knows: policies
	// back to ACCEPT, no rules, no user-defined chains. Other tables stay.
	Flush(family rule.Family) error
}

// RestoreOptions are those of iptables-restore(8). The zero value replaces the
// tables named in the text and starts their counters at zero.
type RestoreOptions struct {
	NoFlush  bool // keep what is in the tables already (--noflush)
	Counters bool // take counters from the text (--counters)
}
