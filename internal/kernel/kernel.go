package kernel

import (
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Kernel is a connection to the firewall of the network namespace in which it
// was opened. It is not safe for use by several goroutines.
type Kernel struct {
	conn      *nft.Conn
	gate      Gate // nil: for reading only
	revisions []revision
}

// revision is an answer of the kernel about an xt extension, kept for the process.
type revision struct {
	family rule.Family
	kind   ext.Kind
	name   string
	rev    uint8
	has    bool
}

// Open connects to the kernel; every change has to pass the gate.
func Open(g Gate) (*Kernel, error) {
	conn, err := nft.Open()
	if err != nil {
		return nil, permission(err)
	}
	return &Kernel{conn: conn, gate: g}, nil
}

// OpenToRead connects to the kernel; a change is refused with ErrReadOnly.
func OpenToRead() (*Kernel, error) { return Open(nil) }

// Close ends the connection.
func (k *Kernel) Close() error { return k.conn.Close() }

// HasRevision asks the kernel, once, whether it has an xt match or target of a
// revision. A question that fails counts as no.
func (k *Kernel) HasRevision(f rule.Family, kind ext.Kind, name string, rev uint8) bool {
	for i := range k.revisions {
		r := &k.revisions[i]
		if r.family == f && r.kind == kind && r.rev == rev && r.name == name {
			return r.has
		}
	}
	has, err := k.conn.CompatRevision(uint8(f), name, kind == ext.Target, rev)
	has = has && err == nil
	k.revisions = append(k.revisions, revision{f, kind, name, rev, has})
	return has
}

// maxTries bounds how often a change is computed again because other writers
// were faster. Each try is a whole transaction of somebody else, so the bound
// is only reached when something is badly wrong.
const maxTries = 1000

// Consistently calls read until it has run within one generation of the
// ruleset, so that what it saw is one state. read must begin anew each time.
func (k *Kernel) Consistently(read func() error) error {
	for range maxTries {
		before, err := k.conn.Generation()
		if err != nil {
			return permission(err)
		}
		err = read()
		if isRace(err) {
			continue
		}
		if err != nil {
			return permission(err)
		}
		after, err := k.conn.Generation()
		if err != nil {
			return permission(err)
		}
		if before == after {
			return nil
		}
	}
	return &Error{Code: ExitResource, Msg: "the ruleset keeps changing: it could not be read in one piece"}
}
