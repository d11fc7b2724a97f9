package analyze

import (
	"fmt"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
)

// BenchmarkAudit audits the rules of a provider's router, once loaded. The
// bounds are 300 ms for 1000 rules and 5 s for 10000, on one core.
func BenchmarkAudit(b *testing.B) {
	for _, n := range [...]int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, err := load.Text("mixed", []byte(rulesets.Mixed(rule.IPv4, n, 1)), rule.IPv4)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				out, err := Audit(AuditInput{Subjects: []*Subject{NewSubject(r, false)}})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(out.Findings)), "findings")
			}
		})
	}
}
