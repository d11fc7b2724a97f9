package ext

// TCPOPTSTRIP: iptables-extensions(8), "TCPOPTSTRIP".
// UAPI: linux/netfilter/xt_TCPOPTSTRIP.h, struct xt_tcpoptstrip_target_info, revision 0.

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TCPOptStrip overwrites options of the TCP header with no-operations. The
// kernel wants -p tcp.
type TCPOptStrip struct {
	Strip [8]uint32 // bit n%32 of word n/32 is option n
}

var tcpoptstrip = Def{
	Name: "TCPOPTSTRIP", Kind: Target, Families: Both,
	Summary: "remove options of TCP packets",
	Options: []Option{
		{Name: "strip-options", Value: "OPTION[,...]", Help: "options by number (2-255) or name"},
	},
	Revisions: []Revision{{Rev: 0, Size: 32}},
	New:       func(rule.Family) Ext { return &TCPOptStrip{} },
	HelpText: func(rule.Family) string {
		return "Names of options: wscale, mss, sack-permitted, sack, timestamp, md5\n"
	},
}

func init() { register(&tcpoptstrip) }

// tcpOptionName is the name of a TCP option; "" if iptables has none.
func tcpOptionName(n int) string {
	switch n {
	case 2:
		return "mss"
	case 3:
		return "wscale"
	case 4:
		return "sack-permitted"
	case 5:
		return "sack"
	case 8:
		return "timestamp"
	case 19:
		return "md5"
	}
	return ""
}

func (t *TCPOptStrip) Name() string { return "TCPOPTSTRIP" }
func (t *TCPOptStrip) Def() *Def    { return &tcpoptstrip }

// has reports whether option n is stripped.
func (t *TCPOptStrip) has(n int) bool { return t.Strip[n/32]>>(n%32)&1 != 0 }

func (t *TCPOptStrip) Set(a *Arg) error {
	for word := range strings.SplitSeq(a.Value, ",") {
		n, ok := tcpOption(word)
		switch {
		case !ok:
			return a.Errorf("knows wscale, mss, sack-permitted, sack, timestamp, md5 and numbers from 2 to 255, not %q", word)
		case t.has(n):
			return a.Errorf("%q is given twice", word)
		}
		t.Strip[n/32] |= 1 << (n % 32)
	}
	return nil
}

// tcpOption reads an option's name or number.
func tcpOption(s string) (int, bool) {
	for n := range 20 {
		if s != "" && tcpOptionName(n) == s {
			return n, true
		}
	}
	n, ok := ParseUint(s)
	return int(n), ok && n >= 2 && n <= 255
}

func (t *TCPOptStrip) Save(p *Printer) { t.print(p, " --strip-options ", true) }

func (t *TCPOptStrip) List(p *Printer) { t.print(p, " TCPOPTSTRIP options ", p.Numeric) }

// print prints the options with commas; nothing when there are none.
func (t *TCPOptStrip) print(p *Printer, before string, numeric bool) {
	for n := range 256 {
		if !t.has(n) {
			continue
		}
		p.Str(before)
		before = ","
		if name := tcpOptionName(n); name != "" && !numeric {
			p.Str(name)
			continue
		}
		p.Uint(uint64(n))
	}
}

// Info writes struct xt_tcpoptstrip_target_info.
func (t *TCPOptStrip) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, word := range t.Strip {
		w.Host32(word)
	}
}

// Read reads struct xt_tcpoptstrip_target_info.
func (t *TCPOptStrip) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	for i := range t.Strip {
		t.Strip[i] = r.Host32()
	}
	return nil
}

// Mutate takes the options out of the header.
func (t *TCPOptStrip) Mutate(p *packet.Packet) {
	p.Transport.Options = slices.DeleteFunc(slices.Clone(p.Transport.Options), func(o packet.TCPOption) bool { return t.has(int(o.Kind)) })
	p.Bytes = nil // the header's bytes are not made anew
}
