package question

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// presumed is the host of a question about a saved file: all that is known of
// it is what the question itself says. A packet to this host goes to one of its
// addresses, one from it has one of them as its source; loopback, multicast and
// the limited broadcast address are the same on every host.
type presumed struct {
	here netip.Addr // an address of the host; not valid for a packet that goes through
}

// presume gives the packet the host that its way tells of, until Settle gives it
// a real one.
func (q *Question) presume() {
	p := &q.Packet
	var h presumed
	switch {
	case q.Way == simulate.Out:
		h.here = p.Src
	case q.Way == simulate.In && (!p.Has(packet.KnowPacketType) || p.PacketType == packet.ToHost):
		h.here = p.Dst
	}
	p.Host = h
}

// AddressType knows no types by interface.
func (h presumed) AddressType(a netip.Addr, dev string) (packet.AddressType, bool) {
	switch {
	case dev != "" || !a.IsValid():
		return 0, false
	case a.IsMulticast():
		return packet.AddressMulticast, true
	case packet.IsLimitedBroadcast(a):
		return packet.AddressBroadcast, true
	case a == h.here, a.IsLoopback():
		return packet.AddressLocal, true
	}
	return 0, false
}

// ReversePath is not known.
func (presumed) ReversePath(netip.Addr, string, bool) (ok, known bool) { return false, false }

// InSet is not known.
func (presumed) InSet(string, []string, *packet.Packet) (in, known bool) { return false, false }

// InterfaceAddress is not known.
func (presumed) InterfaceAddress(string, rule.Family, netip.Addr) (netip.Addr, bool) {
	return netip.Addr{}, false
}

// Route is not known.
func (presumed) Route(*packet.Packet) (packet.Route, bool) { return packet.Route{}, false }
