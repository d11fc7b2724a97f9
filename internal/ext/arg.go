package ext

import (
	"fmt"
	"strconv"
	"strings"

	"moat/internal/netdb"
	"moat/internal/rule"
)

// Context is what an extension may need to know of the command it stands in.
type Context struct {
	Family rule.Family
	Table  string
	Rule   *rule.Rule // what was understood so far, in the order of the command line: all of it in Check
	Names  *netdb.DB  // services, protocols and the like, by name

	// Warn takes a line for stderr about something odd that is accepted; nil drops it.
	Warn func(line string)

	in *Instance // the extension that is being checked
}

// Given reports, within Check, whether an option of the extension was given.
func (c *Context) Given(name string) bool { return c.in.Given(name) }

// Warnf tells of something odd that is accepted nevertheless.
func (c *Context) Warnf(format string, args ...any) {
	if c.Warn != nil {
		c.Warn(fmt.Sprintf(format, args...))
	}
}

// Arg is one option as it was given.
type Arg struct {
	*Context
	Ext    Ext
	Option *Option
	Not    bool   // "!" stood before it
	Value  string // its argument; "" for an option without
	Second string // the second argument of an option with two
	in     *Instance
}

// Given reports whether an option of the same extension was given before this one.
func (a *Arg) Given(name string) bool { return a.in.Given(name) }

// Error is a parameter problem of an extension's option: exit code 2.
type Error struct {
	Ext    string // extension, "" if none
	Option string // without dashes, "" if none
	Msg    string // what is wrong and what would be right
}

// Error is one line: the extension, the option, what is wrong.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Ext != "" {
		b.WriteString(e.Ext + ": ")
	}
	if e.Option != "" {
		b.WriteString("option \"--" + e.Option + "\" ")
	}
	return b.String() + e.Msg
}

// Errorf is an error about this option.
func (a *Arg) Errorf(format string, args ...any) error {
	return &Error{Ext: a.Ext.Name(), Option: a.Option.Name, Msg: fmt.Sprintf(format, args...)}
}

// Errorf is an error about an extension as a whole.
func Errorf(x Ext, format string, args ...any) error {
	return &Error{Ext: x.Name(), Msg: fmt.Sprintf(format, args...)}
}

// Is reports whether the option is the one named.
func (a *Arg) Is(name string) bool { return a.Option.Name == name }

// Bad is the error for a value that does not have the right form.
func (a *Arg) Bad(want string) error {
	return a.Errorf("takes %s, not %q", want, a.Value)
}

// ParseUint reads a whole number as strtoul(3) with base 0: decimal, 0x hexadecimal or 0 octal.
func ParseUint(s string) (uint64, bool) {
	t := strings.TrimLeft(s, " \t")
	t = strings.TrimPrefix(t, "+")
	if t == "" || t[0] == '-' || strings.ContainsAny(t, "_oObB+") && !isHex(t) {
		return 0, false
	}
	n, err := strconv.ParseUint(t, 0, 64)
	return n, err == nil
}

// leadingUint reads the number at the beginning of s as strtoul(3) with base 0
// does, and gives what follows it. False if no number up to max stands there.
func leadingUint(s string, max uint64) (n uint64, rest string, ok bool) {
	t := strings.TrimLeft(s, " \t")
	t = strings.TrimPrefix(t, "+")
	base, digits := uint64(10), "0123456789"
	switch {
	case len(t) > 2 && t[0] == '0' && t[1]|0x20 == 'x' && isHex(t[:3]):
		base, digits, t = 16, "0123456789abcdef", t[2:]
	case t != "" && t[0] == '0':
		base, digits = 8, "01234567"
	}
	i := 0
	for ; i < len(t); i++ {
		c := t[i]
		if base == 16 && c >= 'A' && c <= 'F' {
			c |= 0x20
		}
		d := strings.IndexByte(digits, c)
		if d < 0 {
			break
		}
		if n = n*base + uint64(d); n > max {
			return 0, s, false
		}
	}
	return n, t[i:], i > 0
}

func isHex(s string) bool {
	if len(s) < 3 || s[0] != '0' || s[1]|0x20 != 'x' {
		return false
	}
	for _, c := range s[2:] {
		if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}

// Uint reads the value as a number from lo to hi.
func (a *Arg) Uint(lo, hi uint64) (uint64, error) { return a.UintOf(a.Value, lo, hi) }

// UintOf reads s, a part of the value, as a number from lo to hi.
func (a *Arg) UintOf(s string, lo, hi uint64) (uint64, error) {
	n, ok := ParseUint(s)
	if !ok || n < lo || n > hi {
		return 0, a.Errorf("takes a number from %d to %d, not %q", lo, hi, s)
	}
	return n, nil
}

// UintMask reads VALUE or VALUE/MASK, 32 bits each; the mask is all ones when left out.
func (a *Arg) UintMask() (value, mask uint32, err error) {
	v, m, has := strings.Cut(a.Value, "/")
	n, err := a.UintOf(v, 0, 1<<32-1)
	if err != nil || !has {
		return uint32(n), 1<<32 - 1, err
	}
	k, err := a.UintOf(m, 0, 1<<32-1)
	return uint32(n), uint32(k), err
}

// Range is a run of numbers, both ends included.
type Range struct{ From, To uint16 }

// Any reports whether the range holds every number.
func (r Range) Any() bool { return r.From == 0 && r.To == 65535 }

// Port reads s as a port number or a service's name for a protocol; proto "" means any.
func (a *Arg) Port(s, proto string) (uint16, error) {
	if n, ok := ParseUint(s); ok {
		if n > 65535 {
			return 0, a.Errorf("%s: port must be 0-65535", s)
		}
		return uint16(n), nil
	}
	if port, ok := a.Names.Service(s, proto); ok {
		return port, nil
	}
	return 0, a.Errorf("%q is neither a port (0-65535) nor a service of /etc/services", s)
}

// PortRange reads PORT, FROM:TO, FROM: or :TO.
func (a *Arg) PortRange(s, proto string) (Range, error) {
	from, to, isRange := strings.Cut(s, ":")
	if !isRange {
		p, err := a.Port(s, proto)
		return Range{p, p}, err
	}
	r := Range{0, 65535}
	var err error
	if from != "" {
		if r.From, err = a.Port(from, proto); err != nil {
			return r, err
		}
	}
	if to != "" {
		if r.To, err = a.Port(to, proto); err != nil {
			return r, err
		}
	}
	if r.From > r.To {
		return r, a.Errorf("%s: the range ends before it begins", s)
	}
	return r, nil
}
