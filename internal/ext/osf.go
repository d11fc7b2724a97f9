package ext

// osf: iptables-extensions(8), "osf".
// UAPI: linux/netfilter/xt_osf.h and nfnetlink_osf.h, struct nf_osf_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// OSF matches TCP SYN packets by the operating system they look like. The
// fingerprints are the kernel's, loaded by nfnl_osf(8): a packet alone cannot
// decide it.
type OSF struct {
	Genre string // name of the system, up to 31 bytes
	Not   bool
	TTL   *uint32 // how to compare the TTL, 0 to 2; nil: not given
	Log   *uint32 // what to log, 0 to 2; nil: nothing
}

// Numbers and flags of nfnetlink_osf.h: MAXGENRELEN and NF_OSF_*.
const (
	osfMaxGenre = 32
	osfTTL      = 1 << 1
	osfLog      = 1 << 2
	osfInvert   = 1 << 3
)

var osf = Def{
	Name: "osf", Kind: Match, Families: V4,
	Summary: "operating system, by passive fingerprinting",
	Options: []Option{
		{Name: "genre", Value: "NAME", Not: true, Required: true, Help: "name of the operating system"},
		{Name: "ttl", Value: "LEVEL", Help: "0: the fingerprint's TTL, 1: less than it, 2: do not compare"},
		{Name: "log", Value: "LEVEL", Help: "0: log all, 1: log the first only, 2: log all known signatures"},
	},
	Revisions: []Revision{{Rev: 0, Size: 48}},
	New:       func(rule.Family) Ext { return &OSF{} },
}

func init() { register(&osf) }

func (m *OSF) Name() string { return "osf" }
func (m *OSF) Def() *Def    { return &osf }

func (m *OSF) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "genre":
		m.Not = a.Not
		m.Genre = a.Value[:min(len(a.Value), osfMaxGenre-1)] // 1.8.9 cuts it off without a word
	case "ttl":
		m.TTL, err = a.osfLevel()
	case "log":
		m.Log, err = a.osfLevel()
	}
	return err
}

func (a *Arg) osfLevel() (*uint32, error) {
	n, err := a.Uint(0, 2)
	level := uint32(n)
	return &level, err
}

func (m *OSF) Save(p *Printer) {
	p.Option(m.Not, "genre")
	p.Byte(' ')
	p.word(m.Genre)
	if m.TTL != nil {
		p.OptionUint(false, "ttl", uint64(*m.TTL))
	}
	if m.Log != nil {
		p.OptionUint(false, "log", uint64(*m.Log))
	}
}

func (m *OSF) List(p *Printer) {
	p.Str(" OS fingerprint match")
	p.notBefore(m.Not)
	p.Byte(' ')
	p.Str(m.Genre)
}

// Info writes struct nf_osf_info.
func (m *OSF) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.String(m.Genre, osfMaxGenre)
	w.Host32(uint32(len(m.Genre)))
	w.Host32(flag[uint32](m.TTL != nil, osfTTL) | flag[uint32](m.Log != nil, osfLog) | flag[uint32](m.Not, osfInvert))
	for _, level := range [...]*uint32{m.Log, m.TTL} {
		if level == nil {
			level = new(uint32)
		}
		w.Host32(*level)
	}
}

// Read reads struct nf_osf_info.
func (m *OSF) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Genre = r.String(osfMaxGenre)
	n, flags, log, ttl := r.Host32(), r.Host32(), r.Host32(), r.Host32()
	if int(n) != len(m.Genre) || flags&^(osfTTL|osfLog|osfInvert) != 0 {
		return nft.ErrMalformed
	}
	m.Not = flags&osfInvert != 0
	if flags&osfTTL != 0 {
		m.TTL = &ttl
	}
	if flags&osfLog != 0 {
		m.Log = &log
	}
	return nil
}
