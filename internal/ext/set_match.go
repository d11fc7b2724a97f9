package ext

// set: iptables-extensions(8), "set".
// UAPI: linux/netfilter/xt_set.h, struct xt_set_info_match_v0, v1, v3 and v4,
// revisions 0, 1 and 2, 3, 4.

import (
	"errors"
	"strings"

	"moat/internal/netdb"
	"moat/internal/packet"
	"moat/internal/rule"
)

// SetMatch matches packets whose addresses and ports are in a set of ipset(8).
type SetMatch struct {
	SetRef
	Not             bool
	ReturnNoMatch   bool // elements marked nomatch match, and others do not
	NoCounters      bool // do not count on the element
	NoSubcounters   bool // nor on elements of member sets
	Packets, Octets SetCounter
}

// SetRef names a set as a rule does: by its index, with what is looked up in it.
type SetRef struct {
	Index uint16
	// SetName is the name, if it was given or asked for: rules in the kernel have
	// only the index. See ResolveName.
	SetName string
	Dirs    []bool // for each dimension of the set whether it is the packet's source
}

// maxSetDirs is IPSET_DIM_MAX of linux/netfilter/ipset/ip_set.h.
const maxSetDirs = 6

// SetCounter is a condition on a counter of the element.
type SetCounter struct {
	Op    uint8 // one of setCounter…
	Value uint64
}

// The comparisons: IPSET_COUNTER_* of ip_set.h.
const (
	setCounterNone = 0
	setCounterEQ   = 1
	setCounterNE   = 2
	setCounterLT   = 3
	setCounterGT   = 4
)

var setMatch = Def{
	Name: "set", Kind: Match, Families: Both,
	Summary: "addresses and ports in a set of ipset(8)",
	Options: []Option{
		{Name: "match-set", Value: "SET src|dst[,...]", Not: true, Repeat: true, Help: "source or destination, for each part of the set's elements, are in SET"},
		{Name: "set", Value: "SET src|dst[,...]", Not: true, Repeat: true, Help: "old name of --match-set"},
		{Name: "return-nomatch", Repeat: true, Help: "match elements that are marked nomatch, and no others"},
		{Name: "update-counters", Not: true, Repeat: true, Help: "count the packet on the element (default)"},
		{Name: "update-subcounters", Not: true, Repeat: true, Help: "count the packet on elements of member sets (default)"},
		{Name: "packets-eq", Value: "NUMBER", Not: true, Repeat: true, Help: "the element has counted NUMBER packets"},
		{Name: "packets-lt", Value: "NUMBER", Repeat: true, Help: "fewer than NUMBER packets"},
		{Name: "packets-gt", Value: "NUMBER", Repeat: true, Help: "more than NUMBER packets"},
		{Name: "bytes-eq", Value: "NUMBER", Not: true, Repeat: true, Help: "the element has counted NUMBER bytes"},
		{Name: "bytes-lt", Value: "NUMBER", Repeat: true, Help: "fewer than NUMBER bytes"},
		{Name: "bytes-gt", Value: "NUMBER", Repeat: true, Help: "more than NUMBER bytes"},
	},
	AnyOf: []string{"match-set", "set"},
	Revisions: []Revision{
		{Rev: 0, Size: 32}, {Rev: 1, Size: 4}, {Rev: 2, Size: 4}, {Rev: 3, Size: 48}, {Rev: 4, Size: 48},
	},
	New: func(rule.Family) Ext { return &SetMatch{} },
}

func init() { register(&setMatch) }

func (m *SetMatch) Name() string { return "set" }
func (m *SetMatch) Def() *Def    { return &setMatch }

func (m *SetMatch) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "match-set", "set":
		if a.Is("set") {
			a.Warnf("--set option deprecated, please use --match-set")
		}
		if m.Dirs != nil {
			return a.Errorf("can only be used once.")
		}
		m.Not = a.Not
		m.SetRef, err = a.setRef(a.Value, a.Second)
	case "return-nomatch":
		m.ReturnNoMatch = true
	case "update-counters":
		m.NoCounters = m.NoCounters || a.Not
	case "update-subcounters":
		m.NoSubcounters = m.NoSubcounters || a.Not
	default:
		if kind, op, _ := strings.Cut(a.Option.Name, "-"); kind == "packets" {
			return m.Packets.set(a, op)
		} else {
			return m.Octets.set(a, op)
		}
	}
	return err
}

// setRef finds the set that a rule names. flags is a comma list of src and dst.
func (a *Arg) setRef(name, flags string) (SetRef, error) {
	ref := SetRef{SetName: name}
	for word := range strings.SplitSeq(flags, ",") {
		if word != "src" && word != "dst" {
			return ref, a.Errorf("takes a set and a comma list of src and dst, not %q", flags)
		}
		ref.Dirs = append(ref.Dirs, word == "src")
	}
	if len(ref.Dirs) > maxSetDirs {
		return ref, a.Errorf("takes at most %d times src and dst, not %q", maxSetDirs, flags)
	}
	s, err := a.Names.SetByName(name)
	switch {
	case errors.Is(err, netdb.ErrNoSet):
		return ref, a.Errorf("set %q does not exist: Set %s doesn't exist.", name, name)
	case err != nil:
		return ref, a.Errorf("set %q: %v", name, err)
	case s.Family != 0 && s.Family != uint8(a.Family):
		return ref, a.Errorf("set %q is for another family than %s", name, a.Family.Name())
	}
	ref.Index = s.Index
	return ref, nil
}

// ResolveName asks for the name of a set that is only known by its index.
func (s *SetRef) ResolveName(names *netdb.DB) { s.SetName = s.name(names) }

// name is the set's name; where nobody knows it, # and the index.
func (s *SetRef) name(names *netdb.DB) string {
	if s.SetName != "" || names == nil {
		return s.SetName
	}
	return names.SetName(s.Index)
}

// setRef prints name and directions.
func (p *Printer) setRef(s *SetRef) {
	if name := s.name(p.Names); name != "" {
		p.Str(name)
	} else {
		p.Byte('#')
		p.Uint(uint64(s.Index))
	}
	for i, src := range s.Dirs {
		p.Byte(" ,"[min(i, 1)])
		p.Str(setDir(src))
	}
}

func setDir(src bool) string {
	if src {
		return "src"
	}
	return "dst"
}

// set takes a condition on a counter.
func (c *SetCounter) set(a *Arg, op string) (err error) {
	if c.Op != setCounterNone {
		kind, _, _ := strings.Cut(a.Option.Name, "-")
		return a.Errorf("cannot stand beside another of --%s-eq, --%s-lt and --%s-gt", kind, kind, kind)
	}
	c.Value, err = a.Uint(0, 1<<64-1)
	switch {
	case op == "lt":
		c.Op = setCounterLT
	case op == "gt":
		c.Op = setCounterGT
	case a.Not:
		c.Op = setCounterNE
	default:
		c.Op = setCounterEQ
	}
	return err
}

func (m *SetMatch) Save(p *Printer) { m.print(p, " --") }
func (m *SetMatch) List(p *Printer) { m.print(p, " ") }

// print prints the options in the order of 1.8.9; before stands in front of each name.
func (m *SetMatch) print(p *Printer, before string) {
	p.notBefore(m.Not)
	p.Str(before)
	p.Str("match-set ")
	p.setRef(&m.SetRef)
	if m.ReturnNoMatch {
		p.Str(before)
		p.Str("return-nomatch")
	}
	for _, o := range [...]struct {
		off  bool
		name string
	}{{m.NoCounters, "update-counters"}, {m.NoSubcounters, "update-subcounters"}} {
		if o.off {
			p.Str(" !")
			p.Str(before)
			p.Str(o.name)
		}
	}
	m.Packets.print(p, before, "packets")
	m.Octets.print(p, before, "bytes")
}

// print prints a condition on a counter, if there is one.
func (c SetCounter) print(p *Printer, before, kind string) {
	if c.Op == setCounterNone {
		return
	}
	p.notBefore(c.Op == setCounterNE)
	p.Str(before)
	p.Str(kind)
	p.Str([...]string{"", "-eq ", "-eq ", "-lt ", "-gt "}[c.Op])
	p.Uint(c.Value)
}

// Equal compares indexes, since a rule of the kernel has no names.
func (m *SetMatch) Equal(other Ext) bool {
	o, ok := other.(*SetMatch)
	if !ok || len(m.Dirs) != len(o.Dirs) {
		return false
	}
	for i := range m.Dirs {
		if m.Dirs[i] != o.Dirs[i] {
			return false
		}
	}
	return m.Index == o.Index && m.Not == o.Not && m.ReturnNoMatch == o.ReturnNoMatch && m.NoCounters == o.NoCounters &&
		m.NoSubcounters == o.NoSubcounters && m.Packets == o.Packets && m.Octets == o.Octets
}

// Match asks the host whether the packet is in the set. Counters and elements
// marked nomatch are not known to it.
func (m *SetMatch) Match(p *packet.Packet) packet.Answer {
	if p.Host == nil || m.SetName == "" || m.ReturnNoMatch || m.Packets.Op != setCounterNone || m.Octets.Op != setCounterNone {
		return packet.Unknown
	}
	dirs := make([]string, len(m.Dirs))
	for i, src := range m.Dirs {
		dirs[i] = setDir(src)
	}
	in, known := p.Host.InSet(m.SetName, dirs, p)
	if !known {
		return packet.Unknown
	}
	return packet.Of(in).Invert(m.Not)
}
