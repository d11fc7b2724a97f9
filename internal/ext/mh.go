package ext

// mh: iptables-extensions(8), "mh".
// As the manual says, -p mh and -p ipv6-mh load it; 1.8.9 knows only the first,
// and neither of -p mobility-header and -p 135, which do so here too.
// UAPI: linux/netfilter_ipv6/ip6t_mh.h, struct ip6t_mh, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// MH matches the type of a mobility header, RFC 6275.
type MH struct {
	From, To uint8 // both included
	Not      bool
}

var mh = Def{
	Name: "mh", Kind: Match, Families: V6,
	Summary:   "type of the mobility header",
	Protocols: []uint16{135},
	Options: []Option{
		{Name: "mh-type", Value: "TYPE[:TYPE]", Not: true, Help: "type or range of types, by number (0 to 255) or name"},
	},
	Revisions: []Revision{{Rev: 0, Size: 3}},
	New:       func(rule.Family) Ext { return &MH{To: 255} },
	HelpText:  func(rule.Family) string { return mhHelp() },
}

func init() { register(&mh) }

// mhTypes are the types by number.
var mhTypes = [...]struct{ name, short string }{
	{"binding-refresh-request", "brr"}, {"home-test-init", "hoti"}, {"careof-test-init", "coti"}, {"home-test", "hot"},
	{"careof-test", "cot"}, {"binding-update", "bu"}, {"binding-acknowledgement", "ba"}, {"binding-error", "be"},
}

// mhHelp lists the names.
func mhHelp() string {
	var b strings.Builder
	b.WriteString("Types:\n")
	for _, t := range mhTypes {
		b.WriteString("                                " + t.name + " (" + t.short + ")\n")
	}
	return b.String()
}

func (m *MH) Name() string { return "mh" }
func (m *MH) Def() *Def    { return &mh }

func (m *MH) Set(a *Arg) (err error) {
	m.Not = a.Not
	from, to, isRange := strings.Cut(a.Value, ":")
	if from != "" || !isRange {
		if m.From, err = a.mhType(from); err != nil {
			return err
		}
	}
	m.To = 255
	switch {
	case !isRange:
		m.To = m.From
	case to != "":
		m.To, err = a.mhType(to)
	}
	if err == nil && m.From > m.To {
		return a.Errorf("%s: the range ends before it begins", a.Value)
	}
	return err
}

// mhType reads a type by number, by name, or by the beginning of a name, of
// which the first in the list counts (nothing at all is type 0).
func (a *Arg) mhType(s string) (uint8, error) {
	if n, ok := ParseUint(s); ok && n <= 255 {
		return uint8(n), nil
	}
	for i, t := range mhTypes {
		if strings.EqualFold(t.name, s) || strings.EqualFold(t.short, s) {
			return uint8(i), nil
		}
	}
	for i, t := range mhTypes {
		if hasPrefixFold(t.name, s) || hasPrefixFold(t.short, s) {
			return uint8(i), nil
		}
	}
	return 0, a.Errorf("takes a type by number (0 to 255) or by name (ip6tables -m mh -h shows them), not %q", s)
}

func (m *MH) Save(p *Printer) {
	if m.From == 0 && m.To == 255 {
		return
	}
	p.Option(m.Not, "mh-type")
	p.Byte(' ')
	p.fromTo(uint64(m.From), uint64(m.To))
}

func (m *MH) List(p *Printer) {
	p.Str(" mh")
	if *m == (MH{To: 255}) {
		return
	}
	p.Byte(' ')
	p.notMark(m.Not)
	p.mhType(m.From)
	if m.From != m.To {
		p.Byte(':')
		p.mhType(m.To)
	}
}

// mhType prints a type by name where it has one, or with -n as a number.
func (p *Printer) mhType(t uint8) {
	if p.Numeric || int(t) >= len(mhTypes) {
		p.Uint(uint64(t))
		return
	}
	p.Str(mhTypes[t].name)
}

// Info writes struct ip6t_mh. Without -p mh the kernel refuses it.
func (m *MH) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.From)
	w.U8(m.To)
	w.Bool(m.Not)
}

// Read reads struct ip6t_mh.
func (m *MH) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.From, m.To = r.U8(), r.U8()
	inv := r.U8()
	m.Not = inv != 0
	if inv > 1 || m.From > m.To {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares the type, the third byte of the header. A later fragment has none.
func (m *MH) Match(p *packet.Packet) packet.Answer {
	if p.Fragment {
		return packet.No
	}
	b := transportBytes(p)
	if len(b) < 3 {
		return packet.Unknown
	}
	return packet.Of((b[2] >= m.From && b[2] <= m.To) != m.Not)
}
