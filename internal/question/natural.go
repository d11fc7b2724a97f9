package question

import "moat/internal/packet"

// fragmentHeader is the number of IPv6's fragment header.
const fragmentHeader = 44

// naturalState is the state of a packet of which nothing else is known: NEW,
// unless an ICMP packet of its type never begins a connection. Then it is that
// of such a packet which is not stray. Found by sending each type and looking
// which --ctstate counts it: NEW and UNTRACKED are as there, what was INVALID
// there for want of a connection is an answer (ESTABLISHED) or an error (RELATED).
func naturalState(proto, icmpType uint8) packet.State {
	switch proto {
	case packet.ProtoICMP:
		switch icmpType {
		case 8, 13, 15, 17:
			return packet.New
		case 0, 14, 16, 18:
			return packet.Established
		case 3, 4, 5, 11, 12:
			return packet.Related
		}
		return packet.Invalid
	case packet.ProtoICMPv6:
		switch {
		case icmpType == 128 || icmpType == 139:
			return packet.New
		case icmpType == 129 || icmpType == 140:
			return packet.Established
		case icmpType >= 130 && icmpType <= 136 || icmpType == 143:
			return packet.Untracked
		case icmpType >= 1 && icmpType <= 4:
			return packet.Related
		}
		return packet.Invalid
	}
	return packet.New
}

// naturalFlags are the TCP flags of packets in these states, if one value
// stands for them: a first packet has SYN, a later one ACK.
func naturalFlags(states []packet.State) (flags uint8, known bool) {
	if len(states) != 1 {
		return 0, false
	}
	switch states[0] {
	case packet.New, packet.Related, packet.Untracked:
		return 2, true
	case packet.Established:
		return 16, true
	}
	return 0, false
}
