package text

import (
	"net/netip"
	"strconv"

	"moat/internal/ext"
	"moat/internal/netdb"
	"moat/internal/rule"
)

// ListOptions are the options of a listing (-L) and of -v with other commands.
type ListOptions struct {
	Verbose     int  // how often -v was given
	Numeric     bool // -n
	Exact       bool // -x
	LineNumbers bool // --line-numbers
}

// Lister prints a listing, chain by chain and rule by rule, into its Printer:
// whoever feeds it may write P.B out and empty it between any two calls.
type Lister struct {
	P       *ext.Printer
	Options ListOptions
	chains  int // heads printed so far
}

// NewLister begins a listing. names must not be nil unless o.Numeric is set.
func NewLister(f rule.Family, names *netdb.DB, o ListOptions) *Lister {
	return &Lister{P: &ext.Printer{Family: f, Numeric: o.Numeric, Names: names}, Options: o}
}

// Head prints the two head lines of a chain, with an empty line before all but
// the first. references is how many rules jump to it. c.Rules is not looked at.
func (l *Lister) Head(c *rule.Chain, references int) {
	b := l.P.B
	if l.chains++; l.chains > 1 {
		b = append(b, '\n')
	}
	b = append(b, "Chain "...)
	b = append(b, c.Name...)
	if c.Base == nil {
		b = append(b, " ("...)
		b = strconv.AppendInt(b, int64(references), 10)
		b = append(b, " references)\n"...)
	} else {
		b = append(b, " (policy "...)
		b = append(b, c.Base.Policy.Name()...)
		if l.Options.Verbose > 0 {
			b = append(b, ' ')
			b = appendCounter(b, c.Counters.Packets, l.Options.Exact)
			b = append(b, " packets, "...)
			b = appendCounter(b, c.Counters.Bytes, l.Options.Exact)
			b = append(b, " bytes"...)
		}
		b = append(b, ")\n"...)
	}
	l.P.B = l.columns(b)
}

// columns appends the line that names the columns.
func (l *Lister) columns(b []byte) []byte {
	if l.Options.LineNumbers {
		b = append(b, "num  "...)
	}
	if l.Options.Verbose > 0 && l.Options.Exact {
		b = append(b, "    pkts      bytes "...)
	} else if l.Options.Verbose > 0 {
		b = append(b, " pkts bytes "...)
	}
	b = append(b, "target     prot opt "...)
	if l.Options.Verbose > 0 {
		b = append(b, "in     out     "...)
	}
	return append(b, "source               destination         \n"...)
}

// Rule prints the line of rule number num, counted from 1.
func (l *Lister) Rule(num int, r *rule.Rule) {
	p := l.P
	p.Rule = r
	if l.Options.LineNumbers {
		start := len(p.B)
		p.B = strconv.AppendInt(p.B, int64(num), 10)
		p.B = append(pad(p.B, start, 4), ' ')
	}
	if l.Options.Verbose > 0 {
		p.B = appendCounterColumn(p.B, r.Counters.Packets, l.Options.Exact)
		p.B = appendCounterColumn(p.B, r.Counters.Bytes, l.Options.Exact)
	}
	l.target(r.Target)
	l.proto(r.Proto)
	p.B = append(p.B, fragmentColumn(r.Fragment)...)
	if l.Options.Verbose > 0 {
		p.B = append(p.B, "  "...)
		l.iface(r.In)
		l.iface(r.Out)
	} else {
		p.B = append(p.B, ' ')
	}
	l.addr(r.Src)
	l.addr(r.Dst)
	appendDetails(p, r)
	p.B = append(p.B, '\n')
}

// target prints the target's name, 9 wide.
func (l *Lister) target(t rule.Target) {
	p, start := l.P, len(l.P.B)
	if t != nil {
		p.B = append(p.B, ext.ColumnName(t)...)
	}
	p.B = append(pad(p.B, start, 9), ' ')
}

// proto prints the protocol: the inversion mark, the name or number 4 wide.
func (l *Lister) proto(proto rule.Protocol) {
	p := l.P
	p.B = append(p.B, mark(proto.Not))
	start := len(p.B)
	if p.Numeric {
		p.B = strconv.AppendUint(p.B, uint64(proto.Number), 10)
	} else {
		appendProto(p, proto.Number, true)
	}
	p.B = append(pad(p.B, start, 4), ' ')
}

// iface prints an interface, 6 wide with its inversion mark.
func (l *Lister) iface(i rule.Interface) {
	p, start := l.P, len(l.P.B)
	p.B = appendInterface(p.B, i, p.Numeric)
	p.B = append(pad(p.B, start, 6), ' ')
}

// addr prints a source or destination: the inversion mark, the name or address 19 wide.
func (l *Lister) addr(a rule.Address) {
	p := l.P
	p.B = append(p.B, mark(a.Not))
	start := len(p.B)
	if p.Numeric {
		p.B = appendNumericAddr(p.B, a, p.Family)
	} else {
		p.B = l.namedAddr(p.B, a)
	}
	p.B = append(pad(p.B, start, 19), ' ')
}

// namedAddr appends an address by its name: a host's, or for IPv4 a network's
// of /etc/networks, whatever its mask is. An IPv6 address of zeros is
// "anywhere", whatever its mask is, as iptables-nft 1.8.9 has it.
func (l *Lister) namedAddr(b []byte, a rule.Address) []byte {
	f := l.P.Family
	if a.IsAny() || f == rule.IPv6 && a.IP == netip.IPv6Unspecified() || a.PrefixLen() == 0 {
		return append(b, "anywhere"...)
	}
	name := l.P.Names.HostName(a.IP)
	if name == "" && f == rule.IPv4 {
		name = l.P.Names.NetworkName(a.IP)
	}
	if name == "" {
		b = ext.AppendAddr(b, a.IP)
	} else {
		b = append(b, name...)
	}
	return appendMask(b, a, f)
}

// mark is the column of the inversion mark.
func mark(not bool) byte {
	if not {
		return '!'
	}
	return ' '
}

func fragmentColumn(f rule.Fragment) string {
	switch f {
	case rule.OnlyFragments:
		return "-f"
	case rule.NotAFragment:
		return "!f"
	}
	return "--"
}

// appendInterface appends an interface's name for a listing; any is "*" or "any".
func appendInterface(b []byte, i rule.Interface, numeric bool) []byte {
	if i.Not {
		b = append(b, '!')
	}
	switch {
	case !i.IsAny():
		return append(b, i.Name...)
	case numeric:
		return append(b, '*')
	}
	return append(b, "any"...)
}

// appendDetails appends what follows the addresses: "[goto] ", and what each
// match and the target say.
func appendDetails(p *ext.Printer, r *rule.Rule) {
	if j, ok := r.Target.(rule.Jump); ok && j.Goto {
		p.B = append(p.B, "[goto] "...)
	}
	for _, m := range r.Matches {
		if x, ok := m.(ext.Ext); ok {
			x.List(p)
		}
	}
	if x, ok := r.Target.(ext.Ext); ok {
		x.List(p)
	}
}
