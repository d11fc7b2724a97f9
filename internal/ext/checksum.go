package ext

// CHECKSUM: iptables-extensions(8), "CHECKSUM".
// UAPI: linux/netfilter/xt_CHECKSUM.h, struct xt_CHECKSUM_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Checksum fills in a checksum that was left to the network card.
type Checksum struct{}

var checksum = Def{
	Name: "CHECKSUM", Kind: Target, Families: Both,
	Summary: "fill in the packet's checksum",
	Options: []Option{
		{Name: "checksum-fill", Required: true, Help: "compute the checksum and fill it in"},
	},
	Revisions: []Revision{{Rev: 0, Size: 1}},
	New:       func(rule.Family) Ext { return &Checksum{} },
}

func init() { register(&checksum) }

const xtChecksumFill = 1 // XT_CHECKSUM_OP_FILL

func (t *Checksum) Name() string { return "CHECKSUM" }
func (t *Checksum) Def() *Def    { return &checksum }

// Set takes the only option, which has to be given.
func (t *Checksum) Set(*Arg) error { return nil }

func (t *Checksum) Save(p *Printer) { p.Str(" --checksum-fill") }
func (t *Checksum) List(p *Printer) { p.Str(" CHECKSUM fill") }

// Info writes struct xt_CHECKSUM_info.
func (t *Checksum) Info(w nft.Info, _ uint8, _ rule.Family) { w.U8(xtChecksumFill) }

// Read reads struct xt_CHECKSUM_info.
func (t *Checksum) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	if r.U8() != xtChecksumFill {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate makes the checksum a good one.
func (t *Checksum) Mutate(p *packet.Packet) {
	p.Checksummed = true
	p.Known |= packet.KnowChecksum
}
