package ext

// LED: iptables-extensions(8), "LED".
// UAPI: linux/netfilter/xt_LED.h, struct xt_led_info, revision 0. Few kernels
// have it, so it is proved by parse, print and bytes alone.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// LED lets an indicator light blink.
type LED struct {
	ID     string // of the trigger, without "netfilter-"; at most 16 bytes
	Delay  uint32 // milliseconds; ledForever
	Always bool   // blink even if it is on
}

// ledForever is the delay after which the light never goes out.
const ledForever = 1<<32 - 1

var led = Def{
	Name: "LED", Kind: Target, Families: Both,
	Summary: "let an indicator light blink",
	Options: []Option{
		{Name: "led-trigger-id", Value: "NAME", Required: true, Help: "name of the trigger, up to 16 characters"},
		{Name: "led-delay", Value: "MILLISECONDS|inf", Help: "how long the light stays on (default 0)"},
		{Name: "led-always-blink", Help: "blink even if the light is on"},
	},
	Revisions: []Revision{{Rev: 0, Size: 40}},
	New:       func(rule.Family) Ext { return &LED{} },
}

func init() { register(&led) }

const (
	ledIDLen    = 27 // of the member, the closing zero included
	ledIDPrefix = "netfilter-"
)

func (t *LED) Name() string { return "LED" }
func (t *LED) Def() *Def    { return &led }

func (t *LED) Set(a *Arg) error {
	switch a.Option.Name {
	case "led-trigger-id":
		if len(a.Value) >= ledIDLen-len(ledIDPrefix) {
			return a.Bad("a name of at most 16 characters")
		}
		t.ID = a.Value
	case "led-always-blink":
		t.Always = true
	case "led-delay":
		if len(a.Value) >= 3 && strings.EqualFold(a.Value[:3], "inf") {
			t.Delay = ledForever
			return nil
		}
		n, err := a.Uint(0, 1<<32-1)
		t.Delay = uint32(n)
		return err
	}
	return nil
}

// Save prints a light that stays on as "inf", where 1.8.9 prints -1, which it
// does not read.
func (t *LED) Save(p *Printer) {
	p.Str(` --led-trigger-id "` + t.ID + `"`)
	switch t.Delay {
	case 0:
	case ledForever:
		p.Str(" --led-delay inf")
	default:
		p.OptionUint(false, "led-delay", uint64(t.Delay))
	}
	if t.Always {
		p.Str(" --led-always-blink")
	}
}

func (t *LED) List(p *Printer) {
	p.Str(` led-trigger-id:"` + t.ID + `" led-delay:`)
	if t.Delay == ledForever {
		p.Str("inf")
	} else {
		p.Uint(uint64(t.Delay))
		p.Str("ms")
	}
	if t.Always {
		p.Str(" led-always-blink")
	}
}

// Info writes struct xt_led_info, whose last member is the kernel's own.
func (t *LED) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.String(ledIDPrefix+t.ID, ledIDLen)
	w.Bool(t.Always)
	w.Host32(t.Delay)
}

// Read reads struct xt_led_info.
func (t *LED) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	id := r.String(ledIDLen)
	t.Always, t.Delay = r.Bool(), r.Host32()
	var ok bool
	if t.ID, ok = strings.CutPrefix(id, ledIDPrefix); !ok || len(id) >= ledIDLen {
		return nft.ErrMalformed
	}
	return nil
}
