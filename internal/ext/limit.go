package ext

// limit: iptables-extensions(8), "limit".
// UAPI: linux/netfilter/xt_limit.h, struct xt_rateinfo, revision 0, read only:
// iptables-nft 1.8.9 writes the nf_tables expression "limit".

import (
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Limit passes packets at a limited rate. A packet alone cannot decide it.
type Limit struct {
	Rate  uint32 // packets in each Unit
	Unit  uint32 // seconds: 1, 60, 3600 or 86400
	Burst uint32 // packets that may pass at once
}

var limit = Def{
	Name: "limit", Kind: Match, Families: Both,
	Summary: "packets at a limited rate",
	Options: []Option{
		{Name: "limit", Value: "RATE[/second|/minute|/hour|/day]", Help: "average rate (default 3/hour)"},
		{Name: "limit-burst", Value: "NUMBER", Help: "packets that may pass at once (default 5)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}},
	New:       func(rule.Family) Ext { return &Limit{Rate: 3, Unit: 3600, Burst: 5} },
	Native:    limitNative,
}

func init() { register(&limit) }

// rateUnits are the units of a rate: the name is what is printed.
var rateUnits = [...]struct {
	name, full string
	seconds    uint32
}{{"sec", "second", 1}, {"min", "minute", 60}, {"hour", "hour", 3600}, {"day", "day", 86400}}

// xtLimitScale is XT_LIMIT_SCALE: rates are in 1/10000 seconds per packet.
const xtLimitScale = 10000

// parseRate reads "N", or "N/unit" where any beginning of a unit's name will do.
func parseRate(s string) (rate, unit uint32, ok bool) {
	number, name, has := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || n > xtLimitScale*86400 {
		return 0, 0, false
	}
	if !has {
		return uint32(n), 1, true
	}
	for _, u := range rateUnits {
		if name != "" && len(name) <= len(u.full) && strings.EqualFold(u.full[:len(name)], name) {
			return uint32(n), u.seconds, true
		}
	}
	return 0, 0, false
}

// rateUnit gives the printed name of a unit of that many seconds.
func rateUnit(seconds uint32) string {
	for _, u := range rateUnits {
		if u.seconds == seconds {
			return u.name
		}
	}
	return "sec"
}

func (m *Limit) Name() string { return "limit" }
func (m *Limit) Def() *Def    { return &limit }

func (m *Limit) Set(a *Arg) error {
	if a.Is("limit-burst") {
		n, err := a.Uint(0, 10000)
		if n != 0 { // 1.8.9 takes 0 as "not given"
			m.Burst = uint32(n)
		}
		return err
	}
	var ok bool
	if m.Rate, m.Unit, ok = parseRate(a.Value); !ok {
		return a.Bad("a rate such as 5/minute (second, minute, hour, day)")
	}
	if uint64(m.Rate) > xtLimitScale*uint64(m.Unit) {
		return a.Errorf("%s is too fast: at most 10000/second", a.Value)
	}
	m.setPeriod(uint32(xtLimitScale * uint64(m.Unit) / uint64(m.Rate)))
	return nil
}

// setPeriod sets the rate from the time between two packets in units of
// 1/xtLimitScale seconds, which is all that 1.8.9 remembers of it: 120/minute
// becomes 2/second and 40000/hour becomes 666/minute. It takes the first unit
// that loses little: whose remainder is not greater than the rate.
func (m *Limit) setPeriod(period uint32) {
	for _, u := range rateUnits {
		scale := u.seconds * xtLimitScale
		m.Rate, m.Unit = scale/period, u.seconds
		if period <= scale && scale/period >= scale%period {
			return
		}
	}
	m.Rate = max(m.Rate, 1)
}

func (m *Limit) Save(p *Printer) {
	p.Option(false, "limit")
	p.rate(m)
	if m.Burst != 5 {
		p.OptionUint(false, "limit-burst", uint64(m.Burst))
	}
}

func (p *Printer) rate(m *Limit) {
	p.Byte(' ')
	p.Uint(uint64(m.Rate))
	p.Byte('/')
	p.Str(rateUnit(m.Unit))
}

func (m *Limit) List(p *Printer) {
	p.Str(" limit: avg")
	p.rate(m)
	p.Str(" burst ")
	p.Uint(uint64(m.Burst))
}

// Encode writes the native limit.
func (m *Limit) Encode(e *Encoder) bool {
	e.ExprLimit(nft.Limit{Rate: uint64(m.Rate), Unit: uint64(m.Unit), Burst: m.Burst})
	return true
}

// Info is not written by iptables-nft 1.8.9; it completes the XT form that is read.
func (m *Limit) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(xtLimitScale * m.Unit / m.Rate)
	w.Host32(m.Burst)
}

// Read reads struct xt_rateinfo: the time between packets and the burst.
func (m *Limit) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	avg, burst := r.Host32(), r.Host32()
	if avg == 0 {
		return nft.ErrMalformed
	}
	m.Burst = burst
	m.setPeriod(avg)
	for range rateUnits { // 336/day is written as 14/hour: read it so at once
		m.setPeriod(xtLimitScale * m.Unit / m.Rate)
	}
	return nil
}

// limitNative reads the expression "limit" when it limits packets, not bytes.
func limitNative(d *Decoder, _ *Def, t *nft.Term) bool {
	if t.Kind != nft.TermOther || t.Expr.Name != "limit" {
		return false
	}
	l := t.Expr.Limit()
	if l.Type != nft.NFT_LIMIT_PKTS || l.Flags&nft.NFT_LIMIT_F_INV != 0 || l.Rate == 0 || l.Rate > 1<<32-1 {
		return false
	}
	d.Add(&Limit{Rate: uint32(l.Rate), Unit: uint32(l.Unit), Burst: l.Burst})
	return true
}
