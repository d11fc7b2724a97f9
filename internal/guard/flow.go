package guard

import (
	"slices"

	"moat/internal/packet"
	"moat/internal/simulate"
)

// flow is what connection tracking knows of a connection while its packets go
// by. Rules may let them pass untracked or give them to another zone, in one
// direction or in both: then some meet no entry, or each direction its own.
type flow struct {
	strict  bool // a connection that is not known is not taken up in its midst
	untold  bool // what it knows cannot be told
	assumed bool // a packet before was lost, or perhaps: what follows is as if it was not

	entries []entry
	starved []bool // of entries, known beforehand: it will not see all packets
	hungry  []bool // of entries: it has not seen all packets so far
	packets int    // that went by

	arrived *outcome // of a packet of the client that came to the server; nil: none was tried
}

// entry is one connection of connection tracking.
type entry struct {
	connection packet.Connection
	known      packet.Know
	out        bool // its first packet was this host's
	replied    bool // it has seen a packet of the other direction
	opening    bool // TCP: nothing has answered its SYN
	liberal    bool // it looks at no windows, as those that were taken up in their midst
	met        int  // packets that went by and were its own
}

// flow is the connection of a live session, as tracking has it.
func (p *party) flow() *flow {
	f := &flow{strict: p.strict, untold: p.untold, hungry: p.hungry}
	for i := range p.tracked {
		t := &p.tracked[i]
		f.entries = append(f.entries, entry{
			connection: t.Connection, known: t.Known, out: !t.Reply, replied: t.Connection.Status&packet.StatusSeenReply != 0,
			opening: t.Opening, liberal: t.Liberal || p.liberal || p.Proto != packet.ProtoTCP,
		})
	}
	return f
}

// clone is the flow as it is now.
func (f *flow) clone() *flow {
	c := *f
	c.entries = slices.Clone(f.entries)
	return &c
}

// after is a flow that begins with the entries that others have left.
func (f *flow) after(entries []entry) *flow {
	c := *f
	c.entries = slices.Clone(entries)
	for i := range c.entries {
		c.entries[i].met = 0
	}
	return &c
}

// connectionKnown is what is known of a packet by connection tracking.
const connectionKnown = packet.KnowState | packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal |
	packet.KnowReplyTuple | packet.KnowExpire | packet.KnowConnLabels | packet.KnowConnHelper | packet.KnowConnCounter

// enter gives an answer the addresses that the client's packet came with. If they
// are not the client's own, the answer first goes where those are.
func (f *flow) enter(p *party, a *ask) *ask {
	if !a.isOut() || f.arrived == nil {
		return a
	}
	b := *a
	got, o := &f.arrived.result.Packet, &b.packet
	o.Src, o.Transport.Src = got.Dst, got.Transport.Dst
	o.Dst, o.Transport.Dst = got.Src, got.Transport.Src
	if !got.Has(packet.KnowSrcPort) {
		o.Known &^= packet.KnowDstPort
	}
	switch {
	case o.Dst == a.packet.Dst:
	case !o.Dst.IsValid():
		o.Out, o.HiddenOut = "", true
	default:
		o.Out, b.noWay = p.wayOut(o.Dst, o.Src)
		o.HiddenOut = o.Out == ""
	}
	return &b
}

// guise is which of the states that tracking may give a packet it has.
type guise uint8

const (
	asFound      guise = iota
	outOfWindow        // its entry has missed what it answers, and takes it for INVALID
	afterTimeout       // its entry has gone after minutes in which it saw no answer
)

// meeting is how tracking found a packet.
type meeting struct {
	entry int // -1: none is its own
	reply bool
	opens bool // it is INVALID while the entry waits for an answer to the SYN
	loose bool // its entry does not look at windows, or not yet
	times int
	torn  bool // what it found hangs on rules of which nobody can tell
}

// attach gives a packet the connection that tracking finds for it, in the zones
// in which rules let it look: simulate's Options.Track.
func (f *flow) attach(out bool, as guise, m *meeting, p *packet.Packet) {
	p.Connection, p.Known = packet.Connection{}, p.Known&^connectionKnown|packet.KnowState
	found := meeting{entry: -1}
	z, told := p.Zones()
	switch {
	case f.untold || !told:
		p.Known &^= packet.KnowState
	case f.assumed:
		p.Connection.State, p.Connection.Reply = packet.Established, len(f.entries) > 0 && f.entries[0].out != out
		p.Known |= packet.KnowDirection
	default:
		found.entry, found.reply = f.find(out, z, p)
		f.join(as, &found, p)
		if found.entry < 0 {
			p.Connection.Zones = z
		}
	}
	found.times, found.torn = m.times+1, m.torn || m.times > 0 && (m.entry != found.entry || m.reply != found.reply)
	*m = found
}

// find is the kernel's look-up: the same addresses and ports, in the zone of the
// direction that the packet has in the entry.
func (f *flow) find(out bool, z packet.Zones, p *packet.Packet) (i int, reply bool) {
	for i := range f.entries {
		e := &f.entries[i]
		if c := &e.connection; e.out == out && c.Zones.Original == z.Original && e.fits(&c.Original, packet.KnowOriginal, p) {
			return i, false
		}
	}
	for i := range f.entries {
		e := &f.entries[i]
		if c := &e.connection; e.out != out && c.Zones.Reply == z.Reply && e.fits(&c.ReplyTuple, packet.KnowReplyTuple, p) {
			return i, true
		}
	}
	return -1, false
}

// fits reports whether a packet is of one direction of the entry; what was not
// told is taken to fit.
func (e *entry) fits(t *packet.Tuple, know packet.Know, p *packet.Packet) bool {
	return e.known&know == 0 || !p.Src.IsValid() || !p.Dst.IsValid() || tuple(p) == *t
}

func tuple(p *packet.Packet) packet.Tuple {
	return packet.Tuple{Src: p.Src, Dst: p.Dst, SrcPort: p.Transport.Src, DstPort: p.Transport.Dst, Proto: p.Proto}
}

// join makes the packet one of the entry that was found, or the first of another.
func (f *flow) join(as guise, m *meeting, p *packet.Packet) {
	c := &p.Connection
	if m.entry < 0 {
		c.State = f.begins(p)
		return
	}
	e := &f.entries[m.entry]
	m.opens, m.loose = e.opening && !m.reply && p.Transport.Flags != tcpSYN, e.liberal || e.opening
	switch {
	case as == outOfWindow, m.opens && as == asFound:
		c.State = packet.Invalid
		return
	case as == afterTimeout:
		c.State = f.begins(p)
		return
	}
	*c = e.connection
	p.Known |= e.known | packet.KnowDirection | packet.KnowStatus
	c.Reply, c.State = m.reply, packet.New
	c.Status |= packet.StatusConfirmed
	if m.reply || e.replied {
		c.State = packet.Established
		c.Status |= packet.StatusSeenReply
	}
}

// TCP's flags that begin a connection.
const tcpSYN, tcpACK = 2, 16

// begins is the state of a packet of which tracking knows no connection.
func (f *flow) begins(p *packet.Packet) packet.State {
	switch flags := p.Transport.Flags; {
	case p.Proto != packet.ProtoTCP, flags == tcpSYN:
		return packet.New
	case flags == tcpSYN|tcpACK, f.strict: // a SYN,ACK begins nothing
		return packet.Invalid
	}
	return packet.New
}

// guises are the other states that a packet may get, sooner or later, by how
// tracking found it. torn says that it may be in one of them already.
func (f *flow) guises(m *meeting) (list []guise, torn bool) {
	if m.entry < 0 || f.untold || f.assumed {
		return nil, false
	}
	is := func(list []bool) bool { return m.entry < len(list) && list[m.entry] }
	switch {
	case m.opens && !f.strict:
		return []guise{afterTimeout}, false
	case !m.loose && (is(f.starved) || is(f.hungry)):
		return []guise{outOfWindow}, is(f.hungry)
	}
	return nil, false
}

// leave notes what became of the packet. clashes says that the kernel drops it:
// it would begin a connection with the addresses of one that it knows.
func (f *flow) leave(o *outcome, m *meeting) (clashes bool) {
	p := &o.result.Packet
	if o.result.Verdict != simulate.Accept {
		f.assumed = true
		return false
	}
	if !o.isOut() {
		f.arrived = o
	}
	if f.untold || f.assumed {
		return false
	}
	f.packets++
	switch {
	case m.torn || !p.Has(packet.KnowState):
		f.untold = true
	case m.entry >= 0 && !m.opens:
		e := &f.entries[m.entry]
		e.met++
		e.replied = e.replied || m.reply
		e.opening = e.opening && !(m.reply && p.Transport.Flags == tcpSYN|tcpACK)
	case m.entry < 0 && p.Connection.State == packet.New:
		return f.begin(o, p)
	}
	return false
}

// begin notes a connection that its first packet has begun.
func (f *flow) begin(o *outcome, p *packet.Packet) (clashes bool) {
	syn := p.Proto == packet.ProtoTCP && p.Transport.Flags == tcpSYN
	e := entry{
		connection: p.Connection, known: p.Known & connectionKnown, out: o.isOut(),
		opening: syn, liberal: !syn || o.party.liberal, met: 1,
	}
	if p.Has(packet.KnowOriginal|packet.KnowReplyTuple) && !e.out {
		e.connection.ReplyTuple = packet.Tuple{
			Src: p.Dst, SrcPort: p.Transport.Dst, Dst: p.Src, DstPort: p.Transport.Src, Proto: p.Proto,
		}
	}
	clashes = slices.ContainsFunc(f.entries, func(old entry) bool { return old.clashes(&e) })
	f.entries = append(f.entries, e)
	return clashes
}

// clashes reports whether a new connection's answers would have the addresses of
// an old one, where the kernel looks for both. With chains in table nat it gives
// the new one another port instead, which helps its receiver no more (Linux 6.18).
func (e *entry) clashes(fresh *entry) bool {
	if fresh.known&packet.KnowReplyTuple == 0 {
		return false
	}
	old, z, t := &e.connection, fresh.connection.Zones, fresh.connection.ReplyTuple
	return e.known&packet.KnowOriginal != 0 && old.Original == t && old.Zones.Original == z.Reply && z.Reply == z.Original ||
		e.known&packet.KnowReplyTuple != 0 && old.ReplyTuple == t && old.Zones.Reply == z.Reply
}

// starve reports, for a flow that begins anew, which entries do not see all
// packets, by how they went by: such an entry finds answers to what it missed out
// of its window.
func (f *flow) starve(went *flow) (any bool) {
	f.starved = make([]bool, len(went.entries))
	for i := range went.entries {
		e := &went.entries[i]
		f.starved[i] = !e.liberal && e.met > 0 && e.met < went.packets
		any = any || f.starved[i]
	}
	return any
}
