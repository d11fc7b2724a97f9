package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// LongWait is how long a probe waits for what must arrive, which is as long as a
// machine may be busy with other work; ShortWait is for what must not. An ICMPv6 error that comes back while connect still holds the
// socket, as it does between hosts of one machine, is told only when the SYN
// is sent again, a second later: shortWait6 is the ShortWait of TCP over IPv6.
const (
	LongWait   = 90 * time.Second
	ShortWait  = 800 * time.Millisecond
	shortWait6 = 1300 * time.Millisecond
)

// State is what became of a probe.
type State uint8

const (
	// Failed is the zero State: the probe could not be made; Result.Err says why.
	Failed State = iota
	// Open: the answer came, with the bytes that were sent.
	Open
	// Refused: a TCP reset or an ICMP port unreachable came back.
	Refused
	// Unreachable: another ICMP error came back, or there is no route.
	Unreachable
	// Silent: nothing came back in time.
	Silent
	// Unsent: the sender's own kernel did not let the packet out (EPERM).
	Unsent
)

var stateNames = []string{"failed", "open", "refused", "unreachable", "silent", "unsent"}

func (s State) String() string { return stateNames[s] }

// ParseState reads a state's name.
func ParseState(name string) (State, error) {
	if i := slices.Index(stateNames, name); i >= 0 {
		return State(i), nil
	}
	return Failed, fmt.Errorf("state %q: want one of %v", name, stateNames[1:])
}

// Result is the answer to a probe.
type Result struct {
	State  State
	Reason string         // more than the state's name, for people; may be empty
	Err    error          // the system's error behind the state; nil when open
	Server string         // the host that answered, when it is an echo server of a lab
	Seen   netip.AddrPort // our address as that server saw it, after any NAT
	At     netip.AddrPort // the server's address where it arrived, after any NAT
	Took   time.Duration
}

// String gives "open" or "silent (no answer within 800ms)".
func (r Result) String() string {
	if r.Reason == "" {
		return r.State.String()
	}
	return r.State.String() + " (" + r.Reason + ")"
}

// stateTable says what a system error means for a probe.
var stateTable = []struct {
	err    error
	state  State
	reason string
}{
	{syscall.ECONNREFUSED, Refused, ""},
	{syscall.ECONNRESET, Refused, "connection reset"},
	{syscall.EPIPE, Refused, "connection closed"},
	{io.EOF, Refused, "connection closed"},
	{syscall.EPERM, Unsent, "the sender's own rules forbid it"},
	{syscall.EHOSTUNREACH, Unreachable, "host unreachable"},
	{syscall.ENETUNREACH, Unreachable, "network unreachable"},
	{syscall.EACCES, Unreachable, "prohibited"},
	{syscall.ENOPROTOOPT, Unreachable, "protocol unreachable"},
	{syscall.EPROTO, Unreachable, "ICMP parameter problem"},
	{syscall.EMSGSIZE, Unreachable, "packet too big"},
	{syscall.ETIMEDOUT, Silent, "timed out"},
}

// resultOf makes a Result of the error of a probe that waited for wait.
func resultOf(err error, wait time.Duration) Result {
	if err == nil {
		return Result{State: Open}
	}
	var timeout interface{ Timeout() bool }
	for _, row := range stateTable {
		if errors.Is(err, row.err) {
			return Result{State: row.state, Reason: row.reason, Err: err}
		}
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Result{State: Silent, Reason: "no answer within " + wait.String(), Err: err}
	}
	return Result{State: Failed, Reason: err.Error(), Err: err}
}
