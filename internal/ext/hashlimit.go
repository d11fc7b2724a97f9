package ext

// hashlimit: iptables-extensions(8), "hashlimit".
// UAPI: linux/netfilter/xt_hashlimit.h, struct xt_hashlimit_mtinfo1, 2 and 3.
// Their pointers are the kernel's own.

import (
	"net/netip"
	"strings"

	"moat/internal/rule"
)

// HashLimit matches by the rate of a group of packets. What else goes on decides
// it, so a packet alone cannot.
type HashLimit struct {
	Group string // name of the table of groups, /proc/net/ipt_hashlimit/NAME
	Mode  uint32 // hashLimit* bits: what makes a group, and how to count
	// Period is the time between two packets in microseconds, as the kernel has
	// it; with hashLimitBytes it is the cost of 16 bytes, see bytesPerSecond.
	Period uint64
	// Burst is how many packets may pass at once; with hashLimitBytes, how many
	// seconds' worth of bytes, 0 for none beyond the rate.
	Burst    uint64
	Size     uint32 // buckets of the table; 0: the kernel decides
	Max      uint32 // entries of the table; 0: the kernel decides
	GC       uint32 // milliseconds between two clean-ups
	Expire   uint32 // milliseconds
	Interval uint32 // seconds over which a rate is matched; 0: not told
	SrcLen   uint8  // prefix length of sources
	DstLen   uint8  // prefix length of destinations

	rate hashLimitRate // as given on the command line; settled by Check
}

// The bits of a mode: XT_HASHLIMIT_*.
const (
	hashLimitDstIP   = 1
	hashLimitDstPort = 2
	hashLimitSrcIP   = 4
	hashLimitSrcPort = 8
	hashLimitAbove   = 16 // XT_HASHLIMIT_INVERT
	hashLimitBytes   = 32
	hashLimitMatch   = 64 // XT_HASHLIMIT_RATE_MATCH
	hashLimitAll     = 127
)

// hashLimitGC is the default of GC.
const hashLimitGC = 1000

// hashLimitNameMax is the length of a name in revisions 2 and 3, NAME_MAX of
// linux/limits.h, the closing zero included.
const hashLimitNameMax = 255

var hashlimit = Def{
	Name: "hashlimit", Kind: Match, Families: Both,
	Summary: "rate of packets of a host, a network or a connection",
	Options: []Option{
		{
			Name: "hashlimit-upto", Aliases: []string{"hashlimit"}, Value: "RATE", Not: true, Excludes: []string{"hashlimit-above"},
			Help: "at most RATE: N[/second|/minute|/hour|/day] packets, or bytes as in 512kb/s",
		},
		{Name: "hashlimit-above", Value: "RATE", Not: true, Excludes: []string{"hashlimit-upto"}, Help: "more than RATE"},
		{Name: "hashlimit-mode", Value: "WHAT[,...]", Help: "what makes a group: srcip, srcport, dstip, dstport (default: all packets are one)"},
		{Name: "hashlimit-srcmask", Value: "LENGTH", Help: "prefix length by which sources make a group"},
		{Name: "hashlimit-dstmask", Value: "LENGTH", Help: "prefix length by which destinations make a group"},
		{Name: "hashlimit-name", Value: "NAME", Required: true, Help: "name of /proc/net/ipt_hashlimit/NAME"},
		{Name: "hashlimit-burst", Value: "NUMBER", Help: "packets that may pass at once (default 5), or bytes as in 1mb"},
		{Name: "hashlimit-htable-size", Value: "NUMBER", Help: "buckets of the table"},
		{Name: "hashlimit-htable-max", Value: "NUMBER", Help: "entries of the table"},
		{Name: "hashlimit-htable-gcinterval", Value: "MILLISECONDS", Help: "time between two clean-ups (default 1000)"},
		{Name: "hashlimit-htable-expire", Value: "MILLISECONDS", Help: "time after which an idle entry goes"},
		{Name: "hashlimit-rate-match", Help: "compare the rate itself instead of limiting it"},
		{Name: "hashlimit-rate-interval", Value: "SECONDS", Help: "time over which --hashlimit-rate-match looks"},
	},
	AnyOf:     []string{"hashlimit-upto", "hashlimit-above"},
	Revisions: []Revision{{Rev: 1, Size: 56}, {Rev: 2, Size: 304}, {Rev: 3, Size: 312}},
	New: func(f rule.Family) Ext {
		n := uint8(8 * f.AddrLen())
		return &HashLimit{Burst: 5, GC: hashLimitGC, SrcLen: n, DstLen: n}
	},
}

func init() { register(&hashlimit) }

// hashLimitModes name what makes a group, in the order in which it is printed.
var hashLimitModes = [...]struct {
	name string
	bit  uint32
}{{"srcip", hashLimitSrcIP}, {"srcport", hashLimitSrcPort}, {"dstip", hashLimitDstIP}, {"dstport", hashLimitDstPort}}

func (m *HashLimit) Name() string { return "hashlimit" }
func (m *HashLimit) Def() *Def    { return &hashlimit }

func (m *HashLimit) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "hashlimit-upto", "hashlimit-above":
		m.Mode |= flag[uint32](a.Is("hashlimit-above") != a.Not, hashLimitAbove)
		return m.rate.set(a)
	case "hashlimit-burst":
		return m.rate.setBurst(a)
	case "hashlimit-mode":
		return m.setMode(a)
	case "hashlimit-srcmask":
		m.SrcLen, err = a.prefixLen()
	case "hashlimit-dstmask":
		m.DstLen, err = a.prefixLen()
	case "hashlimit-name":
		if a.Value == "" {
			return a.Bad("a name")
		}
		m.Group = a.Value[:min(len(a.Value), hashLimitNameMax-1)] // 1.8.9 cuts it off without a word
	case "hashlimit-rate-match":
		m.Mode |= hashLimitMatch
	default:
		return m.setNumber(a)
	}
	return err
}

// setNumber takes the options of one plain number.
func (m *HashLimit) setNumber(a *Arg) error {
	if a.Is("hashlimit-rate-interval") {
		n, ok := decimalPrefix(a.Value)
		if !ok || n == 0 || n > 1<<31-1 {
			return a.Bad("a number of seconds from 1 to 2147483647")
		}
		m.Interval = uint32(n)
		return nil
	}
	n, err := a.Uint(0, 1<<32-1)
	switch a.Option.Name {
	case "hashlimit-htable-size":
		m.Size = uint32(n)
	case "hashlimit-htable-max":
		m.Max = uint32(n)
	case "hashlimit-htable-gcinterval":
		m.GC = uint32(n)
	case "hashlimit-htable-expire":
		m.Expire, m.rate.expire = uint32(n), true
	}
	return err
}

// setMode reads a comma list, in which words may be missing.
func (m *HashLimit) setMode(a *Arg) error {
next:
	for word := range strings.SplitSeq(a.Value, ",") {
		for _, mode := range hashLimitModes {
			if mode.name == word {
				m.Mode |= mode.bit
				continue next
			}
		}
		if word != "" {
			return a.Errorf("takes a comma list of srcip, srcport, dstip and dstport, not %q", word)
		}
	}
	return nil
}

// prefixLen reads a prefix length or a mask; one with holes is 255, which the kernel refuses.
func (a *Arg) prefixLen() (uint8, error) {
	mask, err := a.maskOf(a.Value)
	if err != nil || mask == (netip.Addr{}) {
		return 255, err
	}
	return uint8(maskLen(mask)), nil
}

func (m *HashLimit) Save(p *Printer) {
	if m.Mode&hashLimitAbove != 0 {
		p.Option(false, "hashlimit-above")
	} else {
		p.Option(false, "hashlimit-upto")
	}
	p.Byte(' ')
	unit := m.printRate(p, m.Period)
	if !m.isBytes() || m.Burst != 0 {
		p.Option(false, "hashlimit-burst")
		m.printBurst(p)
	}
	m.printMode(p, " --hashlimit-mode ", ",")
	p.OptionStr(false, "hashlimit-name", m.Group)
	m.printTable(p, " --hashlimit-", unit)
	m.printMasks(p, " --hashlimit-")
	m.printMatch(p, " --hashlimit-")
}

// List prints the rate over the interval, if there is one.
func (m *HashLimit) List(p *Printer) {
	if m.Mode&hashLimitAbove != 0 {
		p.Str(" limit: above ")
	} else {
		p.Str(" limit: up to ")
	}
	unit := m.printRate(p, m.Period*uint64(max(m.Interval, 1)))
	if !m.isBytes() || m.Burst != 0 {
		p.Str(" burst")
		m.printBurst(p)
	}
	m.printMode(p, " mode ", "-")
	m.printTable(p, " ", unit)
	m.printMasks(p, " ")
	m.printMatch(p, " ")
}

// printMode prints what makes a group, if anything.
func (m *HashLimit) printMode(p *Printer, before, between string) {
	for _, mode := range hashLimitModes {
		if m.Mode&mode.bit != 0 {
			p.Str(before)
			p.Str(mode.name)
			before = between
		}
	}
}

// printTable prints what is said of the table, but for defaults; unit is the
// rate's in seconds, after which entries expire by default.
func (m *HashLimit) printTable(p *Printer, before string, unit uint32) {
	for _, n := range [...]struct {
		name         string
		value, usual uint32
	}{
		{"htable-size ", m.Size, 0}, {"htable-max ", m.Max, 0}, {"htable-gcinterval ", m.GC, hashLimitGC},
		{"htable-expire ", m.Expire, m.expireAfter(unit)},
	} {
		if n.value != n.usual {
			p.Str(before)
			p.Str(n.name)
			p.Uint(uint64(n.value))
		}
	}
}

// printMasks prints prefix lengths that are not those of an address.
func (m *HashLimit) printMasks(p *Printer, before string) {
	full := uint8(8 * p.Family.AddrLen())
	if m.SrcLen != full {
		p.Str(before)
		p.Str("srcmask ")
		p.Uint(uint64(m.SrcLen))
	}
	if m.DstLen != full {
		p.Str(before)
		p.Str("dstmask ")
		p.Uint(uint64(m.DstLen))
	}
}

// printMatch prints how a rate is matched.
func (m *HashLimit) printMatch(p *Printer, before string) {
	if m.Mode&hashLimitMatch == 0 {
		return
	}
	p.Str(before)
	p.Str("rate-match")
	if m.Interval != 1 {
		p.Str(before)
		p.Str("rate-interval ")
		p.Uint(uint64(m.Interval))
	}
}
