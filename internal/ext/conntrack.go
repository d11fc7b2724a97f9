package ext

// conntrack: iptables-extensions(8), "conntrack".
// UAPI: linux/netfilter/xt_conntrack.h, revisions 1, 2 and 3.

import (
	"math/bits"
	"net/netip"
	"strings"

	"moat/internal/rule"
)

// Conntrack matches what connection tracking knows of a packet. Match state
// is the same with a shorter name and only one option.
type Conntrack struct {
	Given   uint16 // xtConntrack* bits: the conditions that are asked for
	Not     uint16 // those of them that are inverted
	State   uint16 // any of these states, xtState* bits
	Status  uint16 // any of these, bits of conntrackStatus; 0: none of them set
	Proto   uint16
	Addr    [4]AddrMask // source and destination as sent, then as replied
	Port    [4]HostPorts
	Expires [2]uint32 // seconds, both included
}

// AddrMask is an address with a mask, which may leave host bits.
type AddrMask struct {
	IP   netip.Addr
	Mask netip.Addr // the zero Addr: none was given, all of IP counts
}

// HostPorts is a run of ports that may end before it begins, and then holds none.
type HostPorts struct{ From, To uint16 }

// The conditions: XT_CONNTRACK_* of linux/netfilter/xt_conntrack.h.
const (
	xtConntrackState      = 1 << 0
	xtConntrackProto      = 1 << 1
	xtConntrackOrigSrc    = 1 << 2 // this and the three after it: addresses
	xtConntrackStatus     = 1 << 6
	xtConntrackExpires    = 1 << 7
	xtConntrackOrigPort   = 1 << 8 // this and the three after it: ports
	xtConntrackDirection  = 1 << 12
	xtConntrackStateAlias = 1 << 13
	xtConntrackAll        = 1<<14 - 1
)

var conntrack = Def{
	Name: "conntrack", Kind: Match, Families: Both,
	Summary: "what connection tracking knows of the packet",
	Options: []Option{
		{Name: "ctstate", Value: "STATE[,...]", Not: true, Help: "INVALID, ESTABLISHED, NEW, RELATED, UNTRACKED, SNAT or DNAT"},
		{Name: "ctproto", Value: "PROTOCOL", Not: true, Help: "protocol by number or name"},
		{Name: "ctorigsrc", Value: "ADDRESS[/MASK]", Not: true, Help: "source as sent by the originator"},
		{Name: "ctorigdst", Value: "ADDRESS[/MASK]", Not: true, Help: "destination as sent by the originator"},
		{Name: "ctreplsrc", Value: "ADDRESS[/MASK]", Not: true, Help: "source of the replies"},
		{Name: "ctrepldst", Value: "ADDRESS[/MASK]", Not: true, Help: "destination of the replies"},
		{Name: "ctorigsrcport", Value: "PORT[:PORT]", Not: true, Help: "source port as sent by the originator"},
		{Name: "ctorigdstport", Value: "PORT[:PORT]", Not: true, Help: "destination port as sent by the originator"},
		{Name: "ctreplsrcport", Value: "PORT[:PORT]", Not: true, Help: "source port of the replies"},
		{Name: "ctrepldstport", Value: "PORT[:PORT]", Not: true, Help: "destination port of the replies"},
		{Name: "ctstatus", Value: "STATUS[,...]", Not: true, Help: "NONE, EXPECTED, SEEN_REPLY, ASSURED or CONFIRMED"},
		{Name: "ctexpire", Value: "SECONDS[:SECONDS]", Not: true, Help: "remaining lifetime, both ends included"},
		{Name: "ctdir", Value: "DIRECTION", Help: "ORIGINAL or REPLY"},
	},
	AnyOf: []string{
		"ctstate", "ctproto", "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst", "ctorigsrcport", "ctorigdstport",
		"ctreplsrcport", "ctrepldstport", "ctstatus", "ctexpire", "ctdir",
	},
	Revisions: []Revision{{Rev: 1, Size: 152}, {Rev: 2, Size: 156}, {Rev: 3, Size: 164}},
	New:       func(rule.Family) Ext { return &Conntrack{} },
}

func init() { register(&conntrack) }

// flagName is the name of one bit of a set.
type flagName struct {
	name string
	bit  uint16
}

// The states: XT_CONNTRACK_STATE_* of the header, where NEW is IP_CT_NEW and so on.
const (
	xtStateInvalid     = 1 << 0
	xtStateEstablished = 1 << 1
	xtStateRelated     = 1 << 2
	xtStateNew         = 1 << 3
	xtStateSNAT        = 1 << 6
	xtStateDNAT        = 1 << 7
	xtStateUntracked   = 1 << 8
)

// conntrackStates are the states in the order in which they are printed.
var conntrackStates = [...]flagName{
	{"INVALID", xtStateInvalid}, {"NEW", xtStateNew}, {"RELATED", xtStateRelated}, {"ESTABLISHED", xtStateEstablished},
	{"UNTRACKED", xtStateUntracked}, {"SNAT", xtStateSNAT}, {"DNAT", xtStateDNAT},
}

// conntrackStatus are bits of enum ip_conntrack_status, linux/netfilter/nf_conntrack_common.h.
var conntrackStatus = [...]flagName{{"NONE", 0}, {"EXPECTED", 1}, {"SEEN_REPLY", 2}, {"ASSURED", 4}, {"CONFIRMED", 8}}

// ctAddrNames and ctPortNames name the four addresses and ports.
var (
	ctAddrNames = [4]string{"ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"}
	ctPortNames = [4]string{"ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"}
)

// isState reports whether the match was written as "-m state".
func (m *Conntrack) isState() bool { return m.Given&xtConntrackStateAlias != 0 }

func (m *Conntrack) Name() string { return m.Def().Name }

func (m *Conntrack) Def() *Def {
	if m.isState() {
		return &state
	}
	return &conntrack
}

// add notes that a condition was given.
func (m *Conntrack) add(bit uint16, not bool) {
	m.Given |= bit
	if not {
		m.Not |= bit
	}
}

func (m *Conntrack) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "ctstate", "state":
		m.add(xtConntrackState, a.Not)
		m.State, err = a.flagSet(conntrackStates[:len(conntrackStates)-m.hiddenStates()])
	case "ctproto":
		m.add(xtConntrackProto, a.Not)
		m.Proto, err = a.protocol()
	case "ctstatus":
		m.add(xtConntrackStatus, a.Not)
		m.Status, err = a.flagSet(conntrackStatus[:])
	case "ctexpire":
		m.add(xtConntrackExpires, a.Not)
		m.Expires, err = a.seconds()
	case "ctdir":
		m.add(xtConntrackDirection, strings.EqualFold(a.Value, "REPLY"))
		if !strings.EqualFold(a.Value, "REPLY") && !strings.EqualFold(a.Value, "ORIGINAL") {
			err = a.Bad("ORIGINAL or REPLY")
		}
	}
	for i := range ctAddrNames {
		switch a.Option.Name {
		case ctAddrNames[i]:
			m.add(xtConntrackOrigSrc<<i, a.Not)
			m.Addr[i], err = a.addrMask()
		case ctPortNames[i]:
			m.add(xtConntrackOrigPort<<i, a.Not)
			m.Port[i], err = a.hostPorts()
		}
	}
	return err
}

// hiddenStates is how many of the last states "-m state" does not know.
func (m *Conntrack) hiddenStates() int {
	if m.isState() {
		return 2
	}
	return 0
}

// flagSet reads a comma list of names; the beginning of a name will do, in any case.
func (a *Arg) flagSet(names []flagName) (set uint16, err error) {
next:
	for word := range strings.SplitSeq(a.Value, ",") {
		for _, n := range names {
			if word != "" && hasPrefixFold(n.name, word) {
				set |= n.bit
				continue next
			}
		}
		return 0, a.Errorf("takes a comma list of %s, not %q", joinNames(names), word)
	}
	return set, nil
}

func joinNames(names []flagName) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n.name)
	}
	return b.String()
}

// protocol reads a protocol by number or name.
func (a *Arg) protocol() (uint16, error) {
	if n, ok := ParseUint(a.Value); ok && n <= 255 {
		return uint16(n), nil
	}
	if n, ok := a.Names.Protocol(strings.ToLower(a.Value)); ok && a.Value != "" {
		return uint16(n), nil
	}
	return 0, a.Errorf("unknown protocol %q specified: want a number (0-255) or a name of /etc/protocols", a.Value)
}

// seconds reads SECONDS or SECONDS:SECONDS; the first is 0 and the second all
// ones when left out. Nothing at all is 0.
func (a *Arg) seconds() (s [2]uint32, err error) {
	from, to, isRange := strings.Cut(a.Value, ":")
	var n uint64
	if from != "" {
		if n, err = a.UintOf(from, 0, 1<<32-1); err != nil {
			return s, err
		}
	}
	s[0], s[1] = uint32(n), uint32(n)
	switch {
	case isRange && to == "":
		s[1] = 1<<32 - 1
	case isRange:
		n, err = a.UintOf(to, 0, 1<<32-1)
		s[1] = uint32(n)
	}
	return s, err
}

// hostPorts reads PORT or PORT:PORT as conntrack and udp take them: ports of any
// protocol's service, numbers modulo 65536, reversed ranges too (all as 1.8.9).
func (a *Arg) hostPorts() (p HostPorts, err error) {
	from, to, isRange := strings.Cut(a.Value, ":")
	if from != "" {
		if p.From, err = a.loosePort(from); err != nil {
			return p, err
		}
	}
	p.To = p.From
	switch {
	case isRange && to == "":
		p.To = 65535
	case isRange:
		p.To, err = a.loosePort(to)
	}
	return p, err
}

// loosePort reads a number modulo 65536 or a service of any protocol; a number
// with a leading zero that is not octal counts as decimal.
func (a *Arg) loosePort(s string) (uint16, error) {
	if n, ok := ParseUint(s); ok {
		return uint16(n), nil
	}
	if t := strings.TrimLeft(s, "0"); t != "" && t != s {
		if n, rest, ok := leadingUint(t, 65535); ok && rest == "" {
			return uint16(n), nil
		}
	}
	if port, ok := a.Names.Service(s, ""); ok {
		return port, nil
	}
	return 0, a.Errorf("%q is neither a port (0-65535) nor a service of /etc/services", s)
}

// Equal compares what the matches ask for: a mask of all ones is the same as none.
func (m *Conntrack) Equal(other Ext) bool {
	o, ok := other.(*Conntrack)
	if !ok {
		return false
	}
	a, b := *m, *o
	for i := range a.Addr {
		a.Addr[i], b.Addr[i] = a.Addr[i].normal(), b.Addr[i].normal()
	}
	return a == b
}

// normal gives the same condition with a full mask left out.
func (a AddrMask) normal() AddrMask {
	if a.Mask.IsValid() && maskLen(a.Mask) == a.Mask.BitLen() {
		a.Mask = netip.Addr{}
	}
	return a
}

// maskLen is the length of a mask that is a prefix, and -1 for one with holes.
func maskLen(mask netip.Addr) int {
	n, ones := 0, true
	for _, b := range mask.AsSlice() {
		lead := bits.LeadingZeros8(^b)
		switch {
		case !ones && b != 0, lead < 8 && b<<lead != 0:
			return -1
		case ones:
			n, ones = n+lead, lead == 8
		}
	}
	return n
}
