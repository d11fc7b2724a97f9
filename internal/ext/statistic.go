package ext

// statistic: iptables-extensions(8), "statistic".
// UAPI: linux/netfilter/xt_statistic.h, struct xt_statistic_info, revision 0.

import (
	"math"
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Statistic matches a share of the packets: by chance, or every nth.
type Statistic struct {
	Mode        uint16 // xtStatisticRandom or xtStatisticNth
	Not         bool
	Probability uint32 // in 1/2^31
	Every       uint32 // one packet in Every+1
	Packet      uint32 // how many have passed at the beginning
}

// The modes: XT_STATISTIC_MODE_* of the header.
const (
	xtStatisticRandom = 0
	xtStatisticNth    = 1
)

// certain is the probability 1.
const certain = 1 << 31

var statistic = Def{
	Name: "statistic", Kind: Match, Families: Both,
	Summary: "a share of the packets, by chance or every nth",
	Options: []Option{
		{Name: "mode", Value: "random|nth", Required: true, Help: "by chance, or every nth packet"},
		{Name: "probability", Value: "P", Not: true, Excludes: []string{"every", "packet"}, Help: "chance of a match, from 0 to 1 (mode random)"},
		{Name: "every", Value: "N", Not: true, Needs: []string{"packet"}, Help: "match one packet in N (mode nth)"},
		{Name: "packet", Value: "P", Needs: []string{"every"}, Help: "counter to begin with, from 0 to N-1 (mode nth)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 24}},
	New:       func(rule.Family) Ext { return &Statistic{} },
}

func init() { register(&statistic) }

func (m *Statistic) Name() string { return "statistic" }
func (m *Statistic) Def() *Def    { return &statistic }

func (m *Statistic) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "mode":
		switch a.Value {
		case "random":
			m.Mode = xtStatisticRandom
		case "nth":
			m.Mode = xtStatisticNth
		default:
			return a.Bad("random or nth")
		}
	case "probability":
		m.Not = m.Not || a.Not
		m.Probability, err = a.probability()
	case "every":
		m.Not = m.Not || a.Not
		n, err = a.Uint(1, 1<<32-1)
		m.Every = uint32(n - 1)
	case "packet":
		n, err = a.Uint(0, 1<<32-1)
		m.Packet = uint32(n)
	}
	return err
}

// probability reads a number from 0 to 1 as strtod(3) does, in 1/2^31. What is
// no number (NaN) counts as 0.
func (a *Arg) probability() (uint32, error) {
	v, ok := strtod(a.Value)
	if !ok || v < 0 || v > 1 {
		return 0, a.Errorf("takes a number from 0 to 1, not %q", a.Value)
	}
	if math.IsNaN(v) {
		return 0, nil
	}
	return uint32(math.RoundToEven(v * certain)), nil
}

// strtod reads a whole number or fraction as C's strtod(3).
func strtod(s string) (float64, bool) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	if strings.ContainsRune(t, '_') {
		return 0, false
	}
	unsigned := strings.TrimLeft(t, "+-")
	if strings.EqualFold(unsigned, "nan") && len(t)-len(unsigned) <= 1 {
		return math.NaN(), true
	}
	if isC99Hex(unsigned) && !strings.ContainsAny(unsigned, "pP") {
		t += "p0" // Go asks for an exponent
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// isC99Hex reports whether a number is in hexadecimal.
func isC99Hex(s string) bool { return len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' }

// Check asks for what the mode needs: the frame has seen to it that --every and
// --packet stand together and without --probability.
func (m *Statistic) Check(c *Context) error {
	switch {
	case m.Mode == xtStatisticRandom && !c.Given("probability"):
		return Errorf(m, "--probability must be specified in mode random")
	case m.Mode == xtStatisticNth && !c.Given("every"):
		return Errorf(m, "--every and --packet must be specified in mode nth")
	case m.Packet > m.Every:
		return Errorf(m, "--packet %d: the counter begins at 0 to --every minus 1, here %d", m.Packet, m.Every)
	}
	return nil
}

func (m *Statistic) Save(p *Printer) {
	p.Str(" --mode ")
	m.print(p, " --", true)
}

func (m *Statistic) List(p *Printer) {
	p.Str(" statistic mode ")
	m.print(p, " ", false)
}

// print prints mode and numbers; in listings a counter of 0 is left out.
func (m *Statistic) print(p *Printer, before string, zero bool) {
	if m.Mode == xtStatisticRandom {
		p.Str("random")
		p.notBefore(m.Not)
		p.Str(before)
		p.Str("probability ")
		p.B = strconv.AppendFloat(p.B, float64(m.Probability)/certain, 'f', 11, 64)
		return
	}
	p.Str("nth")
	p.notBefore(m.Not)
	p.Str(before)
	p.Str("every ")
	p.Uint(uint64(m.Every) + 1)
	if m.Packet != 0 || zero {
		p.Str(before)
		p.Str("packet ")
		p.Uint(uint64(m.Packet))
	}
}

// Info writes struct xt_statistic_info without the kernel's pointer. The third
// number, unused by the kernel's own account, is what is left to count; 1.8.9
// fills it in both modes.
func (m *Statistic) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host16(m.Mode)
	w.Host16(flag[uint16](m.Not, 1))
	first := m.Probability
	if m.Mode == xtStatisticNth {
		first = m.Every
	}
	w.Host32(first)
	w.Host32(m.Packet)
	w.Host32(first - m.Packet)
}

// Read reads struct xt_statistic_info.
func (m *Statistic) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Mode = r.Host16()
	flags := r.Host16()
	first, pkt := r.Host32(), r.Host32()
	m.Not = flags == 1
	switch {
	case flags > 1 || m.Mode > xtStatisticNth:
		return nft.ErrMalformed
	case m.Mode == xtStatisticRandom:
		m.Probability = first
	default:
		m.Every, m.Packet = first, pkt
	}
	return nil
}

// Match decides where chance has no say: never, always, and one packet in one.
func (m *Statistic) Match(*packet.Packet) packet.Answer {
	switch {
	case m.Mode == xtStatisticRandom && m.Probability == 0:
		return packet.Of(m.Not)
	case m.Mode == xtStatisticRandom && m.Probability >= certain, m.Mode == xtStatisticNth && m.Every == 0:
		return packet.Of(!m.Not)
	}
	return packet.Unknown
}
