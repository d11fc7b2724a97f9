package ext

import (
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// Space is what Match lets through: state, status, direction and protocol as
// sets of values, what is asked of the connection's addresses, ports and lifetime
// as atoms. Of a packet without a connection only the state is asked.
func (m *Conntrack) Space(f rule.Family) space.Set {
	hasState := m.Given&xtConntrackState != 0
	rest := m.connectionSpace(f).And(connected())
	if !hasState {
		return rest
	}
	state := m.stateSpace()
	if m.Not&xtConntrackState != 0 {
		state = state.Not()
	}
	return state.And(rest.Or(connected().Not()))
}

// stateSpace is the states asked for, and connections that are translated if
// SNAT or DNAT is among them.
func (m *Conntrack) stateSpace() space.Set {
	s := within(space.State, space.Bytes(space.State, func(x uint8) bool { return m.State&stateBit(packet.State(x)) != 0 }))
	status := flag[uint8](m.State&xtStateSNAT != 0, packet.StatusSNAT) | flag[uint8](m.State&xtStateDNAT != 0, packet.StatusDNAT)
	if status == 0 {
		return s
	}
	return s.Or(connected().And(within(space.Status, space.Bytes(space.Status, func(x uint8) bool { return x&status != 0 }))))
}

// connectionSpace is all conditions but the state, for packets with a connection.
func (m *Conntrack) connectionSpace(f rule.Family) space.Set {
	s := space.All()
	if m.Given&xtConntrackDirection != 0 {
		s = s.And(spanSpace[uint8](space.Dir, 0, 0, m.Not&xtConntrackDirection != 0))
	}
	if m.Given&xtConntrackStatus != 0 {
		v := space.Bytes(space.Status, func(x uint8) bool { return uint16(x)&m.Status != 0 })
		s = s.And(withinNot(space.Status, v, m.Not&xtConntrackStatus != 0))
	}
	if m.Given&xtConntrackProto != 0 {
		s = s.And(m.protoSpace(f))
	}
	const others = xtConntrackExpires | 15*xtConntrackOrigSrc | 15*xtConntrackOrigPort
	for bit := uint16(1); bit < xtConntrackStateAlias; bit <<= 1 {
		if m.Given&others&bit != 0 {
			s = s.And(literals(m.only(bit, f)))
		}
	}
	return s
}

// protoSpace asks for the connection's protocol: the packet's own, unless an
// ICMP error tells of another connection.
func (m *Conntrack) protoSpace(f rule.Family) space.Set {
	errors := spanSpace[uint8](space.Proto, 1, 1, false).Or(spanSpace[uint8](space.Proto, 58, 58, false)).
		And(spanSpace(space.State, uint8(packet.Related), uint8(packet.Related), false))
	own := everyOr(m.Not&xtConntrackProto != 0)
	if m.Proto < 256 {
		own = spanSpace(space.Proto, m.Proto, m.Proto, m.Not&xtConntrackProto != 0)
	}
	return own.Minus(errors).Or(errors.And(literals(m.only(xtConntrackProto, f))))
}

// only is one of the conditions as a literal.
func (m *Conntrack) only(bit uint16, f rule.Family) space.Literal {
	one := *m
	one.Given, one.Not = bit, m.Not&bit
	return atomOf(&one, nil, f)
}
