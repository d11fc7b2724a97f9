package judge

import (
	"net/netip"
	"slices"
	"strings"

	"moat/internal/packet"
	"moat/internal/rule"
)

// facts is what the simulator is told of the host: written from links, routes
// and elements, not asked of the kernel.
type facts struct{ sets [][2]string }

// Types of addresses, RTN_* of linux/rtnetlink.h.
const (
	typeUnicast     = 1
	typeLocal       = 2
	typeBroadcast   = 3
	typeMulticast   = 5
	typeBlackhole   = 6
	typeUnreachable = 7
)

// AddressType tells broadcasts only of IPv4, which alone has them.
func (facts) AddressType(a netip.Addr, dev string) (packet.AddressType, bool) {
	if a.IsMulticast() {
		return typeMulticast, true
	}
	if a.IsLoopback() && (dev == "" || dev == "lo") {
		return typeLocal, true
	}
	for _, k := range links {
		for _, text := range k.addrs {
			own := netip.MustParsePrefix(text)
			switch {
			case own.Addr() == a && (dev == "" || dev == k.name):
				return typeLocal, true
			case a.Is4() && own.Addr().Is4() && lastOf(own) == a && (dev == "" || dev == k.name):
				return typeBroadcast, true
			}
		}
	}
	out, blackhole := outOf(a)
	switch {
	case blackhole && dev == "":
		return typeBlackhole, true
	case out == "", dev != "" && dev != out:
		return typeUnreachable, true
	}
	return typeUnicast, true
}

// lastOf is the last address of a prefix of IPv4: its broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// outOf is the interface by which the host reaches an address; "" for none.
func outOf(a netip.Addr) (dev string, blackhole bool) {
	for _, k := range links {
		for _, text := range k.addrs {
			if netip.MustParsePrefix(text).Contains(a) {
				dev = k.name
			}
		}
	}
	for _, r := range routes { // none lies within another, but 10.9.0.0/16 stands alone
		if netip.MustParsePrefix(r.To).Contains(a) {
			dev, blackhole = r.Dev, r.Blackhole
		}
	}
	return dev, blackhole
}

func (f facts) isLocal(a netip.Addr) bool {
	t, _ := f.AddressType(a, "")
	return t == typeLocal || t == typeBroadcast
}

func (f facts) ReversePath(src netip.Addr, dev string, loose bool) (ok, known bool) {
	t, _ := f.AddressType(src, "")
	if t != typeUnicast {
		return false, true
	}
	out, _ := outOf(src)
	return out != "" && (loose || out == dev), true
}

// InSet looks a packet up in the sets that makeSets has made.
func (f facts) InSet(set string, dirs []string, p *packet.Packet) (in, known bool) {
	for _, e := range f.sets {
		if e[0] == set && elementHas(e[1], dirs, p) {
			return true, true
		}
	}
	return false, true
}

// elementHas reports whether a packet is the element of a set: ADDRESS, PREFIX
// or ADDRESS,PROTO:PORT.
func elementHas(element string, dirs []string, p *packet.Packet) bool {
	addr, service, hasPort := strings.Cut(element, ",")
	if !strings.Contains(addr, "/") {
		addr += map[bool]string{false: "/128", true: "/32"}[p.Family == rule.IPv4]
	}
	side, port := p.Src, p.Transport.Src
	if dirs[0] == "dst" {
		side = p.Dst
	}
	if !netip.MustParsePrefix(addr).Contains(side) {
		return false
	}
	if !hasPort {
		return true
	}
	if dirs[1] == "dst" {
		port = p.Transport.Dst
	}
	protocols := map[string]uint8{"tcp:22": protoTCP, "udp:53": protoUDP, "tcp:443": protoTCP}
	ports := map[string]uint16{"tcp:22": 22, "udp:53": 53, "tcp:443": 443}
	return p.Proto == protocols[service] && port == ports[service] && p.Has(packet.KnowPorts)
}

func (facts) InterfaceAddress(dev string, f rule.Family, _ netip.Addr) (netip.Addr, bool) {
	if dev == "lo" {
		return map[rule.Family]netip.Addr{rule.IPv4: netip.AddrFrom4([4]byte{127, 0, 0, 1}), rule.IPv6: netip.IPv6Loopback()}[f], true
	}
	i := slices.IndexFunc(links[:], func(k link) bool { return k.name == dev })
	if i < 0 {
		return netip.Addr{}, true
	}
	for _, text := range links[i].addrs {
		if a := netip.MustParsePrefix(text).Addr(); a.Is4() == (f == rule.IPv4) {
			return a, true
		}
	}
	return netip.Addr{}, true
}

func (f facts) Route(p *packet.Packet) (packet.Route, bool) {
	if f.isLocal(p.Dst) || p.Dst.IsMulticast() {
		return packet.Route{Local: true}, true
	}
	out, blackhole := outOf(p.Dst)
	if blackhole {
		out = ""
	}
	return packet.Route{Out: out, OutGroup: groupOf(out)}, true
}
