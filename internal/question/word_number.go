package question

import (
	"fmt"
	"strings"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// uint reads one number up to max.
func (p *parser) uint(w token, max uint64) (uint32, error) {
	what := fmt.Sprintf("a number from 0 to %d", max)
	v, err := p.value(w, what)
	if err != nil {
		return 0, err
	}
	n, ok := number(v.text, max)
	if !ok {
		return 0, v.errorf("%q takes %s", w.text, what)
	}
	return n, nil
}

// oneOf reads a value by its name or number; in a range also "any", lists, and
// runs FROM-TO of numbers.
func (p *parser) oneOf(w token, what string, by func(string) (uint32, bool)) (list Spans, err error) {
	v, err := p.value(w, what)
	if err != nil {
		return nil, err
	}
	if v.text == "any" {
		p.any = true
		return nil, p.noAny(v)
	}
	for part := range strings.SplitSeq(v.text, ",") {
		span, ok := spanBy(part, by)
		if !ok {
			return nil, v.errorf("%q takes %s, not %q", w.text, what, part)
		}
		if span.From != span.To {
			if err := p.noList(v, 2); err != nil {
				return nil, err
			}
		}
		list = append(list, span)
	}
	return list, p.noList(v, len(list))
}

// spanBy reads a value, or two with a dash between.
func spanBy(s string, by func(string) (uint32, bool)) (Span, bool) {
	if n, ok := by(s); ok {
		return Span{n, n}, true
	}
	from, to, isRun := strings.Cut(s, "-")
	a, ok := by(from)
	b, ok2 := by(to)
	return Span{a, b}, isRun && ok && ok2 && a <= b
}

// spans reads numbers up to max.
func (p *parser) spans(w token, max uint64) (Spans, error) {
	return p.oneOf(w, fmt.Sprintf("a number from 0 to %d", max), func(s string) (uint32, bool) { return number(s, max) })
}

func (p *parser) readMark(w token) (err error) {
	p.r.Mark, err = p.spans(w, 1<<32-1)
	return err
}

func (p *parser) readConnMark(w token) (err error) {
	p.r.ConnMark, err = p.spans(w, 1<<32-1)
	return err
}

func (p *parser) readTTL(w token) (err error) {
	p.r.TTL, err = p.spans(w, 255)
	return err
}

func (p *parser) readLength(w token) (err error) {
	p.r.Length, err = p.spans(w, 1<<32-1)
	return err
}

// readTOS takes the names of -m tos, too.
func (p *parser) readTOS(w token) (err error) {
	p.r.TOS, err = p.oneOf(w, "a number from 0 to 255, or a name such as Minimize-Delay", func(s string) (uint32, bool) {
		m := ext.TOSMatch{}
		if n, ok := number(s, 255); ok {
			return n, true
		}
		err := m.Set(p.arg(&m, 0, s))
		return uint32(m.Value), err == nil && !strings.Contains(s, "/")
	})
	return err
}

// readDSCP takes the classes of -m dscp, too.
func (p *parser) readDSCP(w token) error {
	list, err := p.oneOf(w, "a number from 0 to 63, or a class such as EF", func(s string) (uint32, bool) {
		if n, ok := number(s, 63); ok {
			return n, true
		}
		m := ext.DSCPMatch{}
		err := m.Set(p.arg(&m, 1, s))
		return uint32(m.Value), err == nil
	})
	for _, span := range list {
		for n := span.From; n <= span.To; n++ {
			p.r.TOS = append(p.r.TOS, Span{n << 2, n << 2})
		}
	}
	return err
}

// arg makes an extension's own option read a value.
func (p *parser) arg(x ext.Ext, option int, value string) *ext.Arg {
	return &ext.Arg{
		Context: &ext.Context{Family: p.r.Family, Names: p.options.Names},
		Ext:     x, Option: &x.Def().Options[option], Value: value,
	}
}

// readFrag reads "frag", in a range also "frag any".
func (p *parser) readFrag(token) error {
	p.r.Fragment = packet.Yes
	if !p.single && p.isNext("any") {
		p.r.Fragment, p.any = packet.Unknown, true
	}
	return nil
}

// headers are IPv6 extension headers by the short names of -m ipv6header.
var headers = [...]struct {
	name   string
	number uint8
}{{"hop", 0}, {"dst", 60}, {"route", 43}, {"frag", fragmentHeader}, {"auth", packet.ProtoAH}}

func (p *parser) readHeaders(w token) error {
	v, err := p.value(w, "headers")
	if err != nil {
		return err
	}
	if p.r.Family != rule.IPv6 {
		return w.errorf("only packets of IPv6 have extension headers")
	}
	if v.text == "none" {
		return nil
	}
next:
	for name := range strings.SplitSeq(v.text, ",") {
		n, isNumber := number(name, 255)
		for _, h := range headers {
			if h.name == name || isNumber && uint32(h.number) == n {
				p.packet.Extensions = append(p.packet.Extensions, packet.Extension{Proto: h.number})
				continue next
			}
		}
		return v.errorf("an extension header is one of hop, dst, route, frag and auth, not %q", name)
	}
	return nil
}
