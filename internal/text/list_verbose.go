package text

import (
	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
)

// AppendVerboseRule appends the line that -A, -I, -R, -C and -D with -v print
// for each rule: "DROP  tcp opt -- in eth0 out *  1.2.3.4  -> 0.0.0.0/0   tcp dpt:22".
// Everything is numeric there, but for the protocols that iptables has names for.
func AppendVerboseRule(p *ext.Printer, r *rule.Rule) {
	p.Rule = r
	p.Numeric = true
	if r.Target != nil {
		p.B = append(p.B, ext.ColumnName(r.Target)...)
	}
	p.B = append(p.B, ' ', mark(r.Proto.Not))
	appendProto(p, r.Proto.Number, false)
	p.B = append(p.B, " opt "...)
	p.B = append(p.B, fragmentColumn(r.Fragment)...)
	p.B = append(p.B, " in "...)
	p.B = appendInterface(p.B, r.In, true)
	p.B = append(p.B, " out "...)
	p.B = appendInterface(p.B, r.Out, true)
	p.B = append(p.B, ' ', mark(r.Src.Not))
	p.B = appendNumericAddr(p.B, r.Src, p.Family)
	p.B = append(p.B, ' ', mark(r.Dst.Not))
	p.B = append(p.B, "-> "...)
	p.B = appendNumericAddr(p.B, r.Dst, p.Family)
	p.B = append(p.B, "  "...)
	appendDetails(p, r)
	p.B = append(p.B, '\n')
}

// AppendVerboseChain appends the line that -F, -Z and -X with -v print for each
// chain they touch. Other kinds print nothing.
func AppendVerboseChain(b []byte, kind change.Kind, chain string) []byte {
	switch kind {
	case change.Flush:
		b = append(b, "Flushing"...)
	case change.Zero:
		b = append(b, "Zeroing"...)
	case change.DeleteChain:
		b = append(b, "Deleting"...)
	default:
		return b
	}
	b = append(b, " chain `"...)
	b = append(b, chain...)
	return append(b, "'\n"...)
}
