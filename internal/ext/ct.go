package ext

// CT: iptables-extensions(8), "CT".
// UAPI: linux/netfilter/xt_CT.h: revision 0 struct xt_ct_target_info, revisions
// 1 and 2 struct xt_ct_target_info_v1.

import (
	"net/netip"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// CT sets how connection tracking deals with a packet's connection. NOTRACK is
// the same with Alias set.
type CT struct {
	NoTrack   bool // do not track at all
	Alias     bool // written as -j NOTRACK
	Zone      uint16
	ZoneMark  bool   // the zone is the packet's mark
	Orig      bool   // the zone is for the original direction
	Reply     bool   // the zone is for the reply direction; both or none: for both
	Events    uint32 // bits of ctEvents; 0: all
	ExpEvents uint32 // bits of ctExpEvents; 0: all
	Helper    string // at most 15 bytes
	Timeout   string // at most 31 bytes; revision 0 has none
}

var ct = Def{
	Name: "CT", Kind: Target, Families: Both,
	Summary: "how the connection is tracked",
	Options: []Option{
		{Name: "notrack", Help: "do not track the packet"},
		{Name: "helper", Value: "NAME", Help: "use the conntrack helper NAME for the connection"},
		{Name: "timeout", Value: "NAME", Help: "use the timeout policy NAME for the connection"},
		{Name: "ctevents", Value: "EVENT[,...]", Help: "report only these events: new, related, destroy, reply, assured, protoinfo, helper, mark, natseqinfo, secmark"},
		{Name: "expevents", Value: "EVENT[,...]", Help: "report only these events of expectations: new"},
		{Name: "zone", Value: "ID|mark", Help: "look the connection up in this zone (0-65535), or in that of the packet's mark"},
		{Name: "zone-orig", Value: "ID|mark", Help: "zone for the original direction"},
		{Name: "zone-reply", Value: "ID|mark", Help: "zone for the reply direction"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}, {Rev: 1, Size: 72}, {Rev: 2, Size: 72}},
	New:       func(rule.Family) Ext { return &CT{} },
}

func init() { register(&ct) }

// ctEvents are the events of a connection by their bits, enum ip_conntrack_events
// of linux/netfilter/nf_conntrack_common.h.
var ctEvents = []string{
	"new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark",
}

// ctExpEvents are the events of an expectation, enum ip_conntrack_expect_events.
var ctExpEvents = []string{"new"}

// Flags of struct xt_ct_target_info: XT_CT_*.
const (
	xtCTNoTrack      = 1 << 0
	xtCTNoTrackAlias = 1 << 1
	xtCTZoneOrig     = 1 << 2
	xtCTZoneReply    = 1 << 3
	xtCTZoneMark     = 1 << 4
	xtCTMask         = 1<<5 - 1
	xtCTHelperLen    = 16
	xtCTTimeoutLen   = 32
)

func (t *CT) Name() string { return t.Def().Name }

func (t *CT) Def() *Def {
	if t.Alias {
		return &notrack
	}
	return &ct
}

func (t *CT) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "notrack":
		t.NoTrack = true
	case "helper":
		t.Helper = a.cut(xtCTHelperLen - 1)
	case "timeout":
		t.Timeout = a.cut(xtCTTimeoutLen - 1)
	case "ctevents":
		t.Events, err = a.events(ctEvents)
	case "expevents":
		t.ExpEvents, err = a.events(ctExpEvents)
	default:
		return t.setZone(a)
	}
	return err
}

// cut gives the value's first n bytes: 1.8.9 drops the rest without a word.
func (a *Arg) cut(n int) string { return a.Value[:min(n, len(a.Value))] }

// setZone takes one of the zone options; a later one replaces the number, while
// directions add up.
func (t *CT) setZone(a *Arg) error {
	t.Orig = t.Orig || a.Is("zone-orig")
	t.Reply = t.Reply || a.Is("zone-reply")
	if n, ok := ParseUint(a.Value); ok && n <= 65535 {
		t.Zone = uint16(n)
		return nil
	}
	if strings.EqualFold(a.Value, "mark") {
		t.ZoneMark, t.Zone = true, 0
		return nil
	}
	return a.Errorf("takes a zone from 0 to 65535 or \"mark\", not %q", a.Value)
}

// events reads a comma list of names, each standing for the bit of its place.
func (a *Arg) events(names []string) (set uint32, err error) {
next:
	for word := range strings.SplitSeq(a.Value, ",") {
		for i, name := range names {
			if word == name {
				set |= 1 << i
				continue next
			}
		}
		return 0, a.Errorf("takes a comma list of %s, not %q", strings.Join(names, ", "), word)
	}
	return set, nil
}

func (t *CT) Save(p *Printer) { t.print(p, " --") }

// List prints the same words as Save without the dashes.
func (t *CT) List(p *Printer) {
	p.Byte(' ')
	p.Str(t.Name())
	t.print(p, " ")
}

func (t *CT) print(p *Printer, before string) {
	if t.Alias {
		return
	}
	if t.NoTrack {
		p.Str(before + "notrack")
	}
	if t.Helper != "" {
		p.Str(before + "helper " + t.Helper)
	}
	if t.Timeout != "" {
		p.Str(before + "timeout " + t.Timeout)
	}
	p.events(before+"ctevents ", ctEvents, t.Events)
	p.events(before+"expevents ", ctExpEvents, t.ExpEvents)
	if t.ZoneMark || t.Zone != 0 {
		t.printZone(p, before)
	}
}

// events prints the names of bits with commas, or nothing when none is set.
func (p *Printer) events(before string, names []string, set uint32) {
	for i, name := range names {
		if set&(1<<i) != 0 {
			p.Str(before + name)
			before = ","
		}
	}
}

func (t *CT) printZone(p *Printer, before string) {
	p.Str(before + "zone")
	switch {
	case t.Orig && !t.Reply:
		p.Str("-orig")
	case t.Reply && !t.Orig:
		p.Str("-reply")
	}
	p.Byte(' ')
	if t.ZoneMark {
		p.Str("mark")
		return
	}
	p.Uint(uint64(t.Zone))
}

// Info writes struct xt_ct_target_info or xt_ct_target_info_v1, whose last
// member is the kernel's own.
func (t *CT) Info(w nft.Info, rev uint8, _ rule.Family) {
	if t.Alias && rev == 0 {
		return
	}
	w.Host16(flag[uint16](t.NoTrack, xtCTNoTrack) | flag[uint16](t.Alias, xtCTNoTrackAlias) |
		flag[uint16](t.Orig, xtCTZoneOrig) | flag[uint16](t.Reply, xtCTZoneReply) | flag[uint16](t.ZoneMark, xtCTZoneMark))
	w.Host16(t.Zone)
	w.Host32(t.Events)
	w.Host32(t.ExpEvents)
	w.String(t.Helper, xtCTHelperLen)
	if rev > 0 {
		w.String(t.Timeout, xtCTTimeoutLen)
	}
}

// Read reads what Info writes; the kernel's own target NOTRACK has no struct.
func (t *CT) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if t.Alias && rev == 0 {
		return nil
	}
	flags := r.Host16()
	t.NoTrack, t.Alias = flags&xtCTNoTrack != 0, rev > 0 && flags&xtCTNoTrackAlias != 0 // revision 0 has no such flag
	t.Orig, t.Reply, t.ZoneMark = flags&xtCTZoneOrig != 0, flags&xtCTZoneReply != 0, flags&xtCTZoneMark != 0
	t.Zone, t.Events, t.ExpEvents = r.Host16(), r.Host32(), r.Host32()
	t.Helper = r.String(xtCTHelperLen)
	if rev > 0 {
		t.Timeout = r.String(xtCTTimeoutLen)
	}
	if flags&^xtCTMask != 0 || t.Events>>len(ctEvents) != 0 || t.ExpEvents>>len(ctExpEvents) != 0 ||
		len(t.Helper) >= xtCTHelperLen || len(t.Timeout) >= xtCTTimeoutLen {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate tells connection tracking how to look the packet up, or not to. Of the
// rules that a packet meets the first is heard. A packet that comes in by the
// loopback interface has been tracked when it left: it stays as it is (Linux 6.18).
func (t *CT) Mutate(p *packet.Packet) {
	told := p.Has(packet.KnowState) && p.Connection.State == packet.Untracked
	if p.Hook == rule.Prerouting && p.In == "lo" || p.Template.Set || told {
		return
	}
	if t.NoTrack {
		p.Connection.State = packet.Untracked
		p.Known |= packet.KnowState
		return
	}
	p.Template = packet.Template{Set: true, Zone: t.Zone, ZoneMark: t.ZoneMark, Original: t.Orig, Reply: t.Reply}
	if p.Has(packet.KnowState) && p.Connection.State == packet.Invalid {
		t.show(p)
	}
}

// show makes the packet one of the target's template, which the rest of table raw
// sees in the place of its connection: a new one without addresses (Linux 6.18).
func (t *CT) show(p *packet.Packet) {
	none := packet.Tuple{Src: netip.IPv4Unspecified(), Dst: netip.IPv4Unspecified()}
	if p.Family == rule.IPv6 {
		none = packet.Tuple{Src: netip.IPv6Unspecified(), Dst: netip.IPv6Unspecified()}
	}
	p.Connection = packet.Connection{State: packet.New, Status: packet.StatusConfirmed, Original: none, ReplyTuple: none}
	p.Known |= packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection | packet.KnowOriginal | packet.KnowReplyTuple | packet.KnowConnLabels |
		packet.KnowConnHelper
}
