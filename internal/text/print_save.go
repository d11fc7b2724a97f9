package text

import (
	"strconv"

	"moat/internal/ext"
	"moat/internal/rule"
)

// CounterStyle is where a printed rule shows its counters.
type CounterStyle uint8

const (
	NoCounters      CounterStyle = iota
	BracketCounters              // "[PKTS:BYTES] " before the rule: save -c
	OptionCounters               // " -c PKTS BYTES" before the target: -S -v
)

// AppendRule appends the rule as a line of the save format: "-A CHAIN …" and a
// newline. p.Family and p.Names must be set.
func AppendRule(p *ext.Printer, chain string, r *rule.Rule, counters CounterStyle) {
	if counters == BracketCounters {
		p.B = appendBrackets(p.B, r.Counters)
		p.B = append(p.B, ' ')
	}
	p.B = append(p.B, "-A "...)
	p.B = appendName(p.B, chain)
	appendSpec(p, r, counters == OptionCounters)
	p.B = append(p.B, '\n')
}

// appendSpec appends the rule's specification, each part with a blank before it.
func appendSpec(p *ext.Printer, r *rule.Rule, counters bool) {
	p.Rule = r
	p.Numeric = true
	appendAddrOption(p, " -s ", r.Src)
	appendAddrOption(p, " -d ", r.Dst)
	appendInterfaceOption(p, " -i ", r.In)
	appendInterfaceOption(p, " -o ", r.Out)
	if !r.Proto.IsAny() {
		appendNot(p, r.Proto.Not)
		p.B = append(p.B, " -p "...)
		appendProto(p, r.Proto.Number, true)
	}
	if r.Fragment != rule.AnyFragment {
		appendNot(p, r.Fragment == rule.NotAFragment)
		p.B = append(p.B, " -f"...)
	}
	for _, m := range r.Matches {
		p.B = append(p.B, " -m "...)
		p.B = appendName(p.B, m.Name())
		if x, ok := m.(ext.Ext); ok {
			x.Save(p)
		}
	}
	if counters {
		p.B = append(p.B, " -c "...)
		p.B = strconv.AppendUint(p.B, r.Counters.Packets, 10)
		p.B = append(p.B, ' ')
		p.B = strconv.AppendUint(p.B, r.Counters.Bytes, 10)
	}
	appendTarget(p, r.Target)
}

func appendTarget(p *ext.Printer, t rule.Target) {
	if t == nil {
		return
	}
	if j, ok := t.(rule.Jump); ok && j.Goto {
		p.B = append(p.B, " -g "...)
	} else {
		p.B = append(p.B, " -j "...)
	}
	p.B = appendName(p.B, t.Name())
	if x, ok := t.(ext.Ext); ok {
		x.Save(p)
	}
}

func appendNot(p *ext.Printer, not bool) {
	if not {
		p.B = append(p.B, " !"...)
	}
}

// appendAddrOption appends an address option. Unlike in listings, a single
// host has its mask, and only the condition that was not given is left out.
func appendAddrOption(p *ext.Printer, option string, a rule.Address) {
	if a.IsAny() {
		return
	}
	appendNot(p, a.Not)
	p.B = append(p.B, option...)
	p.B = ext.AppendAddr(p.B, a.IP)
	p.B = appendAnyMask(p.B, a, a.PrefixLen())
}

func appendInterfaceOption(p *ext.Printer, option string, i rule.Interface) {
	if i.IsAny() {
		return
	}
	appendNot(p, i.Not)
	p.B = append(p.B, option...)
	p.B = appendName(p.B, i.Name)
}

// appendBrackets appends "[PKTS:BYTES]".
func appendBrackets(b []byte, c rule.Counters) []byte {
	b = append(b, '[')
	b = strconv.AppendUint(b, c.Packets, 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, c.Bytes, 10)
	return append(b, ']')
}

// AppendSpecChain appends the chain's own line of -S: "-P NAME POLICY", with
// counters "-P NAME POLICY -c PKTS BYTES", or "-N NAME" for a user-defined chain.
// c.Rules is not looked at.
func AppendSpecChain(b []byte, c *rule.Chain, counters bool) []byte {
	if c.Base == nil {
		b = append(b, "-N "...)
		b = appendName(b, c.Name)
		return append(b, '\n')
	}
	b = append(b, "-P "...)
	b = appendName(b, c.Name)
	b = append(b, ' ')
	b = append(b, c.Base.Policy.Name()...)
	if counters {
		b = append(b, " -c "...)
		b = strconv.AppendUint(b, c.Counters.Packets, 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, c.Counters.Bytes, 10)
	}
	return append(b, '\n')
}
