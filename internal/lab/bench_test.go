package lab

import "testing"

func BenchmarkNetns(b *testing.B) {
	for b.Loop() {
		l, err := Begin()
		if err != nil {
			b.Skip(err)
		}
		if _, err := l.Host("host"); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRouted(b *testing.B) {
	for b.Loop() {
		n, err := BeginRouted()
		if err != nil {
			b.Skip(err)
		}
		if err := n.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
