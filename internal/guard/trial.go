package guard

import (
	"net/netip"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// outcome is what becomes of one packet of a party.
type outcome struct {
	*ask
	party  *party
	answer packet.Answer // whether it gets where it has to
	result simulate.Result
	// strays says that a translation sends it where the server does not listen.
	strays bool
	// arrives is where a packet gets that was sent to this host.
	arrives netip.AddrPort
}

// trial is a ruleset in which packets are tried.
type trial struct{ firewall *simulate.Firewall }

func newTrial(rs *rule.Ruleset) *trial { return &trial{simulate.New(rs)} }

// of tries all packets of a party, in order.
func (t *trial) of(p *party) []outcome {
	asks := p.asks()
	list := make([]outcome, 0, len(asks))
	var in *simulate.Result // of the connection's first packet
	for _, a := range asks {
		if in != nil && in.Verdict == simulate.Accept { // else it is not known what it would be an answer to
			a.follow(in)
		}
		o := t.try(p, a)
		list = append(list, o)
		if a.kind == liveIn || a.kind == newIn {
			in = &list[len(list)-1].result
		}
	}
	return list
}

// follow makes the packet one that follows another, which came in: of the same
// connection, and answers come from where that one arrived.
func (a *ask) follow(in *simulate.Result) {
	switch a.kind {
	case liveOut, newOut:
		a.packet.Src, a.packet.Transport.Src = in.Packet.Dst, in.Packet.Transport.Dst
		a.packet.Dst, a.packet.Transport.Dst = in.Packet.Src, in.Packet.Transport.Src
	case newGoesOn:
	default:
		return
	}
	c, known := following(&in.Packet, a.isOut())
	a.packet.Known = a.packet.Known&^connectionKnown | known
	a.packet.Connection = c
	if c.State == packet.New && a.packet.Proto == packet.ProtoTCP && a.packet.Transport.Flags&flagSYN != 0 {
		a.packet.Connection.State = packet.Invalid // a SYN,ACK begins nothing
	}
}

// following is the connection of a packet that follows one that came in:
// established, or new for tracking if that does not know the one before. reply
// says that it goes the other way.
func following(in *packet.Packet, reply bool) (packet.Connection, packet.Know) {
	c, known := in.Connection, in.Known&connectionKnown
	switch {
	case !in.Has(packet.KnowState):
		return c, known
	case c.State != packet.New && c.State != packet.Established:
		return packet.Connection{State: packet.New}, packet.KnowState
	}
	if in.Has(packet.KnowOriginal|packet.KnowReplyTuple) && !c.Reply {
		c.ReplyTuple = packet.Tuple{
			Src: in.Dst, SrcPort: in.Transport.Dst, Dst: in.Src, DstPort: in.Transport.Src, Proto: in.Proto,
		}
	}
	c.State = packet.Established
	c.Status |= packet.StatusSeenReply | packet.StatusConfirmed
	c.Reply = c.Reply != reply
	return c, known | packet.KnowState
}

const flagSYN = 2

// connectionKnown is what is known of a packet by connection tracking.
const connectionKnown = packet.KnowState | packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal |
	packet.KnowReplyTuple | packet.KnowExpire | packet.KnowConnLabels | packet.KnowConnHelper | packet.KnowConnCounter

// try walks a packet.
func (t *trial) try(p *party, a *ask) outcome {
	o := outcome{ask: a, party: p}
	o.result = t.firewall.Walk(a.packet, simulate.Options{Way: a.way(), NoTrace: true})
	switch o.result.Verdict {
	case simulate.Accept:
		o.answer = packet.Yes
	case simulate.Drop, simulate.Reject:
		o.answer = packet.No
	}
	if (o.answer == packet.Yes || o.result.By == simulate.Place{}) && !a.isOut() && !a.isDiscovery() {
		left := &o.result.Packet
		o.arrives = netip.AddrPortFrom(left.Dst, left.Transport.Dst)
		if o.answer != packet.Unknown && o.arrives != p.Server && !p.listens(o.arrives) {
			o.answer, o.strays = packet.No, true
		}
	}
	return o
}

// path is the packet's way rule by rule.
func (t *trial) path(o *outcome) []simulate.Step {
	return t.firewall.Walk(o.packet, simulate.Options{Way: o.way()}).Trace
}

// worse are the packets that got through, or may have, and would not any more;
// doubtful those of connections that got through for certain and now perhaps. Both lists are of
// the same packets in the same order.
func worse(before, after []outcome) (lost, doubtful []outcome) {
	for i := range after {
		switch was, is := before[i].answer, after[i].answer; {
		case is == packet.No && was != packet.No:
			lost = append(lost, after[i])
		case is == packet.Unknown && was == packet.Yes && !after[i].isDiscovery():
			doubtful = append(doubtful, after[i])
		}
	}
	return lost, doubtful
}
