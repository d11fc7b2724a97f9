package guard

import (
	"cmp"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/question"
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
	// tunnel is what it carries, and how; nil for a connection that counts by itself.
	tunnel *tunnel

	// tracked are its connections in connection tracking: one for each zone in which
	// it is known; none for one that is not.
	tracked []host.Tracked
	// hungry says of those which have missed packets, with the rules as they are.
	hungry []bool
	// taken are the entries that it gets with the rules as they are; none before they
	// were tried.
	taken []entry
	// zoned says that rules give packets to zones of connection tracking.
	zoned bool
	// untold says that it could not be asked.
	untold bool
	// strict says that connection tracking takes up no connection in its midst.
	strict bool
	// liberal says that it finds no packet of TCP out of its window.
	liberal bool

	device    string     // the interface by which the client is reached; "" if it is not known
	kind      string     // of that interface, see host.Way
	back      string     // that to which answers go before they are translated; "" if it is not known
	byRoot    bool       // the server's socket is root's, which match owner sees in answers
	hops      uint8      // that answers begin with; 0 if it is not known
	routed    bool       // a router lies between this host and the client
	neighbour netip.Addr // whom the link has to find: the gateway or the client
	discovers bool       // the link finds its neighbours by ICMPv6
	facts     *facts
	made      *asks           // see asks
	outline   []packet.Packet // what a rule may see of it, see outlines
	// anyPort are those of new connections with the client's port not told: those
	// that come in, and answers.
	anyPort [2][]packet.Packet
	runs    []ports // of the client's ports that rules tell apart; none: all are alike
	wrong   error   // its packets cannot be described
}

// family is the family of the party's packets.
func (p *party) family() rule.Family {
	return familyOf(p.Server.Addr())
}

func familyOf(a netip.Addr) rule.Family {
	if a.Is4() {
		return rule.IPv4
	}
	return rule.IPv6
}

// newParty looks up what the kernel knows of a connection.
func newParty(s session.Session) (*party, error) { return makeParty(s, nil) }

func makeParty(s session.Session, t *tunnel) (*party, error) {
	linked := s // with zones, which say by which link
	s.Client, s.Server = plain(s.Client), plain(s.Server)
	p := &party{Session: s, tunnel: t, Wire: s.Server, From: s.Client, facts: &facts{here: s.Server.Addr()}}
	p.strict = setting("net/netfilter/nf_conntrack_tcp_loose") == "0"
	p.liberal = setting("net/netfilter/nf_conntrack_tcp_be_liberal") == "1"
	if s.Live {
		p.track()
		socket, found, err := host.FindSocket(s.Proto, s.Server, s.Client)
		p.byRoot = found && err == nil && socket.UID == 0
	}
	if err := p.findWay(linked.Client.Addr(), linked.Server.Addr()); err != nil {
		return nil, err
	}
	if hops, err := strconv.ParseUint(setting("net/ipv4/ip_default_ttl"), 10, 8); err == nil && p.family() == rule.IPv4 && t == nil {
		p.hops = uint8(hops)
	}
	p.outline = p.outlines()
	return p, p.wrong
}

// findWay finds how the client is reached from the server's address, both as the
// socket has them.
func (p *party) findWay(client, server netip.Addr) error {
	if p.isUntold() {
		return p.findAnyWay()
	}
	back, ok, err := host.WayBy(client, server, p.mark())
	if err != nil {
		return err
	}
	p.back = back.Interface
	way := back
	if p.From.Addr() != p.Client.Addr() { // answers are translated before they leave
		if way, ok, err = host.WayTo(p.From.Addr(), netip.Addr{}); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	p.device, p.kind, p.neighbour, p.routed = way.Interface, way.Kind, way.Gateway, way.Gateway.IsValid()
	if !p.neighbour.IsValid() {
		p.neighbour = p.From.Addr()
	}
	p.discovers = p.family() == rule.IPv6 && !way.NoNeighbours
	return nil
}

// wayOut is the interface to which this host sends what it makes for an address;
// "" if it is not known. none says that there is no way.
func (p *party) wayOut(to, from netip.Addr) (device string, none bool) {
	way, found, err := host.WayTo(to, from)
	if err != nil {
		return "", false
	}
	return way.Interface, !found
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
// socket has the addresses that answers have before they are translated back. It
// is in the default zone, mostly.
func (p *party) track() {
	t, found, err := host.Track(p.Proto, p.Server, p.Client, 0)
	p.untold = err != nil
	switch {
	case err != nil:
	case found:
		p.tracked = []host.Tracked{t}
	case setting("net/netfilter/nf_conntrack_count") != "0": // the look-up that remains takes its time
		p.trackAll(p.Server, p.Client)
	}
	if len(p.tracked) == 0 {
		return
	}
	c := &p.tracked[0].Connection
	in := c.Original // of a packet of the client
	if !p.tracked[0].Reply {
		in = c.ReplyTuple
	}
	p.From = netip.AddrPortFrom(in.Src, in.SrcPort)
	p.Wire = netip.AddrPortFrom(in.Dst, in.DstPort)
}

// trackAll asks for the connections in all zones of which packets from one end to
// the other are replies.
func (p *party) trackAll(from, to netip.AddrPort) {
	list, err := host.TrackAnswered(p.Proto, from, to)
	p.untold = p.untold || err != nil
	for i := range list {
		list[i].Reply = from == p.Server // as seen by answers
		p.know(&list[i])
	}
}

// know adds an entry of connection tracking, once.
func (p *party) know(t *host.Tracked) {
	same := func(have host.Tracked) bool {
		return have.Connection.Original == t.Connection.Original && have.Connection.Zones == t.Connection.Zones
	}
	if !slices.ContainsFunc(p.tracked, same) {
		p.tracked = append(p.tracked, *t)
	}
}

// trackIn asks for the connection in the zones that rules name, any if a mark may
// do so.
func (p *party) trackIn(zones []uint16, anyZone bool) {
	p.zoned = anyZone || len(zones) > 0
	switch {
	case !p.Live || !p.zoned:
		return
	case anyZone:
		p.trackAll(p.Server, p.Client)
		p.trackAll(p.From, p.Wire)
		return
	}
	for _, zone := range append(zones, 0) {
		p.trackBoth(zone)
	}
}

// trackBoth asks for the connections of answers and of the client's packets in a
// zone: there may be one of each, if they meet in it only one way.
func (p *party) trackBoth(zone uint16) {
	for _, ends := range [...][2]netip.AddrPort{{p.Server, p.Client}, {p.From, p.Wire}} {
		t, found, err := host.Track(p.Proto, ends[0], ends[1], zone)
		p.untold = p.untold || err != nil
		if !found || err != nil {
			continue
		}
		if ends[0] == p.From {
			t.Reply = !t.Reply
		}
		p.know(&t)
	}
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
	for _, a := range asks.rest {
		list = append(list, outlineOf(a))
	}
	for _, client := range each(p.From, p.Client) { // as they are before each translation, and after it
		for _, server := range each(p.Wire, p.Server) {
			q := *p
			q.From, q.Client, q.Wire, q.Server, q.discovers, q.made = client, client, server, server, false, nil
			if p.From == p.Client && p.Wire == p.Server { // nothing is translated
				q.made = asks
			}
			for _, a := range q.asks().live {
				list = append(list, outlineOf(a))
			}
			list = append(list, q.freshOutlines()...)
			p.anyPort, p.wrong = q.anyPort, cmp.Or(p.wrong, q.wrong)
		}
	}
	return list
}

// each is both, or one if they are the same.
func each(a, b netip.AddrPort) []netip.AddrPort {
	if a == b {
		return []netip.AddrPort{a}
	}
	return []netip.AddrPort{a, b}
}

// freshOutlines are those of new connections, which it notes in anyPort, too.
func (p *party) freshOutlines() (list []packet.Packet) {
	for _, a := range p.asks().fresh {
		o := outlineOf(a)
		list = append(list, o)
		if p.freshPort() != question.FreePort { // it has no other
			continue
		}
		if a.kind == newIn {
			o.Known, o.Transport.Src = o.Known&^packet.KnowSrcPort, 0
			p.anyPort[0] = append(p.anyPort[0], o)
		}
		if a.kind == newOut {
			o.Known, o.Transport.Dst = o.Known&^packet.KnowDstPort, 0
			p.anyPort[1] = append(p.anyPort[1], o)
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
