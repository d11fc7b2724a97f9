package analyze

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// reachTries is how many packets of a visit are tried before it is asked
// whether there are any at all.
const reachTries = 6

// reaches gives a packet that comes to a visit and matches; false if none does.
// Nearly every rule has one that is found by trying.
func (f *rollout) reaches(v *visit) (p space.Point, reached bool) {
	if len(v.boxes) == 0 {
		return p, false
	}
	for range reachTries {
		p = f.point()
		b := &v.boxes[f.random.IntN(len(v.boxes))]
		if b.Sample(&p, f.random) && f.index.First(&p, int(v.first)) < 0 {
			return p, true
		}
	}
	for i := range v.boxes {
		if left, some := f.leftOf(&v.boxes[i], v.first); some {
			p = f.point()
			left.Sample(&p, f.random)
			return p, true
		}
	}
	return p, false
}

// leftOf gives some of a box's packets that no take before number below has.
func (f *rollout) leftOf(b *space.Box, below int32) (left space.Box, some bool) {
	b.Subtract(f.boxesOf(f.earlier(b, below)), func(one space.Box) bool {
		left, some = one, true
		return false
	})
	return left, some
}

// point is a packet from somewhere to somewhere, for Sample to fit to a box.
func (f *rollout) point() space.Point { return naturalPoint(f.s.Family, f.random) }

// naturalPoint is a new connection's first packet, of one of the protocols that
// there is most of.
func naturalPoint(family rule.Family, r *rand.Rand) (p space.Point) {
	addr := func(last byte) space.Number {
		if family == rule.IPv6 {
			return space.AddrNumber(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(4)), 15: last}))
		}
		return space.AddrNumber(netip.AddrFrom4([...][4]byte{{203, 0, 113, last}, {198, 51, 100, last}, {192, 0, 2, last}}[r.IntN(3)]))
	}
	p.At[space.Src], p.At[space.Dst] = addr(byte(1+r.IntN(99))), addr(byte(100+r.IntN(99)))
	p.At[space.In], p.At[space.Out] = space.NameNumber("eth0"), space.NameNumber("eth1")
	p.At[space.Proto] = space.Num([...]uint8{6, 6, 17}[r.IntN(3)])
	p.At[space.SPort], p.At[space.DPort] = space.Num(50000), space.Num([...]uint16{80, 443, 22, 9999, 5001}[r.IntN(5)])
	p.At[space.Flags] = space.Num(2)
	p.At[space.State] = space.Num([...]packet.State{packet.New, packet.New, packet.New, packet.Established}[r.IntN(4)])
	p.At[space.TTL], p.At[space.Length] = space.Num(64), space.Num(60)
	return p
}

// takers are the rules that take all packets of a visit, as few as will do, in
// the order of the walk. The visit must be one that nothing reaches.
func (f *rollout) takers(v *visit) []int32 {
	var all []int32 // visits
	for i := range v.boxes {
		for _, t := range f.coverOf(&v.boxes[i], v.first) {
			all = append(all, f.owner[t])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxReduce is up to how many takes a cover is made smaller.
const maxReduce = 48

// coverOf is takes before number below that cover a box: a single one if there
// is one, otherwise those that take its packets, without those that others
// can stand in for.
func (f *rollout) coverOf(b *space.Box, below int32) []int32 {
	earlier := f.earlier(b, below)
	for _, t := range earlier {
		if f.takes[t].Covers(b) {
			return []int32{t}
		}
	}
	rest := space.Of(*b)
	var cover []int32
	for _, t := range earlier {
		take := space.Of(*f.takes[t])
		if !rest.Meets(take) {
			continue
		}
		cover = append(cover, t)
		if rest = rest.Minus(take); rest.IsEmpty() {
			break
		}
	}
	for i := len(cover) - 1; i >= 0 && len(cover) <= maxReduce; i-- {
		without := slices.Delete(slices.Clone(cover), i, i+1)
		if b.Subtract(f.boxesOf(without), func(space.Box) bool { return false }) {
			cover = without
		}
	}
	return cover
}
