package ext

// rateest (the match): iptables-extensions(8), "rateest".
// UAPI: linux/netfilter/xt_rateest.h, struct xt_rateest_match_info, revision 0.

import (
	"math"
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// RateEstMatch compares a rate that target RATEEST estimates with a number or
// with another rate. A packet alone cannot decide it.
type RateEstMatch struct {
	Names    [2]string // of the estimators; the second is "" in absolute mode
	Relative bool      // two estimators are compared
	Delta    bool      // what is above the given rates is compared
	Bits     bool      // bytes per second are compared, which people write as bits
	Packets  bool      // packets per second are compared
	Op       uint16    // one of rateEst…
	Not      bool
	BPS, PPS [2]uint32 // bytes and packets per second, for each estimator
}

// Flags and comparisons of the header: XT_RATEEST_MATCH_*.
const (
	rateEstInvert   = 1 << 0
	rateEstAbsolute = 1 << 1
	rateEstRelative = 1 << 2
	rateEstDelta    = 1 << 3
	rateEstBPS      = 1 << 4
	rateEstPPS      = 1 << 5
	rateEstFlags    = 1<<6 - 1
	rateEstEQ       = 1
	rateEstLT       = 2
	rateEstGT       = 3
)

var rateEstMatch = Def{
	Name: "rateest", Kind: Match, Families: Both,
	Summary: "rates that target RATEEST estimates",
	Options: []Option{
		{Name: "rateest1", Aliases: []string{"rateest"}, Value: "NAME", Help: "estimator, or the first of two"},
		{Name: "rateest2", Value: "NAME", Help: "second estimator, to compare with"},
		{Name: "rateest-delta", Help: "compare what is above the given rates"},
		{Name: "rateest-bps1", Value: "RATE", Optional: true, Help: "compare bits; rate of the first estimator for --rateest-delta"},
		{Name: "rateest-pps1", Value: "NUMBER", Optional: true, Help: "compare packets; rate of the first estimator for --rateest-delta"},
		{Name: "rateest-bps2", Aliases: []string{"rateest-bps"}, Value: "RATE", Optional: true, Help: "compare bits, with this rate or that of the second estimator"},
		{Name: "rateest-pps2", Aliases: []string{"rateest-pps"}, Value: "NUMBER", Optional: true, Help: "compare packets, with this rate or that of the second estimator"},
		{Name: "rateest-lt", Not: true, Help: "the rate is less"},
		{Name: "rateest-gt", Not: true, Help: "the rate is greater"},
		{Name: "rateest-eq", Not: true, Help: "the rates are equal"},
	},
	Revisions: []Revision{{Rev: 0, Size: 72}},
	New:       func(rule.Family) Ext { return &RateEstMatch{} },
	HelpText: func(rule.Family) string {
		return "RATE is a number with bit, kbit, mbit, gbit, tbit, Bps, KBps, MBps, GBps, TBps, or Ki, Mi, Gi, Ti for powers of 1024.\n"
	},
}

func init() { register(&rateEstMatch) }

// rateEstOps are the comparisons by name.
var rateEstOps = [...]string{rateEstEQ: "eq", rateEstLT: "lt", rateEstGT: "gt"}

func (m *RateEstMatch) Name() string { return "rateest" }
func (m *RateEstMatch) Def() *Def    { return &rateEstMatch }

func (m *RateEstMatch) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "rateest1":
		m.Names[0] = a.estimator()
	case "rateest2":
		m.Names[1], m.Relative = a.estimator(), true
	case "rateest-delta":
		m.Delta = true
	case "rateest-bps1":
		m.Bits = true
		m.BPS[0], err = a.bitRate()
	case "rateest-bps2":
		m.Bits = true
		m.BPS[1], err = a.bitRate()
	case "rateest-pps1":
		m.Packets = true
		m.PPS[0], err = a.packetRate()
	case "rateest-pps2":
		m.Packets = true
		m.PPS[1], err = a.packetRate()
	default: // the last comparison counts; an inversion stays
		m.Not = m.Not || a.Not
		for op, name := range rateEstOps {
			if name != "" && a.Is("rateest-"+name) {
				m.Op = uint16(op)
			}
		}
	}
	return err
}

// rateEstNameSize is IFNAMSIZ, to which the header bounds estimators' names.
const rateEstNameSize = 16

// estimator gives an estimator's name, cut off as 1.8.9 does.
func (a *Arg) estimator() string { return a.Value[:min(len(a.Value), rateEstNameSize-1)] }

// packetRate reads packets per second; nothing is 0.
func (a *Arg) packetRate() (uint32, error) {
	if a.Value == "" {
		return 0, nil
	}
	n, err := a.Uint(0, 1<<32-1)
	return uint32(n), err
}

// bitRate reads a rate in bytes per second, modulo 2^32 as 1.8.9; nothing is 0.
func (a *Arg) bitRate() (uint32, error) {
	if a.Value == "" {
		return 0, nil
	}
	n := len(a.Value)
	for n > 0 && isLetter(a.Value[n-1]) {
		n--
	}
	number, unit := a.Value[:n], a.Value[n:]
	if f, ok := strtod(a.Value); ok && n != len(a.Value) { // a hexadecimal number, nan or inf
		return wholeRate(f / 8), nil
	}
	factor, known := rateUnitFactor(unit)
	f, ok := strtod(number)
	if !ok || !known || f < 0 {
		return 0, a.Bad("a rate such as 5kbit or 2.5MBps")
	}
	return wholeRate(f * factor), nil
}

func isLetter(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

// rateUnitFactor is how many bytes per second a unit stands for, capitals or
// not: k, m, g, t or ki … before bit or bps; no unit means bits.
func rateUnitFactor(unit string) (factor float64, ok bool) {
	unit = strings.ToLower(unit)
	rest, isBytes := strings.CutSuffix(unit, "bps")
	factor = 1
	if !isBytes {
		if rest, ok = strings.CutSuffix(unit, "bit"); !ok && unit != "" {
			return 0, false
		}
		factor = 1. / 8
	}
	if rest == "" {
		return factor, true
	}
	power := strings.IndexByte("kmgt", rest[0]) + 1
	switch {
	case power == 0 || len(rest) > 2 || len(rest) == 2 && rest[1] != 'i':
		return 0, false
	case len(rest) == 2:
		return factor * math.Pow(1024, float64(power)), true
	}
	return factor * math.Pow(1000, float64(power)), true
}

func wholeRate(f float64) uint32 {
	if !(f < 1<<63) { // not a number, or endless
		return 0
	}
	return uint32(uint64(f))
}

// rate prints a rate in bits, or as it is with -n.
func (p *Printer) bitRate(bps uint32) {
	if p.Numeric {
		p.Uint(uint64(bps))
		return
	}
	bits, unit := float64(bps)*8, "bit"
	switch {
	case bits >= 1e9:
		bits, unit = bits/1e6, "Mbit"
	case bits >= 1e6:
		bits, unit = bits/1e3, "Kbit"
	}
	p.B = strconv.AppendFloat(p.B, bits, 'f', 0, 64)
	p.Str(unit)
}

// Save prints the options in the order of 1.8.9, the comparison once for each kind of rate.
func (m *RateEstMatch) Save(p *Printer) {
	saver := *p
	saver.Numeric = false
	m.save(&saver)
	p.B = saver.B
}

func (m *RateEstMatch) save(p *Printer) {
	if m.Delta {
		p.Option(false, "rateest-delta")
	}
	p.Str([...]string{" --rateest ", " --rateest1 "}[flag[uint8](m.Relative, 1)])
	p.word(m.Names[0])
	m.saveRate(p, m.Bits, "bps", func(i int) { p.bitRate(m.BPS[i]) })
	m.saveRate(p, m.Packets, "pps", func(i int) { p.Uint(uint64(m.PPS[i])) })
	if m.Relative {
		p.Str(" --rateest2 ")
		p.word(m.Names[1])
	}
}

// saveRate prints the comparison of one kind of rate; print prints the rate for an estimator.
func (m *RateEstMatch) saveRate(p *Printer, on bool, kind string, print func(i int)) {
	if !on {
		return
	}
	if m.Delta {
		p.Str(" --rateest-" + kind + "1 ")
		print(0)
	}
	m.printOp(p, " --rateest-")
	switch {
	case m.Delta:
		p.Str(" --rateest-" + kind + "2 ")
		print(1)
	case m.Relative:
		p.Str(" --rateest-" + kind)
	default:
		p.Str(" --rateest-" + kind + " ")
		print(1)
	}
}

// printOp prints the comparison, if there is one.
func (m *RateEstMatch) printOp(p *Printer, before string) {
	if m.Op != 0 {
		p.notBefore(m.Not)
		p.Str(before)
		p.Str(rateEstOps[m.Op])
	}
}

func (m *RateEstMatch) List(p *Printer) {
	p.Str(" rateest match ")
	p.Str(m.Names[0])
	if m.Delta {
		p.Str(" delta")
	}
	if m.Relative {
		m.listRelative(p)
		return
	}
	if m.Bits {
		p.Str(" bps")
		for i := flag[uint8](!m.Delta, 1); i < 2; i++ {
			p.Byte(' ')
			p.bitRate(m.BPS[i])
		}
		m.printOp(p, " ")
	}
	if m.Packets {
		p.Str(" pps")
		if m.Delta {
			p.Byte(' ')
			p.Uint(uint64(m.PPS[0]))
		}
		m.printOp(p, " ")
		p.Byte(' ')
		p.Uint(uint64(m.PPS[1]))
	}
}

// listRelative prints the rates of each estimator, the comparison between them.
func (m *RateEstMatch) listRelative(p *Printer) {
	for i := range m.Names {
		if i == 1 {
			m.printOp(p, " ")
			p.Byte(' ')
			p.Str(m.Names[1])
		}
		if m.Bits {
			p.Str(" bps")
			if m.Delta {
				p.Byte(' ')
				p.bitRate(m.BPS[i])
			}
		}
		if m.Packets {
			p.Str(" pps")
			if m.Delta {
				p.Byte(' ')
				p.Uint(uint64(m.PPS[i]))
			}
		}
	}
}

// Info writes struct xt_rateest_match_info without the kernel's pointers.
func (m *RateEstMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.String(m.Names[0], rateEstNameSize)
	w.String(m.Names[1], rateEstNameSize)
	w.Host16(flag[uint16](m.Not, rateEstInvert) | flag[uint16](!m.Relative, rateEstAbsolute) | flag[uint16](m.Relative, rateEstRelative) |
		flag[uint16](m.Delta, rateEstDelta) | flag[uint16](m.Bits, rateEstBPS) | flag[uint16](m.Packets, rateEstPPS))
	w.Host16(m.Op)
	for i := range m.Names {
		w.Host32(m.BPS[i])
		w.Host32(m.PPS[i])
	}
}

// Read reads struct xt_rateest_match_info.
func (m *RateEstMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Names = [2]string{r.String(rateEstNameSize), r.String(rateEstNameSize)}
	flags := r.Host16()
	m.Op = r.Host16()
	for i := range m.Names {
		m.BPS[i], m.PPS[i] = r.Host32(), r.Host32()
	}
	m.Not, m.Relative, m.Delta = flags&rateEstInvert != 0, flags&rateEstRelative != 0, flags&rateEstDelta != 0
	m.Bits, m.Packets = flags&rateEstBPS != 0, flags&rateEstPPS != 0
	if flags&^rateEstFlags != 0 || m.Op > rateEstGT || m.Relative == (flags&rateEstAbsolute != 0) {
		return nft.ErrMalformed
	}
	return nil
}
