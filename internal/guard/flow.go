package guard

import (
	"moat/internal/packet"
	"moat/internal/simulate"
)

// flow is what connection tracking knows of a connection while its packets go
// by: a rule may let them pass untracked, in one direction or in both.
type flow struct {
	strict  bool // a connection that is not known is not taken up in its midst
	untold  bool // what it knows cannot be told
	assumed bool // a packet before was lost, or perhaps: what follows is as if it was not

	tracked, untracked bool // packets were
	halfSeen           bool // it is known beforehand that both will be

	has        bool // there is an entry
	connection packet.Connection
	known      packet.Know
	out        bool // its first packet was this host's
	replied    bool // it has seen a packet of the other direction

	arrived *packet.Packet // a packet of the client as it came to the server; nil: none was tried
}

// flow is the connection of a live session, as tracking has it.
func (p *party) flow() flow {
	f := flow{strict: p.strict, untold: p.untold}
	if p.isTracked {
		f.has, f.connection, f.known = true, p.tracked.Connection, p.tracked.Known
		f.out, f.replied = !p.tracked.Reply, p.tracked.Connection.Status&packet.StatusSeenReply != 0
	}
	return f
}

// connectionKnown is what is known of a packet by connection tracking.
const connectionKnown = packet.KnowState | packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal |
	packet.KnowReplyTuple | packet.KnowExpire | packet.KnowConnLabels | packet.KnowConnHelper | packet.KnowConnCounter

// enter makes a packet one of the connection: it has the state that tracking
// gives it, and answers come from where the client's packets arrive.
func (f *flow) enter(a *ask) {
	p := &a.packet
	if a.isOut() && f.arrived != nil {
		p.Src, p.Transport.Src = f.arrived.Dst, f.arrived.Transport.Dst
		p.Dst, p.Transport.Dst = f.arrived.Src, f.arrived.Transport.Src
	}
	p.Known = p.Known&^connectionKnown | packet.KnowState
	p.Connection = packet.Connection{}
	switch c := &p.Connection; {
	case f.untold, f.halfSeen && f.has:
		p.Known &^= packet.KnowState
	case f.assumed:
		c.State, c.Reply = packet.Established, a.isOut() != f.out
		p.Known |= packet.KnowDirection
	case !f.has:
		c.State = f.begins(a)
	default:
		*c = f.connection
		p.Known |= f.known | packet.KnowDirection | packet.KnowStatus
		c.Reply, c.State = a.isOut() != f.out, packet.New
		c.Status |= packet.StatusConfirmed
		if c.Reply || f.replied {
			c.State = packet.Established
			c.Status |= packet.StatusSeenReply
		}
	}
}

// begins is the state of a packet of which tracking knows no connection.
func (f *flow) begins(a *ask) packet.State {
	const syn, ack = 2, 16
	switch flags := a.packet.Transport.Flags; {
	case a.packet.Proto != packet.ProtoTCP, flags == syn:
		return packet.New
	case flags == syn|ack, f.strict: // a SYN,ACK begins nothing
		return packet.Invalid
	}
	return packet.New
}

// leave notes what became of the packet.
func (f *flow) leave(a *ask, r *simulate.Result) {
	p := &r.Packet
	tracked := p.Connection.State == packet.New || p.Connection.State == packet.Established
	f.tracked, f.untracked = f.tracked || tracked, f.untracked || p.Connection.State == packet.Untracked
	if r.Verdict != simulate.Accept {
		f.assumed = true
		return
	}
	if !a.isOut() {
		f.arrived = p
	}
	switch {
	case f.untold || f.assumed:
	case !p.Has(packet.KnowState):
		f.untold = true
	case tracked && f.has:
		f.replied = f.replied || a.isOut() != f.out
	case tracked:
		f.begin(a, p)
	}
}

// begin notes a connection that its first packet has begun.
func (f *flow) begin(a *ask, p *packet.Packet) {
	f.has, f.out, f.connection, f.known = true, a.isOut(), p.Connection, p.Known&connectionKnown
	if p.Has(packet.KnowOriginal|packet.KnowReplyTuple) && !f.out {
		f.connection.ReplyTuple = packet.Tuple{
			Src: p.Dst, SrcPort: p.Transport.Dst, Dst: p.Src, DstPort: p.Transport.Src, Proto: p.Proto,
		}
	}
}
