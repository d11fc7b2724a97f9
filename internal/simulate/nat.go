package simulate

import (
	"net/netip"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// hidden is what a question tells of the packet's connection while rules cannot
// see it.
type hidden struct {
	is         bool
	connection packet.Connection
	known      packet.Know
}

// aboutConnection is what is known by connection tracking.
const aboutConnection = packet.KnowState | packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal |
	packet.KnowReplyTuple | packet.KnowExpire | packet.KnowConnLabels | packet.KnowConnHelper | packet.KnowConnCounter

// hideConnection takes away what was told of the connection until tracking has
// looked at the packet: rules in table raw find none, which is state INVALID.
// What comes in by lo was looked at when it was sent.
func (s *state) hideConnection() {
	if s.hidden.is || s.p.In == "lo" || s.p.HiddenIn && s.p.Hook == rule.Prerouting {
		return
	}
	s.hidden = hidden{true, s.p.Connection, s.p.Known & aboutConnection}
	s.p.Connection = packet.Connection{State: packet.Invalid}
	s.p.Known = s.p.Known&^aboutConnection | packet.KnowState
}

// showConnection gives back what hideConnection has taken, unless rules have
// said that the packet is not to be tracked.
func (s *state) showConnection() {
	if !s.hidden.is {
		return
	}
	if s.p.Connection.State != packet.Untracked {
		s.p.Connection = s.hidden.connection
		s.p.Known = s.p.Known&^aboutConnection | s.hidden.known
	}
	s.hidden.is = false
}

// track is connection tracking's look at the packet: it knows a new connection
// by the packet itself.
func (w *walk) track(s *state) {
	s.showConnection()
	c := &s.p.Connection
	if w.o.Track != nil && !(s.p.Has(packet.KnowState) && c.State == packet.Untracked) {
		w.o.Track(&s.p)
	}
	if !s.p.Has(packet.KnowState) || c.State != packet.New {
		return
	}
	if !s.p.Has(packet.KnowDirection) {
		c.Reply = false
		s.p.Known |= packet.KnowDirection
	}
	if !s.p.Has(packet.KnowConnMark) {
		c.Mark = 0
		s.p.Known |= packet.KnowConnMark
	}
	if !s.p.Has(packet.KnowStatus) {
		c.Status = 0
		s.p.Known |= packet.KnowStatus
	}
	if !s.p.Has(packet.KnowConnLabels) {
		c.Labels = [16]byte{}
		s.p.Known |= packet.KnowConnLabels
	}
	if !s.p.Has(packet.KnowConnHelper) {
		c.Helper = ""
		s.p.Known |= packet.KnowConnHelper
	}
	if s.p.Has(packet.KnowOriginal) {
		return
	}
	if original, reply, known := ext.NewTuples(&s.p); known {
		c.Original, c.ReplyTuple = original, reply
		s.p.Known |= packet.KnowOriginal | packet.KnowReplyTuple
	}
}

// nat translates the packet: by the rules of the station's chain if it is the
// first of its connection, otherwise as its connection is translated.
func (w *walk) nat(s *state) (leaf, bool) {
	src := s.p.Hook == rule.Input || s.p.Hook == rule.Postrouting
	if !s.p.Has(packet.KnowState) {
		if s.station.chain == nil || len(s.station.chain.lines) == 0 {
			return leaf{}, false
		}
		return w.fork(s, Doubt{Place: Place{s.station.chain.table, s.station.chain.name, 0}, Match: "conntrack state"},
			func(yes *state) (leaf, bool) { yes.natRules(src); return leaf{}, false }), true
	}
	state := s.p.Connection.State
	confirmed := s.p.Has(packet.KnowStatus) && s.p.Connection.Status&packet.StatusConfirmed != 0
	switch {
	case state == packet.New && confirmed: // not the first packet: another that had no reply yet
		s.translate(src)
	case state == packet.New, state == packet.Related && !packet.IsICMP(s.p.Proto): // ICMP's are errors, which go with their connection
		s.natRules(src)
	case state == packet.Established, state == packet.Related:
		s.translate(src)
	}
	return leaf{}, false
}

// natRules sends the packet through the station's chain, once for its
// connection and side.
func (s *state) natRules(src bool) {
	done := &s.natDst
	if src {
		done = &s.natSrc
	}
	if *done {
		return
	}
	*done = true
	if s.station.chain != nil {
		s.start(s.station.chain)
	}
}

// translate changes source or destination as the packet's connection says, if
// that was told.
func (s *state) translate(src bool) {
	if !s.p.Has(packet.KnowOriginal | packet.KnowReplyTuple | packet.KnowDirection) {
		return
	}
	c := &s.p.Connection
	there := c.ReplyTuple // of the other direction: what it goes from is what we go to
	if c.Reply {
		there = c.Original
	}
	if (src != c.Reply) && !differs(c.Original.Src, c.Original.SrcPort, c.ReplyTuple.Dst, c.ReplyTuple.DstPort, c.Original.Proto) ||
		(src == c.Reply) && !differs(c.Original.Dst, c.Original.DstPort, c.ReplyTuple.Src, c.ReplyTuple.SrcPort, c.Original.Proto) {
		return // this side is not translated; an ICMP error may come from anybody
	}
	if src {
		s.rewrite(&s.p.Src, &s.p.Transport.Src, packet.KnowSrcPort, there.Dst, there.DstPort)
	} else {
		s.rewrite(&s.p.Dst, &s.p.Transport.Dst, packet.KnowDstPort, there.Src, there.SrcPort)
	}
	if s.p.Connection.State == packet.Related {
		s.p.Bytes = nil // the packet that it quotes is translated too
	}
	ext.Rewritten(&s.p)
	s.readAddresses()
	s.reindex()
}

// differs reports whether one end of a connection is not the same for both
// sides. The tuples of ICMP have no ports.
func differs(a netip.Addr, port uint16, b netip.Addr, other uint16, proto uint8) bool {
	return a != b || !packet.IsICMP(proto) && port != other
}

func (s *state) rewrite(addr *netip.Addr, port *uint16, know packet.Know, to netip.Addr, toPort uint16) {
	*addr = to
	if !packet.IsICMP(s.p.Proto) && s.p.Has(know) {
		*port = toPort
	}
}
