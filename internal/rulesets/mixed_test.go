package rulesets

import (
	"strings"
	"testing"

	"moat/internal/rule"
)

func TestMixedHasTheRulesAskedForAndIsDeterministic(t *testing.T) {
	for _, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
		for _, n := range [...]int{MixedMin, MixedMin + 1, 57, 1000, 10000} {
			text := Mixed(f, n, 7)
			if got := strings.Count(text, "\n-A "); got != n {
				t.Errorf("%s: %d rules, want %d", f.Program(), got, n)
			}
			if Mixed(f, n, 7) != text {
				t.Errorf("%s: %d rules differ from one time to the next", f.Program(), n)
			}
			if n > 50 && Mixed(f, n, 8) == text {
				t.Errorf("%s: %d rules are the same for another seed", f.Program(), n)
			}
		}
		if got := strings.Count(Mixed(f, 0, 7), "\n-A "); got != MixedMin {
			t.Errorf("%s: %d rules at least, want %d", f.Program(), got, MixedMin)
		}
	}
}

func TestMixedPrefixesOverlap(t *testing.T) {
	m := &mixer{Rand: newRand(1, rule.IPv4), family: rule.IPv4}
	m.blocklist(500)
	overlaps := 0
	for i, p := range m.prefixes {
		for _, q := range m.prefixes[:i] {
			if p.Overlaps(q) {
				overlaps++
				break
			}
		}
	}
	if overlaps < 50 {
		t.Errorf("%d of %d prefixes overlap one before, want a tenth at least", overlaps, len(m.prefixes))
	}
}
