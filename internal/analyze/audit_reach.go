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
const reachTries = 4

// reaches reports whether any packet comes to a visit and matches. Nearly every
// rule has one that is found by trying.
func (f *rollout) reaches(v *visit) bool {
	for range min(reachTries, reachTries*len(v.boxes)) {
		p := f.point()
		b := &v.boxes[f.random.IntN(len(v.boxes))]
		if b.Sample(&p, f.random) && f.index.First(&p, int(v.first)) < 0 {
			return true
		}
	}
	first := func(p *space.Point) int32 { return int32(f.index.First(p, int(v.first))) }
	v.cover = nil
	for i := range v.boxes {
		cover, ok := f.chase(&v.boxes[i], first)
		if !ok {
			if _, some := f.leftOf(&v.boxes[i], v.first); some {
				return true
			}
			cover = f.earlier(&v.boxes[i], v.first)
		} else if len(cover) > 0 && cover[len(cover)-1] < 0 {
			return true
		}
		v.cover = append(v.cover, f.reduced(&v.boxes[i], cover)...)
	}
	return false
}

// maxChase is how many takes are chased before all are looked at at once.
const maxChase = 256

// chase collects takes that cover a box: a packet of it that is not covered yet
// leads to the take that first gives it. A packet to which first gives none (-1)
// ends the chase, and -1 ends the list. False if that did not come to an
// end: masked comparisons can hide packets, and takes may be too many.
func (f *rollout) chase(b *space.Box, first func(*space.Point) int32) (cover []int32, ok bool) {
	var boxes []*space.Box
	for len(cover) < maxChase {
		var left space.Box
		if b.Subtract(boxes, func(one space.Box) bool { left = one; return false }) {
			return cover, true
		}
		p := f.point()
		if !left.Sample(&p, f.random) {
			return nil, false
		}
		t := first(&p)
		cover = append(cover, t)
		if t < 0 {
			return cover, true
		}
		boxes = append(boxes, f.takes[t])
	}
	return nil, false
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
func (f *rollout) point() space.Point {
	p := naturalPoint(f.s.Family, f.random)
	f.place(&p)
	return p
}

// plainPoint is the packet that examples are made of first, the same each time.
func (f *rollout) plainPoint() space.Point {
	p := naturalPoint(f.s.Family, rand.New(rand.NewPCG(0, 0)))
	src, dst := netip.AddrFrom4([4]byte{203, 0, 113, 7}), netip.AddrFrom4([4]byte{198, 51, 100, 2})
	if f.s.Family == rule.IPv6 {
		src, dst = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, 15: 7}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: 2})
	}
	p.At[space.Src], p.At[space.Dst] = space.AddrNumber(src), space.AddrNumber(dst)
	p.At[space.Proto], p.At[space.DPort] = space.Num(packet.ProtoTCP), space.Num(80)
	f.place(&p)
	return p
}

// place gives a packet the host's own interfaces, if they were told.
func (f *rollout) place(p *space.Point) {
	for _, name := range f.s.interfaces {
		if name != "lo" {
			p.At[space.In] = space.NameNumber(name)
			break
		}
	}
	for _, name := range slices.Backward(f.s.interfaces) {
		if name != "lo" {
			p.At[space.Out] = space.NameNumber(name)
			break
		}
	}
}

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
// the order of the walk. The visit must be one that nothing reaches, and that
// was asked for.
func (f *rollout) takers(v *visit) []int32 {
	visits := make([]int32, len(v.cover))
	for i, t := range v.cover {
		visits[i] = f.owner[t]
	}
	slices.Sort(visits)
	return slices.Compact(visits)
}

// maxReduce is up to how many takes a cover is made smaller.
const maxReduce = 48

// reduced is takes that cover a box without those that the others can stand in
// for: the later ones are left out first.
func (f *rollout) reduced(b *space.Box, cover []int32) []int32 {
	slices.Sort(cover)
	for i := len(cover) - 1; i >= 0 && len(cover) <= maxReduce; i-- {
		without := slices.Delete(slices.Clone(cover), i, i+1)
		if b.Subtract(f.boxesOf(without), func(space.Box) bool { return false }) {
			cover = without
		}
	}
	return cover
}
