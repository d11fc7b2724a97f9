package analyze

import (
	"fmt"
	"slices"
	"testing"

	"moat/internal/load"
	"moat/internal/rule"
	"moat/internal/rulesets"
	"moat/internal/simulate"
)

// BenchmarkClasses parts all new connections by a provider's ruleset: without
// its address translation, and with it, where every translated address meets every
// blocked one.
func BenchmarkClasses(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, nat := range []bool{false, true} {
			if nat && n > 1000 {
				continue
			}
			loaded, err := load.Text("mixed", []byte(rulesets.Mixed(rule.IPv4, n, 1)), rule.IPv4)
			if err != nil {
				b.Fatal(err)
			}
			rs := *loaded.Ruleset
			if !nat {
				rs.Tables = slices.DeleteFunc(slices.Clone(rs.Tables), func(t *rule.Table) bool { return t.Name == "nat" })
			}
			b.Run(fmt.Sprintf("rules=%d/nat=%v", n, nat), func(b *testing.B) {
				classes := 0
				for b.Loop() {
					classes = 0
					m := NewModel(&rs)
					for _, w := range []simulate.Way{simulate.In, simulate.Through, simulate.Out} {
						m.Each(w, Fresh(w), func(Class) bool { classes++; return true })
					}
				}
				b.ReportMetric(float64(classes), "classes")
			})
		}
	}
}
