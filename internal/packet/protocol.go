package packet

// Numbers of IP protocols whose headers or connections are treated in a way of
// their own (IANA, "Protocol Numbers").
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoGRE     = 47
	ProtoESP     = 50
	ProtoAH      = 51
	ProtoICMPv6  = 58
	ProtoIPComp  = 108
	ProtoSCTP    = 132
	ProtoMH      = 135 // Mobile IPv6's mobility header
	ProtoUDPLite = 136
)

// HasPorts reports whether a protocol's header begins with two ports.
func HasPorts(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}

// IsICMP reports whether a protocol is ICMP or ICMPv6.
func IsICMP(proto uint8) bool { return proto == ProtoICMP || proto == ProtoICMPv6 }
