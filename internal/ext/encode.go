package ext

import (
	"fmt"
	"slices"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Kernel answers what this kernel offers.
type Kernel interface {
	// HasRevision asks whether the kernel has an xt match or target of a revision.
	HasRevision(f rule.Family, kind Kind, name string, rev uint8) bool
}

// Encoder writes a rule's extensions as expressions into a message.
type Encoder struct {
	*nft.Buffer
	Family rule.Family
	Rule   *rule.Rule
	Kernel Kernel
}

// Put appends one extension in the form that iptables-nft gives it.
func (e *Encoder) Put(x Ext) error {
	if n, ok := x.(Native); ok && n.Encode(e) {
		return nil
	}
	xt, ok := x.(XT)
	if !ok {
		return fmt.Errorf("%s has no form in this kernel", x.Name())
	}
	return e.putXT(xt)
}

func (e *Encoder) putXT(x XT) error {
	d := x.Def()
	rev, err := e.choose(d)
	if err != nil {
		return err
	}
	var open nft.XT
	if d.Kind == Match {
		open = e.BeginMatch(d.kernelName(rev), rev.Rev)
	} else {
		open = e.BeginTarget(d.kernelName(rev), rev.Rev)
	}
	w := nft.NewInfo(e.Buffer)
	x.Info(w, rev.Rev, e.Family)
	if w.Len() > rev.Size {
		return fmt.Errorf("%s: wrote %d bytes into a struct of %d", d.Name, w.Len(), rev.Size)
	}
	w.PadTo(rev.Size)
	e.EndXT(open)
	return nil
}

// choose gives the newest revision that 1.8.9 writes and the kernel has. With only one to
// choose from, the kernel answers when it sees the rule.
func (e *Encoder) choose(d *Def) (*Revision, error) {
	var last *Revision
	many := false
	for i := range d.Revisions {
		r := &d.Revisions[i]
		if r.in(e.Family) && !r.ReadOnly {
			many = last != nil
			last = r
		}
	}
	if last == nil {
		return nil, fmt.Errorf("%s has no form for %s", d.Name, e.Family.Program())
	}
	if !many {
		return last, nil
	}
	for i := len(d.Revisions) - 1; i >= 0; i-- {
		r := &d.Revisions[i]
		if !r.in(e.Family) || r.ReadOnly {
			continue
		}
		if e.Kernel.HasRevision(e.Family, d.Kind, d.kernelName(r), r.Rev) {
			return r, nil
		}
	}
	return last, nil // the kernel refuses the rule with its own words
}

// Decoder collects the extensions of a rule that is read from the kernel.
type Decoder struct {
	Family rule.Family
	Rule   *rule.Rule
	native []Ext // matches that native terms made
	// What was found for earlier rules: most rules name the same few extensions.
	layouts []foundLayout
	natives []*Def // extensions with a native form; nil: not looked for yet
}

// foundLayout is an extension's struct by the kernel's names for it.
type foundLayout struct {
	kind Kind
	rev  uint8
	name string
	def  *Def
	size int
}

// find is FindKernel with a memory; nil if there is none.
func (d *Decoder) find(kind Kind, name []byte, rev uint8) *foundLayout {
	for i := range d.layouts {
		if l := &d.layouts[i]; l.kind == kind && l.rev == rev && l.name == string(name) {
			return l
		}
	}
	def := FindKernel(kind, name, rev, d.Family)
	if def == nil {
		return nil
	}
	layout := def.layout(name, rev, d.Family)
	d.layouts = append(d.layouts, foundLayout{kind, rev, string(name), def, layout.Size})
	return &d.layouts[len(d.layouts)-1]
}

// Begin makes r the rule to collect for.
func (d *Decoder) Begin(r *rule.Rule) { d.Rule, d.native = r, d.native[:0] }

// FindMatch gives the rule's last match that belongs to a Def; nil if none does.
func (d *Decoder) FindMatch(def *Def) Ext {
	for i := len(d.Rule.Matches) - 1; i >= 0; i-- {
		if x, ok := d.Rule.Matches[i].(Ext); ok && x.Def() == def {
			return x
		}
	}
	return nil
}

// NativeMatch gives the last match of a Def that earlier native terms made, to
// which the next term may add: native forms spread one match over several. nil if
// there is none; an xt match of the same name is another match.
func (d *Decoder) NativeMatch(def *Def) Ext {
	for _, x := range slices.Backward(d.native) {
		if x.Def() == def {
			return x
		}
	}
	return nil
}

// Match gives the match of a Def for native terms, made new if there is none.
func (d *Decoder) Match(def *Def) Ext {
	if x := d.NativeMatch(def); x != nil {
		return x
	}
	return d.Another(def)
}

// Another makes a further match of a Def for native terms, which stands for terms
// that say something else of what the one before has a condition on.
func (d *Decoder) Another(def *Def) Ext {
	x := def.New(d.Family)
	d.native = append(d.native, x)
	d.Rule.Matches = append(d.Rule.Matches, x)
	return x
}

// Add puts a match or target into the rule.
func (d *Decoder) Add(x Ext) {
	if x.Def().Kind == Match {
		d.Rule.Matches = append(d.Rule.Matches, x)
		return
	}
	d.Rule.Target = x
}

// XT reads an xt match or target term. Names and revisions that Moat does not
// know, and payloads shorter than their struct, become an Unknown, which keeps the bytes.
func (d *Decoder) XT(t *nft.Term) {
	kind := Match
	if t.Kind == nft.TermTarget {
		kind = Target
	}
	if l := d.find(kind, t.Name, t.Rev); l != nil && len(t.Info) >= l.size {
		if x, ok := l.def.New(d.Family).(XT); ok && readXT(x, t, d.Family) {
			d.Add(x)
			return
		}
	}
	d.Add(&Unknown{Kind: kind, Label: string(t.Name), Rev: t.Rev, Bytes: append([]byte(nil), t.Info...)})
}

// readXT reads a payload, which may be padded.
func readXT(x XT, t *nft.Term, f rule.Family) bool {
	r := nft.NewInfoReader(t.Info)
	return x.Read(r, t.Rev, f) == nil && r.Err() == nil
}

// Native offers a term to every extension with a native form; false if it is
// nobody's.
func (d *Decoder) Native(t *nft.Term) bool {
	if d.natives == nil {
		for _, def := range defs {
			if def.Native != nil && def.Families.Has(d.Family) {
				d.natives = append(d.natives, def)
			}
		}
	}
	for _, def := range d.natives {
		if def.Native(d, def, t) {
			return true
		}
	}
	return false
}
