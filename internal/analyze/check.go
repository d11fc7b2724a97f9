package analyze

import (
	"fmt"
	"strings"
	"time"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// Suite is a file of tests for a firewall, as docs/check.md describes it.
type Suite struct {
	Source string   // the file's name
	Rules  []string // files with rules, as they were written; nil: none named
	Tests  []Test   // in the order of the file
}

// Test is one expectation.
type Test struct {
	Name      string
	Line      int // of the file, from 1
	Packets   []TestPackets
	Except    []*question.Range
	Family    rule.Family // 0: that of the addresses, or both
	Expect    Expect      // 0: DecidedBy alone is asked for
	DecidedBy string      // comment of the rule that has to decide; "" for none
	// Assume are answers for matches that no packet decides, by the match's name.
	Assume map[string]packet.Answer
}

// TestPackets is one packet or a set of them, as a test names them; one of One and
// Many is nil.
type TestPackets struct {
	Text         string
	Line, Column int // of the file, from 1; Column in characters
	One          *question.Question
	Many         *question.Range
}

// Family is that of the packets, 0 if they are of both.
func (p *TestPackets) Family() rule.Family {
	if p.One != nil {
		return p.One.Packet.Family
	}
	return p.Many.Family
}

// Expect is what has to become of a packet.
type Expect uint8

const (
	ExpectAccept Expect = iota + 1
	ExpectDrop
	ExpectReject
	ExpectQueue
	ExpectBlocked // dropped or rejected
)

// expectWords are the words of a file, at their Expect.
var expectWords = [...]string{"", "accept", "drop", "reject", "queue", "blocked"}

// String is the word that a file has for it.
func (e Expect) String() string { return expectWords[e%6] }

// admits reports whether a verdict is the expected one.
func (e Expect) admits(v simulate.Verdict) bool {
	switch e {
	case ExpectAccept:
		return v == simulate.Accept
	case ExpectDrop:
		return v == simulate.Drop
	case ExpectReject:
		return v == simulate.Reject
	case ExpectQueue:
		return v == simulate.Queue
	case ExpectBlocked:
		return v == simulate.Drop || v == simulate.Reject
	}
	return v != simulate.Unknown
}

// ByPolicy is the word of "decided by" that stands for the policy of a built-in
// chain; a rule with this comment answers to it too.
const ByPolicy = "policy"

// TestOutcome is how a test ended. The worst of its packets counts.
type TestOutcome uint8

const (
	TestPassed  TestOutcome = iota // all packets are as expected
	TestUnknown                    // it hangs on what no packet decides
	TestFailed                     // a packet is not as expected
)

// String is "pass", "unknown" or "fail".
func (o TestOutcome) String() string { return [...]string{"pass", "unknown", "fail"}[o%3] }

// TestResult is a test with what came of it.
type TestResult struct {
	*Test
	Outcome TestOutcome
	Elapsed time.Duration
	Packets []PacketsResult
}

// PacketsResult is what came of one of a test's packets, or sets of packets,
// under the rules of one family.
type PacketsResult struct {
	*TestPackets
	Subject *Subject
	Outcome TestOutcome
	// Classes is into how many classes the rules part a set of packets; 0 for
	// one packet.
	Classes int
	// Against are packets that are not as expected, each decided by another rule.
	Against []Counterexample
	// More is how many further rules decide packets otherwise than expected.
	More int
}

// Counterexample is a packet that is not as expected. Packet is a question that
// moat explain takes, and the simulator has been asked it.
type Counterexample struct {
	Packet  string // in the language of package question
	Verdict simulate.Verdict
	By      Ref // what decided; the zero Ref if that is unknown
	Doubts  []CheckDoubt
	// Missing says that no rule has the comment of the one that has to decide;
	// Nearest is a comment that looks like it, "" if none does.
	Missing bool
	Nearest string
}

// CheckDoubt is a match on which it hangs whether a packet is as expected.
type CheckDoubt struct {
	Rule        Ref // the zero Ref for what is no rule's
	Match       string
	IfYes, IfNo simulate.Verdict // Unknown if that hangs on another doubt
}

// Expected is what the test asks for, in words: `drop, decided by "blocklist"`.
func (t *Test) Expected() string {
	var words []string
	if t.Expect != 0 {
		words = append(words, t.Expect.String())
	}
	switch t.DecidedBy {
	case "":
	case ByPolicy:
		words = append(words, "decided by a policy")
	default:
		words = append(words, fmt.Sprintf("decided by %q", t.DecidedBy))
	}
	return strings.Join(words, ", ")
}
