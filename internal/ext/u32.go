package ext

// u32: iptables-extensions(8), "u32".
// UAPI: linux/netfilter/xt_u32.h, struct xt_u32, revision 0.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// U32 tests numbers that are picked out of a packet; all tests must hold.
type U32 struct {
	Tests []U32Test
	Not   bool
}

// U32Test says that what its steps pick out is in one of its ranges.
type U32Test struct {
	Steps  []U32Step // the first one's operator is not looked at
	Ranges []U32Range
}

// U32Step is an operator and the number behind it.
type U32Step struct {
	Op     uint8 // one of u32And …; of the first step 0
	Number uint32
}

// U32Range is a run of numbers, both ends included.
type U32Range struct{ From, To uint32 }

// The operators, enum xt_u32_ops, and XT_U32_MAXSIZE, which bounds tests, steps and ranges.
const (
	u32And   = 0
	u32Left  = 1
	u32Right = 2
	u32At    = 3
	u32Max   = 10
)

// u32Ops are the operators as they are written.
var u32Ops = [...]string{"&", "<<", ">>", "@"}

var u32Match = Def{
	Name: "u32", Kind: Match, Families: Both,
	Summary: "numbers picked out of the packet",
	Options: []Option{
		{Name: "u32", Value: "TESTS", Not: true, Required: true, Help: "tests such as \"0 & 0xFFFF = 0x100:0xFFFF && 6 & 0xFF = 1,6\""},
	},
	Revisions: []Revision{{Rev: 0, Size: 1984}},
	New:       func(rule.Family) Ext { return &U32{} },
	HelpText:  u32Help,
}

func init() { register(&u32Match) }

func u32Help(rule.Family) string {
	return `  TESTS    := LOCATION = VALUE [&& TESTS]           at most 10 tests
  LOCATION := NUMBER [OPERATOR NUMBER ...]         at most 10 numbers
  OPERATOR := & | << | >> | @                      @ moves on by what was found so far
  VALUE    := NUMBER[:NUMBER][,VALUE]              at most 10 ranges
A number alone loads the four bytes at that offset from the network header.
`
}

func (m *U32) Name() string { return "u32" }
func (m *U32) Def() *Def    { return &u32Match }

func (m *U32) Set(a *Arg) (err error) {
	m.Not = a.Not
	s := u32Parser{a: a, text: a.Value}
	m.Tests, err = s.tests()
	return err
}

// u32Parser reads the language of the manual.
type u32Parser struct {
	a    *Arg
	text string
	at   int // index of what comes next
}

// blanks passes over white space and reports whether something follows.
func (s *u32Parser) blanks() bool {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] >= '\t' && s.text[s.at] <= '\r') {
		s.at++
	}
	return s.at < len(s.text)
}

// take passes over token if it comes next.
func (s *u32Parser) take(token string) bool {
	if s.blanks(); len(s.text)-s.at < len(token) || s.text[s.at:s.at+len(token)] != token {
		return false
	}
	s.at += len(token)
	return true
}

func (s *u32Parser) fail(want string) error {
	return s.a.Errorf("%q: at character %d: %s", s.text, s.at, want)
}

func (s *u32Parser) number() (uint32, error) {
	s.blanks()
	n, rest, ok := leadingUint(s.text[s.at:], 1<<32-1)
	if !ok {
		return 0, s.fail("want a number from 0 to 4294967295")
	}
	s.at = len(s.text) - len(rest)
	return uint32(n), nil
}

func (s *u32Parser) tests() (tests []U32Test, err error) {
	for {
		var t U32Test
		if len(tests) == u32Max {
			return nil, s.fail("at most 10 tests may stand here")
		}
		if t.Steps, err = s.location(); err != nil {
			return nil, err
		}
		if t.Ranges, err = s.value(); err != nil {
			return nil, err
		}
		tests = append(tests, t)
		switch {
		case !s.blanks():
			return tests, nil
		case !s.take("&&"):
			return nil, s.fail(`want "," or "&&"`)
		}
	}
}

// location reads up to the "=" and passes over it.
func (s *u32Parser) location() (steps []U32Step, err error) {
	step := U32Step{}
	for {
		if len(steps) == u32Max {
			return nil, s.fail("at most 10 numbers may stand in a location")
		}
		if step.Number, err = s.number(); err != nil {
			return nil, err
		}
		steps = append(steps, step)
		if s.take("=") {
			return steps, nil
		}
		found := false
		for op, token := range u32Ops {
			if found = s.take(token); found {
				step.Op = uint8(op)
				break
			}
		}
		if !found {
			return nil, s.fail(`want "=" or one of & << >> @`)
		}
	}
}

func (s *u32Parser) value() (ranges []U32Range, err error) {
	for {
		var r U32Range
		if len(ranges) == u32Max {
			return nil, s.fail("at most 10 ranges may stand in a value")
		}
		if r.From, err = s.number(); err != nil {
			return nil, err
		}
		r.To = r.From
		if s.take(":") {
			if r.To, err = s.number(); err != nil {
				return nil, err
			}
		}
		ranges = append(ranges, r)
		if !s.take(",") {
			return ranges, nil
		}
	}
}

func (m *U32) Save(p *Printer) {
	p.Option(m.Not, "u32")
	m.print(p)
}

func (m *U32) List(p *Printer) {
	p.Str(" u32")
	p.notBefore(m.Not)
	m.print(p)
}

// print prints the tests in their quotes.
func (m *U32) print(p *Printer) {
	p.Str(` "`)
	for i, t := range m.Tests {
		if i > 0 {
			p.Str("&&")
		}
		for j, step := range t.Steps {
			if j > 0 {
				p.Str(u32Ops[step.Op])
			}
			p.Hex(uint64(step.Number))
		}
		p.Byte('=')
		for j, r := range t.Ranges {
			if j > 0 {
				p.Byte(',')
			}
			p.Hex(uint64(r.From))
			if r.To != r.From {
				p.Byte(':')
				p.Hex(uint64(r.To))
			}
		}
	}
	p.Byte('"')
}

// Info writes struct xt_u32. An operator stands with the number behind it,
// whatever the header calls it.
func (m *U32) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, t := range m.Tests {
		begin := w.Len()
		for _, step := range t.Steps {
			w.Host32(step.Number)
			w.U8(step.Op)
		}
		w.PadTo(begin + 8*(u32Max+1))
		for _, r := range t.Ranges {
			w.Host32(r.From)
			w.Host32(r.To)
		}
		w.PadTo(begin + 16*(u32Max+1))
		w.U8(uint8(len(t.Steps)))
		w.U8(uint8(len(t.Ranges)))
		w.Align(4)
	}
	w.PadTo((16*(u32Max+1) + 4) * (u32Max + 1))
	w.U8(uint8(len(m.Tests)))
	w.Bool(m.Not)
}

// Read reads struct xt_u32.
func (m *U32) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	var tests [u32Max + 1]U32Test
	for i := range tests {
		if err := tests[i].read(r); err != nil {
			return err
		}
	}
	n := int(r.U8())
	m.Not = r.Bool()
	if n == 0 || n > len(tests) {
		return nft.ErrMalformed
	}
	m.Tests = tests[:n]
	for _, t := range m.Tests {
		if len(t.Steps) == 0 || len(t.Ranges) == 0 {
			return nft.ErrMalformed
		}
	}
	return nil
}

// read reads struct xt_u32_test.
func (t *U32Test) read(r *nft.InfoReader) error {
	var steps [u32Max + 1]U32Step
	var ranges [u32Max + 1]U32Range
	for i := range steps {
		steps[i].Number = r.Host32()
		steps[i].Op = r.U8()
		r.Align(4)
	}
	for i := range ranges {
		ranges[i] = U32Range{r.Host32(), r.Host32()}
	}
	nums, values := int(r.U8()), int(r.U8())
	r.Align(4)
	if nums > len(steps) || values > len(ranges) {
		return nft.ErrMalformed
	}
	steps[0].Op = 0
	for _, step := range steps[:nums] {
		if step.Op > u32At {
			return nft.ErrMalformed
		}
	}
	if nums > 0 {
		t.Steps = append([]U32Step(nil), steps[:nums]...)
	}
	if values > 0 {
		t.Ranges = append([]U32Range(nil), ranges[:values]...)
	}
	return nil
}

// Match runs the tests on the packet's bytes, from its network header on. A
// test that looks behind the packet's end fails.
func (m *U32) Match(p *packet.Packet) packet.Answer {
	if p.Bytes == nil {
		return packet.Unknown
	}
	holds := true
	for _, t := range m.Tests {
		n, ok := t.pick(p.Bytes)
		holds = holds && ok && t.has(n)
	}
	return packet.Of(holds).Invert(m.Not)
}

// pick runs the steps; false if they leave the packet.
func (t *U32Test) pick(b []byte) (uint32, bool) {
	at := uint64(0)
	load := func(offset uint32) (uint32, bool) {
		if from := at + uint64(offset); from+4 <= uint64(len(b)) {
			return binary.BigEndian.Uint32(b[from:]), true
		}
		return 0, false
	}
	n, ok := load(t.Steps[0].Number)
	for _, step := range t.Steps[1:] {
		switch step.Op {
		case u32And:
			n &= step.Number
		case u32Left:
			n <<= step.Number
		case u32Right:
			n >>= step.Number
		case u32At:
			at += uint64(n)
			var within bool
			n, within = load(step.Number)
			ok = ok && within
		}
	}
	return n, ok
}

// has reports whether one of the ranges holds n.
func (t *U32Test) has(n uint32) bool {
	for _, r := range t.Ranges {
		if n >= r.From && n <= r.To {
			return true
		}
	}
	return false
}
