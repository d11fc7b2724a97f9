package ext

import (
	"strconv"

	"moat/internal/netdb"
	"moat/internal/rule"
)

// Printer collects printed text. Extensions append to it; it never fails.
type Printer struct {
	B       []byte
	Family  rule.Family
	Numeric bool       // -n: no names for ports, protocols, addresses
	Rule    *rule.Rule // the rule that is being printed
	Names   *netdb.DB  // names for numbers; used by listings without -n
}

// Str appends s.
func (p *Printer) Str(s string) { p.B = append(p.B, s...) }

// Byte appends one byte.
func (p *Printer) Byte(c byte) { p.B = append(p.B, c) }

// Uint appends a decimal number.
func (p *Printer) Uint(n uint64) { p.B = strconv.AppendUint(p.B, n, 10) }

// Hex appends a number as C's %x does, with 0x before it.
func (p *Printer) Hex(n uint64) {
	p.B = append(p.B, "0x"...)
	p.B = strconv.AppendUint(p.B, n, 16)
}

// HexC appends a number as C's %#x does: 0 is "0", not "0x0".
func (p *Printer) HexC(n uint64) {
	if n == 0 {
		p.B = append(p.B, '0')
		return
	}
	p.Hex(n)
}

// Option appends " --name", with " !" before it when not.
func (p *Printer) Option(not bool, name string) {
	if not {
		p.B = append(p.B, " !"...)
	}
	p.B = append(p.B, " --"...)
	p.B = append(p.B, name...)
}

// OptionUint appends an option and a decimal number.
func (p *Printer) OptionUint(not bool, name string, n uint64) {
	p.Option(not, name)
	p.Byte(' ')
	p.Uint(n)
}

// OptionStr appends an option and a string as it is.
func (p *Printer) OptionStr(not bool, name, s string) {
	p.Option(not, name)
	p.Byte(' ')
	p.Str(s)
}

// OptionQuoted appends an option and a string as the save format quotes it.
func (p *Printer) OptionQuoted(not bool, name, s string) {
	p.Option(not, name)
	p.Byte(' ')
	p.Quoted(s)
}

// Quoted appends s as the save format writes strings: bare if it consists of
// letters, digits and -_ only, otherwise in double quotes, with a
// backslash before quotes and backslashes.
func (p *Printer) Quoted(s string) {
	if isPlain(s) {
		p.Str(s)
		return
	}
	p.Byte('"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c == '\'' {
			p.Byte('\\')
		}
		p.Byte(s[i])
	}
	p.Byte('"')
}

func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}
