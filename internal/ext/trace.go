package ext

// TRACE: iptables-extensions(8), "TRACE".
// iptables-nft 1.8.9 writes it natively, as "meta nftrace set 1"; the xt target
// TRACE, revision 0, has no struct and is read only.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Trace has the kernel report every rule that the packet meets from here on.
type Trace struct{}

var trace = Def{
	Name: "TRACE", Kind: Target, Families: Both,
	Summary:   "report every rule that the packet meets",
	Revisions: []Revision{{Rev: 0, Size: 0}},
	New:       func(rule.Family) Ext { return &Trace{} },
	Native:    traceNative,
}

func init() { register(&trace) }

func (t *Trace) Name() string { return "TRACE" }
func (t *Trace) Def() *Def    { return &trace }

// Set is never called: there are no options.
func (t *Trace) Set(*Arg) error { return nil }

func (t *Trace) Save(*Printer) {}
func (t *Trace) List(*Printer) {}

// Encode writes the native form.
func (t *Trace) Encode(e *Encoder) bool {
	e.ExprTrace()
	return true
}

// Info is not written by iptables-nft 1.8.9; it completes the xt form that is read.
func (t *Trace) Info(nft.Info, uint8, rule.Family) {}

// Read has nothing to read.
func (t *Trace) Read(*nft.InfoReader, uint8, rule.Family) error { return nil }

// Mutate marks the packet.
func (t *Trace) Mutate(p *packet.Packet) { p.Traced = true }

// traceNative reads "meta nftrace set 1".
func traceNative(d *Decoder, _ *Def, t *nft.Term) bool {
	if t.Kind != nft.TermSet || !t.Load.IsMeta(nft.NFT_META_NFTRACE) || len(t.Value) == 0 || t.Value[0] != 1 || d.Rule.Target != nil {
		return false
	}
	d.Add(&Trace{})
	return true
}
