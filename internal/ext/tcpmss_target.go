package ext

// TCPMSS (the target): iptables-extensions(8), "TCPMSS".
// UAPI: linux/netfilter/xt_TCPMSS.h, struct xt_tcpmss_info, revision 0.

import (
	"encoding/binary"
	"slices"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TCPMSS lowers the maximum segment size in SYN packets. The kernel wants -p tcp.
type TCPMSS struct {
	MSS   uint16 // bytes; 0 with Clamp
	Clamp bool   // to the path's MTU without headers
}

// xtTCPMSSClamp is XT_TCPMSS_CLAMP_PMTU.
const xtTCPMSSClamp = 0xffff

var tcpmssTarget = Def{
	Name: "TCPMSS", Kind: Target, Families: Both,
	Summary: "limit the maximum segment size of TCP connections",
	Options: []Option{
		{Name: "set-mss", Value: "BYTES", Help: "to at most this (0-65515; IPv6: 0-65495)"},
		{Name: "clamp-mss-to-pmtu", Help: "to the path's MTU less 40 (IPv6: 60)"},
	},
	AnyOf:     []string{"set-mss", "clamp-mss-to-pmtu"},
	Revisions: []Revision{{Rev: 0, Size: 2}},
	New:       func(rule.Family) Ext { return &TCPMSS{} },
}

func init() { register(&tcpmssTarget) }

func (t *TCPMSS) Name() string { return "TCPMSS" }
func (t *TCPMSS) Def() *Def    { return &tcpmssTarget }

// Set takes both options, of which the last counts, as in 1.8.9.
func (t *TCPMSS) Set(a *Arg) error {
	if t.Clamp = a.Is("clamp-mss-to-pmtu"); t.Clamp {
		t.MSS = 0
		return nil
	}
	most := uint64(65535 - 20) // less the IP header
	if a.Family == rule.IPv6 {
		most = 65535 - 40
	}
	n, err := a.Uint(0, most)
	t.MSS = uint16(n)
	return err
}

func (t *TCPMSS) Save(p *Printer) {
	if t.Clamp {
		p.Option(false, "clamp-mss-to-pmtu")
		return
	}
	p.OptionUint(false, "set-mss", uint64(t.MSS))
}

func (t *TCPMSS) List(p *Printer) {
	if t.Clamp {
		p.Str(" TCPMSS clamp to PMTU")
		return
	}
	p.Str(" TCPMSS set ")
	p.Uint(uint64(t.MSS))
}

// Info writes struct xt_tcpmss_info.
func (t *TCPMSS) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host16(t.MSS | flag[uint16](t.Clamp, xtTCPMSSClamp))
}

// Read reads struct xt_tcpmss_info.
func (t *TCPMSS) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	if t.MSS = r.Host16(); t.MSS == xtTCPMSSClamp {
		t.MSS, t.Clamp = 0, true
	}
	return nil
}

// Mutate lowers the size that the packet announces to the one that is set, and
// never raises it. A packet without data that announces none gets the option.
// What hangs on bytes or on the path that were not told is not told after it.
func (t *TCPMSS) Mutate(p *packet.Packet) {
	header := transportBytes(p)
	p.Bytes = nil
	if !p.Has(packet.KnowTCPOptions) || p.Fragment {
		return
	}
	i := slices.IndexFunc(p.Transport.Options, func(o packet.TCPOption) bool { return o.Kind == tcpOptionMSS && len(o.Data) == 2 })
	switch {
	case i < 0 && len(header) >= 20 && !t.Clamp:
		t.add(p, header)
	case i < 0 || t.Clamp:
		p.Known &^= packet.KnowTCPOptions | flag(i < 0, packet.KnowLength)
	default:
		if data := p.Transport.Options[i].Data; binary.BigEndian.Uint16(data) > t.MSS {
			p.Transport.Options = slices.Clone(p.Transport.Options)
			p.Transport.Options[i].Data = binary.BigEndian.AppendUint16(nil, t.MSS)
		}
	}
}

// add puts the option in front of the others, unless the packet has data or its
// header is as long as can be. The size is at most what a host may assume of one
// that announces none: RFC 9293, section 3.7.1.
func (t *TCPMSS) add(p *packet.Packet, header []byte) {
	n := int(header[12]>>4) * 4
	if len(header) > n || n >= 60 {
		return
	}
	size := min(t.MSS, 536)
	if p.Family == rule.IPv6 {
		size = min(t.MSS, 1220)
	}
	option := packet.TCPOption{Kind: tcpOptionMSS, Data: binary.BigEndian.AppendUint16(nil, size)}
	p.Transport.Options = append([]packet.TCPOption{option}, p.Transport.Options...)
	p.Length += 4
}
