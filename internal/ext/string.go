package ext

// string: iptables-extensions(8), "string".
// UAPI: linux/netfilter/xt_string.h, struct xt_string_info: revision 0 knows
// inversion only, revision 1 has flags in its place.

import (
	"bytes"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// String matches packets that hold a pattern.
type String struct {
	Pattern    string // up to 128 bytes
	Algorithm  string // of the kernel's search: bm, kmp
	From, To   uint16 // the bytes that are searched: from From to the one before To
	Not        bool
	IgnoreCase bool
}

// Numbers and flags of the header: XT_STRING_*.
const (
	xtStringMaxPattern   = 128
	xtStringMaxAlgorithm = 16
	xtStringInvert       = 1 << 0
	xtStringIgnoreCase   = 1 << 1
)

var stringMatch = Def{
	Name: "string", Kind: Match, Families: Both,
	Summary: "a string in the packet",
	Options: []Option{
		{Name: "from", Value: "OFFSET", Help: "first byte that is searched, counted from the network header (default 0)"},
		{Name: "to", Value: "OFFSET", Help: "byte behind the last one that is searched (default 65535)"},
		{Name: "algo", Value: "bm|kmp", Required: true, Help: "the way to search: Boyer-Moore or Knuth-Pratt-Morris"},
		{Name: "string", Value: "PATTERN", Not: true, Excludes: []string{"hex-string"}, Help: "the pattern as it is"},
		{Name: "hex-string", Value: "PATTERN", Not: true, Excludes: []string{"string"}, Help: "the pattern, in which |…| stands around hexadecimal bytes"},
		{Name: "icase", Help: "take capital and small letters for the same"},
	},
	AnyOf:     []string{"string", "hex-string"},
	Revisions: []Revision{{Rev: 0, Size: 160}, {Rev: 1, Size: 160}},
	New:       func(rule.Family) Ext { return &String{To: 65535} },
}

func init() { register(&stringMatch) }

func (m *String) Name() string { return "string" }
func (m *String) Def() *Def    { return &stringMatch }

func (m *String) Set(a *Arg) (err error) {
	var n uint64
	switch a.Option.Name {
	case "from":
		n, err = a.Uint(0, 65535)
		m.From = uint16(n)
	case "to":
		n, err = a.Uint(0, 65535)
		m.To = uint16(n)
	case "algo":
		m.Algorithm = a.Value[:min(len(a.Value), xtStringMaxAlgorithm-1)]
	case "string":
		m.Pattern, m.Not = a.Value, a.Not
	case "hex-string":
		m.Not = a.Not
		m.Pattern, err = a.hexString()
	case "icase":
		m.IgnoreCase = true
	}
	if err == nil && len(m.Pattern) > xtStringMaxPattern {
		return a.Errorf("takes a pattern of at most %d bytes, not %d", xtStringMaxPattern, len(m.Pattern))
	}
	return err
}

// hexString reads a pattern in which |…| stands around bytes of two hexadecimal
// digits each, with at most one blank before each. Outside, a backslash takes
// the next character as it is. As in 1.8.9, the last | may be missing where
// nothing or a blank stands before it.
func (a *Arg) hexString() (string, error) {
	if a.Value == "" {
		return "", a.Errorf("needs a pattern of at least one byte")
	}
	var out []byte
	s, hex := a.Value, false
	for i := 0; i < len(s); {
		switch {
		case !hex && s[i] == '\\':
			if i++; i == len(s) {
				return "", a.Errorf("%q: nothing follows the last backslash", s)
			}
			out = append(out, s[i])
			i++
		case !hex && s[i] == '|':
			hex = true
			i++
			if i < len(s) && s[i] == ' ' {
				i++
			}
			if i < len(s) && s[i] == '|' {
				return "", a.Errorf("%q: no bytes between two |", s)
			}
		case !hex:
			out = append(out, s[i])
			i++
		case s[i] == '|':
			hex = false
			i++
		default:
			b, ok := hexPair(s[i:])
			if !ok {
				return "", a.Errorf("%q: between two | stand bytes of two hexadecimal digits, not %q", s, s[i:])
			}
			out = append(out, b)
			if i += 2; i == len(s) {
				return "", a.Errorf("%q: the second | is missing", s)
			}
			if s[i] == ' ' {
				i++
			}
		}
	}
	return string(out), nil
}

// hexPair reads two hexadecimal digits.
func hexPair(s string) (byte, bool) {
	const digits = "0123456789abcdef"
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := strings.IndexByte(digits, lower(s[0])), strings.IndexByte(digits, lower(s[1]))
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// needsHex reports whether 1.8.9 prints a pattern in hexadecimal: with bytes
// that are not printable, or with a backslash at its end.
func needsHex(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return true
		}
	}
	return strings.HasSuffix(s, "\\")
}

// pattern prints a pattern in its quotes.
func (p *Printer) pattern(s string) {
	p.Byte('"')
	if needsHex(s) {
		const digits = "0123456789abcdef"
		p.Byte('|')
		for i := range len(s) {
			p.Byte(digits[s[i]>>4])
			p.Byte(digits[s[i]&15])
		}
		p.Byte('|')
	} else {
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				p.Byte('\\')
			}
			p.Byte(s[i])
		}
	}
	p.Byte('"')
}

func (m *String) Save(p *Printer) {
	name := "string"
	if needsHex(m.Pattern) {
		name = "hex-string"
	}
	p.Option(m.Not, name)
	p.Byte(' ')
	p.pattern(m.Pattern)
	p.Str(" --algo ")
	p.word(m.Algorithm)
	if m.From != 0 {
		p.OptionUint(false, "from", uint64(m.From))
	}
	if m.To != 65535 {
		p.OptionUint(false, "to", uint64(m.To))
	}
	if m.IgnoreCase {
		p.Option(false, "icase")
	}
}

func (m *String) List(p *Printer) {
	p.Str(" STRING match ")
	if m.Not {
		p.Byte('!')
	}
	p.Byte(' ')
	p.pattern(m.Pattern)
	p.Str(" ALGO name ")
	p.Str(m.Algorithm)
	if m.From != 0 {
		p.Str(" FROM ")
		p.Uint(uint64(m.From))
	}
	if m.To != 65535 {
		p.Str(" TO ")
		p.Uint(uint64(m.To))
	}
	if m.IgnoreCase {
		p.Str(" ICASE")
	}
}

// Info writes struct xt_string_info without the kernel's pointer. Revision 0
// has no place for IgnoreCase.
func (m *String) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host16(m.From)
	w.Host16(m.To)
	w.String(m.Algorithm, xtStringMaxAlgorithm)
	w.String(m.Pattern, xtStringMaxPattern)
	w.U8(uint8(len(m.Pattern)))
	w.U8(flag[uint8](m.Not, xtStringInvert) | flag[uint8](m.IgnoreCase && rev > 0, xtStringIgnoreCase))
}

// Read reads struct xt_string_info.
func (m *String) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	m.From, m.To = r.Host16(), r.Host16()
	m.Algorithm = r.String(xtStringMaxAlgorithm)
	pattern := r.Bytes(xtStringMaxPattern)
	n, flags := int(r.U8()), r.U8()
	if n > len(pattern) || rev > 0 && flags > 3 || rev == 0 && flags > 1 {
		return nft.ErrMalformed
	}
	m.Pattern = string(pattern[:n])
	m.Not, m.IgnoreCase = flags&xtStringInvert != 0, flags&xtStringIgnoreCase != 0
	return nil
}

// Match looks for the pattern in the packet's bytes, from its network header on.
func (m *String) Match(p *packet.Packet) packet.Answer {
	if p.Bytes == nil {
		return packet.Unknown
	}
	from, to := min(int(m.From), len(p.Bytes)), min(int(m.To), len(p.Bytes))
	part, pattern := p.Bytes[from:max(from, to)], []byte(m.Pattern)
	if m.IgnoreCase {
		part, pattern = lowerASCII(part), lowerASCII(pattern)
	}
	return packet.Of(bytes.Contains(part, pattern)).Invert(m.Not)
}

func lowerASCII(p []byte) []byte {
	out := make([]byte, len(p))
	for i, c := range p {
		out[i] = lower(c)
	}
	return out
}
