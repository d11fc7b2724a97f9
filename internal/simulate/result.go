package simulate

import (
	"moat/internal/packet"
	"moat/internal/rule"
)

// Verdict is what becomes of a packet on its whole way.
type Verdict uint8

const (
	Unknown Verdict = iota // it hangs on what the question does not tell
	Accept                 // it gets where it goes
	Drop                   // it goes no further
	Reject                 // dropped, and the sender is told
	Queue                  // a program decides
)

// String is the verdict as the JSON output has it.
func (v Verdict) String() string {
	return [...]string{"UNKNOWN", "ACCEPT", "DROP", "REJECT", "QUEUE"}[v%5]
}

// Way is the hooks that a packet passes.
type Way uint8

const (
	In      Way = iota // PREROUTING, INPUT: to this host
	Through            // PREROUTING, FORWARD, POSTROUTING: over this host
	Out                // OUTPUT, POSTROUTING: from this host
)

// Hook is the hook that the way is named after: INPUT, FORWARD or OUTPUT.
func (w Way) Hook() rule.Hook { return [...]rule.Hook{rule.Input, rule.Forward, rule.Output}[w%3] }

// Place is a rule of a ruleset by its address. Rule is the number that
// "iptables -L --line-numbers" shows; 0 is the policy of a built-in chain.
type Place struct {
	Table string
	Chain string
	Rule  int
}

// Step is a rule, or a policy, that a packet met.
type Step struct {
	Place
	What  *rule.Rule    // nil for a policy
	Match packet.Answer // Yes for a policy
	// Action is what the step did: "ACCEPT", "DROP", "jump NAME", "goto NAME",
	// "RETURN", "count", or the target's name and what it changed ("MARK mark 0x1");
	// "" when the rule did not match.
	Action string
	// After is the packet as the step left it; nil if it is as it was before.
	After *packet.Packet
}

// Doubt is a match that was unknown, and on which the verdict hangs.
type Doubt struct {
	Place
	What *rule.Rule
	// Match is the name of the match or condition: "limit", "in-interface" …; of a
	// Doubt without a rule "route" or "conntrack state".
	Match string
	// IfYes and IfNo are what becomes of the packet if it matches and if it does
	// not; Unknown if that hangs on another doubt.
	IfYes, IfNo Verdict
}

// End is what may become of a packet, and what decides that.
type End struct {
	Verdict Verdict
	By      Place
	What    *rule.Rule // nil for a policy
	Policy  rule.Verdict
}

// Result is the answer to one question.
type Result struct {
	Verdict Verdict
	// By is the rule or policy that decided. It is the zero Place with Unknown, and
	// with the Drop of a packet that has no way to go or no hops left.
	By     Place
	What   *rule.Rule // nil for a policy
	Policy rule.Verdict
	Doubts []Doubt
	// Ends are all ways in which the packet may end, each once, if Options.Ends
	// asks for them: one if nothing was in doubt. An Unknown among them stands for
	// ways that were not followed to their end. Doubts are then those on which the
	// end hangs, even if the verdict is the same.
	Ends  []End
	Trace []Step
	// Packet is the packet as it left, with what rules changed.
	Packet packet.Packet
}
