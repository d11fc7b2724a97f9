package space

import "moat/internal/packet"

// PointOf is a packet as a point, all fields taken as told; no atom is true of it.
func PointOf(p *packet.Packet) Point {
	var x Point
	one := func(d Dim, n uint64) { x.At[d] = Number{Lo: n} }
	x.At[In], x.At[Out] = NameNumber(p.In), NameNumber(p.Out)
	if p.Src.IsValid() {
		x.At[Src] = AddrNumber(p.Src)
	}
	if p.Dst.IsValid() {
		x.At[Dst] = AddrNumber(p.Dst)
	}
	one(Proto, uint64(p.Proto))
	one(SPort, uint64(p.Transport.Src))
	one(DPort, uint64(p.Transport.Dst))
	one(ICMP, uint64(p.Transport.Type)<<8|uint64(p.Transport.Code))
	one(Flags, uint64(p.Transport.Flags))
	one(State, uint64(p.Connection.State))
	one(Status, uint64(p.Connection.Status)&dims[Status].max)
	one(Mark, uint64(p.Mark))
	one(ConnMark, uint64(p.Connection.Mark))
	one(TTL, uint64(p.TTL))
	one(TOS, uint64(p.TOS))
	one(Length, min(uint64(p.Length), dims[Length].max))
	one(PktType, uint64(p.PacketType))
	if p.Connection.Reply {
		one(Dir, 1)
	}
	if p.Fragment {
		one(Fragment, 1)
	}
	return x
}
