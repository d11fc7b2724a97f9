package ext

// IDLETIMER: iptables-extensions(8), "IDLETIMER".
// UAPI: linux/netfilter/xt_IDLETIMER.h: revision 0 struct idletimer_tg_info,
// revision 1 struct idletimer_tg_info_v1.

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// IdleTimer tells through sysfs when no packet came for a time.
type IdleTimer struct {
	Timeout uint32 // seconds
	Label   string // at most 27 bytes
	Alarm   bool   // also wakes a sleeping machine; needs revision 1
}

var idletimer = Def{
	Name: "IDLETIMER", Kind: Target, Families: Both,
	Summary: "tell when no packet came for a time",
	Options: []Option{
		{Name: "timeout", Value: "SECONDS", Required: true, Help: "time without packets"},
		{Name: "label", Value: "NAME", Required: true, Help: "name of the timer, up to 27 characters"},
		{Name: "alarm", Help: "use a timer that wakes a sleeping machine"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}, {Rev: 1, Size: 48}},
	New:       func(rule.Family) Ext { return &IdleTimer{} },
}

func init() { register(&idletimer) }

const (
	idletimerLabelLen = 28 // MAX_IDLETIMER_LABEL_SIZE
	idletimerAlarm    = 1  // XT_IDLETIMER_ALARM
)

func (t *IdleTimer) Name() string { return "IDLETIMER" }
func (t *IdleTimer) Def() *Def    { return &idletimer }

func (t *IdleTimer) Set(a *Arg) error {
	switch a.Option.Name {
	case "label":
		t.Label = a.cut(idletimerLabelLen - 1)
		return nil
	case "alarm":
		t.Alarm = true
		return nil
	}
	n, err := a.Uint(0, 1<<32-1)
	t.Timeout = uint32(n)
	return err
}

func (t *IdleTimer) Save(p *Printer) {
	p.OptionUint(false, "timeout", uint64(t.Timeout))
	p.OptionStr(false, "label", t.Label)
	if t.Alarm {
		p.Str(" --alarm")
	}
}

func (t *IdleTimer) List(p *Printer) {
	p.Str(" timeout:")
	p.Uint(uint64(t.Timeout))
	p.Str(" label:" + t.Label)
	if t.Alarm {
		p.Str(" alarm")
	}
}

// Info writes the struct of the revision, whose last member is the kernel's own.
func (t *IdleTimer) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host32(t.Timeout)
	w.String(t.Label, idletimerLabelLen)
	if rev > 0 {
		w.U8(0) // no netlink message: Android's kernels have that
		w.U8(flag[uint8](t.Alarm, idletimerAlarm))
	}
}

// Read reads the struct of the revision.
func (t *IdleTimer) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	t.Timeout, t.Label = r.Host32(), r.String(idletimerLabelLen)
	var message, kind uint8
	if rev > 0 {
		message, kind = r.U8(), r.U8()
		t.Alarm = kind == idletimerAlarm
	}
	if message != 0 || kind > idletimerAlarm || len(t.Label) >= idletimerLabelLen {
		return nft.ErrMalformed
	}
	return nil
}
