package simulate

import (
	"net/netip"
	"strconv"
	"strings"

	"moat/internal/packet"
	"moat/internal/rule"
)

// note adds a rule that the packet met to the trace.
func (w *walk) note(s *state, i int, a packet.Answer, action string, after *packet.Packet) {
	w.trace = append(w.trace, Step{
		Place: Place{s.chain.table, s.chain.name, i + 1}, What: s.chain.lines[i].rule, Match: a, Action: action, After: after,
	})
}

// noteAction adds a rule that matched and leaves the packet as it is.
func (w *walk) noteAction(s *state, i int) {
	if s.traced {
		w.note(s, i, packet.Yes, actionOf(s.chain.lines[i].rule.Target), nil)
	}
}

// noteChange adds a rule whose target may have changed the packet; nil before
// if it has not.
func (w *walk) noteChange(s *state, i int, before *packet.Packet) {
	name := s.chain.lines[i].rule.Target.Name()
	if before == nil {
		w.note(s, i, packet.Yes, name, nil)
		return
	}
	after := s.p
	if changes := Difference(before, &after); changes != "" {
		name += " " + changes
	}
	w.note(s, i, packet.Yes, name, &after)
}

// noteDoubt adds a rule of which it is unknown whether it matches.
func (w *walk) noteDoubt(s *state, d Doubt) {
	if n := len(w.trace); d.What == nil || n > 0 && w.trace[n-1].Place == d.Place && w.trace[n-1].What == d.What {
		return
	}
	w.trace = append(w.trace, Step{Place: d.Place, What: d.What, Match: packet.Unknown})
}

func actionOf(t rule.Target) string {
	switch t := t.(type) {
	case nil:
		return "count"
	case rule.Jump:
		if t.Goto {
			return "goto " + t.Chain
		}
		return "jump " + t.Chain
	default:
		return t.Name()
	}
}

// Difference says in a few words what distinguishes a packet from what it was:
// "destination 10.0.0.2:80", "mark 0x1". It is empty if nothing that people ask
// for differs.
func Difference(before, after *packet.Packet) string {
	var words []string
	add := func(differs bool, what, value string) {
		if differs {
			words = append(words, what+" "+value)
		}
	}
	add(before.Src != after.Src || before.Transport.Src != after.Transport.Src || before.Known&packet.KnowSrcPort != after.Known&packet.KnowSrcPort,
		"source", endpoint(after.Src, after.Transport.Src, after.Proto, after.Has(packet.KnowSrcPort)))
	add(before.Dst != after.Dst || before.Transport.Dst != after.Transport.Dst || before.Known&packet.KnowDstPort != after.Known&packet.KnowDstPort,
		"destination", endpoint(after.Dst, after.Transport.Dst, after.Proto, after.Has(packet.KnowDstPort)))
	add(before.Mark != after.Mark || before.Known&packet.KnowMark != after.Known&packet.KnowMark,
		"mark", hexOrUnknown(after.Mark, after.Has(packet.KnowMark)))
	add(before.Connection.Mark != after.Connection.Mark || before.Known&packet.KnowConnMark != after.Known&packet.KnowConnMark,
		"connmark", hexOrUnknown(after.Connection.Mark, after.Has(packet.KnowConnMark)))
	add(before.Connection.State != after.Connection.State, "state", after.Connection.State.String())
	add(before.TOS != after.TOS, "tos", hexOrUnknown(uint32(after.TOS), after.Has(packet.KnowTOS)))
	add(before.TTL != after.TTL, "ttl", strconv.Itoa(int(after.TTL)))
	add(before.Priority != after.Priority, "priority", hexOrUnknown(after.Priority, after.Has(packet.KnowPriority)))
	return strings.Join(words, ", ")
}

func endpoint(a netip.Addr, port uint16, proto uint8, portKnown bool) string {
	s := "unknown"
	if a.IsValid() {
		s = a.String()
	}
	switch {
	case !packet.HasPorts(proto):
		return s
	case a.Is6():
		s = "[" + s + "]"
	}
	if !portKnown {
		return s + ":unknown"
	}
	return s + ":" + strconv.Itoa(int(port))
}

func hexOrUnknown(v uint32, known bool) string {
	if !known {
		return "unknown"
	}
	return "0x" + strconv.FormatUint(uint64(v), 16)
}
