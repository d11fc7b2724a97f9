package ext

// ULOG: iptables-extensions(8), "ULOG". The kernel dropped it in Linux 3.17 with
// its header; struct ipt_ulog_info is an unsigned int (a bit for each group), two
// size_t (bytes of each packet, packets to collect) and a prefix of 32 bytes.
// It is proved by parse, print and bytes alone.

import (
	"math/bits"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// ULog passes the packet to a logging program of old.
type ULog struct {
	Group     uint8  // 1 to 32
	Prefix    string // at most 31 bytes
	Range     uint64 // bytes of the packet to pass, of which 1.8.9 prints the lower 32 bits; 0: all
	Threshold uint8  // packets that are passed together, 1 to 50
}

var ulog = Def{
	Name: "ULOG", Kind: Target, Families: V4,
	Summary: "pass the packet to a logging program (see NFLOG)",
	Options: []Option{
		{Name: "ulog-nlgroup", Value: "NUMBER", Help: "netlink group 1 to 32 (default 1)"},
		{Name: "ulog-prefix", Value: "PREFIX", Help: "text that is passed too, up to 31 characters"},
		{Name: "ulog-cprange", Value: "NUMBER", Help: "bytes of the packet to pass (default 0: all)"},
		{Name: "ulog-qthreshold", Value: "NUMBER", Help: "packets that are passed together, 1 to 50 (default 1)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 56}},
	New:       func(rule.Family) Ext { return &ULog{Group: 1, Threshold: 1} },
}

func init() { register(&ulog) }

const (
	ulogPrefixLen    = 32
	ulogMaxThreshold = 50
)

func (t *ULog) Name() string { return "ULOG" }
func (t *ULog) Def() *Def    { return &ulog }

func (t *ULog) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "ulog-nlgroup":
		n, err = a.Uint(1, 32)
		t.Group = uint8(n)
	case "ulog-prefix":
		t.Prefix, err = a.logPrefix(ulogPrefixLen - 1)
	case "ulog-cprange":
		t.Range, err = a.Uint(0, 1<<64-1)
	case "ulog-qthreshold":
		n, err = a.Uint(1, ulogMaxThreshold)
		t.Threshold = uint8(n)
	}
	return err
}

func (t *ULog) Save(p *Printer) {
	if t.Prefix != "" {
		p.OptionQuoted(false, "ulog-prefix", t.Prefix)
	}
	if t.Group != 1 {
		p.OptionUint(false, "ulog-nlgroup", uint64(t.Group))
	}
	if t.Range != 0 {
		p.OptionUint(false, "ulog-cprange", uint64(uint32(t.Range)))
	}
	if t.Threshold != 1 {
		p.OptionUint(false, "ulog-qthreshold", uint64(t.Threshold))
	}
}

func (t *ULog) List(p *Printer) {
	p.Str(" ULOG copy_range ")
	p.Uint(uint64(uint32(t.Range)))
	p.Str(" nlgroup ")
	p.Uint(uint64(t.Group))
	if t.Prefix != "" {
		p.Str(` prefix "` + t.Prefix + `"`)
	}
	p.Str(" queue_threshold ")
	p.Uint(uint64(t.Threshold))
}

// Info writes struct ipt_ulog_info.
func (t *ULog) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(1 << (t.Group - 1))
	w.Host64(t.Range)
	w.Host64(uint64(t.Threshold))
	w.String(t.Prefix, ulogPrefixLen)
}

// Read reads struct ipt_ulog_info.
func (t *ULog) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	groups, size, threshold := r.Host32(), r.Host64(), r.Host64()
	t.Prefix = r.String(ulogPrefixLen)
	if bits.OnesCount32(groups) != 1 || threshold > ulogMaxThreshold || len(t.Prefix) >= ulogPrefixLen {
		return nft.ErrMalformed
	}
	t.Group, t.Range, t.Threshold = uint8(bits.TrailingZeros32(groups))+1, size, uint8(threshold)
	return nil
}
