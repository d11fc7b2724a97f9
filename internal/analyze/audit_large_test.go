package analyze

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moat/internal/rule"
)

// doubling is chains that each call the next one twice: levels of them pass
// 2^levels rules.
func doubling(levels, rules int) string {
	var s strings.Builder
	s.WriteString("*filter\n:INPUT DROP\n")
	for i := range levels {
		fmt.Fprintf(&s, ":C%d -\n", i)
	}
	s.WriteString("-A INPUT -j C0\n")
	for i := range levels - 1 {
		fmt.Fprintf(&s, "-A C%d -p tcp -j C%d\n-A C%d -p udp -j C%d\n", i, i+1, i, i+1)
	}
	for i := range rules {
		fmt.Fprintf(&s, "-A C%d -s 10.0.%d.%d -j DROP\n", levels-1, i/256, i%256)
	}
	return s.String() + "COMMIT\n"
}

func TestChainsThatCallEachOtherTooOften(t *testing.T) {
	s := subject(t, rule.IPv4, strings.Replace(doubling(14, 40), "-p udp", "-m mark --mark 1", -1))
	r, err := Audit(AuditInput{Subjects: []*Subject{s}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "chain INPUT of table filter") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// TestRulesAtManyPlacesOfARollout takes time that grows with the visits, not
// with their square.
func TestRulesAtManyPlacesOfARollout(t *testing.T) {
	s := subject(t, rule.IPv4, strings.ReplaceAll(doubling(11, 40), "-p udp", "-m mark --mark 1"))
	if n := len(s.Rollouts()[0].visits); n < 40000 {
		t.Errorf("only %d visits", n)
	}
	start := time.Now()
	audit(t, AuditInput{Subjects: []*Subject{s}}, structural()...)
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("%v", d)
	}
}
