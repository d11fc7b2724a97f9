package question

import (
	"maps"
	"net/netip"
	"slices"

	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// FreePort is the source port of a packet of which none was told: one of those
// that a client gets (49152 to 65535, RFC 6335).
const FreePort = 50000

// Options say how a question is read. The zero value will do.
type Options struct {
	// Family is that of the rules that are asked about; 0 takes that of the
	// addresses. One that the addresses do not have is an error.
	Family rule.Family
	Names  *netdb.DB // services, protocols, users by name; nil reads /etc
}

// Question is one packet, and what is assumed about it.
type Question struct {
	// Packet is the packet as it comes in, or as the host makes it. What a word
	// told or a default says is known; the rest is not.
	Packet packet.Packet
	Way    simulate.Way
	// WayTold says that the question tells the way, or that Settle has found it.
	WayTold bool
	// Loops says that the packet leaves by lo and comes in again: no word tells on
	// which of the two ways it is meant, so it is asked about both.
	Loops bool
	// Fixed are answers given beforehand, by the name of the match.
	Fixed map[string]packet.Answer
	// Payload is what follows the packet's transport header; nil: not told.
	Payload []byte

	// hinted says that the way was told by one interface alone, which is only
	// the default for want of a host's addresses and routes.
	hinted bool
}

// Parse reads a question about one packet and gives what was left out its
// default: state NEW (or what else a packet of its ICMP type can be), flags SYN
// if NEW and ACK if ESTABLISHED, a free source port, mark 0, no fragment, and
// with "in" alone to this host, with "out" alone from it, with both through it.
// Errors are *Error.
func Parse(s string, o Options) (*Question, error) {
	p, err := parse(s, o, true)
	if err != nil {
		return nil, err
	}
	return p.question()
}

// ParseEither reads one packet if the text describes one (both addresses, the
// destination port, and one value in each word), and a set of packets
// otherwise. One of the results is nil. Errors are *Error.
func ParseEither(s string, o Options) (*Question, *Range, error) {
	p, err := parse(s, o, false)
	if err != nil {
		if q, err1 := Parse(s, o); err1 == nil { // a word that only one packet can have
			return q, nil, nil
		}
		return nil, nil, err
	}
	if p.isOne() {
		q, err := Parse(s, o)
		return q, nil, err
	}
	return nil, p.rangeOf(), nil
}

// isOne reports whether what was told fits one packet only, of the fields in
// which sets differ.
func (p *parser) isOne() bool {
	r := &p.r
	number, one := r.Proto.one()
	if !one || len(r.Src) != 1 || len(r.Dst) != 1 || r.Src[0].From != r.Src[0].To || r.Dst[0].From != r.Dst[0].To {
		return false
	}
	for _, list := range []Spans{r.SrcPort, r.DstPort, r.Flags, r.Mark, r.ConnMark, r.TTL, r.TOS, r.Length, r.PktType} {
		if _, one := list.one(); !one && list != nil {
			return false
		}
	}
	for _, names := range [][]string{r.In, r.Out} {
		if len(names) > 1 || len(names) == 1 && isPattern(names[0]) {
			return false
		}
	}
	if packet.IsICMP(uint8(number)) {
		if len(r.Types) != 1 {
			return false
		}
		t := r.Types[0]
		if t.CodeFrom != t.CodeTo && hasCodes(r.Family == rule.IPv6, t.Type) {
			return false
		}
	}
	return len(r.States) <= 1 && !p.any && (r.DstPort != nil || !packet.HasPorts(uint8(number)) || p.has("frag"))
}

// question makes a Question of what was told, one value each.
func (p *parser) question() (*Question, error) {
	k := &p.packet
	proto, _ := p.r.Proto.one()
	k.Family, k.Proto = p.r.Family, uint8(proto)
	k.Src, k.Dst = p.r.Src[0].From, p.r.Dst[0].From
	q := &Question{Way: p.r.Way, WayTold: p.r.WayTold, Fixed: p.r.Fixed, Payload: p.payload}
	q.hinted = !p.has("hook") && p.has("in") != p.has("out")
	if !p.has("hook") && !p.has("in") && !p.has("out") && p.loopback() {
		p.r.In, p.r.Out = nil, []string{"lo"}
		q.loop()
	}
	k.In, k.HiddenIn = oneName(p.r.In, q.Way != simulate.Out)
	k.Out, k.HiddenOut = oneName(p.r.Out, q.Way != simulate.In)
	p.fragment()
	p.ports()
	if err := p.icmp(); err != nil {
		return nil, err
	}
	p.connection()
	p.header()
	p.bridge(q.Way)
	if q.Payload != nil {
		if err := p.build(q.Payload); err != nil {
			return nil, err
		}
	}
	q.Packet = *k
	q.linkLayer(p.r.PktType)
	q.presume()
	return q, nil
}

// loop makes the packet one that this host sends to itself.
func (q *Question) loop() {
	p := &q.Packet
	q.Way, q.WayTold, q.Loops = simulate.Out, true, true
	p.In, p.HiddenIn, p.Out, p.HiddenOut = "", false, "lo", false
}

// oneName is an interface's name, hidden if there is one that was not told.
func oneName(names []string, is bool) (name string, hidden bool) {
	if len(names) == 1 {
		return names[0], false
	}
	return "", is
}

// fragment notes whether the packet is a second or further fragment. In IPv6
// that is an extension header, and there is no other unless told.
func (p *parser) fragment() {
	k := &p.packet
	k.Known |= packet.KnowFragment
	k.Fragment = p.r.Fragment == packet.Yes
	if k.Family != rule.IPv6 {
		return
	}
	k.Known |= packet.KnowExtensions
	if k.Fragment && !slices.ContainsFunc(k.Extensions, func(e packet.Extension) bool { return e.Proto == fragmentHeader }) {
		k.Extensions = append(k.Extensions, packet.Extension{Proto: fragmentHeader})
	}
}

func (p *parser) ports() {
	k := &p.packet
	if !packet.HasPorts(k.Proto) || k.Fragment {
		return
	}
	k.Transport.Src = FreePort
	k.Known |= packet.KnowSrcPort
	if port, told := p.r.SrcPort.one(); told {
		k.Transport.Src = uint16(port)
	}
	if port, told := p.r.DstPort.one(); told {
		k.Transport.Dst = uint16(port)
		k.Known |= packet.KnowDstPort
	}
}

// icmp takes the type. A type without a code is enough if it has only one.
func (p *parser) icmp() error {
	k := &p.packet
	if len(p.r.Types) == 0 {
		return nil
	}
	t := p.r.Types[0]
	k.Transport.Type, k.Transport.Code = t.Type, t.CodeFrom
	k.Known |= packet.KnowICMP
	if t.CodeFrom != t.CodeTo && hasCodes(k.Family == rule.IPv6, t.Type) {
		return p.seen["type"].errorf("type %d has several codes: write which, as in \"type %d/0\" or \"code 0\"", t.Type, t.Type)
	}
	return nil
}

// connection sets the state and what follows from it: connection tracking
// begins a new connection with no mark, no status bits and no labels.
func (p *parser) connection() {
	k := &p.packet
	c := &k.Connection
	c.State = naturalState(k.Proto, k.Transport.Type)
	if !k.Has(packet.KnowICMP) {
		c.State = packet.New
	}
	if len(p.r.States) == 1 {
		c.State = p.r.States[0]
	}
	k.Known |= packet.KnowState
	if mark, told := p.r.ConnMark.one(); told {
		c.Mark = mark
		k.Known |= packet.KnowConnMark
	}
	if c.State == packet.New {
		k.Known |= packet.KnowConnMark | packet.KnowStatus | packet.KnowConnLabels | packet.KnowDirection
	}
	flags, known := naturalFlags([]packet.State{c.State})
	if told, is := p.r.Flags.one(); is {
		flags, known = uint8(told), true
	}
	if known && k.Proto == packet.ProtoTCP && !k.Fragment {
		k.Transport.Flags = flags
		k.Known |= packet.KnowFlags
	}
}

// header takes the numbers of the network header, and the packet's mark.
func (p *parser) header() {
	k := &p.packet
	k.Mark, _ = p.r.Mark.one()
	k.Known |= packet.KnowMark
	if n, told := p.r.TTL.one(); told {
		k.TTL = uint8(n)
		k.Known |= packet.KnowTTL
	}
	if n, told := p.r.TOS.one(); told {
		k.TOS = uint8(n)
		k.Known |= packet.KnowTOS
	}
	if n, told := p.r.Length.one(); told {
		k.Length = n
		k.Known |= packet.KnowLength
	}
}

// bridge: a packet with both bridge ports that goes through is bridged.
func (p *parser) bridge(w simulate.Way) {
	p.packet.Bridged = p.packet.PhysIn != "" && p.packet.PhysOut != "" && w == simulate.Through
}

// linkLayer says to whom the frame goes, as far as the addresses say it. On
// OUTPUT the kernel calls every packet to one receiver "unicast", whatever its
// frame will be (found by counting packets on lo).
func (q *Question) linkLayer(told Spans) {
	k := &q.Packet
	k.ArrivedLocal = q.Way == simulate.Out || k.In == "lo"
	if n, is := told.one(); is {
		k.PacketType = packet.PacketType(n)
		k.Known |= packet.KnowPacketType
		return
	}
	switch {
	case !isGroup(k.Dst):
		k.PacketType = packet.ToHost
	case k.ArrivedLocal:
		return
	case k.Dst.IsMulticast():
		k.PacketType = packet.ToMulticast
	default:
		k.PacketType = packet.ToBroadcast
	}
	k.Known |= packet.KnowPacketType
}

// pktTypeTold reports whether the type of the frame is not what the addresses
// and the way give by themselves.
func (q *Question) pktTypeTold() bool {
	plain := *q
	plain.Packet.Known &^= packet.KnowPacketType
	plain.linkLayer(nil)
	p := &q.Packet
	return p.Has(packet.KnowPacketType) && (p.PacketType != plain.Packet.PacketType || !plain.Packet.Has(packet.KnowPacketType))
}

// isGroup reports whether an address stands for more than one receiver.
func isGroup(a netip.Addr) bool {
	return a.IsMulticast() || packet.IsLimitedBroadcast(a)
}

// fixedNames are the matches with a fixed answer, sorted.
func (q *Question) fixedNames() []string { return slices.Sorted(maps.Keys(q.Fixed)) }
