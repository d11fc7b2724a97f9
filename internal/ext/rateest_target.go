package ext

// RATEEST (the target): iptables-extensions(8), "RATEEST".
// UAPI: linux/netfilter/xt_RATEEST.h, struct xt_rateest_target_info, revision 0;
// linux/gen_stats.h, struct gnet_estimator.

import (
	"math"
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// RateEstTarget counts packets for a rate estimator, which match rateest asks.
// Times are as the kernel keeps them: the interval is a quarter of a second
// times two to the power of Interval+2, and the average is over the interval
// times two to the power of EWMALog.
type RateEstTarget struct {
	Estimator string // at most 15 bytes
	Interval  int8   // -2 to 3
	EWMALog   uint8  // 1 to 30

	interval, average uint32 // microseconds, as given; Check turns them into the above
}

var rateestTarget = Def{
	Name: "RATEEST", Kind: Target, Families: Both,
	Summary: "count packets for a rate estimator",
	Options: []Option{
		{Name: "rateest-name", Value: "NAME", Required: true, Help: "name of the estimator"},
		{Name: "rateest-interval", Value: "TIME", Required: true, Help: "interval of measurement up to 8s (units s, ms, us)"},
		{Name: "rateest-ewmalog", Value: "TIME", Required: true, Help: "time over which the rate is averaged"},
	},
	Revisions: []Revision{{Rev: 0, Size: 32}},
	New:       func(rule.Family) Ext { return &RateEstTarget{} },
}

func init() { register(&rateestTarget) }

const rateestNameLen = 16 // IFNAMSIZ, which the struct takes for it

func (t *RateEstTarget) Name() string { return "RATEEST" }
func (t *RateEstTarget) Def() *Def    { return &rateestTarget }

func (t *RateEstTarget) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "rateest-name":
		t.Estimator = a.cut(rateestNameLen - 1)
	case "rateest-interval":
		t.interval, err = a.microseconds()
	case "rateest-ewmalog":
		t.average, err = a.microseconds()
	}
	return err
}

// microseconds reads a number with a fraction and a unit; none means
// microseconds. As in 1.8.9 the result is modulo 2^32.
func (a *Arg) microseconds() (uint32, error) {
	n, unit, ok := leadingFloat(a.Value)
	switch strings.ToLower(unit) {
	case "s", "sec", "secs":
		n *= 1e6
	case "ms", "msec", "msecs":
		n *= 1e3
	case "", "us", "usec", "usecs":
	default:
		ok = false
	}
	if !ok {
		return 0, a.Bad("a time with a unit (s, ms, us), such as 250ms")
	}
	if math.IsNaN(n) || math.Abs(n) >= 1<<63 {
		return 0, nil
	}
	return uint32(int64(n)), nil
}

// leadingFloat reads the number at the beginning of s as strtod(3) does, and
// gives what follows it.
func leadingFloat(s string) (n float64, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	for end := len(t); end > 0; end-- {
		word := t[:end]
		if strings.ContainsRune(word, '_') {
			continue
		}
		if isHex(strings.TrimLeft(word, "+-")) {
			word += "p0" // strconv asks for the exponent that C leaves out
		}
		n, err := strconv.ParseFloat(word, 64)
		if err == nil || math.IsInf(n, 0) {
			return n, t[end:], true
		}
	}
	return 0, s, false
}

// Check finds the kernel's interval and the largest average that is not above
// the one that was asked for.
func (t *RateEstTarget) Check(*Context) error {
	const quarter = 250_000
	if t.interval == 0 || t.average == 0 {
		return Errorf(t, "needs an interval and an average longer than 0")
	}
	step := 0
	for t.interval > quarter<<step {
		if step++; step > 5 {
			return Errorf(t, "--rateest-interval is at most 8s")
		}
	}
	// What is averaged falls to 1/e within interval / -ln(1 - 2^-log).
	log := 1
	for ; log < 32; log++ {
		if float64(t.interval)/-math.Log(1-1/float64(uint64(1)<<log)) > float64(t.average) {
			break
		}
	}
	if log--; log == 0 || log == 31 {
		return Errorf(t, "--rateest-ewmalog is too short or too long for this interval")
	}
	t.Interval, t.EWMALog = int8(step-2), uint8(log)
	t.interval, t.average = 0, 0
	return nil
}

func (t *RateEstTarget) Save(p *Printer) { t.print(p, " --rateest-") }

// List prints the same words as Save, shorter.
func (t *RateEstTarget) List(p *Printer) { t.print(p, " ") }

func (t *RateEstTarget) print(p *Printer, before string) {
	interval := uint32(250_000) << (t.Interval + 2)
	p.Str(before + "name " + t.Estimator + before + "interval ")
	p.microseconds(interval)
	p.Str(before + "ewmalog ")
	p.microseconds(interval << t.EWMALog)
}

// microseconds prints a time in the greatest unit of which it is at least one.
func (p *Printer) microseconds(n uint32) {
	switch {
	case n >= 1e6:
		p.B = strconv.AppendFloat(p.B, float64(n)/1e6, 'f', 1, 64)
		p.Str("s")
	case n >= 1e3:
		p.B = strconv.AppendFloat(p.B, float64(n)/1e3, 'f', 1, 64)
		p.Str("ms")
	default:
		p.Uint(uint64(n))
		p.Str("us")
	}
}

// Info writes struct xt_rateest_target_info, whose last member is the kernel's own.
func (t *RateEstTarget) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.String(t.Estimator, rateestNameLen)
	w.U8(uint8(t.Interval))
	w.U8(t.EWMALog)
}

// Read reads struct xt_rateest_target_info.
func (t *RateEstTarget) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	t.Estimator = r.String(rateestNameLen)
	t.Interval, t.EWMALog = int8(r.U8()), r.U8()
	if len(t.Estimator) >= rateestNameLen || t.Interval < -2 || t.Interval > 3 || t.EWMALog > 31 {
		return nft.ErrMalformed
	}
	return nil
}
