package ext

// recent: iptables-extensions(8), "recent".
// UAPI: linux/netfilter/xt_recent.h, struct xt_recent_mtinfo, revision 0, and
// xt_recent_mtinfo_v1, revision 1, which has a mask more.

import (
	"net/netip"
	"strconv"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Recent keeps and asks a list of addresses that were seen lately.
type Recent struct {
	Command  uint8 // one of xtRecentCheck, Set, Update and Remove
	Not      bool
	Seconds  uint32 // 0: however long ago
	Hits     uint32 // 0: however often
	TTL      bool   // the packet's TTL must be that of the packet that was set
	Reap     bool   // forget what is older than Seconds
	ListName string // name of the list
	Dest     bool   // the destination address, not the source
	Mask     netip.Addr
}

// The commands and modifiers: XT_RECENT_* of the header.
const (
	xtRecentCheck   = 1 << 0
	xtRecentSet     = 1 << 1
	xtRecentUpdate  = 1 << 2
	xtRecentRemove  = 1 << 3
	xtRecentTTL     = 1 << 4
	xtRecentReap    = 1 << 5
	xtRecentNameLen = 200
)

// recentDefault is the list of rules that name none.
const recentDefault = "DEFAULT"

var recent = Def{
	Name: "recent", Kind: Match, Families: Both,
	Summary: "lists of addresses seen recently",
	Options: []Option{
		{Name: "set", Not: true, Excludes: []string{"rcheck", "update", "remove"}, Help: "put the address on the list; always matches"},
		{Name: "rcheck", Not: true, Excludes: []string{"set", "update", "remove"}, Help: "the address is on the list"},
		{Name: "update", Not: true, Excludes: []string{"set", "rcheck", "remove"}, Help: "like --rcheck, and note that it was seen now"},
		{Name: "remove", Not: true, Excludes: []string{"set", "rcheck", "update"}, Help: "the address is on the list; take it off"},
		{Name: "seconds", Value: "SECONDS", Help: "it was seen within the last SECONDS (with --rcheck and --update)"},
		{Name: "reap", Needs: []string{"seconds"}, Help: "take entries off that are older than --seconds"},
		{Name: "hitcount", Value: "HITS", Help: "it was seen at least HITS times (with --rcheck and --update)"},
		{Name: "rttl", Excludes: []string{"set", "remove"}, Help: "the TTL is that of the packet that was put on the list"},
		{Name: "name", Value: "NAME", Help: "list to use (default DEFAULT)"},
		{Name: "rsource", Help: "use the source address (default)"},
		{Name: "rdest", Help: "use the destination address"},
		{Name: "mask", Value: "MASK", Help: "mask for addresses of the list"},
	},
	AnyOf:     []string{"set", "rcheck", "update", "remove"},
	Revisions: []Revision{{Rev: 0, Size: 212}, {Rev: 1, Size: 228}},
	New:       func(rule.Family) Ext { return &Recent{ListName: recentDefault} },
}

func init() { register(&recent) }

// recentCommands are the commands as options and as the listing has them.
var recentCommands = [...]struct {
	bit          uint8
	option, list string
}{
	{xtRecentSet, "set", "SET"}, {xtRecentCheck, "rcheck", "CHECK"}, {xtRecentUpdate, "update", "UPDATE"},
	{xtRecentRemove, "remove", "REMOVE"},
}

func (m *Recent) Name() string { return "recent" }
func (m *Recent) Def() *Def    { return &recent }

func (m *Recent) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "seconds":
		n, err = a.Uint(1, 1<<32-1)
		m.Seconds = uint32(n)
	case "reap":
		m.Reap = true
	case "hitcount":
		n, err = a.Uint(0, 1<<32-1)
		m.Hits = uint32(n)
	case "rttl":
		m.TTL = true
	case "name":
		m.ListName = a.Value[:min(len(a.Value), xtRecentNameLen-1)] // 1.8.9 cuts it off without a word
	case "rsource", "rdest":
		m.Dest = a.Is("rdest")
	case "mask":
		m.Mask, err = a.host(a.Value)
	default:
		for _, c := range recentCommands {
			if a.Is(c.option) {
				m.Command, m.Not = c.bit, a.Not
			}
		}
	}
	return err
}

func (m *Recent) Save(p *Printer) {
	for _, c := range recentCommands {
		if m.Command == c.bit {
			p.Option(m.Not, c.option)
		}
	}
	if m.Seconds != 0 { // signed, as 1.8.9 prints it
		p.OptionStr(false, "seconds", strconv.Itoa(int(int32(m.Seconds))))
	}
	if m.Reap {
		p.Option(false, "reap")
	}
	if m.Hits != 0 {
		p.OptionStr(false, "hitcount", strconv.Itoa(int(int32(m.Hits))))
	}
	if m.TTL {
		p.Option(false, "rttl")
	}
	p.Str(" --name ")
	p.word(m.ListName)
	p.Str(" --mask ")
	p.Addr(m.mask(p.Family))
	if m.Dest {
		p.Option(false, "rdest")
	} else {
		p.Option(false, "rsource")
	}
}

// mask is the mask to print: all ones where none was given.
func (m *Recent) mask(f rule.Family) netip.Addr {
	if m.Mask.IsValid() {
		return m.Mask
	}
	return prefixMask(8*f.AddrLen(), f)
}

func (m *Recent) List(p *Printer) {
	p.notBefore(m.Not)
	p.Str(" recent:")
	for _, c := range recentCommands {
		if m.Command == c.bit {
			p.Byte(' ')
			p.Str(c.list)
		}
	}
	if m.Seconds != 0 {
		p.Str(" seconds: ")
		p.Str(strconv.Itoa(int(int32(m.Seconds))))
	}
	if m.Reap {
		p.Str(" reap")
	}
	if m.Hits != 0 {
		p.Str(" hit_count: ")
		p.Str(strconv.Itoa(int(int32(m.Hits))))
	}
	if m.TTL {
		p.Str(" TTL-Match")
	}
	p.Str(" name: ")
	p.Str(m.ListName)
	if m.Dest {
		p.Str(" side: dest mask: ")
	} else {
		p.Str(" side: source mask: ")
	}
	p.Addr(m.mask(p.Family))
}

// Info writes struct xt_recent_mtinfo or xt_recent_mtinfo_v1. A name shorter
// than the default one leaves the default's end behind its zero, as 1.8.9 does.
func (m *Recent) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host32(m.Seconds)
	w.Host32(m.Hits)
	w.U8(m.Command | flag[uint8](m.TTL, xtRecentTTL) | flag[uint8](m.Reap, xtRecentReap))
	w.Bool(m.Not)
	var name [xtRecentNameLen]byte
	copy(name[:], recentDefault)
	name[copy(name[:xtRecentNameLen-1], m.ListName)] = 0
	w.Bytes(name[:])
	w.Bool(m.Dest)
	if rev == 0 {
		return
	}
	w.Align(4)
	if m.Mask.IsValid() {
		inetAddr(w, m.Mask)
		return
	}
	w.Bytes([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
}

// Read reads struct xt_recent_mtinfo or xt_recent_mtinfo_v1.
func (m *Recent) Read(r *nft.InfoReader, rev uint8, f rule.Family) error {
	m.Seconds, m.Hits = r.Host32(), r.Host32()
	flags := r.U8()
	m.Not = r.Bool()
	m.ListName = r.String(xtRecentNameLen)
	m.Dest = r.Bool()
	if rev > 0 {
		r.Align(4)
		m.Mask = readInetAddr(r, f, true)
	}
	m.TTL, m.Reap = flags&xtRecentTTL != 0, flags&xtRecentReap != 0
	switch m.Command = flags &^ (xtRecentTTL | xtRecentReap); m.Command {
	case xtRecentCheck, xtRecentSet, xtRecentUpdate, xtRecentRemove:
	default:
		return nft.ErrMalformed
	}
	if len(m.ListName) == xtRecentNameLen {
		return nft.ErrMalformed
	}
	return nil
}

// Equal takes a mask of all ones for none.
func (m *Recent) Equal(other Ext) bool {
	o, ok := other.(*Recent)
	if !ok {
		return false
	}
	a, b := *m, *o
	a.Mask, b.Mask = AddrMask{Mask: a.Mask}.normal().Mask, AddrMask{Mask: b.Mask}.normal().Mask
	return a == b
}

// Match knows that --set always matches; everything else depends on what was seen.
func (m *Recent) Match(*packet.Packet) packet.Answer {
	if m.Command == xtRecentSet {
		return packet.Of(!m.Not)
	}
	return packet.Unknown
}
