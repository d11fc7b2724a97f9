package guard

import (
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
}

// way is the packet's way.
func (a *ask) way() simulate.Way {
	if a.isOut() {
		return simulate.Out
	}
	return simulate.In
}

// asks are the packets that have to get through: of the connection, of a new one,
// and of the link, in the order in which each is needed for the next. What connection tracking knows of them, and where answers
// come from, is not in them yet: see flow.
func (p *party) asks() (live, fresh, rest []*ask) {
	if p.Live {
		live = []*ask{p.segment(liveIn), p.segment(liveOut)}
	}
	fresh = []*ask{p.segment(newIn), p.segment(newOut), p.segment(newGoesOn), p.segment(newAnswers)}
	if p.discovers {
		rest = []*ask{p.discovery(solicitationIn), p.discovery(advertisementOut), p.discovery(solicitationOut), p.discovery(advertisementIn)}
	}
	return live, fresh, rest
}

// segment is a packet of the connection, or of a new one from the same client to
// the same port.
func (p *party) segment(k kind) *ask {
	from, to := p.From, p.Wire
	if k.isOut() {
		from, to = p.Client, p.Server
	}
	if k > liveOut || from.Port() == 0 { // of a mosh client that nobody tracks
		from = netip.AddrPortFrom(from.Addr(), question.FreePort)
	}
	if k.isOut() {
		from, to = to, from
	}
	flags := "ACK"
	switch k {
	case newIn:
		flags = "SYN"
	case newOut:
		flags = "SYN,ACK"
	}
	return p.make(k, p.transport(from, to, flags))
}

// transport is a question about a packet between two sockets.
func (p *party) transport(from, to netip.AddrPort, flags string) string {
	if p.Proto == packet.ProtoUDP {
		return fmt.Sprintf("udp %s %s %s", from, question.Arrow, to)
	}
	return fmt.Sprintf("tcp %s %s %s flags %s", from, question.Arrow, to, flags)
}

// discovery is a packet by which neighbours on an IPv6 link find each other
// (RFC 4861, sections 4.3 and 4.4).
func (p *party) discovery(k kind) *ask {
	here, there := p.Server.Addr(), p.neighbour
	from, to, what := there, solicited(here), "neighbour-solicitation"
	switch k {
	case advertisementOut:
		from, to, what = here, there, "neighbour-advertisement"
	case solicitationOut:
		from, to = here, solicited(there)
	case advertisementIn:
		from, to, what = there, here, "neighbour-advertisement"
	}
	a := p.make(k, fmt.Sprintf("icmpv6 %s -> %s type %s ttl 255 state UNTRACKED", from, to, what))
	if k == solicitationIn && there != p.Client.Addr() && !there.IsLinkLocalUnicast() {
		a.packet.Src = netip.Addr{} // a router asks from its link-local address, which is not known
	}
	return a
}

// solicited is the solicited-node multicast address of an address: ff02::1:ff
// and its last three bytes (RFC 4291, section 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	out := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(out[13:], b[13:])
	return netip.AddrFrom16(out)
}

// make makes the packet that a question describes, on the party's interface.
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
	if k.isOut() {
		o.Out, o.HiddenOut, o.In, o.HiddenIn = p.device, p.device == "", "", false
		if p.byRoot && !k.isDiscovery() { // user and group are 0
			o.Known |= packet.KnowOwner
		}
	} else {
		o.In, o.HiddenIn, o.Out, o.HiddenOut = p.device, p.device == "", "", false
	}
	return a
}
