package nft

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrInterrupted says that another writer changed the ruleset during a dump:
	// what the callback saw is of two generations. Dump again.
	ErrInterrupted = errors.New("the ruleset changed while it was read")

	// ErrStop ends a dump early without an error when a callback returns it.
	ErrStop = errors.New("stop the dump")

	// ErrNoAnswer says that the kernel did not answer a request it had accepted.
	ErrNoAnswer = errors.New("the kernel gave no answer")
)

// IsStale asks whether a transaction failed because another writer was faster
// than the generation it was computed from: read again and compute again.
func IsStale(err error) bool { return errors.Is(err, unix.ERESTART) }

// IsNotFound asks whether the kernel knows no such object.
func IsNotFound(err error) bool { return errors.Is(err, unix.ENOENT) }

// IsExists asks whether the object exists already.
func IsExists(err error) bool { return errors.Is(err, unix.EEXIST) }

// IsBusy asks whether the object is still referred to.
func IsBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

// IsPermission asks whether the right to change or read the firewall is missing.
func IsPermission(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

// KernelError is the kernel's refusal of one request or message.
type KernelError struct {
	What    string     // what was asked for, "get chain INPUT of table ip filter"
	Errno   unix.Errno // the kernel's number; errors.Is finds it
	Message string     // the kernel's own words (extended acknowledgement), empty if none
	Offset  int        // bytes from the message's first to the attribute at fault, 0 if not told
	Path    []uint16   // attribute types down to the one at fault, nil if not told
	Missing int        // type of the attribute that is missing, -1 if not told
}

// Error gives one line: what was asked, the errno in words, the kernel's own words.
func (e *KernelError) Error() string {
	var s strings.Builder
	s.WriteString(e.What)
	s.WriteString(": ")
	s.WriteString(e.Errno.Error())
	if e.Message != "" {
		s.WriteString(" (kernel: " + e.Message + ")")
	}
	if len(e.Path) > 0 {
		s.WriteString(" at attribute ")
		for i, typ := range e.Path {
			if i > 0 {
				s.WriteByte('.')
			}
			fmt.Fprintf(&s, "%d", typ)
		}
	}
	if e.Missing >= 0 {
		fmt.Fprintf(&s, ", attribute %d is missing", e.Missing)
	}
	return s.String()
}

// Unwrap gives the errno.
func (e *KernelError) Unwrap() error { return e.Errno }

// MessageError is the kernel's refusal of one message of a batch.
type MessageError struct {
	KernelError
	Index int // the message's place in the batch from 0; -1 means the batch as a whole
	Tag   int // what Batch.Tag said when the message was appended; NoTag for the batch as a whole
}

// CommitError says that the kernel took nothing of a batch, and why. Errors is
// in the order of the messages and never empty.
type CommitError struct {
	Errors []MessageError

	// Lost says that the receive buffer was too small for all errors; there
	// are more than Errors tells.
	Lost bool
}

// Error gives the first error in one line and the number of the others.
func (e *CommitError) Error() string {
	s := e.Errors[0].Error()
	switch n := len(e.Errors) - 1; {
	case e.Lost:
		s += fmt.Sprintf(" (and more than %d other errors)", n)
	case n > 0:
		s += fmt.Sprintf(" (and %d other errors)", n)
	}
	return s
}

// Unwrap gives the first message's error.
func (e *CommitError) Unwrap() error { return &e.Errors[0] }

// TooLargeError says that a transaction does not fit the socket's send buffer
// and that this process may not make it larger.
type TooLargeError struct {
	Need    int // bytes of the transaction
	Allowed int // bytes that the socket takes at most
}

// Error says how many bytes were needed and allowed, and what to do.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("transaction of %d bytes is over the %d bytes that this user may send at once: "+
		"run as root outside a user namespace, or set net.core.wmem_max to %d or more",
		e.Need, e.Allowed, sendBufferFor(e.Need))
}

// Unwrap gives EMSGSIZE, the kernel's answer to such a transaction.
func (e *TooLargeError) Unwrap() error { return unix.EMSGSIZE }
