package ext

import (
	"slices"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// IPv6Options matches the hop-by-hop or the destination options header of
// IPv6: matches hbh and dst, which are alike.
type IPv6Options struct {
	Dst     bool   // it is match dst
	HasLen  bool   // --hbh-len was given
	Length  uint32 // of the header in bytes
	NotLen  bool
	HasOpts bool         // --hbh-opts was given
	Options []IPv6Option // in the order in which the header must have them
}

// IPv6Option is one option of such a header.
type IPv6Option struct {
	Type   uint8
	Length uint8 // of its data in bytes; anyOptionLength: any
}

// anyOptionLength stands for an option of any length.
const anyOptionLength = 255

// ip6OptionsMax is IP6T_OPTS_OPTSNR.
const ip6OptionsMax = 16

func (m *IPv6Options) Name() string { return m.Def().Name }

func (m *IPv6Options) Def() *Def {
	if m.Dst {
		return &dst
	}
	return &hbh
}

func (m *IPv6Options) Set(a *Arg) error {
	if strings.HasSuffix(a.Option.Name, "-len") {
		n, err := a.Uint(0, 1<<32-1)
		m.HasLen, m.Length, m.NotLen = true, uint32(n), a.Not
		return err
	}
	m.HasOpts = true
	for word := range strings.SplitSeq(a.Value, ",") {
		o, err := a.ipv6Option(word)
		if err != nil {
			return err
		}
		if len(m.Options) == ip6OptionsMax {
			return a.Errorf("takes at most %d options", ip6OptionsMax)
		}
		m.Options = append(m.Options, o)
	}
	return nil
}

// ipv6Option reads TYPE or TYPE:LENGTH.
func (a *Arg) ipv6Option(word string) (o IPv6Option, err error) {
	number, length, has := strings.Cut(word, ":")
	if o.Type, err = a.lastByte(number); err != nil {
		return o, err
	}
	o.Length = anyOptionLength
	if !has {
		return o, nil
	}
	if o.Type == 0 {
		return o, a.Errorf("%s: option 0, padding of one byte, has no length", word)
	}
	o.Length, err = a.lastByte(length)
	return o, err
}

// lastByte reads a number of which only the lowest eight bits count, as in
// 1.8.9; negative ones count from 256 down.
func (a *Arg) lastByte(s string) (uint8, error) {
	digits, negative := strings.CutPrefix(strings.TrimLeft(s, " "), "-")
	n, ok := ParseUint(digits)
	if !ok {
		return 0, a.Errorf("takes TYPE or TYPE:LENGTH, 0 to 255 each, in a comma list, not %q", a.Value)
	}
	if negative {
		n = -n
	}
	return uint8(n), nil
}

func (m *IPv6Options) Save(p *Printer) {
	if m.HasLen {
		p.OptionUint(m.NotLen, m.Name()+"-len", uint64(m.Length))
	}
	if m.HasOpts {
		p.Option(false, m.Name()+"-opts")
		p.Byte(' ')
		m.list(p)
	}
}

func (m *IPv6Options) List(p *Printer) {
	p.Byte(' ')
	p.Str(m.Name())
	if m.HasLen {
		p.Str(" length:")
		p.notMark(m.NotLen)
		p.Uint(uint64(m.Length))
	}
	if m.HasOpts {
		p.Str(" opts ")
		m.list(p)
	}
}

// list prints the options with commas.
func (m *IPv6Options) list(p *Printer) {
	for i, o := range m.Options {
		if i > 0 {
			p.Byte(',')
		}
		p.Uint(uint64(o.Type))
		if o.Length != anyOptionLength {
			p.Byte(':')
			p.Uint(uint64(o.Length))
		}
	}
}

// Flags of struct ip6t_opts: IP6T_OPTS_*.
const (
	ip6OptionsLen  = 1
	ip6OptionsOpts = 2
)

// Info writes struct ip6t_opts: each option's type is the upper byte of a number.
func (m *IPv6Options) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.Length)
	w.U8(flag[uint8](m.HasLen, ip6OptionsLen) | flag[uint8](m.HasOpts, ip6OptionsOpts))
	w.U8(flag[uint8](m.NotLen, ip6OptionsLen))
	for i := range ip6OptionsMax {
		var o IPv6Option
		if i < len(m.Options) {
			o = m.Options[i]
		}
		w.Host16(uint16(o.Type)<<8 | uint16(o.Length))
	}
	w.U8(uint8(len(m.Options)))
}

// Read reads struct ip6t_opts.
func (m *IPv6Options) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Length = r.Host32()
	flags, inv := r.U8(), r.U8()
	m.HasLen, m.NotLen, m.HasOpts = flags&ip6OptionsLen != 0, inv != 0, flags&ip6OptionsOpts != 0
	var options [ip6OptionsMax]IPv6Option
	for i := range options {
		v := r.Host16()
		options[i] = IPv6Option{Type: uint8(v >> 8), Length: uint8(v)}
	}
	n := r.U8()
	if flags&^(ip6OptionsLen|ip6OptionsOpts) != 0 || inv&^ip6OptionsLen != 0 || n > ip6OptionsMax {
		return nft.ErrMalformed
	}
	m.Options = append(m.Options, options[:n]...)
	return nil
}

// Equal compares the options one by one.
func (m *IPv6Options) Equal(other Ext) bool {
	o, ok := other.(*IPv6Options)
	return ok && m.Dst == o.Dst && m.HasLen == o.HasLen && m.Length == o.Length && m.NotLen == o.NotLen &&
		m.HasOpts == o.HasOpts && slices.Equal(m.Options, o.Options)
}

// Match looks at the header; a packet without one never matches.
func (m *IPv6Options) Match(p *packet.Packet) packet.Answer {
	kind := uint8(headerHop)
	if m.Dst {
		kind = headerDst
	}
	h, found := extensionHeader(p, kind)
	switch {
	case h == nil:
		return found
	case len(h.Data) < 2:
		return packet.Unknown
	}
	length := 8 + uint32(h.Data[1])*8
	return packet.Of((!m.HasLen || (length == m.Length) != m.NotLen) && (!m.HasOpts || m.optionsBegin(h.Data[2:])))
}

// optionsBegin reports whether the header's options are those asked for, one
// after the other from the first; others may follow.
func (m *IPv6Options) optionsBegin(data []byte) bool {
	for _, o := range m.Options {
		switch {
		case len(data) == 0 || data[0] != o.Type:
			return false
		case o.Type == 0: // padding of one byte has no length
			data = data[1:]
			continue
		case len(data) < 2 || o.Length != anyOptionLength && o.Length != data[1]:
			return false
		}
		data = data[min(len(data), 2+int(data[1])):]
	}
	return true
}
