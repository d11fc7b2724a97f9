package ext

// CLASSIFY: iptables-extensions(8), "CLASSIFY".
// UAPI: linux/netfilter/xt_CLASSIFY.h, struct xt_classify_target_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Classify sets the packet's priority, which is the class of traffic control.
type Classify struct {
	Major, Minor uint16
}

var classify = Def{
	Name: "CLASSIFY", Kind: Target, Families: Both,
	Summary: "set the packet's class of traffic control",
	Options: []Option{
		{Name: "set-class", Value: "MAJOR:MINOR", Required: true, Help: "the class, two hexadecimal numbers"},
	},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &Classify{} },
}

func init() { register(&classify) }

func (t *Classify) Name() string { return "CLASSIFY" }
func (t *Classify) Def() *Def    { return &classify }

// Set reads the numbers as scanf's "%x:%x" does: blanks, a sign and 0x may
// stand before each, what follows the second is ignored.
func (t *Classify) Set(a *Arg) error {
	major, rest, ok := scanHex(a.Value)
	if !ok || !strings.HasPrefix(rest, ":") {
		return a.Bad("two hexadecimal numbers, MAJOR:MINOR")
	}
	minor, _, ok := scanHex(rest[1:])
	if !ok {
		return a.Bad("two hexadecimal numbers, MAJOR:MINOR")
	}
	t.Major, t.Minor = uint16(major), uint16(minor)
	return nil
}

// scanHex reads the hexadecimal number at the beginning of s as scanf's %x; the
// greatest number stands for what is too great.
func scanHex(s string) (n uint64, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(t, "-")
	if negative || strings.HasPrefix(t, "+") {
		t = t[1:]
	}
	if len(t) >= 2 && t[0] == '0' && t[1]|0x20 == 'x' {
		t, ok = t[2:], true
	}
	for t != "" {
		d := strings.IndexByte("0123456789abcdef", lowerHex(t[0]))
		if d < 0 {
			break
		}
		if n >= 1<<60 {
			n = 1<<64 - 1
		} else {
			n = n<<4 | uint64(d)
		}
		t, ok = t[1:], true
	}
	if negative {
		n = -n
	}
	return n, t, ok
}

func lowerHex(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c | 0x20
	}
	return c
}

func (t *Classify) Save(p *Printer) {
	p.Str(" --set-class ")
	p.hexDigits(uint64(t.Major), 4)
	p.Byte(':')
	p.hexDigits(uint64(t.Minor), 4)
}

func (t *Classify) List(p *Printer) {
	p.Str(" CLASSIFY set ")
	p.hexDigits(uint64(t.Major), 1)
	p.Byte(':')
	p.hexDigits(uint64(t.Minor), 1)
}

func (t *Classify) priority() uint32 { return uint32(t.Major)<<16 | uint32(t.Minor) }

// Info writes struct xt_classify_target_info.
func (t *Classify) Info(w nft.Info, _ uint8, _ rule.Family) { w.Host32(t.priority()) }

// Read reads struct xt_classify_target_info.
func (t *Classify) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	n := r.Host32()
	t.Major, t.Minor = uint16(n>>16), uint16(n)
	return nil
}

// Mutate sets the packet's priority.
func (t *Classify) Mutate(p *packet.Packet) {
	p.Priority = t.priority()
	p.Known |= packet.KnowPriority
}
