package ext

// SYNPROXY: iptables-extensions(8), "SYNPROXY".
// UAPI: linux/netfilter/nf_synproxy.h, struct nf_synproxy_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// SynProxy answers TCP handshakes in a server's name. The kernel wants -p tcp.
type SynProxy struct {
	Options uint8 // bits of synproxyOptions
	WScale  uint8
	MSS     uint16 // bytes
}

var synproxy = Def{
	Name: "SYNPROXY", Kind: Target, Families: Both,
	Summary: "answer TCP handshakes in a server's name",
	Options: []Option{
		{Name: "sack-perm", Help: "pass the client's selective acknowledgement option on"},
		{Name: "timestamp", Help: "pass the client's timestamp option on"},
		{Name: "wscale", Value: "NUMBER", Help: "window scale to announce to clients"},
		{Name: "mss", Value: "NUMBER", Help: "maximum segment size to announce to clients"},
		{Name: "ecn", Help: "pass explicit congestion notification on"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &SynProxy{} },
}

func init() { register(&synproxy) }

// Bits of struct nf_synproxy_info: NF_SYNPROXY_OPT_*.
const (
	synproxyMSS    = 0x01
	synproxyWScale = 0x02
	synproxyMask   = 0x1f
)

// synproxyOptions are the bits' names in the order in which they are printed.
var synproxyOptions = [...]struct {
	name string
	bit  uint8
}{{"sack-perm", 0x04}, {"timestamp", 0x08}, {"wscale", synproxyWScale}, {"mss", synproxyMSS}, {"ecn", 0x10}}

func (t *SynProxy) Name() string { return "SYNPROXY" }
func (t *SynProxy) Def() *Def    { return &synproxy }

// Set takes numbers modulo the size of their field, as 1.8.9 does.
func (t *SynProxy) Set(a *Arg) (err error) {
	for _, o := range synproxyOptions {
		if a.Is(o.name) {
			t.Options |= o.bit
		}
	}
	var n uint64
	switch a.Option.Name {
	case "wscale":
		n, err = a.Uint(0, 1<<32-1)
		t.WScale = uint8(n)
	case "mss":
		n, err = a.Uint(0, 1<<32-1)
		t.MSS = uint16(n)
	}
	return err
}

func (t *SynProxy) Save(p *Printer) { t.print(p, " --", "") }

// List prints the words of Save without dashes, with a blank behind each.
func (t *SynProxy) List(p *Printer) {
	p.Str(" SYNPROXY ")
	t.print(p, "", " ")
}

func (t *SynProxy) print(p *Printer, before, after string) {
	for _, o := range synproxyOptions {
		if t.Options&o.bit == 0 {
			continue
		}
		p.Str(before + o.name)
		switch o.bit {
		case synproxyWScale:
			p.Byte(' ')
			p.Uint(uint64(t.WScale))
		case synproxyMSS:
			p.Byte(' ')
			p.Uint(uint64(t.MSS))
		}
		p.Str(after)
	}
}

// Info writes struct nf_synproxy_info.
func (t *SynProxy) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(t.Options)
	w.U8(t.WScale)
	w.Host16(t.MSS)
}

// Read reads struct nf_synproxy_info.
func (t *SynProxy) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Options, t.WScale, t.MSS = r.U8(), r.U8(), r.Host16()
	if t.Options&^synproxyMask != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// Fate of the handshake's packets, for which the target is, is to end here; the
// kernel opens its own connection to the server.
func (t *SynProxy) Fate() Fate { return Drops }
