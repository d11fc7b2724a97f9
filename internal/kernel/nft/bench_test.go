package nft

import (
	"fmt"
	"testing"
)

func BenchmarkEncodeRules(b *testing.B) {
	for _, n := range []int{1, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var batch Batch
				addFilter(&batch)
				addRules(&batch, n)
				b.SetBytes(int64(batch.Size()))
			}
		})
	}
}

func BenchmarkCommitRules(b *testing.B) {
	for _, n := range []int{1, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := testConn(b)
			var batch Batch
			addFilter(&batch)
			batch.FlushRules(NFPROTO_IPV4, "filter", "INPUT")
			addRules(&batch, n)
			b.ReportAllocs()
			b.SetBytes(int64(batch.Size()))
			for b.Loop() {
				must(b, c.Commit(&batch))
			}
		})
	}
}

func BenchmarkDumpRules(b *testing.B) {
	for _, n := range []int{10, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := withRules(b, n)
			b.ReportAllocs()
			for b.Loop() {
				exprs := 0
				must(b, c.DumpRules(NFPROTO_IPV4, "filter", "INPUT", func(r *RuleView) error {
					for e := NewExprs(r.Expressions); e.Next(); {
						exprs++
					}
					return nil
				}))
				if exprs != 8*n {
					b.Fatalf("%d expressions of %d rules", exprs, n)
				}
			}
		})
	}
}
