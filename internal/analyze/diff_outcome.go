package analyze

import (
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// Outcome is what becomes of packets: the verdict, and what a receiver, a sender
// or the routing can tell apart besides.
type Outcome struct {
	Verdict simulate.Verdict
	// With is what the verdict comes with: of an accepted packet how it was
	// changed ("to 10.0.0.2:80"), of a rejected one the answer, of a queued one the
	// queue. "" for nothing.
	With string
}

// String is "ACCEPT, to 10.0.0.2:80".
func (o Outcome) String() string {
	if o.With == "" {
		return o.Verdict.String()
	}
	return o.Verdict.String() + ", " + o.With
}

// translated are the dimensions whose change makes another outcome. Ports stand
// with their address.
var translated = [...]struct {
	dim, port space.Dim
	word      string
}{
	{space.Dst, space.DPort, "to "}, {space.Src, space.SPort, "from "}, {space.Mark, space.NumDims, "mark "},
	{space.ConnMark, space.NumDims, "connmark "}, {space.TOS, space.NumDims, "tos "}, {space.TTL, space.NumDims, "ttl "},
	{space.State, space.NumDims, "state "},
}

// outcomeOf is the outcome of a class's packets, of which part are looked at.
// What becomes of the dimensions of except is not told.
func outcomeOf(k *Class, part *space.Box, f rule.Family, except uint32) Outcome {
	o := Outcome{Verdict: k.Verdict}
	switch k.Verdict {
	case simulate.Accept:
		o.With = strings.Join(translations(k, part, f, except), ", ")
	case simulate.Reject, simulate.Queue:
		if k.What == nil {
			break
		}
		if x, ok := k.What.Target.(ext.Ext); ok {
			o.With = optionText(x, k.What, f)
		}
	}
	return o
}

// optionText is a target's options in save format, without dashes.
func optionText(x ext.Ext, r *rule.Rule, f rule.Family) string {
	p := ext.Printer{Family: f, Rule: r, Numeric: true}
	x.Save(&p)
	return strings.ReplaceAll(strings.TrimSpace(string(p.B)), "--", "")
}

// translations are the changes of a class's packets, in words.
func translations(k *Class, part *space.Box, f rule.Family, except uint32) (words []string) {
	d := Describer(f)
	for _, t := range translated {
		word, is := "", false
		if except>>t.dim&1 == 0 {
			word, is = nowText(k, part, t.dim, d)
		}
		if t.port < space.NumDims && (is || except>>t.port&1 == 0) {
			if port, hasPort := nowText(k, part, t.port, d); hasPort {
				word, is = strings.TrimSpace(word+" port "+port), true
			}
		}
		if is {
			words = append(words, t.word+word)
		}
	}
	other := changedDims(&ext.TCPMSS{}, true)
	for _, r := range k.Rewritten {
		if x, ok := r.What.Target.(ext.Ext); ok && changedDims(r.What.Target, true) == other {
			words = append(words, x.Name()+" "+optionText(x, r.What, f))
		}
	}
	return words
}

// nowText is what a dimension of the packets became; false if it is as it came.
func nowText(k *Class, part *space.Box, dim space.Dim, d *space.Describer) (text string, is bool) {
	if k.now == nil || k.now.changed>>dim&1 == 0 {
		return "", false
	}
	v := k.now.dims[dim]
	switch v.kind {
	case bytewise:
		return d.Values(dim, space.Bytes(dim, func(y uint8) bool {
			for x := range 256 {
				if v.table[x] == y && space.Has(part.Values(v.of), space.Num(x)) {
					return true
				}
			}
			return false
		})), true
	case masked:
		return maskedText(v), true
	}
	text = d.Values(dim, v.known)
	if text == "" { // one that only the host knows, or the kernel chooses
		text = "one of the host's choice"
		if dim == space.Src || dim == space.Dst {
			text = "an address of this host"
		}
	}
	return text, true
}

// maskedText says what bits of another value are kept and flipped.
func maskedText(v *value) string {
	text := v.of.String() + " as it came"
	if clear := v.limit(v.clear); clear != (space.Number{}) {
		text += " without " + clear.String()
	}
	if v.flip != (space.Number{}) {
		text += " xor " + v.flip.String()
	}
	return text
}
