package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"moat/internal/host"
	"moat/internal/packet"
	"moat/internal/question"
	"moat/internal/session"
)

// tunnel is what makes a party of the packets that carry another one's.
type tunnel struct {
	host.Carrier
	carries *party
}

// maxNested bounds how many tunnels are followed, each within the next.
const maxNested = 4

// carriers are parties for what carries a party's packets, the innermost tunnel's
// first; none, and nothing is asked, where they come by no tunnel. What is found
// counts even if an error says that more could not be asked.
func carriers(p *party) (list []*party, err error) {
	devices := []string{p.device}
	for range maxNested {
		c, found, err := host.CarrierTo(p.device, p.kind, p.From.Addr())
		if !found || err != nil {
			return list, err
		}
		q, err := newTunnel(&tunnel{c, p})
		if err != nil {
			return list, err
		}
		list = append(list, q)
		if q.isUntold() || slices.Contains(devices, q.device) {
			break
		}
		p, devices = q, append(devices, q.device)
	}
	return list, nil
}

func newTunnel(t *tunnel) (*party, error) {
	s := session.Session{Proto: t.Proto, Client: t.Remote, Server: t.Local, Live: true}
	if !t.Remote.Addr().IsValid() { // new ones count, as whatever client's
		s.Live, s.Client = false, netip.AddrPortFrom(netip.Addr{}, question.FreePort)
	}
	return makeParty(s, t)
}

// isUntold reports whether it is not known from where the party's packets come.
func (p *party) isUntold() bool { return p.tunnel != nil && !p.tunnel.Remote.Addr().IsValid() }

// findAnyWay takes the way to most others for that of a client that is not known.
func (p *party) findAnyWay() error {
	way, found, err := host.WayToAnybody(p.Server.Addr())
	if found && way.Interface != p.tunnel.carries.device {
		p.device, p.back = way.Interface, way.Interface
	}
	return err
}

// leaveOut takes from a packet the client's address, in whose place words put one.
func (p *party) leaveOut(k kind, o *packet.Packet) {
	if k.isOut() {
		o.Dst = netip.Addr{}
	} else {
		o.Src = netip.Addr{}
	}
}

// hasPorts reports whether a protocol's packets have ports.
func hasPorts(proto uint8) bool { return proto == packet.ProtoTCP || proto == packet.ProtoUDP }

// mark is that of what this host sends to the client, before rules set another.
func (p *party) mark() uint32 {
	if p.tunnel == nil {
		return 0
	}
	return p.tunnel.Mark
}

// freshPort is the port from which new connections are tried first. The other end of
// a tunnel comes back from its own.
func (p *party) freshPort() uint16 {
	if p.tunnel != nil && (p.dials() || !p.tunnel.AnyPort) {
		return p.From.Port()
	}
	return question.FreePort
}

// dials reports whether this host begins the tunnel anew; not, whatever it can, if the
// other end has.
func (p *party) dials() bool {
	return p.tunnel != nil && p.tunnel.Dials && (len(p.tracked) == 0 || !p.tracked[0].Reply)
}

// words describe a packet for question.Parse.
func (p *party) words(from, to netip.AddrPort, flags string) string {
	for _, a := range [...]*netip.AddrPort{&from, &to} {
		if !a.Addr().IsValid() {
			*a = netip.AddrPortFrom(p.Server.Addr(), a.Port()) // see leaveOut
		}
	}
	switch {
	case p.Proto == packet.ProtoUDP:
		return fmt.Sprintf("udp %s %s %s", from, question.Arrow, to)
	case p.Proto == packet.ProtoTCP:
		return fmt.Sprintf("tcp %s %s %s flags %s", from, question.Arrow, to, flags)
	}
	return fmt.Sprintf("%d %s %s %s", p.Proto, from.Addr(), question.Arrow, to.Addr())
}

// tunnelAsks are the packets of a tunnel that are no connection like others; nil for
// one that is.
func (p *party) tunnelAsks() *asks {
	list := &asks{}
	switch {
	case p.tunnel == nil || hasPorts(p.Proto) && !p.tunnel.OneWay && !p.dials():
		return nil
	case p.tunnel.OneWay:
		list.rest = []*ask{p.oneWay(newIn, p.From, p.Wire), p.oneWay(newOut, p.Server, p.Client)}
	default:
		list.live = []*ask{p.segment(liveIn, flagsData), p.segment(liveOut, flagsData)}
		list.begun = []*ask{list.live[1], list.live[0]}
		list.fresh = []*ask{p.segment(newIn, flagsSYN), p.segment(newOut, flagsSYNACK)}
		if p.dials() {
			list.live = list.begun // what it refuses first is known once this host has sent
			list.fresh = []*ask{p.segment(newOut, flagsSYN), p.segment(newIn, flagsSYNACK), p.segment(newOut, flagsData)}
		}
	}
	if p.discovers {
		list.rest = append(list.rest, p.discoveries()...)
	}
	return list
}

// oneWay is a packet to the port at the other end of a tunnel, from any. Connection
// tracking sees no answer to it, as that goes to another.
func (p *party) oneWay(k kind, from, to netip.AddrPort) *ask {
	from = netip.AddrPortFrom(from.Addr(), question.FreePort)
	a := p.make(k, p.words(from, to, "")+" state NEW")
	a.client, a.wire = from, to
	if k.isOut() {
		a.client, a.wire = to, from
	}
	return a
}

// match are the words by which a rule of a remedy takes the tunnel's packets, beside
// addresses; port is this host's.
func (t *tunnel) match(out bool, port uint16) []string {
	side := "--dport" // of what goes one way, too, to the same port of the other end
	switch {
	case !hasPorts(t.Proto):
		return []string{"-p", strconv.Itoa(int(t.Proto))}
	case out && !t.OneWay:
		side = "--sport"
	}
	return []string{"-p", protoName(t.Proto), side, strconv.Itoa(int(port))}
}

// what names packets of the tunnel that are lost.
func (t *tunnel) what(k kind) string {
	switch {
	case t.OneWay, t.Dials, k == liveIn, k == liveOut:
		return "packets of " + t.Tunnel
	case k == newIn, k == newGoesOn:
		return "what begins " + t.Tunnel + " anew"
	}
	return "answers to what begins " + t.Tunnel + " anew"
}

// describe says what the tunnel is and whom it carries.
func (t *tunnel) describe(state, device string) string {
	proto := "protocol " + strconv.Itoa(int(t.Proto))
	client, server := t.Remote.Addr().String(), t.Local.Addr().String()
	if hasPorts(t.Proto) {
		proto, client, server = protoName(t.Proto), t.Remote.String(), t.Local.String()
	}
	switch {
	case !t.Remote.Addr().IsValid():
		client, state = "one of its clients", "not known which"
	case t.OneWay:
		client, state = t.Remote.Addr().String(), "each way by itself"
	}
	return fmt.Sprintf("%s -> %s %s%s, %s: %s, carries %s", client, server, proto, device, state, t.Tunnel, t.carries.ends())
}

// ends are both sides of the party's connection.
func (p *party) ends() string {
	if p.tunnel != nil {
		return p.tunnel.Tunnel
	}
	return fmt.Sprintf("%s -> %s %s", p.Client, p.Server, protoName(p.Proto))
}
