package netdb

import "net/netip"

// Network is the address of an IPv4 network by its name or alias in
// /etc/networks; its mask is not known there.
func (d *DB) Network(name string) (netip.Addr, bool) {
	d.loadNetworks()
	for i := range d.networks {
		if d.networks[i].has(name) {
			return d.networks[i].addr, true
		}
	}
	return netip.Addr{}, false
}
