package question

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/packet"
)

// tcpFlags are the flags of a TCP header by name, in the order of printing.
var tcpFlags = [...]struct {
	name string
	bit  uint32
}{{"FIN", 1}, {"SYN", 2}, {"RST", 4}, {"PSH", 8}, {"ACK", 16}, {"URG", 32}, {"ECE", 64}, {"CWR", 128}}

// readFlags reads names with commas, NONE, ALL (the six that --tcp-flags
// knows), or a number; in a range also "any". A list is one value here.
func (p *parser) readFlags(w token) error {
	v, err := p.value(w, "TCP flags")
	if err != nil {
		return err
	}
	if v.text == "any" {
		p.any = true
		return p.noAny(v)
	}
	bits, ok := number(v.text, 255)
	if !ok {
		if bits, err = flagBits(v); err != nil {
			return err
		}
	}
	p.r.Flags = Spans{{bits, bits}}
	return nil
}

func flagBits(v token) (bits uint32, err error) {
next:
	for name := range strings.SplitSeq(v.text, ",") {
		switch strings.ToUpper(name) {
		case "NONE":
			continue
		case "ALL":
			bits |= 0x3f
			continue
		}
		for _, f := range tcpFlags {
			if strings.EqualFold(f.name, name) {
				bits |= f.bit
				continue next
			}
		}
		return 0, v.errorf("TCP flags are SYN, ACK, FIN, RST, PSH, URG, ECE, CWR, ALL and NONE, with commas between, not %q", name)
	}
	return bits, nil
}

// readType reads an ICMP type by the names and numbers of --icmp-type; in a
// range also "any" and lists.
func (p *parser) readType(w token) error {
	v, err := p.value(w, "an ICMP type")
	if err != nil {
		return err
	}
	if v.text == "any" {
		p.any = true
		return p.noAny(v)
	}
	proto, one := p.r.Proto.one()
	if !one {
		return w.errorf("belongs to one protocol: ask about %s apart", p.words[0].text)
	}
	for name := range strings.SplitSeq(v.text, ",") {
		m := ext.ICMP{V6: proto == packet.ProtoICMPv6}
		if err := m.Set(p.arg(&m, 0, name)); err != nil || name == "" || m.Type == 255 && !m.V6 && m.CodeFrom != m.CodeTo {
			return v.errorf("%q is no type of %s: a name as behind --%s, a number from 0 to 255, or both with a code as in 3/4",
				name, protocolName(uint8(proto), 0), m.Def().Options[0].Name)
		}
		p.r.Types = append(p.r.Types, ICMPType{m.Type, m.CodeFrom, m.CodeTo})
	}
	return p.noList(v, len(p.r.Types))
}

// readCode narrows the types that stand before it to one code.
func (p *parser) readCode(w token) error {
	if len(p.r.Types) == 0 {
		return w.errorf("stands behind the type that it belongs to, as in: type 3 code 4")
	}
	n, err := p.uint(w, 255)
	if err != nil {
		return err
	}
	for i := range p.r.Types {
		t := &p.r.Types[i]
		if t.CodeFrom == t.CodeTo && uint32(t.CodeFrom) != n {
			return w.errorf("type %d has code %d already", t.Type, t.CodeFrom)
		}
		t.CodeFrom, t.CodeTo = uint8(n), uint8(n)
	}
	return nil
}

// hasCodes reports whether packets of a type come with several codes
// (RFC 792, RFC 4443), so that the type does not tell the code.
func hasCodes(v6 bool, t uint8) bool {
	if v6 {
		return t == 1 || t == 3 || t == 4
	}
	return t == 3 || t == 5 || t == 11 || t == 12
}

func (p *parser) readSPI(w token) (err error) {
	p.packet.Transport.SPI, err = p.uint(w, 1<<32-1)
	p.packet.Known |= packet.KnowSPI
	return err
}

// readChunks reads types of chunks by the names of --chunk-types, or numbers.
func (p *parser) readChunks(w token) error {
	v, err := p.value(w, "chunk types")
	if err != nil {
		return err
	}
	var list []uint8
	for name := range strings.SplitSeq(v.text, ",") {
		n, ok := number(name, 255)
		if !ok {
			n, ok = p.chunk(name)
		}
		if !ok {
			return v.errorf("%q is no type of a chunk: a name as behind --chunk-types, or a number from 0 to 255", name)
		}
		list = append(list, uint8(n))
	}
	p.packet.Transport.Chunks = list
	return nil
}

// chunk is the number of a chunk type by name.
func (p *parser) chunk(name string) (uint32, bool) {
	m := ext.SCTP{}
	a := p.arg(&m, 2, "any")
	a.Second = name
	if err := m.Set(a); err != nil || strings.ContainsAny(name, ":") || strings.EqualFold(name, "ALL") || strings.EqualFold(name, "NONE") {
		return 0, false
	}
	for n := range uint32(256) {
		if m.Chunks.Types[n/32]>>(n%32)&1 != 0 {
			return n, true
		}
	}
	return 0, false
}

// optionMSS is the number of TCP's option MSS.
const optionMSS = 2

func (p *parser) readOption(w token) error {
	v, err := p.value(w, "TCP options")
	if err != nil {
		return err
	}
	p.packet.Known |= packet.KnowTCPOptions
	if v.text == "none" {
		return nil
	}
	for name := range strings.SplitSeq(v.text, ",") {
		n, ok := number(name, 255)
		switch {
		case !ok || n < 2:
			return v.errorf("a TCP option is a number from 2 to 255 (2 MSS, 3 window scale, 4 SACK permitted, 8 timestamps), not %q", name)
		case n == optionMSS:
			return v.errorf("option 2 has a value: write \"mss NUMBER\" beside it or in its place")
		}
		p.packet.Transport.Options = append(p.packet.Transport.Options, packet.TCPOption{Kind: uint8(n)})
	}
	return nil
}

// readMSS puts the option in front: options are printed in that order.
func (p *parser) readMSS(w token) error {
	n, err := p.uint(w, 65535)
	if err != nil {
		return err
	}
	mss := packet.TCPOption{Kind: optionMSS, Data: binary.BigEndian.AppendUint16(nil, uint16(n))}
	p.packet.Transport.Options = slices.Insert(p.packet.Transport.Options, 0, mss)
	p.packet.Known |= packet.KnowTCPOptions
	return nil
}

func (p *parser) readPayload(w token) error {
	v, err := p.value(w, "the payload")
	if err != nil {
		return err
	}
	digits, isHex := strings.CutPrefix(v.text, "0x")
	if v.quoted || !isHex {
		p.payload = []byte(v.text)
		return nil
	}
	if p.payload, err = hex.DecodeString(digits); err != nil {
		return v.errorf("hexadecimal bytes are pairs of digits behind 0x; put quotation marks around text that begins so")
	}
	return nil
}
