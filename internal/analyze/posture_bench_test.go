package analyze

import (
	"fmt"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// BenchmarkPosture looks for the findings of posture_*.go alone, in the rules of
// a provider's router of both families. The bounds are 100 ms for 1000 rules and
// 1 s for 10000, on one core; the rollouts, which the structural findings
// need too, are made before.
func BenchmarkPosture(b *testing.B) {
	for _, n := range [...]int{1000, 10000} {
		var rules [2]*load.Rules
		for i, f := range [...]rule.Family{rule.IPv4, rule.IPv6} {
			r, err := load.Text("mixed", []byte(rulesets.Mixed(f, n/2, 1)), f)
			if err != nil {
				b.Fatal(err)
			}
			rules[i] = r
		}
		for _, k := range findings {
			if !isPosture(k.Name) {
				continue
			}
			b.Run(fmt.Sprintf("%d/%s", n, k.Name), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					a := &Auditor{AuditInput{Subjects: []*Subject{NewSubject(rules[0], false), NewSubject(rules[1], false)}}}
					for _, s := range a.Subjects {
						s.Rollouts()
						s.Probes()
						a.world(s)
						s.Firewall()
					}
					b.StartTimer()
					kindFindings(a, &k)
				}
			})
		}
		b.Run(fmt.Sprintf("%d/all", n), func(b *testing.B) {
			for b.Loop() {
				a := &Auditor{AuditInput{Subjects: []*Subject{NewSubject(rules[0], false), NewSubject(rules[1], false)}}}
				for i := range findings {
					if isPosture(findings[i].Name) {
						kindFindings(a, &findings[i])
					}
				}
			}
		})
	}
}

func isPosture(name string) bool {
	for _, n := range postureNames {
		if n == name {
			return true
		}
	}
	return false
}

// kindFindings are the findings of one kind.
func kindFindings(a *Auditor, k *FindingKind) (list []Finding) {
	if k.all != nil {
		list = append(list, k.all(a)...)
	}
	for _, s := range a.Subjects {
		if k.one != nil {
			list = append(list, k.one(a, s)...)
		}
	}
	return list
}
