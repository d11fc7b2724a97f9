package ext

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// allRevisions is a kernel that has every revision.
type allRevisions struct{}

func (allRevisions) HasRevision(rule.Family, Kind, string, uint8) bool { return true }

// sortedDefs are all extensions in an order that does not change from run to run.
func sortedDefs() []*Def {
	defs := slices.Clone(All())
	slices.SortFunc(defs, func(a, b *Def) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return int(a.Kind) - int(b.Kind)
	})
	return defs
}

func familyOf(v6 bool) rule.Family {
	if v6 {
		return rule.IPv6
	}
	return rule.IPv4
}

// eachRow calls f with every row that is accepted and what it means.
func eachRow(t testing.TB, f func(file *rowsFile, s *section, r *row, x Ext)) {
	for _, file := range rowsFiles(t) {
		for _, s := range file.sections {
			for _, r := range s.rows {
				if x, err := parseRow(t, file, s, r); err == nil {
					f(file, s, r, x)
				}
			}
		}
	}
}

// info is the kernel struct of an extension.
func info(x XT, rev *Revision, f rule.Family) []byte {
	var b nft.Buffer
	w := nft.NewInfo(&b)
	x.Info(w, rev.Rev, f)
	w.PadTo(rev.Size)
	return b.Bytes()
}

// TestEveryRevision writes each row's meaning in each layout that the family
// has, reads it, and writes the same bytes again.
func TestEveryRevision(t *testing.T) {
	eachRow(t, func(file *rowsFile, s *section, r *row, x Ext) {
		d := x.Def()
		for i := range d.Revisions {
			rev := &d.Revisions[i]
			xt, ok := x.(XT)
			if !ok || !rev.in(s.family()) || r.verdict != "" {
				continue
			}
			first := info(xt, rev, s.family())
			again := d.New(s.family()).(XT)
			if err := again.Read(nft.NewInfoReader(first), rev.Rev, s.family()); err != nil {
				t.Errorf("%s:%d %s, revision %d: %v", file.path, r.line, r.options, rev.Rev, err)
				continue
			}
			if second := info(again, rev, s.family()); string(second) != string(first) || len(first) != rev.Size {
				t.Errorf("%s:%d %s, revision %d (%d bytes):\nwrote\n%x and then\n%x", file.path, r.line, r.options, rev.Rev, rev.Size, first, second)
			}
		}
	})
}

// FuzzRead reads any bytes as any layout of any extension: it does not panic,
// and what was understood can be printed and written, and then means the same.
func FuzzRead(f *testing.F) {
	defs := sortedDefs()
	eachRow(f, func(_ *rowsFile, s *section, _ *row, x Ext) {
		for i := range x.Def().Revisions {
			if xt, ok := x.(XT); ok && x.Def().Revisions[i].in(s.family()) {
				which := slices.Index(defs, x.Def())
				f.Add(uint16(which), uint8(i), s.family() == rule.IPv6, info(xt, &x.Def().Revisions[i], s.family()))
			}
		}
	})
	f.Fuzz(func(t *testing.T, which uint16, layout uint8, v6 bool, data []byte) {
		d, family := defs[int(which)%len(defs)], familyOf(v6)
		if len(d.Revisions) == 0 || !d.Families.Has(family) {
			return
		}
		rev := &d.Revisions[int(layout)%len(d.Revisions)]
		x, ok := d.New(family).(XT)
		if !ok || !rev.in(family) {
			return
		}
		r := nft.NewInfoReader(data)
		if x.Read(r, rev.Rev, family) != nil || r.Err() != nil {
			return
		}
		printed(x, family, &rule.Rule{})
		again := x.Def().New(family).(XT)
		if err := again.Read(nft.NewInfoReader(info(x, rev, family)), rev.Rev, family); err != nil {
			t.Fatalf("%s revision %d: %+v is written as what cannot be read: %v", d.Name, rev.Rev, x, err)
		}
		if !Equal(x, again) {
			t.Fatalf("%s revision %d: %+v comes back as %+v", d.Name, rev.Rev, x, again)
		}
	})
}

// FuzzSet gives any options to any extension: it does not panic, errors are
// *Error of one line, and what was understood can be printed, encoded and decoded.
func FuzzSet(f *testing.F) {
	defs := sortedDefs()
	for _, file := range rowsFiles(f) {
		for _, s := range file.sections {
			for _, r := range s.rows {
				if words, err := r.words(); err == nil {
					which := slices.Index(defs, file.def(s.family()))
					f.Add(uint16(which), s.family() == rule.IPv6, testRule(f, s).Proto.Number, strings.Join(words, "\x00"))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, v6 bool, proto uint16, options string) {
		d, family := defs[int(which)%len(defs)], familyOf(v6)
		if !d.Families.Has(family) {
			return
		}
		c := &Context{Family: family, Table: "filter", Rule: &rule.Rule{Proto: rule.Protocol{Number: proto}}, Names: testNames()}
		x, err := parseOptions(d, c, strings.Split(options, "\x00"))
		var refused *Error
		if err != nil {
			if !errors.As(err, &refused) || refused.Error() == "" {
				t.Fatalf("%s: error %v is no *Error", d.Name, err)
			}
			return
		}
		printed(x, family, c.Rule)
		var b nft.Buffer
		e := &Encoder{Buffer: &b, Family: family, Rule: c.Rule, Kernel: allRevisions{}}
		if err := e.Put(x); err != nil {
			t.Fatalf("%s %q: %v", d.Name, options, err)
		}
		dec := &Decoder{Family: family, Rule: c.Rule}
		if err := nft.Terms(b.Bytes(), func(term *nft.Term) bool {
			if term.Kind == nft.TermMatch || term.Kind == nft.TermTarget {
				dec.XT(term)
			} else if !dec.Native(term) {
				t.Fatalf("%s %q: %s is written and not read", d.Name, options, term.Expr.Name)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if got := dec.FindMatch(x.Def()); d.Kind == Match && got != nil && !Equal(got, x) {
			t.Fatalf("%s %q: %+v comes back as %+v", d.Name, options, x, got)
		}
	})
}
