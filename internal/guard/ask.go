package guard

import (
	"cmp"
	"fmt"
	"net/netip"

	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// kind is what a packet is of, to a party.
type kind uint8

const (
	liveIn           kind = iota // the next packet of the connection
	liveOut                      // its answer
	newIn                        // the first packet of a new connection
	newOut                       // its answer
	newGoesOn                    // the packet after that
	newAnswers                   // and what the server says then
	solicitationIn               // somebody on the link looks for this host
	advertisementOut             // this host answers
	solicitationOut              // this host looks for its neighbour
	advertisementIn              // it answers
)

// isOut reports whether this host sends the packet.
func (k kind) isOut() bool {
	return k == liveOut || k == newOut || k == newAnswers || k == advertisementOut || k == solicitationOut
}

// isDiscovery reports whether it is a packet of IPv6's neighbour discovery.
func (k kind) isDiscovery() bool { return k >= solicitationIn }

// ask is a packet of a party that has to get through.
type ask struct {
	kind
	packet packet.Packet
	// client and wire are what the client sends from and to.
	client, wire netip.AddrPort
	// noWay says that this host has no route by which to send it.
	noWay bool
}

// way is the packet's way.
func (a *ask) way() simulate.Way {
	if a.isOut() {
		return simulate.Out
	}
	return simulate.In
}

// asks are the packets that have to get through, by connection and in the order in
// which each is needed for the next; rest are those of the link. What connection
// tracking knows of them, and where answers come from, is not in them yet: see flow.
type asks struct {
	live  []*ask // of the connection, the client first
	begun []*ask // the same, the server first
	fresh []*ask // of a new one, from party.freshPort
	rest  []*ask
}

// TCP's flags as questions name them.
const (
	flagsSYN    = "SYN"
	flagsSYNACK = "SYN,ACK"
	flagsACK    = "ACK"
	flagsData   = "PSH,ACK"
)

// asks are the party's packets. They are made once.
func (p *party) asks() *asks {
	if p.made != nil {
		return p.made
	}
	if p.made = p.tunnelAsks(); p.made != nil {
		return p.made
	}
	list := &asks{}
	if p.Live {
		list.live = []*ask{
			p.segment(liveIn, flagsACK), p.segment(liveIn, flagsData), p.segment(liveOut, flagsACK), p.segment(liveOut, flagsData),
		}
		list.begun = []*ask{list.live[3], list.live[2], list.live[0], list.live[1]}
	}
	next, port := *p, p.freshPort()
	next.From, next.Client = netip.AddrPortFrom(p.From.Addr(), port), netip.AddrPortFrom(p.Client.Addr(), port)
	list.fresh = []*ask{
		next.segment(newIn, flagsSYN), next.segment(newOut, flagsSYNACK), next.segment(newGoesOn, flagsACK),
		next.segment(newGoesOn, flagsData), next.segment(newAnswers, flagsACK), next.segment(newAnswers, flagsData),
	}
	p.wrong = cmp.Or(p.wrong, next.wrong)
	if p.discovers {
		list.rest = p.discoveries()
	}
	p.made = list
	return list
}

// fresh are the packets of a new connection from one of the client's ports.
func (p *party) fresh(port uint16) (list []*ask) {
	for _, a := range p.asks().fresh {
		b := *a
		b.client = netip.AddrPortFrom(a.client.Addr(), port)
		if a.isOut() {
			b.packet.Transport.Dst = port
		} else {
			b.packet.Transport.Src = port
		}
		list = append(list, &b)
	}
	return list
}

// segment is a packet of the connection, or of a new one from the same client to
// the same port.
func (p *party) segment(k kind, flags string) *ask {
	client, from, to := p.From, p.From, p.Wire
	if k.isOut() {
		from, to = p.Client, p.Server
	}
	if from.Port() == 0 && hasPorts(p.Proto) { // of a mosh client that nobody tracks
		client = netip.AddrPortFrom(client.Addr(), question.FreePort)
		from = netip.AddrPortFrom(from.Addr(), question.FreePort)
	}
	if k.isOut() {
		from, to = to, from
	}
	a := p.make(k, p.words(from, to, flags))
	a.client, a.wire = client, p.Wire
	return a
}

// discoveries are the packets by which this host and its neighbour find each
// other on an IPv6 link (RFC 4861, sections 4.3 and 4.4). A router asks from its
// link-local address, and so does a client that checks whether this host is still
// there; when it has something to send it asks from the address that it sends from.
func (p *party) discoveries() (list []*ask) {
	here, there := p.Server.Addr(), p.neighbour
	list = append(list, p.discovery(solicitationIn, linkLocal(there), solicited(here), "neighbour-solicitation"))
	if there == p.From.Addr() && !there.IsLinkLocalUnicast() {
		list = append(list, p.discovery(solicitationIn, there, solicited(here), "neighbour-solicitation"))
	}
	return append(list,
		p.discovery(advertisementOut, here, there, "neighbour-advertisement"),
		p.discovery(solicitationOut, here, solicited(there), "neighbour-solicitation"),
		p.discovery(advertisementIn, there, here, "neighbour-advertisement"))
}

func (p *party) discovery(k kind, from, to netip.Addr, what string) *ask {
	return p.make(k, fmt.Sprintf("icmpv6 %s -> %s type %s ttl 255 state UNTRACKED", from, to, what))
}

// linkLocal is an address on the link: the neighbour's own, or one in the place
// of that which is not known.
func linkLocal(a netip.Addr) netip.Addr {
	if a.IsLinkLocalUnicast() {
		return a
	}
	b := a.As16()
	copy(b[:8], []byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0})
	return netip.AddrFrom16(b)
}

// solicited is the solicited-node multicast address of an address: ff02::1:ff
// and its last three bytes (RFC 4291, section 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	out := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(out[13:], b[13:])
	return netip.AddrFrom16(out)
}

// make makes the packet that a question describes, on the party's interfaces.
func (p *party) make(k kind, words string) *ask {
	hook := rule.Input
	if k.isOut() {
		hook = rule.Output
	}
	a := &ask{kind: k}
	q, err := question.Parse(words+" hook "+hook.Chain(), question.Options{Family: p.family()})
	if err != nil {
		p.wrong = err
		return a
	}
	a.packet = q.Packet
	o := &a.packet
	o.Hook, o.Host = hook, p.facts
	if p.isUntold() {
		p.leaveOut(k, o)
	}
	if k.isOut() {
		o.Out, o.HiddenOut, o.In, o.HiddenIn = p.back, p.back == "", "", false
		p.madeHere(k, o)
	} else {
		o.In, o.HiddenIn, o.Out, o.HiddenOut = p.device, p.device == "", "", false
	}
	return a
}

// madeHere tells of a packet what this host gives to all that it makes.
func (p *party) madeHere(k kind, o *packet.Packet) {
	if k.isDiscovery() {
		return
	}
	if m := p.mark(); m != 0 {
		o.Mark, o.Known = m, o.Known|packet.KnowMark
	}
	if p.byRoot { // user and group are 0
		o.Known |= packet.KnowOwner
	}
	if p.hops > 0 {
		o.TTL, o.Known = p.hops, o.Known|packet.KnowTTL
	}
}
