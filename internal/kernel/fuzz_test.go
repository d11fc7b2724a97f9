package kernel

import (
	"bytes"
	"testing"

	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// allRevisions is a kernel that has everything.
type allRevisions struct{}

func (allRevisions) HasRevision(rule.Family, ext.Kind, string, uint8) bool { return true }

// encoded is a rule's expressions.
func encoded(f rule.Family, r *rule.Rule) ([]byte, error) {
	b := &nft.Batch{}
	err := encodeRule(&ext.Encoder{Buffer: &b.Buffer, Family: f, Kernel: allRevisions{}}, r)
	return b.Buffer.Bytes(), err
}

// FuzzDecodeRule reads any bytes as a rule's expressions: they are decoded or
// refused. What decodes to a rule that iptables can express encodes again, and
// reads back as the same rule.
func FuzzDecodeRule(f *testing.F) {
	for _, family := range families {
		rows, _ := extensionRows(f, family)
		for place, rules := range rows {
			for _, r := range rules {
				s, err := parse(family, fileOf(place, []string{r}), true)
				if err != nil {
					continue // 1.8.9 does not read it either
				}
				if list, err := encoded(family, s.Ops[len(s.Ops)-1].Rule); err == nil {
					f.Add(family == rule.IPv6, list, []byte("\x00\x04web\x00"))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, six bool, list, userdata []byte) {
		family := rule.IPv4
		if six {
			family = rule.IPv6
		}
		whole := bytes.Clone(list)
		r, err := decodeRule(family, &nft.RuleView{Expressions: list, Userdata: userdata})
		if !bytes.Equal(whole, list) {
			t.Fatal("decoding changed the bytes")
		}
		zeroCounter(list)
		if err != nil || r.Foreign {
			return
		}
		again, err := encoded(family, r)
		if err != nil {
			t.Fatalf("%+v does not encode: %v", r, err)
		}
		back, err := decodeRule(family, &nft.RuleView{Expressions: again})
		if err != nil || back.Foreign {
			t.Fatalf("%+v does not decode again: %v, %+v", r, err, back)
		}
		if back.Counters != r.Counters || !unaligned(r) && !ext.EqualRules(back, r) {
			t.Fatalf("%#v %#v %#v reads back as %#v %#v %#v", r, r.Target, r.Matches, back, back.Target, back.Matches)
		}
	})
}

// unaligned reports whether a rule has an unreadable payload whose length is not
// a multiple of 8, which no kernel tells: it is written back filled up.
func unaligned(r *rule.Rule) bool {
	all := []any{r.Target}
	for _, m := range r.Matches {
		all = append(all, m)
	}
	for _, x := range all {
		if u, ok := x.(*ext.Unknown); ok && len(u.Bytes)%8 != 0 {
			return true
		}
	}
	return false
}
