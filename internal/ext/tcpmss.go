package ext

// tcpmss: iptables-extensions(8), "tcpmss".
// UAPI: linux/netfilter/xt_tcpmss.h, struct xt_tcpmss_match_info, revision 0.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TCPMSSMatch matches the maximum segment size that a TCP SYN announces.
type TCPMSSMatch struct {
	Range
	Not bool
}

var tcpMSSMatch = Def{
	Name: "tcpmss", Kind: Match, Families: Both,
	Summary: "maximum segment size in TCP SYN and SYN/ACK packets",
	Options: []Option{
		{Name: "mss", Value: "SIZE[:SIZE]", Not: true, Required: true, Help: "the announced size in bytes (0-65535), or a range of it"},
	},
	Revisions: []Revision{{Rev: 0, Size: 6}},
	New:       func(rule.Family) Ext { return &TCPMSSMatch{} },
}

func init() { register(&tcpMSSMatch) }

func (m *TCPMSSMatch) Name() string { return "tcpmss" }
func (m *TCPMSSMatch) Def() *Def    { return &tcpMSSMatch }

func (m *TCPMSSMatch) Set(a *Arg) error {
	from, to, _, err := a.numberRange(65535)
	m.Range, m.Not = Range{uint16(from), uint16(to)}, a.Not
	if err == nil && from > to {
		return a.Errorf("%s: the range ends before it begins", a.Value)
	}
	return err
}

func (m *TCPMSSMatch) Save(p *Printer) {
	p.Option(m.Not, "mss")
	p.Byte(' ')
	p.fromTo(uint64(m.From), uint64(m.To))
}

func (m *TCPMSSMatch) List(p *Printer) {
	p.Str(" tcpmss match ")
	p.notMark(m.Not)
	p.fromTo(uint64(m.From), uint64(m.To))
}

// Info writes struct xt_tcpmss_match_info.
func (m *TCPMSSMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host16(m.From)
	w.Host16(m.To)
	w.Bool(m.Not)
}

// Read reads struct xt_tcpmss_match_info.
func (m *TCPMSSMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.From, m.To, m.Not = r.Host16(), r.Host16(), r.Bool()
	return nil
}

// tcpOptionMSS is the kind of the TCP option Maximum Segment Size, RFC 9293.
const tcpOptionMSS = 2

// Match decides for a packet whose TCP options were told. A packet without the
// option meets only the inverted condition. A later fragment's bytes are taken
// for a header (Linux 6.18), and not told.
func (m *TCPMSSMatch) Match(p *packet.Packet) packet.Answer {
	switch {
	case p.Proto != 6:
		return packet.No
	case p.Fragment && p.Family == rule.IPv4 && p.Bytes != nil:
		return m.matchFragment(transportBytes(p))
	case p.Fragment || !p.Has(packet.KnowTCPOptions):
		return packet.Unknown
	}
	return m.matchOptions(p.Transport.Options)
}

// matchFragment takes a fragment for a TCP header. What cannot be one is dropped
// by the kernel without an answer.
func (m *TCPMSSMatch) matchFragment(b []byte) packet.Answer {
	if len(b) < 20 || int(b[12]>>4)*4 < 20 || int(b[12]>>4)*4 > len(b) {
		return packet.Unknown
	}
	var list []packet.TCPOption
	for b = b[20 : int(b[12]>>4)*4]; len(b) > 0; {
		n := 1
		if b[0] > 1 && len(b) > 1 {
			n = min(max(1, int(b[1])), len(b))
		}
		list, b = append(list, packet.TCPOption{Kind: b[0], Data: b[min(2, n):n]}), b[n:]
	}
	return m.matchOptions(list)
}

func (m *TCPMSSMatch) matchOptions(options []packet.TCPOption) packet.Answer {
	for _, o := range options {
		if o.Kind == tcpOptionMSS && len(o.Data) == 2 {
			size := binary.BigEndian.Uint16(o.Data)
			return packet.Of(size >= m.From && size <= m.To).Invert(m.Not)
		}
	}
	return packet.Of(m.Not)
}
