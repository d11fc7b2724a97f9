package ext

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Unknown is an xt match or target that Moat cannot read: its name or revision
// is not known, or its payload means nothing. Its bytes go back as they came.
type Unknown struct {
	Kind  Kind
	Label string
	Rev   uint8
	Bytes []byte
}

// unknownMatch and unknownTarget describe what cannot be described.
var (
	unknownMatch  = Def{Name: "unknown", Kind: Match, Families: Both}
	unknownTarget = Def{Name: "UNKNOWN", Kind: Target, Families: Both}
)

// Name is the kernel's name of the extension.
func (u *Unknown) Name() string { return u.Label }

// Def is a description without options.
func (u *Unknown) Def() *Def {
	if u.Kind == Target {
		return &unknownTarget
	}
	return &unknownMatch
}

// Set takes no option.
func (u *Unknown) Set(a *Arg) error { return a.Errorf("is not known") }

// Save says that the payload cannot be shown.
func (u *Unknown) Save(p *Printer) { p.Str(" [unsupported revision]") }

// List says that the payload cannot be shown.
func (u *Unknown) List(p *Printer) {
	p.Byte(' ')
	p.Str(u.Label)
	p.Str(" [unsupported revision]")
}

// Encode writes the bytes back as they came.
func (u *Unknown) Encode(e *Encoder) bool {
	var x nft.XT
	if u.Kind == Match {
		x = e.BeginMatch(u.Label, u.Rev)
	} else {
		x = e.BeginTarget(u.Label, u.Rev)
	}
	e.AppendRaw(u.Bytes)
	e.EndXT(x)
	return true
}

var _ rule.Match = (*Unknown)(nil)
