package simulate

import (
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// advance takes a packet to the next station of its way, or to its end.
func (w *walk) advance(s *state) (leaf, bool) {
	hooks := s.way.hooks()
	stations := w.f.hooks[hooks[s.phase]]
	if s.at < len(stations) {
		s.station = &stations[s.at]
		s.at++
		return w.arrive(s)
	}
	if s.phase == len(hooks)-1 {
		if w.o.Loop && s.way == Out && s.out == "lo" {
			s.loop()
			return leaf{}, false
		}
		return leaf{verdict: Accept, by: s.by, what: s.what, policy: rule.Accept}, true
	}
	if hooks[s.phase] == rule.Prerouting || hooks[s.phase] == rule.Output {
		if l, done := w.route(s); done {
			return l, true
		}
	}
	if s.phase == 0 && s.way == Through && !s.hop() {
		return undeliverable(), true
	}
	s.phase, s.at = s.phase+1, 0
	s.enterHook()
	return leaf{}, false
}

// loop takes a packet that left by lo in again. It is the same packet: its mark
// and its connection stay, and what translates it has been decided.
func (s *state) loop() {
	p := &s.p
	s.way, s.phase, s.at = In, 0, 0
	s.in, s.hiddenIn, s.out, s.hiddenOut = "lo", false, "", false
	s.cameTo, s.cameWith, s.toHere = p.Dst, p.Mark, false
	s.natSrc, s.natDst = true, true
	s.by, s.what, s.weight = Place{"filter", In.Hook().Chain(), 0}, nil, 0
	p.Known &^= packet.KnowGroups
	if p.Has(packet.KnowState|packet.KnowStatus) && p.Connection.State == packet.New {
		p.Connection.Status |= packet.StatusConfirmed
	}
	s.enterHook()
}

// arrive does what happens at the station.
func (w *walk) arrive(s *state) (leaf, bool) {
	switch s.station.kind {
	case trackStation:
		w.track(s)
	case natStation:
		return w.nat(s)
	default:
		if s.station.priority < priorityTrack && len(s.station.chain.lines) > 0 {
			s.hideConnection()
		}
		s.start(s.station.chain)
	}
	return leaf{}, false
}

// undeliverable is the end of a packet that is dropped between the hooks: it
// has no way to go, no hops left, or is not the host's to pass on. No rule and
// no policy has decided that.
func undeliverable() leaf { return leaf{verdict: Drop, policy: rule.Drop} }

// hop takes one hop from a packet that is passed on; false if it was the last,
// or if the packet was sent to everyone on the link, which no router passes on.
func (s *state) hop() bool {
	if s.p.Has(packet.KnowTTL) && s.p.TTL <= 1 || s.p.Has(packet.KnowPacketType) && s.p.PacketType != packet.ToHost {
		return false
	}
	ext.Forwarded(&s.p)
	return true
}

// route asks where a packet goes whose destination or mark was changed, or that
// is to be passed on with no interface named. A mark decides only where the host
// says so. Without a host to ask, a packet that was meant for this host may go
// anywhere, and one that was told to be forwarded is.
func (w *walk) route(s *state) (leaf, bool) {
	nowhere := s.way == Through && s.out == "" && !s.hiddenOut
	toHere := s.toHere && !s.stays()
	marked := s.p.Host != nil && s.p.Mark != s.cameWith
	if s.p.Dst == s.cameTo && !toHere && !nowhere && !marked {
		return leaf{}, false
	}
	onlyMarked := marked && s.p.Dst == s.cameTo && !toHere && !nowhere
	s.cameTo, s.cameWith = s.p.Dst, s.p.Mark
	if toHere && s.way != Out {
		s.way, s.out, s.hiddenOut = In, "", false
		return leaf{}, false
	}
	if s.p.Host != nil && s.p.Dst.IsValid() {
		if r, known := s.p.Host.Route(&s.p); known {
			if r == (packet.Route{}) {
				return undeliverable(), true
			}
			return s.routed(r)
		}
	}
	if onlyMarked {
		return leaf{}, false
	}
	switch {
	case s.way == Out && (toHere || s.p.Dst.IsValid() && s.p.Dst.IsLoopback()):
		s.out, s.hiddenOut = "lo", false
	case s.way == Out:
		s.out, s.hiddenOut = "", true
	case s.way == In && s.p.Dst.IsValid() && s.p.Dst.IsLoopback():
	case s.way == In:
		return w.fork(s, Doubt{Match: "route"}, func(yes *state) (leaf, bool) {
			return yes.routed(packet.Route{})
		}), true
	}
	return leaf{}, false
}

// stays reports whether a redirection of what this host sends found the
// destination already there: only another one is routed again.
func (s *state) stays() bool { return s.way == Out && s.p.Dst.IsValid() && s.p.Dst == s.cameTo }

// routed sends the packet where a route leads. A zero Route is one that was not
// told: out, but not which interface.
func (s *state) routed(r packet.Route) (leaf, bool) {
	s.p.OutGroup = r.OutGroup
	if r.Out == "" && !r.Local {
		s.p.Known &^= packet.KnowGroups
	}
	switch {
	case r.Local && s.way == Out:
		s.out, s.hiddenOut = "lo", false
	case r.Local:
		s.way, s.out, s.hiddenOut = In, "", false
	case s.way == Out:
		s.out, s.hiddenOut = r.Out, r.Out == ""
	default:
		s.way, s.out, s.hiddenOut = Through, r.Out, r.Out == ""
	}
	return leaf{}, false
}
