package ext

import (
	"reflect"
	"slices"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Kind tells matches from targets.
type Kind uint8

const (
	Match  Kind = iota // loaded with -m, or by -p
	Target             // named after -j
)

// Families says for which families an extension exists.
type Families uint8

const (
	V4   Families = 1 << iota // iptables
	V6                        // ip6tables
	Both = V4 | V6
)

// Has reports whether f is among them.
func (s Families) Has(f rule.Family) bool {
	if f == rule.IPv6 {
		return s&V6 != 0
	}
	return s&V4 != 0
}

// Revision is one layout of an extension's kernel struct.
type Revision struct {
	Rev      uint8
	Size     int      // bytes of the struct, before XT_ALIGN padding
	Families Families // 0 means all families of the Def
	Kernel   string   // the kernel's name of this layout, if not the Def's
	ReadOnly bool     // iptables 1.8.9 reads it at most, and never writes it
}

// in reports whether the layout is one for family f.
func (r *Revision) in(f rule.Family) bool { return r.Families == 0 || r.Families.Has(f) }

// Option is one option of an extension, as on the command line.
type Option struct {
	Name     string   // without its dashes
	Aliases  []string // other names of the same option
	Value    string   // what follows, named as in the manual: "" nothing, two words two arguments
	Optional bool     // the argument, a word that is no option, may be left out; Arg.Value is then ""
	Not      bool     // "!" may stand before it
	Repeat   bool     // may be given more than once
	Required bool     // must be given
	Excludes []string // options that cannot be given beside it
	Needs    []string // options that must be given beside it
	Help     string   // one line
}

// Def is what every part of Moat needs to know of an extension before it meets one.
type Def struct {
	Name      string   // as after -m or -j, and as printed
	Aliases   []string // other names that -m and -j take
	Kernel    string   // the kernel's name if it is another
	Kind      Kind
	Families  Families
	Summary   string // one line for the manual and help
	Options   []Option
	AnyOf     []string   // at least one of these options must be given
	Revisions []Revision // oldest first; none for an extension with only a native form
	// Protocols are the protocols that load the match when -p names them and an
	// unknown option follows (implicit match).
	Protocols []uint16
	// New gives a value with the defaults of an extension named with no option.
	New func(f rule.Family) Ext
	// Native reads a term of a rule as (part of) this extension, if it is one:
	// it adds to or extends d.Rule and reports true. nil: there is no native form.
	Native func(d *Decoder, def *Def, t *nft.Term) bool
	// HelpText, if set, gives more lines for -h after the options.
	HelpText func(f rule.Family) string
}

// Ext is a match or target of a rule. Values are pointers to plain structs.
type Ext interface {
	// Name is what the save format writes after -m or -j.
	Name() string
	// Def is the description of the extension.
	Def() *Def
	// Set takes one option as it was given. What holds for all extensions (given
	// twice, not to be inverted) has been checked before.
	Set(a *Arg) error
	// Save prints the options in save format, each with a blank before it. The
	// "-m NAME" in front is not its business.
	Save(p *Printer)
	// List prints the extension's part of a line of iptables -L, with a blank before it.
	List(p *Printer)
}

// Checker is an Ext that has something to say when all options were given.
type Checker interface {
	// Check reports what is missing or contradictory; c.Rule is the rule so far.
	Check(c *Context) error
}

// XT is an Ext whose kernel form is an xt match or target.
type XT interface {
	Ext
	// Info writes the kernel struct of revision rev.
	Info(w nft.Info, rev uint8, f rule.Family)
	// Read takes the kernel struct of revision rev. Bytes that mean nothing
	// known are an error: the rule is then shown as unknown and kept as it is.
	Read(r *nft.InfoReader, rev uint8, f rule.Family) error
}

// Native is an Ext that can be written as nf_tables expressions.
type Native interface {
	Ext
	// Encode appends the expressions and reports true, or reports false when
	// this value needs the xt form instead.
	Encode(e *Encoder) bool
}

// Matcher is a match that a packet can decide. One that depends on time, rates
// or history is no Matcher: it is unknown.
type Matcher interface {
	// Match says whether the packet meets the condition, or that what was told
	// of the packet does not decide it. It mirrors what the kernel does, also
	// where that is odd; it must not change the packet or keep it.
	Match(p *packet.Packet) packet.Answer
}

// PortLister is a match with conditions on ports that lists may hold. A packet
// without ports, or with others, does not match.
type PortLister interface {
	// PortRanges are the source and the destination ports that can match; nil
	// where every port can, or those that cannot are listed. The slices are not
	// to be changed.
	PortRanges() (src, dst []Range)
}

// Mutator is a target that changes the packet for the rules after it. Whether it
// goes on to them its Fate says.
type Mutator interface {
	// Mutate changes the packet as the kernel would at p.Hook, and what the
	// packet tells of its connection. A field that what was told does not decide
	// is not told after it either: its Known bit goes, an address is not valid.
	// It changes the Packet alone, not what its slices hold, which other packets
	// may share.
	Mutate(p *packet.Packet)
}

// Fate is what becomes of a packet at a target extension.
type Fate uint8

const (
	GoesOn         Fate = iota // to the next rule, like LOG and MARK
	Accepts                    // the packet is accepted in this chain's hook, like DNAT
	Drops                      // the packet ends here, unanswered
	Rejects                    // the packet ends here, and its sender is told
	Queues                     // a program decides
	AcceptsOrDrops             // which of both, what was told of the packet does not say, like TPROXY
)

// Ender is a target that ends a packet's way through its hook. One that does
// not implement it goes on.
type Ender interface {
	Fate() Fate
}

// Equaler is an Ext with its own idea of equality.
type Equaler interface {
	Equal(other Ext) bool
}

// Equal reports whether two extensions say the same.
func Equal(a, b Ext) bool {
	if a.Name() != b.Name() || a.Def() != b.Def() {
		return false
	}
	if e, ok := a.(Equaler); ok {
		return e.Equal(b)
	}
	return reflect.DeepEqual(a, b)
}

// defs is every extension of the program, appended by register at start.
var defs []*Def

// register adds an extension; each file's init calls it once.
func register(d *Def) { defs = append(defs, d) }

// All is every extension that Moat knows, in no particular order.
func All() []*Def { return defs }

// Find gives the extension that name means for a family; nil if there is none.
func Find(kind Kind, name string, f rule.Family) *Def {
	for _, d := range defs {
		if d.Kind == kind && d.Families.Has(f) && (d.Name == name || slices.Contains(d.Aliases, name)) {
			return d
		}
	}
	return nil
}

// FindKernel gives the extension that owns a kernel name and revision for a
// family; nil if there is none. Where several share one (state and conntrack),
// the one whose own name it is comes first.
func FindKernel(kind Kind, name []byte, rev uint8, f rule.Family) *Def {
	var other *Def
	for _, d := range defs {
		if d.Kind != kind || !d.Families.Has(f) || d.layout(name, rev, f) == nil {
			continue
		}
		if d.Name == string(name) {
			return d
		}
		if other == nil {
			other = d
		}
	}
	return other
}

// FindImplicit gives the match that protocol number n loads for a family.
func FindImplicit(n uint16, f rule.Family) *Def {
	for _, d := range defs {
		if d.Kind != Match || !d.Families.Has(f) {
			continue
		}
		for _, p := range d.Protocols {
			if p == n {
				return d
			}
		}
	}
	return nil
}

// KernelName is the extension's name in the kernel.
func (d *Def) KernelName() string {
	if d.Kernel != "" {
		return d.Kernel
	}
	return d.Name
}

// kernelName is the kernel's name of one of d's layouts.
func (d *Def) kernelName(r *Revision) string {
	if r.Kernel != "" {
		return r.Kernel
	}
	return d.KernelName()
}

// layout finds the layout that the kernel calls name and numbers rev.
func (d *Def) layout(name []byte, rev uint8, f rule.Family) *Revision {
	for i := range d.Revisions {
		r := &d.Revisions[i]
		if r.Rev == rev && r.in(f) && d.kernelName(r) == string(name) {
			return r
		}
	}
	return nil
}

// Option finds an option by its full name or alias, and its place in Options.
func (d *Def) Option(name string) (o *Option, index int) {
	for i := range d.Options {
		o := &d.Options[i]
		if o.Name == name {
			return o, i
		}
		for _, alias := range o.Aliases {
			if alias == name {
				return o, i
			}
		}
	}
	return nil, -1
}
