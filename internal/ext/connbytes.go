package ext

// connbytes: iptables-extensions(8), "connbytes".
// UAPI: linux/netfilter/xt_connbytes.h, struct xt_connbytes_info, revision 0.

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// ConnBytes matches how much a connection has carried so far.
type ConnBytes struct {
	From, To uint64 // both included
	Not      bool
	What     uint8 // an index of connBytesModes
	Dir      uint8 // an index of connBytesDirs
}

// connBytesModes and connBytesDirs are enum xt_connbytes_what and
// xt_connbytes_direction by name.
var (
	connBytesModes = [...]string{"packets", "bytes", "avgpkt"}
	connBytesDirs  = [...]string{"original", "reply", "both"}
)

var connbytes = Def{
	Name: "connbytes", Kind: Match, Families: Both,
	Summary: "how much the connection has carried",
	Options: []Option{
		{Name: "connbytes", Value: "FROM[:TO]", Not: true, Required: true, Help: "between FROM and TO, both included; without TO, at least FROM"},
		{Name: "connbytes-dir", Value: "DIRECTION", Required: true, Help: "count packets in direction original, reply or both"},
		{Name: "connbytes-mode", Value: "MODE", Required: true, Help: "count packets, bytes or avgpkt (the average size of packets)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 24}},
	New:       func(rule.Family) Ext { return &ConnBytes{} },
}

func init() { register(&connbytes) }

func (m *ConnBytes) Name() string { return "connbytes" }
func (m *ConnBytes) Def() *Def    { return &connbytes }

func (m *ConnBytes) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "connbytes":
		return m.setRange(a)
	case "connbytes-dir":
		m.Dir, err = a.wordOf(connBytesDirs[:])
	case "connbytes-mode":
		m.What, err = a.wordOf(connBytesModes[:])
	}
	return err
}

func (m *ConnBytes) setRange(a *Arg) (err error) {
	var isRange bool
	if m.From, m.To, isRange, err = a.numberRange(1<<64 - 1); err != nil {
		return err
	}
	if !isRange {
		m.To = 1<<64 - 1
	}
	if m.From > m.To {
		return a.Errorf("%s: the range ends before it begins", a.Value)
	}
	m.Not = a.Not && m.From != m.To // 1.8.9 loses the "!" of a single number
	return nil
}

// wordOf finds the value among words, written just so, and gives its index.
func (a *Arg) wordOf(words []string) (uint8, error) {
	i := slices.Index(words, a.Value)
	if i < 0 {
		return 0, a.Bad("one of " + strings.Join(words, ", "))
	}
	return uint8(i), nil
}

func (m *ConnBytes) Save(p *Printer) {
	p.Option(m.Not, "connbytes")
	m.count(p)
	p.OptionStr(false, "connbytes-mode", connBytesModes[m.What])
	p.OptionStr(false, "connbytes-dir", connBytesDirs[m.Dir])
}

// count prints the range, without an end that says nothing.
func (m *ConnBytes) count(p *Printer) {
	p.Byte(' ')
	p.Uint(m.From)
	if m.To != 1<<64-1 {
		p.Byte(':')
		p.Uint(m.To)
	}
}

func (m *ConnBytes) List(p *Printer) {
	if m.Not {
		p.Str(" !")
	}
	p.Str(" connbytes")
	m.count(p)
	p.Str(" connbytes mode ")
	p.Str(connBytesModes[m.What])
	p.Str(" connbytes direction ")
	p.Str(connBytesDirs[m.Dir])
}

// Info writes struct xt_connbytes_info: an inverted range is one with its ends
// exchanged.
func (m *ConnBytes) Info(w nft.Info, _ uint8, _ rule.Family) {
	from, to := m.From, m.To
	if m.Not {
		from, to = to, from
	}
	w.Host64(from)
	w.Host64(to)
	w.U8(m.What)
	w.U8(m.Dir)
}

// Read reads struct xt_connbytes_info.
func (m *ConnBytes) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.From, m.To = r.Host64(), r.Host64()
	if m.From > m.To {
		m.From, m.To, m.Not = m.To, m.From, true
	}
	m.What, m.Dir = r.U8(), r.U8()
	if int(m.What) >= len(connBytesModes) || int(m.Dir) >= len(connBytesDirs) {
		return nft.ErrMalformed
	}
	return nil
}

// Match looks at the connection's counters.
func (m *ConnBytes) Match(p *packet.Packet) packet.Answer {
	if none := untracked(p); none == packet.Yes {
		return packet.No
	}
	if !p.Has(packet.KnowConnCounter) {
		return packet.Unknown
	}
	packets, bytes := m.sum(p.Connection.Packets), m.sum(p.Connection.Bytes)
	n := packets
	switch m.What {
	case 1:
		n = bytes
	case 2:
		if n = 0; packets > 0 {
			n = bytes / packets
		}
	}
	return packet.Of((n >= m.From && n <= m.To) != m.Not)
}

// sum is what a counter of both directions has in the direction asked for.
func (m *ConnBytes) sum(counter [2]uint64) uint64 {
	if m.Dir < 2 {
		return counter[m.Dir]
	}
	return counter[0] + counter[1]
}
