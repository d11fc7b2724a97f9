package guard

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/session"
)

// party is somebody who has to get through: who holds a connection, or may open
// one.
type party struct {
	session.Session
	// Wire is the address and port that the client sends to; those of Server
	// unless this host translates them.
	Wire netip.AddrPort
	// From is where the client's packets come from, before this host translates it.
	From netip.AddrPort
	// entry is what asks for its protection; nil for the caller's own connection.
	entry *Protected

	tracked host.Tracked // its connection; meaningless unless isTracked
	// isTracked says that connection tracking knows the connection.
	isTracked bool
	// untold says that it could not be asked.
	untold bool
	// strict says that connection tracking takes up no connection in its midst.
	strict bool

	device    string     // the interface of both directions; "" if it is not known
	byRoot    bool       // the server's socket is root's, which match owner sees in answers
	hops      uint8      // that answers begin with; 0 if it is not known
	routed    bool       // a router lies between this host and the client
	neighbour netip.Addr // whom the link has to find: the gateway or the client
	discovers bool       // the link finds its neighbours by ICMPv6
	facts     *facts
	outline   []packet.Packet // what a rule may see of it, see outlines
	wrong     error           // its packets cannot be described
}

// family is the family of the party's packets.
func (p *party) family() rule.Family {
	return familyOf(p.Client.Addr())
}

func familyOf(a netip.Addr) rule.Family {
	if a.Is4() {
		return rule.IPv4
	}
	return rule.IPv6
}

// newParty looks up what the kernel knows of a connection.
func newParty(s session.Session) (*party, error) {
	way, ok, err := host.WayTo(s.Client.Addr(), s.Server.Addr()) // a zone says by which link
	s.Client, s.Server = plain(s.Client), plain(s.Server)
	p := &party{Session: s, Wire: s.Server, From: s.Client, facts: &facts{here: s.Server.Addr()}}
	if err != nil {
		return nil, err
	}
	if ok {
		p.device, p.neighbour, p.routed = way.Interface, way.Gateway, way.Gateway.IsValid()
		if !p.neighbour.IsValid() {
			p.neighbour = s.Client.Addr()
		}
		p.discovers = p.family() == rule.IPv6 && !way.NoNeighbours
	}
	p.strict = setting("net/netfilter/nf_conntrack_tcp_loose") == "0"
	if hops, err := strconv.ParseUint(setting("net/ipv4/ip_default_ttl"), 10, 8); err == nil && p.family() == rule.IPv4 {
		p.hops = uint8(hops)
	}
	if s.Live {
		p.track()
		socket, found, err := host.FindSocket(s.Proto, s.Server, s.Client)
		p.byRoot = found && err == nil && socket.UID == 0
	}
	p.outline = p.outlines()
	return p, p.wrong
}

// plain is an address as rules see it: without a zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// listens reports whether the program behind the server's port takes connections
// at another address and port, too. It is asked only where a translation leads to.
func (p *party) listens(at netip.AddrPort) bool {
	if own, err := host.Owns(at.Addr()); err != nil || !own {
		return false
	}
	list, err := host.Listeners()
	if err != nil {
		return false
	}
	program := func(to netip.AddrPort) string {
		for i := range list {
			if list[i].Takes(p.Proto, to.Addr(), to.Port()) {
				return list[i].Program
			}
		}
		return ""
	}
	name := program(at)
	return name != "" && name == program(p.Server)
}

// track asks connection tracking. The server's answer is looked up, since the
// socket has the addresses that answers have before they are translated back.
func (p *party) track() {
	t, found, err := host.Track(p.Proto, p.Server, p.Client)
	p.tracked, p.isTracked, p.untold = t, found, err != nil
	if !found {
		return
	}
	c := &p.tracked.Connection
	in := c.Original // of a packet of the client
	if !t.Reply {
		in = c.ReplyTuple
	}
	p.From = netip.AddrPortFrom(in.Src, in.SrcPort)
	p.Wire = netip.AddrPortFrom(in.Dst, in.DstPort)
}

// setting reads one of sysctl(8); "" if there is none.
func setting(path string) string {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// outlines are the party's packets with nothing told that may differ between
// them: flags, state, marks. A rule that matches none of them for
// certain does not matter to the party.
func (p *party) outlines() (list []packet.Packet) {
	asks := p.asks()
	for _, a := range slices.Concat(asks.live, asks.fresh, asks.rest) {
		list = append(list, outlineOf(a))
	}
	if p.Wire != p.Server || p.From != p.Client { // as it is behind the translation, both ways
		behind := *p
		behind.Wire, behind.From, behind.isTracked, behind.discovers = p.Server, p.Client, false, false
		asks := behind.asks()
		for _, a := range slices.Concat(asks.live, asks.fresh) {
			list = append(list, outlineOf(a))
		}
	}
	return list
}

// outlineOf takes from a packet what other packets of its connection do not share.
func outlineOf(a *ask) packet.Packet {
	o := a.packet
	o.Known &= packet.KnowPorts | packet.KnowICMP | packet.KnowFragment | packet.KnowExtensions | packet.KnowPacketType
	return o
}
