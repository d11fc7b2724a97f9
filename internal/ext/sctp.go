package ext

// sctp: iptables-extensions(8), "sctp".
// UAPI: linux/netfilter/xt_sctp.h, struct xt_sctp_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// SCTP matches ports and chunks of SCTP packets.
type SCTP struct {
	Given, Not uint8 // xtSCTP… bits
	Src, Dst   Range
	Chunks     SCTPChunks
}

// The conditions: XT_SCTP_* of the header.
const (
	xtSCTPSrc    = 1 << 0
	xtSCTPDst    = 1 << 1
	xtSCTPChunks = 1 << 2
)

var sctp = Def{
	Name: "sctp", Kind: Match, Families: Both,
	Summary:   "SCTP ports and chunk types",
	Protocols: []uint16{132},
	Options: []Option{
		{Name: "source-port", Aliases: []string{"sport"}, Value: "PORT[:PORT]", Not: true, Help: "source port or range"},
		{Name: "destination-port", Aliases: []string{"dport"}, Value: "PORT[:PORT]", Not: true, Help: "destination port or range"},
		{Name: "chunk-types", Value: "all|any|only TYPE[:FLAGS][,...]", Not: true, Help: "of the chunks in the packet: all of these, any of these, only these"},
	},
	Revisions: []Revision{{Rev: 0, Size: 292}},
	New:       func(rule.Family) Ext { return &SCTP{} },
	HelpText:  sctpHelp,
}

func init() { register(&sctp) }

func sctpHelp(rule.Family) string {
	var b strings.Builder
	b.WriteString("Chunk types: ALL, NONE")
	for i, c := range sctpChunks {
		b.WriteByte(',')
		b.WriteByte(" \n"[flag[uint8](i%6 == 4, 1)])
		b.WriteString(c.name)
	}
	b.WriteString("\nFlags, in capitals for on and small letters for off: DATA and I_DATA: I U B E;\nABORT and SHUTDOWN_COMPLETE: T\n")
	return b.String()
}

func (m *SCTP) Name() string { return "sctp" }
func (m *SCTP) Def() *Def    { return &sctp }

func (m *SCTP) Set(a *Arg) (err error) {
	bit := uint8(xtSCTPSrc)
	switch a.Option.Name {
	case "source-port":
		m.Src, err = a.PortRange(a.Value, "sctp")
	case "destination-port":
		bit = xtSCTPDst
		m.Dst, err = a.PortRange(a.Value, "sctp")
	case "chunk-types":
		bit = xtSCTPChunks
		err = m.Chunks.set(a)
	}
	m.Given |= bit
	m.Not |= flag(a.Not, bit)
	return err
}

func (m *SCTP) Save(p *Printer) {
	for _, port := range [...]struct {
		bit  uint8
		r    Range
		name string
	}{{xtSCTPSrc, m.Src, "sport"}, {xtSCTPDst, m.Dst, "dport"}} {
		if m.Given&port.bit == 0 {
			continue
		}
		p.Option(m.Not&port.bit != 0, port.name)
		p.Byte(' ')
		p.fromTo(uint64(port.r.From), uint64(port.r.To))
	}
	if m.Given&xtSCTPChunks != 0 {
		p.Option(m.Not&xtSCTPChunks != 0, "chunk-types")
		m.Chunks.print(p, false)
	}
}

func (m *SCTP) List(p *Printer) {
	p.Str(" sctp")
	if m.Given&xtSCTPSrc != 0 {
		PortMatch{m.Src, m.Not&xtSCTPSrc != 0}.listPort(p, "spt", "sctp")
	}
	if m.Given&xtSCTPDst != 0 {
		PortMatch{m.Dst, m.Not&xtSCTPDst != 0}.listPort(p, "dpt", "sctp")
	}
	if m.Given&xtSCTPChunks != 0 {
		p.notBefore(m.Not&xtSCTPChunks != 0)
		m.Chunks.print(p, p.Numeric)
	}
}

// Info writes struct xt_sctp_info.
func (m *SCTP) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, r := range [...]Range{m.Dst, m.Src} {
		w.Host16(r.From)
		w.Host16(r.To)
	}
	m.Chunks.info(w)
	w.Host32(uint32(m.Given))
	w.Host32(uint32(m.Not))
}

// Read reads struct xt_sctp_info.
func (m *SCTP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Dst, m.Src = Range{r.Host16(), r.Host16()}, Range{r.Host16(), r.Host16()}
	if err := m.Chunks.read(r); err != nil {
		return err
	}
	given, not := r.Host32(), r.Host32()
	m.Given, m.Not = uint8(given), uint8(not)
	if given&^(xtSCTPSrc|xtSCTPDst|xtSCTPChunks) != 0 || not&^given != 0 {
		return nft.ErrMalformed
	}
	if m.Given&xtSCTPSrc == 0 {
		m.Src = Range{}
	}
	if m.Given&xtSCTPDst == 0 {
		m.Dst = Range{}
	}
	if m.Given&xtSCTPChunks == 0 {
		m.Chunks = SCTPChunks{}
	} else if m.Chunks.Mode == 0 {
		return nft.ErrMalformed
	}
	return nil
}

// Match decides where ports and chunks were told.
func (m *SCTP) Match(p *packet.Packet) packet.Answer {
	if p.Proto != 132 || p.Fragment {
		return packet.No
	}
	answer := packet.Yes
	if m.Given&xtSCTPSrc != 0 {
		answer = PortMatch{m.Src, m.Not&xtSCTPSrc != 0}.matchPort(sourcePort(p))
	}
	if m.Given&xtSCTPDst != 0 {
		answer = answer.And(PortMatch{m.Dst, m.Not&xtSCTPDst != 0}.matchPort(destinationPort(p)))
	}
	if m.Given&xtSCTPChunks != 0 {
		answer = answer.And(m.Chunks.match(chunksOf(p)).Invert(m.Not&xtSCTPChunks != 0))
	}
	return answer
}
