package ext

import (
	"strconv"
	"strings"
)

// hashLimitScale is XT_HASHLIMIT_SCALE_v2: rates of revisions 2 and 3 are in
// microseconds for each packet.
const hashLimitScale = 1000000

// hashLimitRate is a rate and a burst as they were given: what they mean
// depends on each other.
type hashLimitRate struct {
	amount     uint64 // packets in a unit, or bytes in a second
	unit       uint32 // seconds
	bytes      bool
	burst      uint64
	hasBurst   bool
	burstValue string // as given
	expire     bool   // --hashlimit-htable-expire was given
}

// set reads N[/UNIT], or bytes as in 512kb/s. It takes what 1.8.9 takes: 5x/sec
// is 5/sec, 5kb is 5 packets in a second, 5gb/s is 5 bytes in a second.
func (r *hashLimitRate) set(a *Arg) error {
	const form = "a rate such as 5/minute (second, minute, hour, day) or 512kb/s"
	number, negative := strings.CutPrefix(strings.TrimLeft(a.Value, " \t"), "-")
	n, ok := decimalPrefix(number)
	r.amount, r.unit = n, 1
	if !ok || n == 0 {
		return a.Bad(form)
	}
	if strings.Contains(a.Value, "b/s") {
		rest := strings.TrimLeft(strings.TrimPrefix(number, "+"), "0123456789")
		r.bytes = true
		switch {
		case strings.HasPrefix(rest, "kb/s"):
			r.amount <<= 10
		case strings.HasPrefix(rest, "mb/s"):
			r.amount <<= 20
		}
		if uint32(r.amount>>hashLimitByteShift) == 1<<32-1 || negative {
			return a.Errorf("%s is too fast", a.Value)
		}
		return nil
	}
	if _, unit, has := strings.Cut(number, "/"); has {
		if r.unit, ok = unitSeconds(unit); !ok {
			return a.Bad(form)
		}
	}
	if negative || n > hashLimitScale*uint64(r.unit) {
		return a.Errorf("%s is too fast: at most 1000000/second", a.Value)
	}
	return nil
}

// unitSeconds reads the beginning of a unit's name.
func unitSeconds(s string) (uint32, bool) {
	for _, u := range rateUnits {
		if s != "" && hasPrefixFold(u.full, s) {
			return u.seconds, true
		}
	}
	return 0, false
}

// decimalPrefix reads the decimal number at the beginning of s, after blanks
// and a plus. Too great a one is the greatest there is. False without digits.
func decimalPrefix(s string) (uint64, bool) {
	s = strings.TrimPrefix(strings.TrimLeft(s, " \t"), "+")
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil && digits != "" {
		return 1<<64 - 1, true
	}
	return n, digits != ""
}

// setBurst reads a number that a "k" or "m" follows, or something else, which
// 1.8.9 does not mind.
func (r *hashLimitRate) setBurst(a *Arg) error {
	n, rest, ok := leadingUint(a.Value, 1<<44-1)
	if !ok || n == 0 {
		return a.Errorf("takes a number from 1 to 1000000, or bytes as in 1mb, not %q", a.Value)
	}
	switch {
	case strings.HasPrefix(rest, "k"):
		n <<= 10
	case strings.HasPrefix(rest, "m"):
		n <<= 20
	}
	r.burst, r.hasBurst, r.burstValue = n, true, a.Value
	return nil
}

// Check settles what the rate means to the kernel once all options are known.
func (m *HashLimit) Check(*Context) error {
	r := m.rate
	m.rate = hashLimitRate{}
	if r.bytes {
		return m.settleBytes(&r)
	}
	if r.hasBurst {
		if r.burst > hashLimitScale {
			return &Error{Ext: m.Name(), Option: "hashlimit-burst", Msg: "takes a number from 1 to 1000000, not \"" + r.burstValue + "\""}
		}
		m.Burst = r.burst
	}
	m.Period = hashLimitScale * uint64(r.unit) / r.amount
	if m.Mode&hashLimitMatch != 0 { // the unit is the interval
		m.Period = hashLimitScale / r.amount
		if m.Interval == 0 {
			m.Interval = r.unit
		}
	}
	if !r.expire {
		m.Expire = r.unit * 1000
	}
	return nil
}

// settleBytes is Check for a rate of bytes.
func (m *HashLimit) settleBytes(r *hashLimitRate) error {
	m.Mode |= hashLimitBytes
	m.Period = byteCost(r.amount)
	if m.Mode&hashLimitMatch != 0 && m.Interval == 0 {
		m.Interval = 1
	}
	m.Burst = 0
	if r.hasBurst {
		rate, burst := bytesPerSecond(m.Period), uint64(uint32(r.burst))
		if rate == 0 || r.burst < rate {
			return &Error{
				Ext: m.Name(), Option: "hashlimit-burst",
				Msg: "cannot be smaller than the rate, " + strconv.FormatUint(rate, 10) + " bytes, nor stand beside a rate of 0: \"" + r.burstValue + "\"",
			}
		}
		m.Burst = (burst + rate - 1) / rate
	}
	if !r.expire {
		m.Expire = hashLimitByteExpire
		if r.hasBurst {
			m.Expire = hashLimitBurstExpire
		}
	}
	return nil
}

// Milliseconds after which entries of a limit by bytes expire, without and with a burst.
const (
	hashLimitByteExpire  = 15000
	hashLimitBurstExpire = 60000
)

// hashLimitByteShift is XT_HASHLIMIT_BYTE_SHIFT: bytes are counted in sixteens.
const hashLimitByteShift = 4

// byteCost is the kernel's cost of 16 bytes at a rate of bytes in a second.
func byteCost(rate uint64) uint64 {
	return (1<<32 - 1) / (uint64(uint32(rate>>hashLimitByteShift)) + 1)
}

// bytesPerSecond gives the rate of a cost of 16 bytes: a second is worth 2^32-1,
// and one sixteen more passes than is asked for.
func bytesPerSecond(cost uint64) uint64 {
	if cost == 0 {
		return (1<<32 - 2) << hashLimitByteShift
	}
	return ((1<<32-1)/cost - min((1<<32-1)/cost, 1)) << hashLimitByteShift
}

// isBytes reports whether bytes are counted.
func (m *HashLimit) isBytes() bool { return m.Mode&hashLimitBytes != 0 }

// expireAfter is the default of Expire for a rate in units of that many seconds.
func (m *HashLimit) expireAfter(unit uint32) uint32 {
	switch {
	case !m.isBytes():
		return unit * 1000
	case m.Burst != 0:
		return hashLimitBurstExpire
	}
	return hashLimitByteExpire
}

// printRate prints a rate of the period and gives its unit in seconds.
func (m *HashLimit) printRate(p *Printer, period uint64) (unit uint32) {
	if m.isBytes() {
		m.printBytes(p)
		return 0
	}
	if period == 0 {
		p.Str("inf")
		return 0
	}
	rate := uint64(0)
	for _, u := range rateUnits { // the first that loses little, as for limit
		scale := uint64(u.seconds) * hashLimitScale
		rate, unit = scale/period, u.seconds
		if period <= scale && rate >= scale%period {
			break
		}
	}
	p.Uint(rate)
	p.Byte('/')
	p.Str(rateUnit(unit))
	return unit
}

// printBurst prints the burst in packets, or in bytes.
func (m *HashLimit) printBurst(p *Printer) {
	p.Byte(' ')
	if m.isBytes() {
		p.bytes(m.Burst * bytesPerSecond(m.Period))
		return
	}
	p.Uint(m.Burst)
}

// printBytes prints a rate of bytes in mb or kb where that, without what is less
// than one of them, is of the same cost; otherwise in bytes.
func (m *HashLimit) printBytes(p *Printer) {
	rate := bytesPerSecond(m.Period)
	switch {
	case rate>>20 != 0 && m.costs(uint32(rate>>20<<20)):
		p.Uint(rate >> 20)
		p.Byte('m')
	case rate>>10 != 0 && m.costs(uint32(rate>>10<<10)):
		p.Uint(rate >> 10)
		p.Byte('k')
	default:
		p.Uint(rate)
	}
	p.Str("b/s")
}

// costs reports whether a rate of bytes has the match's cost.
func (m *HashLimit) costs(rate uint32) bool { return byteCost(uint64(rate)) == m.Period }

// bytes prints a number of bytes in mb, kb or b, as 1.8.9 does without what is
// less than one of them.
func (p *Printer) bytes(n uint64) {
	switch {
	case n >= 1<<20:
		p.Uint(n >> 20)
		p.Str("mb")
	case n >= 1<<10:
		p.Uint(n >> 10)
		p.Str("kb")
	default:
		p.Uint(n)
		p.Byte('b')
	}
}
