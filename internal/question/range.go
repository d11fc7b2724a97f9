package question

import (
	"net/netip"
	"slices"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// Span is a run of numbers, both ends included.
type Span struct{ From, To uint32 }

// Spans are numbers in runs, as they were written; nil is every number.
type Spans []Span

// Has reports whether n is among them.
func (s Spans) Has(n uint32) bool {
	return s == nil || slices.ContainsFunc(s, func(r Span) bool { return n >= r.From && n <= r.To })
}

// one gives the number if there is just one.
func (s Spans) one() (n uint32, ok bool) {
	if len(s) != 1 || s[0].From != s[0].To {
		return 0, false
	}
	return s[0].From, true
}

// Addrs is a run of addresses of one family, both ends included.
type Addrs struct{ From, To netip.Addr }

// Has reports whether a is among them.
func (r Addrs) Has(a netip.Addr) bool {
	return a.BitLen() == r.From.BitLen() && !a.Less(r.From) && !r.To.Less(a)
}

// ICMPType is a type with its codes from CodeFrom to CodeTo, both included.
type ICMPType struct{ Type, CodeFrom, CodeTo uint8 }

// Range is a set of packets: all whose fields are among those named here. A nil
// list is every value. A field that a packet's protocol does not have (ports of
// ICMP, flags of UDP) is no condition on that packet.
type Range struct {
	Family           rule.Family // 0: no address says which
	Proto            Spans
	Src, Dst         []Addrs
	SrcPort, DstPort Spans

	// Way is In unless something says otherwise; WayTold that "in", "out",
	// "hook" or a loopback address does.
	Way     simulate.Way
	WayTold bool
	In, Out []string // names, of which one that ends in "+" stands for all that begin so

	States   []packet.State
	Flags    Spans // values of the TCP header's flags, all eight bits
	Types    []ICMPType
	Fragment packet.Answer // Yes: only second and further fragments; Unknown: these too
	Mark     Spans
	ConnMark Spans
	TTL      Spans
	TOS      Spans
	Length   Spans
	PktType  Spans // packet.PacketType
	// Fixed are answers given beforehand, by the name of the match.
	Fixed map[string]packet.Answer
}

// ParseRange reads a set of packets. What is left out is any, but for what a
// fresh packet has: state NEW, TCP flags SYN, mark 0, no fragment; "any" behind
// these words takes that back. Errors are *Error.
func ParseRange(s string, o Options) (*Range, error) {
	p, err := parse(s, o, false)
	if err != nil {
		return nil, err
	}
	return p.rangeOf(), nil
}

// rangeOf gives what was left out its default.
func (p *parser) rangeOf() *Range {
	r := &p.r
	if !p.has("state") {
		r.States = p.naturalStates()
	}
	fresh := len(r.States) == 1 && r.States[0] == packet.New
	if flags, ok := naturalFlags(r.States); ok && !p.has("flags") {
		r.Flags = Spans{{uint32(flags), uint32(flags)}}
	}
	if !p.has("mark") {
		r.Mark = Spans{{0, 0}}
	}
	if !p.has("connmark") && fresh {
		r.ConnMark = Spans{{0, 0}}
	}
	if !p.has("frag") {
		r.Fragment = packet.No
	}
	return r
}

// naturalStates are the states that packets of the protocol and ICMP types
// have when nothing is said of them.
func (p *parser) naturalStates() []packet.State {
	n, _ := p.r.Proto.one()
	if len(p.r.Types) == 0 {
		return []packet.State{packet.New}
	}
	var states []packet.State
	for _, t := range p.r.Types {
		if s := naturalState(uint8(n), t.Type); !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	return states
}
