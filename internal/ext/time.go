package ext

// time: iptables-extensions(8), "time".
// UAPI: linux/netfilter/xt_time.h, struct xt_time_info, revision 0.

import (
	"strings"
	"time"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Time matches packets by when they arrive. A packet alone cannot decide it.
type Time struct {
	From, Until    uint32 // dates in seconds since 1970
	DayFrom, DayTo uint32 // seconds since midnight, both ends included
	MonthDays      uint32 // bit n: the nth; bit 0 means nothing and is kept
	WeekDays       uint8  // bit 1: Monday … bit 7: Sunday
	KernelTimezone bool   // times are in the kernel's timezone, not UTC
	Contiguous     bool   // DayFrom to DayTo over midnight is one period
}

// Limits and flags of the header: XT_TIME_*.
const (
	xtTimeLocal      = 1 << 0
	xtTimeContiguous = 1 << 1
	allMonthDays     = 1<<32 - 2
	allWeekDays      = 1<<8 - 2
	lastSecond       = 24*60*60 - 1
	lastDate         = 1<<31 - 1 // what stands for no end
)

var timeMatch = Def{
	Name: "time", Kind: Match, Families: Both,
	Summary: "time and date of arrival",
	Options: []Option{
		{Name: "datestart", Value: "YYYY[-MM[-DD[Thh[:mm[:ss]]]]]", Help: "from this date on (default 1970)"},
		{Name: "datestop", Value: "YYYY[-MM[-DD[Thh[:mm[:ss]]]]]", Help: "until this date, included (default 2038-01-19T03:14:07)"},
		{Name: "timestart", Value: "hh:mm[:ss]", Help: "from this time of the day on (default 00:00:00)"},
		{Name: "timestop", Value: "hh:mm[:ss]", Help: "until this time of the day, included (default 23:59:59)"},
		{Name: "monthdays", Value: "DAY[,...]", Not: true, Help: "on these days of the month, 1 to 31"},
		{Name: "weekdays", Value: "DAY[,...]", Not: true, Help: "on Mon, Tue, Wed, Thu, Fri, Sat, Sun, or 1 to 7"},
		{Name: "contiguous", Help: "take --timestart to --timestop over midnight as one period"},
		{Name: "kerneltz", Excludes: []string{"utc"}, Help: "times are in the kernel's timezone"},
		{Name: "localtz", Excludes: []string{"utc"}, Help: "old name of --kerneltz"},
		{Name: "utc", Excludes: []string{"kerneltz", "localtz"}, Help: "times are in UTC (default)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 24}},
	New: func(rule.Family) Ext {
		return &Time{Until: lastDate, DayTo: lastSecond, MonthDays: allMonthDays, WeekDays: allWeekDays}
	},
}

func init() { register(&timeMatch) }

// weekDays are the names of the days from bit 1 on.
var weekDays = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

func (m *Time) Name() string { return "time" }
func (m *Time) Def() *Def    { return &timeMatch }

func (m *Time) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "datestart":
		m.From, err = a.date()
	case "datestop":
		m.Until, err = a.date()
	case "timestart":
		m.DayFrom, err = a.dayTime()
	case "timestop":
		m.DayTo, err = a.dayTime()
	case "monthdays":
		if m.MonthDays, err = a.monthDays(); a.Not {
			m.MonthDays ^= allMonthDays
		}
	case "weekdays":
		if m.WeekDays, err = a.weekDays(); a.Not {
			m.WeekDays ^= allWeekDays
		}
	case "contiguous":
		m.Contiguous = true
	case "localtz":
		a.Warnf("WARNING: --localtz is being replaced by --kerneltz, since \"local\" is ambiguous. Note the kernel timezone has caveats - see manpage for details.")
		m.KernelTimezone = true
	case "kerneltz":
		m.KernelTimezone = true
	}
	return err
}

// Check asks for a period over midnight, which alone can be contiguous.
func (m *Time) Check(*Context) error {
	if m.Contiguous && m.DayFrom < m.DayTo {
		return Errorf(m, "--contiguous only makes sense when --timestop is before --timestart")
	}
	return nil
}

// datePart reads the number at the beginning of s as strtoul(3) with base
// 10. Where none stands it is 0 and all of s follows.
func datePart(s string) (n uint32, rest string) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	t = strings.TrimPrefix(t, "+")
	i := 0
	for ; i < len(t) && t[i] >= '0' && t[i] <= '9'; i++ {
		n = min(n*10+uint32(t[i]-'0'), 1<<20) // more than any limit
	}
	if i == 0 {
		return 0, s
	}
	return n, t[i:]
}

// date reads YYYY[-MM[-DD[Thh[:mm[:ss]]]]] in UTC. Days behind a month's end
// count on, and a month or day that is left out behind its dash is the one
// before the first, all as 1.8.9 has it.
func (a *Arg) date() (uint32, error) {
	parts := [...]struct {
		before   byte
		most     uint32
		standard uint32
	}{{0, 2038, 0}, {'-', 12, 1}, {'-', 31, 1}, {'T', 23, 0}, {':', 59, 0}, {':', 59, 0}}
	var v [len(parts)]uint32
	rest, ended := a.Value, false
	for i, part := range parts {
		v[i] = part.standard
		switch {
		case ended:
			continue
		case i > 0 && rest == "":
			ended = true
			continue
		case i > 0 && rest[0] != part.before:
			return 0, a.badDate()
		case i > 0:
			rest = rest[1:]
		}
		if v[i], rest = datePart(rest); v[i] > part.most {
			return 0, a.badDate()
		}
	}
	if v[0] < 1970 || rest != "" {
		return 0, a.badDate()
	}
	t := time.Date(int(v[0]), time.Month(v[1]), int(v[2]), int(v[3]), int(v[4]), int(v[5]), 0, time.UTC)
	return uint32(t.Unix()), nil
}

func (a *Arg) badDate() error {
	return a.Bad("YYYY[-MM[-DD[Thh[:mm[:ss]]]]] from 1970 to 2038")
}

// dayTime reads hh:mm[:ss] in seconds since midnight; a number may be left out.
func (a *Arg) dayTime() (uint32, error) {
	hour, rest := datePart(a.Value)
	minutes, ok := strings.CutPrefix(rest, ":")
	minute, rest := datePart(minutes)
	second := uint32(0)
	if seconds, has := strings.CutPrefix(rest, ":"); has {
		second, rest = datePart(seconds)
	}
	if !ok || hour > 23 || minute > 59 || second > 59 || rest != "" {
		return 0, a.Bad("hh:mm[:ss] from 00:00:00 to 23:59:59")
	}
	return hour*3600 + minute*60 + second, nil
}

// monthDays reads a comma list of days. As in 1.8.9 it may be empty, and an
// empty place in it is day 0.
func (a *Arg) monthDays() (days uint32, err error) {
	for rest := a.Value; rest != ""; {
		var n uint32
		n, rest = datePart(rest)
		if n > 31 || rest != "" && rest[0] != ',' {
			return 0, a.Errorf("takes a comma list of days from 1 to 31, not %q", a.Value)
		}
		days |= 1 << n
		rest = strings.TrimPrefix(rest, ",")
	}
	return days, nil
}

// weekDays reads a comma list of days by number or by a name of which two
// letters count. As in 1.8.9 it may be empty, and a number's bit beyond the
// seventh is lost.
func (a *Arg) weekDays() (days uint8, err error) {
	for rest := a.Value; rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, ",")
		n, tail := datePart(word)
		if tail != "" && len(word) >= 2 {
			n = 0
			for i, name := range weekDays {
				if word[:2] == name[:2] {
					n = uint32(i) + 1
				}
			}
			tail = ""
		}
		if n == 0 || tail != "" {
			return 0, a.Errorf("takes a comma list of Mon, Tue, Wed, Thu, Fri, Sat, Sun or 1 to 7, not %q", a.Value)
		}
		days |= uint8(1 << (n % 32))
	}
	return days, nil
}

func (m *Time) Save(p *Printer) {
	if m.DayFrom != 0 || m.DayTo != lastSecond {
		p.Str(" --timestart ")
		p.dayTime(m.DayFrom)
		p.Str(" --timestop ")
		p.dayTime(m.DayTo)
	}
	if m.MonthDays != allMonthDays {
		p.Str(" --monthdays ")
		p.monthDays(m.MonthDays, false)
	}
	if m.WeekDays != allWeekDays {
		p.Str(" --weekdays ")
		p.weekDays(m.WeekDays)
	}
	if m.From != 0 {
		p.Str(" --datestart ")
		p.date(m.From, "2006-01-02T15:04:05")
	}
	if m.Until != 0 {
		p.Str(" --datestop ")
		p.date(m.Until, "2006-01-02T15:04:05")
	}
	if m.KernelTimezone {
		p.Option(false, "kerneltz")
	}
	if m.Contiguous {
		p.Option(false, "contiguous")
	}
}

// dayTime prints hh:mm:ss.
func (p *Printer) dayTime(seconds uint32) { p.date(seconds, "15:04:05") }

// date prints seconds since 1970 in a layout of package time.
func (p *Printer) date(seconds uint32, layout string) {
	p.B = time.Unix(int64(seconds), 0).UTC().AppendFormat(p.B, layout)
}

// monthDays prints days with commas, in listings with the endings that 1.8.9 gives them: 1st, 11st.
func (p *Printer) monthDays(days uint32, ending bool) {
	comma := false
	for n := uint64(1); n <= 31; n++ {
		if days>>n&1 == 0 {
			continue
		}
		if comma {
			p.Byte(',')
		}
		comma = true
		p.Uint(n)
		if ending {
			p.Str([...]string{"th", "st", "nd", "rd", "th", "th", "th", "th", "th", "th"}[n%10])
		}
	}
}

// weekDays prints names of days with commas.
func (p *Printer) weekDays(days uint8) {
	comma := false
	for i, name := range weekDays {
		if days>>(i+1)&1 == 0 {
			continue
		}
		if comma {
			p.Byte(',')
		}
		comma = true
		p.Str(name)
	}
}

func (m *Time) List(p *Printer) {
	p.Str(" TIME")
	if m.DayFrom != 0 || m.DayTo != lastSecond {
		p.Str(" from ")
		p.dayTime(m.DayFrom)
		p.Str(" to ")
		p.dayTime(m.DayTo)
	}
	if m.WeekDays != allWeekDays {
		p.Str(" on ")
		p.weekDays(m.WeekDays)
	}
	if m.MonthDays != allMonthDays {
		p.Str(" on ")
		p.monthDays(m.MonthDays, true)
	}
	if m.From != 0 {
		p.Str(" starting from ")
		p.date(m.From, "2006-01-02 15:04:05")
	}
	if m.Until != lastDate {
		p.Str(" until date")
		if m.Until != 0 {
			p.date(m.Until, " 2006-01-02 15:04:05")
		}
	}
	if !m.KernelTimezone {
		p.Str(" UTC")
	}
	if m.Contiguous {
		p.Str(" contiguous")
	}
}

// Info writes struct xt_time_info.
func (m *Time) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, n := range [...]uint32{m.From, m.Until, m.DayFrom, m.DayTo, m.MonthDays} {
		w.Host32(n)
	}
	w.U8(m.WeekDays)
	w.U8(flag[uint8](m.KernelTimezone, xtTimeLocal) | flag[uint8](m.Contiguous, xtTimeContiguous))
}

// Read reads struct xt_time_info.
func (m *Time) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.From, m.Until, m.DayFrom, m.DayTo, m.MonthDays = r.Host32(), r.Host32(), r.Host32(), r.Host32(), r.Host32()
	m.WeekDays = r.U8()
	flags := r.U8()
	m.KernelTimezone, m.Contiguous = flags&xtTimeLocal != 0, flags&xtTimeContiguous != 0
	if flags>>2 != 0 || m.DayFrom > lastSecond || m.DayTo > lastSecond {
		return nft.ErrMalformed
	}
	return nil
}
