package space

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"moat/internal/rule"
)

// small are dimensions of every kind, with points that lie in, beside and far
// from the sets that the tests make.
var small = []Dim{Src, In, Proto, DPort, Mark}

// randomValues makes a set whose ends lie near those of others.
func randomValues(d Dim, r *rand.Rand) Values {
	var v Values = None(d, false)
	for range 1 + r.IntN(3) {
		lo := r.IntN(9)
		hi := lo + r.IntN(3)
		if d == Src {
			v = Or(v, Addrs(AddrOf(Num(lo), rule.IPv4), AddrOf(Num(hi), rule.IPv4)))
		} else {
			v = Or(v, Span(d, Num(lo), Num(hi)))
		}
	}
	if r.IntN(4) == 0 {
		v = Complement(d, v)
	}
	return v
}

// randomBox makes a box that is bounded in some dimensions, and has atoms.
func randomBox(r *rand.Rand) (Box, bool) {
	var b Box
	ok := true
	for _, d := range small {
		if r.IntN(2) == 0 && ok {
			b, ok = b.With(d, randomValues(d, r))
		}
	}
	for _, a := range []Atom{{Text: "a"}, {Text: "b"}, {Text: "odd", Dim: Mark, Mask: Num(1), Value: Num(1)}, {Text: "two", Dim: Mark, Mask: Num(6), Value: Num(2)}} {
		if r.IntN(5) == 0 && ok {
			b, ok = b.WithLiteral(Literal{a, r.IntN(2) == 0})
		}
	}
	return b, ok
}

func randomSet(r *rand.Rand) (Set, []Box) {
	var list []Box
	for range r.IntN(5) {
		if b, ok := randomBox(r); ok {
			list = append(list, b)
		}
	}
	return Union(list...), list
}

func randomPoint(r *rand.Rand) *Point {
	p := &Point{True: map[Atom]bool{{Text: "a"}: r.IntN(2) == 0, {Text: "b"}: r.IntN(2) == 0}}
	for _, d := range small {
		p.At[d] = Num(r.IntN(13))
		if r.IntN(20) == 0 {
			p.At[d] = Num([...]uint64{255, 65535, 1<<32 - 1}[r.IntN(3)])
		}
	}
	if p.At[Proto].Lo > 255 {
		p.At[Proto] = Num(255)
	}
	if p.At[DPort].Lo > 65535 {
		p.At[DPort] = Num(65535)
	}
	return p
}

func hasAny(list []Box, p *Point) bool {
	for i := range list {
		if list[i].Has(p) {
			return true
		}
	}
	return false
}

// TestOperationsOnPoints compares every operation with what it means for single
// packets, and holds boxes of a set to be disjoint.
func TestOperationsOnPoints(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 2))
	points := 0
	for range 2200 {
		s, sBoxes := randomSet(r)
		u, uBoxes := randomSet(r)
		covers, equal, meets := s.Covers(u), s.Equal(u), s.Meets(u)
		and, or, minus, not, compact := s.And(u), s.Or(u), s.Minus(u), s.Not(), s.Or(u).Compact()
		for range 50 {
			points++
			p := randomPoint(r)
			inS, inU := hasAny(sBoxes, p), hasAny(uBoxes, p)
			for _, c := range []struct {
				name string
				set  Set
				want bool
			}{
				{"union", s, inS}, {"and", and, inS && inU}, {"or", or, inS || inU}, {"minus", minus, inS && !inU},
				{"not", not, !inS}, {"compact", compact, inS || inU},
			} {
				n := 0
				for i := range c.set.boxes {
					if c.set.boxes[i].Has(p) {
						n++
					}
				}
				if n > 1 || (n == 1) != c.want {
					t.Fatalf("%s of\n%+v and\n%+v\nis %+v:\npoint %+v is in %d boxes, want %v", c.name, sBoxes, uBoxes, c.set, p, n, c.want)
				}
			}
			if covers && inU && !inS || equal && inU != inS || !meets && inU && inS {
				t.Fatalf("%v and %v: covers %v, equal %v, meets %v, but point %+v in %v and %v", s, u, covers, equal, meets, p, inS, inU)
			}
		}
	}
	if points < 100_000 {
		t.Errorf("only %d points", points)
	}
}

// TestSamples holds points of a set to lie in it, and empty sets to be known as such.
func TestSamples(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 3))
	failed := 0
	for range 1500 {
		s, _ := randomSet(r)
		for i := range s.boxes {
			p := randomPoint(r)
			switch {
			case !s.boxes[i].Sample(p, r):
				failed++
			case !s.Has(p):
				t.Fatalf("point %+v is not in %+v", p, s.boxes[i])
			}
		}
		if d := s.Minus(s); !d.IsEmpty() {
			t.Fatalf("%+v less itself is %+v", s, d)
		}
		if !s.Not().Not().Equal(s) {
			t.Fatalf("not not %+v is not the same", s)
		}
	}
	if failed > 200 {
		t.Errorf("%d boxes gave no point", failed)
	}
}

// TestHolesStayOneBox is the shape that a blocked address list has.
func TestHolesStayOneBox(t *testing.T) {
	t.Parallel()
	s := All()
	for i := range 10000 {
		a := AddrOf(Num(i*77), rule.IPv4)
		b, _ := Box{}.With(Src, Addrs(a, a))
		s = s.Minus(Of(b))
	}
	if len(s.boxes) != 1 || Count(s.boxes[0].Values(Src)) != 10000 {
		t.Errorf("%d boxes, %d intervals", len(s.boxes), Count(s.boxes[0].Values(Src)))
	}
}

// TestNames holds names and patterns to what iptables takes them for.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"eth0", "eth0", true}, {"eth0", "eth01", false}, {"eth0", "eth", false}, {"eth0", "", false},
		{"eth+", "eth", true}, {"eth+", "eth0", true}, {"eth+", "ethernet-1234567", true}, {"eth+", "et", false},
		{"eth+", "eti", false}, {"eth+", "", false}, {"+", "", true}, {"+", "lo", true}, {"", "", true},
		{"123456789012345", "123456789012345", true}, {"12345678901234+", "123456789012345", true},
	} {
		if got := Has(Names(c.pattern), NameNumber(c.name)); got != c.want {
			t.Errorf("%q means %q: %v", c.pattern, c.name, got)
		}
		if got := NameOf(NameNumber(c.name)); len(c.name) < 16 && got != c.name {
			t.Errorf("%q became %q", c.name, got)
		}
	}
}

// TestMasked compares masked conditions with what they mean.
func TestMasked(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		some, more := r.Uint32(), r.Uint32()
		mask := Num(some | more)
		value := Num(r.Uint32())
		if r.IntN(10) > 0 {
			value = value.And(mask)
		}
		v, ok := Masked(Mark, value, mask, false)
		if !ok {
			continue
		}
		for range 100 {
			n := Num(r.Uint32())
			if r.IntN(2) == 0 {
				n = n.And(mask.Not()).Or(value)
			}
			if got, want := Has(v, n), n.And(mask) == value; got != want {
				t.Fatalf("%v/%v of %v: %v", value, mask, n, got)
			}
		}
	}
	if _, ok := Masked(Mark, Num(1), Num(1), false); ok {
		t.Error("2^31 intervals")
	}
	prefix, ok := Masked(Src, AddrNumber(netip.MustParseAddr("2001:db8::")), Number{Hi: 0xffffffff_00000000}, true)
	if !ok || Count(prefix) != 1 || !Has(prefix, AddrNumber(netip.MustParseAddr("2001:db8:ffff::1"))) {
		t.Errorf("2001:db8::/32 is %v", prefix)
	}
}
