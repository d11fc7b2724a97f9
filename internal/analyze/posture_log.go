package analyze

import (
	"slices"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// findUnlimitedLogs finds rules that log each packet that anyone sends: who
// sends many fills the disk, and hides among them what matters.
func findUnlimitedLogs(a *Auditor, s *Subject) (list []Finding) {
	w := a.world(s)
	told := map[simulate.Place]bool{}
	for _, f := range s.Rollouts() {
		if h := f.base.Base.Hook; h != rule.Prerouting && h != rule.Input && h != rule.Forward {
			continue
		}
		for _, at := range f.effects {
			v := &f.visits[at]
			if told[v.Place] || !isLog(v.rule) || f.isSlowed(v) {
				continue
			}
			if e := w.logged(f, v); e != nil {
				told[v.Place] = true
				found := Finding{
					Place: s.RefOf(v.Place), Example: e, Fix: w.limitLog(v.Place),
					Says: "logs every packet that anybody sends, without a limit: who sends many fills the log",
				}
				if _, program := v.rule.Target.(*ext.NFLog); program { // which may have a limit of its own
					found.Severity = Note
				}
				list = append(list, found)
			}
		}
	}
	return list
}

func isLog(r *rule.Rule) bool {
	switch r.Target.(type) {
	case *ext.Log, *ext.NFLog:
		return true
	}
	return false
}

// isSlow reports whether a match lets no more than so many packets through.
func isSlow(m rule.Match) bool {
	return slices.Contains([]string{"limit", "hashlimit", "recent", "quota", "statistic", "connlimit", "rateest", "connbytes"}, m.Name())
}

// isSlowed reports whether packets come to a visit only as often as a match lets them.
func (f *rollout) isSlowed(v *visit) bool {
	if slices.ContainsFunc(v.rule.Matches, isSlow) {
		return true
	}
	return slices.ContainsFunc(v.calls, func(c call) bool { return slices.ContainsFunc(f.visits[c.visit].rule.Matches, isSlow) })
}

// logged gives a packet from the world that a visit logs; nil if none of those
// tried is, or if it is only from few sources.
func (w *world) logged(f *rollout, v *visit) *Example {
	for i := range v.boxes {
		if i >= exampleTries || !w.fromMost(&v.boxes[i]) {
			continue
		}
		for try := range exampleTries {
			b, ok := w.someOf(&v.boxes[i], try)
			p := f.point()
			if f.base.Base.Hook != rule.Forward {
				p.At[space.Dst] = space.AddrNumber(w.own)
			}
			if !ok || !b.Sample(&p, f.random) {
				continue
			}
			f.fit(&p)
			q, ok := asQuestion(&p, w.s.Family, f.base.Base.Hook)
			if !ok {
				continue
			}
			if e := w.s.Example("is logged", q, func(r simulate.Result) bool { return meetsUnslowed(r, v.Place) }); e != nil {
				return e
			}
		}
	}
	return nil
}

// someOf is those of a box's packets that come from a source of the world, and
// that anybody can make: no answers.
func (w *world) someOf(b *space.Box, try int) (some space.Box, ok bool) {
	src, in := w.sources[try%len(w.sources)], w.outside[try%len(w.outside)]
	states := []packet.State{packet.New}
	if try >= exampleTries/2 {
		states = []packet.State{packet.New, packet.Invalid, packet.Untracked}
	}
	some, ok = b.With(space.Src, space.Addrs(src, src))
	if ok {
		some, ok = some.With(space.In, space.Names(in))
	}
	if ok {
		some, ok = some.With(space.State, space.Bytes(space.State, func(x uint8) bool { return slices.Contains(states, packet.State(x)) }))
	}
	return some, ok
}

// fromMost reports whether a box has packets from most of the world.
func (w *world) fromMost(b *space.Box) bool {
	values, in := b.Values(space.Src), 0
	for _, src := range w.sources {
		if values == nil || space.Has(values, space.AddrNumber(src)) {
			in++
		}
	}
	return in >= worldOpen
}

// meetsUnslowed reports whether a walk met a rule, and before it none that may
// end a packet's way because there are too many.
func meetsUnslowed(r simulate.Result, p simulate.Place) bool {
	for i := range r.Trace {
		step := &r.Trace[i]
		if step.Place == p && step.Action != "" {
			return true
		}
		if step.Match == packet.Unknown && step.What != nil && slices.ContainsFunc(step.What.Matches, isSlow) && !isLog(step.What) {
			return false
		}
	}
	return false
}

// limitLog adds a limit to a rule.
func (w *world) limitLog(at simulate.Place) *Fix {
	limited := *w.s.at(at)
	limit := w.s.ops("-A INPUT -m limit --limit 5/min --limit-burst 10 -j ACCEPT")[0].Rule.Matches
	limited.Matches = append(slices.Clone(limited.Matches), limit...)
	return w.s.Fix("logs ten at once and then five a minute", w.s.replaceOp(at, &limited), func(after *Subject) bool {
		return slices.ContainsFunc(after.at(at).Matches, isSlow) && w.sameFew(after)
	})
}

// fewProbes is how many probes are compared where a fix changes nothing that
// decides, and there may be as many fixes as rules that log.
const fewProbes = 32

// sameFew is SameFate for some probes, without an index of the ruleset after.
func (w *world) sameFew(after *Subject) bool {
	now := after.Firewall().Walker()
	probes := w.s.Probes()
	for i := range probes[:min(len(probes), fewProbes)] {
		p := &probes[i]
		p.Packet.Host = w.s.host
		was, _ := w.walker.Decide(&p.Packet, p.Way)
		if is, _ := now.Decide(&p.Packet, p.Way); was != is {
			return false
		}
	}
	return true
}
