package ext

// NFLOG: iptables-extensions(8), "NFLOG".
// UAPI: linux/netfilter/xt_NFLOG.h, struct xt_nflog_info, revision 0, read only:
// iptables-nft 1.8.9 writes the nf_tables expression "log" with a group.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Lengths of prefixes, the closing zero included.
const (
	xtNFLogPrefixLen  = 64  // in struct xt_nflog_info
	nftLogPrefixLen   = 128 // NF_LOG_PREFIXLEN of linux/netfilter/nf_log.h
	xtNFLogCopyLen    = 1   // XT_NFLOG_F_COPY_LEN
	xtNFLogInfoLength = 76
)

// NFLog passes packets to programs that listen to a group of nfnetlink_log.
type NFLog struct {
	Group     uint16
	Prefix    string // at most 127 bytes
	Size      uint32 // bytes of the packet to pass
	HasSize   bool   // Size was given; all bytes otherwise
	Threshold uint16 // packets that the kernel collects; 0: its default
}

var nflog = Def{
	Name: "NFLOG", Kind: Target, Families: Both,
	Summary: "pass the packet to a logging program",
	Options: []Option{
		{Name: "nflog-group", Value: "NUMBER", Help: "netlink group (default 0)"},
		{Name: "nflog-prefix", Value: "PREFIX", Help: "text that is passed too, up to 127 characters"},
		{Name: "nflog-range", Value: "NUMBER", Excludes: []string{"nflog-size"}, Help: "has no effect"},
		{Name: "nflog-size", Value: "NUMBER", Excludes: []string{"nflog-range"}, Help: "bytes of the packet to pass"},
		{Name: "nflog-threshold", Value: "NUMBER", Help: "packets that the kernel collects before it passes them"},
	},
	Revisions: []Revision{{Rev: 0, Size: xtNFLogInfoLength}},
	New:       func(rule.Family) Ext { return &NFLog{} },
	Native:    nflogNative,
}

func init() { register(&nflog) }

func (t *NFLog) Name() string { return "NFLOG" }
func (t *NFLog) Def() *Def    { return &nflog }

func (t *NFLog) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "nflog-prefix":
		t.Prefix, err = a.logPrefix(nftLogPrefixLen - 1)
	case "nflog-group":
		n, err = a.Uint(0, 65535)
		t.Group = uint16(n)
	case "nflog-threshold":
		n, err = a.Uint(0, 65535)
		t.Threshold = uint16(n)
	case "nflog-size":
		n, err = a.Uint(0, 1<<32-1)
		t.Size, t.HasSize = uint32(n), true
	case "nflog-range":
		a.Warnf("warn: --nflog-range has never worked and is no longer supported, please use --nflog-size instead")
		_, err = a.Uint(0, 1<<32-1)
	}
	return err
}

func (t *NFLog) Save(p *Printer) { t.print(p, " --") }

// List prints the same words as Save without the dashes.
func (t *NFLog) List(p *Printer) { t.print(p, " ") }

func (t *NFLog) print(p *Printer, before string) {
	if t.Prefix != "" {
		p.Str(before + "nflog-prefix ")
		p.Quoted(t.Prefix)
	}
	if t.Group != 0 {
		p.Str(before + "nflog-group ")
		p.Uint(uint64(t.Group))
	}
	if t.HasSize {
		p.Str(before + "nflog-size ")
		p.Uint(uint64(t.Size))
	}
	if t.Threshold != 0 {
		p.Str(before + "nflog-threshold ")
		p.Uint(uint64(t.Threshold))
	}
}

// Encode writes the native log with a group.
func (t *NFLog) Encode(e *Encoder) bool {
	e.ExprLog(nft.Log{
		Prefix: t.Prefix, Group: t.Group, HasGroup: true, Snaplen: t.Size, HasSnaplen: t.HasSize,
		Qthreshold: t.Threshold, HasQthresh: t.Threshold != 0,
	})
	return true
}

// Info is not written by iptables-nft 1.8.9; it completes the XT form that is read.
func (t *NFLog) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(t.Size)
	w.Host16(t.Group)
	w.Host16(t.Threshold)
	w.Host16(flag[uint16](t.HasSize, xtNFLogCopyLen))
	w.Host16(0)
	w.String(t.Prefix[:min(len(t.Prefix), xtNFLogPrefixLen-1)], xtNFLogPrefixLen)
}

// Read reads struct xt_nflog_info.
func (t *NFLog) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Size, t.Group, t.Threshold = r.Host32(), r.Host16(), r.Host16()
	flags := r.Host16()
	r.Skip(2)
	t.Prefix = r.String(xtNFLogPrefixLen)
	if t.HasSize = flags&xtNFLogCopyLen != 0; !t.HasSize {
		t.Size = 0
	}
	if flags&^xtNFLogCopyLen != 0 || len(t.Prefix) >= xtNFLogPrefixLen {
		return nft.ErrMalformed
	}
	return nil
}

// nflogNative reads the expression "log" when it has a group. Without one it is
// no LOG to 1.8.9 either: the kernel's defaults differ.
func nflogNative(d *Decoder, def *Def, t *nft.Term) bool {
	if t.Kind != nft.TermOther || t.Expr.Name != "log" || d.Rule.Target != nil {
		return false
	}
	l := t.Expr.Log()
	if !l.HasGroup || l.HasLevel || l.HasFlags || len(l.Prefix) >= nftLogPrefixLen {
		return false
	}
	d.Rule.Target = &NFLog{Group: l.Group, Prefix: l.Prefix, Size: l.Snaplen, HasSize: l.HasSnaplen, Threshold: l.Qthreshold}
	return true
}
