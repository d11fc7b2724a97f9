package space

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"moat/internal/rule"
)

// mixedRules makes the conditions of n rules of mixed shape: addresses that are
// blocked, ports that are open to all or to an address, networks within
// networks; the last takes all.
func mixedRules(n int, ports int) []*Box {
	r := rand.New(rand.NewPCG(9, uint64(n)))
	list := make([]*Box, n)
	for i := range list {
		b := Box{}
		src := func(bits int) {
			lo := r.Uint32() &^ (1<<(32-bits) - 1)
			hi := lo | (1<<(32-bits) - 1)
			b, _ = b.With(Src, Addrs(AddrOf(Num(lo), rule.IPv4), AddrOf(Num(hi), rule.IPv4)))
		}
		port := func() {
			b, _ = b.With(Proto, One(Proto, Num(6)))
			b, _ = b.With(DPort, One(DPort, Num(1+r.IntN(ports))))
		}
		switch i % 4 {
		case 0:
			src(32)
		case 1:
			src(32 - 8*r.IntN(2))
			port()
		case 2:
			port()
		case 3:
			src(8 + r.IntN(25))
			if r.IntN(2) == 0 {
				port()
			}
		}
		list[i] = &b
	}
	list[n-1] = &Box{}
	return list
}

// BenchmarkFirstMatch computes what each of n rules takes, that is what those
// before it leave: the work of a walk with all packets.
func BenchmarkFirstMatch(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, ports := range []int{20, 60000} {
			rules := mixedRules(n, ports)
			b.Run(fmt.Sprintf("rules=%d/ports=%d", n, ports), func(b *testing.B) {
				boxes := 0
				for b.Loop() {
					var p Pile
					boxes = 0
					for _, r := range rules {
						p.Left(r, func(Box) bool { boxes++; return true })
						p.Add(r)
					}
				}
				b.ReportMetric(float64(boxes), "boxes")
			})
		}
	}
}

// BenchmarkHoles takes ten thousand addresses out of all packets, one by one.
func BenchmarkHoles(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 9))
	var list []Set
	for range 10000 {
		a := AddrOf(Num(r.Uint32()), rule.IPv4)
		one, _ := Box{}.With(Src, Addrs(a, a))
		list = append(list, Of(one))
	}
	for b.Loop() {
		s := All()
		for _, one := range list {
			s = s.Minus(one)
		}
	}
}
