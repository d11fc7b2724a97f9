package ext

import "moat/internal/packet"

// Forwarded notes what routing does to a packet that the host passes on,
// before chain FORWARD sees it: it has one hop less.
func Forwarded(p *packet.Packet) {
	if p.Has(packet.KnowTTL) {
		p.TTL--
	}
	rewritten(p, packet.KnowTTL)
}

// Rewritten brings a packet's bytes up to date with its addresses and ports.
func Rewritten(p *packet.Packet) {
	if p.Bytes != nil {
		rewriteBytes(p)
	}
}
