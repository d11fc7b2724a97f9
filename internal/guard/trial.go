package guard

import (
	"net/netip"
	"slices"

	"moat/internal/change"
	"moat/internal/ext"
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
	// strays says that a rule sends it where the server does not listen, or spoils it.
	strays bool
	// clashes says that tracking takes it for a second connection of the same addresses.
	clashes bool
	// late says that it gets through at first, and after minutes no more.
	late bool
	// run is that of the client's ports that it is tried for, with others if they are
	// lost the same way, see from; nil for all.
	run *ports
	// from are the client's ports from which new connections are lost, in words; ""
	// for all.
	from string
	// few says that new connections from few of the client's ports are lost.
	few bool
	// arrives is where a packet gets that was sent to this host.
	arrives netip.AddrPort
	// track is what connection tracking says of it.
	track func(*packet.Packet)
	// after is the client's packet before this one, which an answer answers; nil for
	// none.
	after *outcome
}

// trial is a ruleset in which packets are tried.
type trial struct {
	firewall *simulate.Firewall
	own      *rule.Chain // the rules that the change names
	// hungry are the entries of connection tracking, by party, that do not see all
	// packets of their connection.
	hungry map[*party][]bool
	// taken are the entries that a live connection has once its packets went by.
	taken map[*party][]entry
}

func newTrial(rs *rule.Ruleset, s *change.Script) *trial {
	return &trial{simulate.New(rs), rulesOf(s).Tables[0].Chains[0], map[*party][]bool{}, map[*party][]entry{}}
}

// isOwn reports whether a rule is one that the change names.
func (t *trial) isOwn(r *rule.Rule) bool {
	return slices.ContainsFunc(t.own.Rules, func(own *rule.Rule) bool { return ext.EqualRules(own, r) })
}

// of tries all packets of a party, in order.
func (t *trial) of(p *party) (list []outcome) {
	asks := p.asks()
	f := p.flow()
	list, t.hungry[p] = t.connection(p, f, asks.live)
	t.taken[p] = f.entries
	if len(p.tracked) == 0 && p.zoned { // a late packet may have it taken up before the change is made
		taken, _ := t.connection(p, p.flow().after(p.taken), asks.live)
		list = append(list, taken...)
	}
	if len(p.tracked) == 0 || p.zoned { // tracking takes it up with whoever speaks first
		begun, _ := t.connection(p, p.flow(), asks.begun)
		list = append(list, begun...)
	}
	if len(p.runs) < 2 {
		list = append(list, t.fresh(p, p.freshPort(), nil)...)
	} else {
		for i := range p.runs {
			list = append(list, t.fresh(p, p.runs[i].sample(), &p.runs[i])...)
		}
	}
	for _, a := range asks.rest {
		list = append(list, t.try(p, a, nil, nil))
	}
	return list
}

// fresh tries the packets of a new connection from one port, for a run of them.
func (t *trial) fresh(p *party, port uint16, run *ports) []outcome {
	list, _ := t.connection(p, &flow{strict: p.strict}, p.fresh(port))
	for i := range list {
		list[i].run = run
	}
	return list
}

// connection tries the packets of one connection. If an entry of connection
// tracking does not see all of them, what it says of the others is not certain.
func (t *trial) connection(p *party, f *flow, asks []*ask) (list []outcome, starved []bool) {
	again := f.clone()
	list = t.inOrder(p, f, asks)
	if again.starve(f) {
		return t.inOrder(p, again, asks), again.starved
	}
	return list, nil
}

func (t *trial) inOrder(p *party, f *flow, asks []*ask) []outcome {
	list := make([]outcome, len(asks))
	for i, a := range asks {
		a = f.enter(p, a)
		now, m := f.clone(), &meeting{entry: -1}
		track := func(as guise, m *meeting) func(*packet.Packet) {
			return func(p *packet.Packet) { now.attach(a.isOut(), as, m, p) }
		}
		found := t.try(p, a, f.arrived, track(asFound, m))
		if now.assumed && found.result.Verdict == simulate.Accept && !found.noWay && !found.isSpent() {
			found.answer, found.strays = packet.Yes, false // how it is translated hangs on what is lost already
		}
		worst := found
		others, torn := now.guises(m)
		for _, as := range others {
			other := t.try(p, a, found.after, track(as, &meeting{entry: -1}))
			worst.orElse(&other, as, torn)
		}
		switch {
		case found.answer == packet.No && worst.answer == packet.Unknown: // it may pass, and what is then?
			f.untold = true
		case f.leave(&found, m) && worst.answer != packet.No:
			worst.answer, worst.strays, worst.clashes = packet.No, true, true
		}
		list[i] = worst
	}
	return list
}

// orElse takes what becomes of the packet in another state of its connection, if
// that is worse. torn says that the packet may be in either state, for good.
func (o *outcome) orElse(other *outcome, as guise, torn bool) {
	switch {
	case o.answer == other.answer:
		return
	case torn:
		o.answer = packet.Unknown
		return
	case other.answer == packet.Yes, o.answer == packet.No:
		return
	case as == afterTimeout:
		other.answer, other.late = packet.Unknown, true
	}
	*o = *other
}

// try walks a packet; after is the last one of the client before it, and track what
// connection tracking says of it, nil where the packet says that itself.
func (t *trial) try(p *party, a *ask, after *outcome, track func(*packet.Packet)) outcome {
	o := outcome{ask: a, party: p, after: after, track: track}
	o.result = t.firewall.Walk(a.packet, simulate.Options{Way: a.way(), Track: track, NoTrace: true})
	switch o.result.Verdict {
	case simulate.Accept:
		o.answer = packet.Yes
	case simulate.Drop, simulate.Reject:
		o.answer = packet.No
	}
	switch {
	case o.result.Verdict == simulate.Unknown && o.missesAnyway():
		o.answer, o.strays = packet.No, true
	case o.answer == packet.No && o.result.By == simulate.Place{}: // it has no way to go
		o.strays = o.gets() == packet.No
	case o.answer == packet.Yes:
		o.answer = o.gets()
		o.strays = o.answer == packet.No
	}
	return o
}

// missesAnyway reports whether a packet that came in was sent where the server does
// not listen before rules that may accept or drop it.
func (o *outcome) missesAnyway() bool {
	if o.isDiscovery() || o.isOut() {
		return false
	}
	early := func(d simulate.Doubt) bool { return d.Table != "filter" && d.Table != "security" }
	o.arrives = netip.AddrPortFrom(o.result.Packet.Dst, o.result.Packet.Transport.Dst)
	return !o.hits() && !slices.ContainsFunc(o.result.Doubts, early)
}

// hits reports whether a packet arrives where its connection ends, or the server
// takes new ones.
func (o *outcome) hits() bool {
	return o.arrives == o.party.Server || o.kind != liveIn && o.party.listens(o.arrives)
}

// gets says whether a packet that no rule stops gets to the server, or an answer
// to the client and in the server's name, as something that its receiver takes.
func (o *outcome) gets() packet.Answer {
	left := &o.result.Packet
	if o.isDiscovery() {
		return packet.Of(!seemsRouted(left))
	}
	o.arrives = netip.AddrPortFrom(left.Dst, left.Transport.Dst)
	from := netip.AddrPortFrom(left.Src, left.Transport.Src)
	switch {
	case o.noWay, o.isSpent():
		return packet.No
	case o.isOut():
		return o.returns(from)
	case o.kind == liveIn:
		return o.joins(from, o.party.Client, o.party.Server)
	case o.kind == newGoesOn && o.after != nil:
		first := &o.after.result.Packet
		return o.joins(from, netip.AddrPortFrom(first.Src, first.Transport.Src), netip.AddrPortFrom(first.Dst, first.Transport.Dst))
	}
	return packet.Of(o.hits())
}

// joins says whether a packet comes to the socket of a connection, which has the
// addresses and ports of both sides.
func (o *outcome) joins(from, client, server netip.AddrPort) packet.Answer {
	left := &o.result.Packet
	switch {
	case o.arrives != server:
		return packet.No
	case !from.Addr().IsValid(), !client.Addr().IsValid():
		return packet.Unknown
	case from.Addr() != client.Addr():
		return packet.No
	case client.Port() == 0 && o.kind == liveIn: // of a mosh client that nobody tracks
		return packet.Yes
	case client.Port() == 0, !left.Has(packet.KnowSrcPort):
		return packet.Unknown
	}
	return packet.Of(from.Port() == client.Port())
}

// returns says whether an answer goes to where the client has sent from, and comes
// from where it has sent to. What it is translated to is known only if its
// connection is.
func (o *outcome) returns(from netip.AddrPort) packet.Answer {
	left := &o.result.Packet
	if o.arrives == o.client && from == o.wire {
		return packet.Yes
	}
	state := left.Connection.State
	if !left.Has(packet.KnowState) || !left.Dst.IsValid() ||
		!left.Has(packet.KnowReplyTuple) && state != packet.Invalid && state != packet.Untracked {
		return packet.Unknown
	}
	return packet.No
}

// isSpent reports whether an answer has no hops left for the router that it goes to.
func (o *outcome) isSpent() bool {
	left := &o.result.Packet
	return o.isOut() && o.party.routed && left.Has(packet.KnowTTL) && left.TTL <= 1
}

// seemsRouted reports whether a packet of neighbour discovery has another hop
// limit than 255: its receiver drops it (RFC 4861, sections 7.1.1 and 7.1.2).
func seemsRouted(p *packet.Packet) bool {
	return p.Has(packet.KnowTTL) && p.TTL != 255
}

// path is the packet's way rule by rule.
func (t *trial) path(o *outcome) []simulate.Step {
	return t.firewall.Walk(o.packet, simulate.Options{Way: o.way(), Track: o.track}).Trace
}

// worse are the packets that got through, or may have, and would not any more;
// doubtful those that got through for certain and now perhaps. Both lists are of
// the same packets in the same order.
func worse(before, after []outcome) (lost, doubtful []outcome) {
	for i := range after {
		switch was, is := before[i].answer, after[i].answer; {
		case is == packet.No && was != packet.No:
			lost = append(lost, after[i])
		case is == packet.Unknown && was == packet.Yes:
			doubtful = append(doubtful, after[i])
		}
	}
	lost, few := sortOut(lost)
	return lost, append(doubtful, few...)
}
