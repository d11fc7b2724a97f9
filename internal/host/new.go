package host

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
)

// New makes the facts of a host by hand: interfaces with addresses, and routes
// beyond those that the kernel makes of them, which are added: each address is
// local, its network on the link, and IPv4's broadcast addresses are such.
// Interfaces that are not up have no routes. There are no sets, and a route
// without a table is in the main one.
func New(interfaces []Interface, routes ...Route) *Facts {
	f := &Facts{Interfaces: interfaces, SetsTold: true}
	for i := range interfaces {
		if dev := &interfaces[i]; dev.Up {
			for n := range dev.Addresses {
				f.Routes = append(f.Routes, dev.Addresses[n].routes(dev)...)
			}
			if !dev.Loopback {
				f.Routes = append(f.Routes, Route{
					Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8), Table: LocalTable,
					Type: packet.AddressMulticast, Metric: 256, Hops: dev.hop(),
				})
			}
		}
	}
	for _, r := range routes {
		if r.Table == 0 {
			r.Table = MainTable
		}
		r.Prefix = r.Prefix.Masked()
		f.Routes = append(f.Routes, r)
	}
	return f
}

func (i *Interface) hop() []Hop { return []Hop{{Interface: i.Name}} }

// routes are those that the kernel makes of an address.
func (a *Address) routes(dev *Interface) []Route {
	ip, network := a.Prefix.Addr(), a.network()
	own := Route{Prefix: netip.PrefixFrom(ip, ip.BitLen()), Table: LocalTable, Type: packet.AddressLocal, Hops: dev.hop()}
	if ip.Is6() {
		if dev.Loopback {
			return []Route{own}
		}
		return []Route{own, {Prefix: network, Table: MainTable, Type: packet.AddressUnicast, Metric: 256, Hops: dev.hop()}}
	}
	list := []Route{own}
	switch {
	case dev.Loopback:
		list = append(list, Route{Prefix: network, Table: LocalTable, Type: packet.AddressLocal, Hops: dev.hop()})
	case network.Bits() < ip.BitLen():
		list = append(list, Route{Prefix: network, Table: MainTable, Type: packet.AddressUnicast, Hops: dev.hop()})
	}
	if b := a.broadcast(network); b.IsValid() {
		list = append(list, Route{Prefix: netip.PrefixFrom(b, b.BitLen()), Table: LocalTable, Type: packet.AddressBroadcast, Hops: dev.hop()})
	}
	return list
}

// broadcast is the broadcast address: the last of a network of more than two,
// unless another was set.
func (a *Address) broadcast(network netip.Prefix) netip.Addr {
	if a.Broadcast.IsValid() || network.Bits() >= 31 {
		return a.Broadcast
	}
	return rule.LastAddr(network)
}
