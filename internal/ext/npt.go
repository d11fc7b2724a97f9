package ext

// DNPT and SNPT: iptables-extensions(8), "DNPT" and "SNPT"; RFC 6296.
// UAPI: linux/netfilter_ipv6/ip6t_NPT.h, struct ip6t_npt_tginfo, revision 0.

import (
	"encoding/binary"
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// NPT translates the prefix of one address. Addresses are kept as they were
// given; the kernel refuses those with bits behind their prefix.
type NPT struct {
	Source         bool // SNPT: of the source
	From, To       netip.Addr
	FromLen, ToLen uint8
}

var dnpt = Def{
	Name: "DNPT", Kind: Target, Families: V6,
	Summary:   "translate the destination's prefix",
	Options:   nptOptions[:],
	Revisions: []Revision{{Rev: 0, Size: 36}},
	New:       func(rule.Family) Ext { return &NPT{} },
}

var snpt = Def{
	Name: "SNPT", Kind: Target, Families: V6,
	Summary:   "translate the source's prefix",
	Options:   nptOptions[:],
	Revisions: []Revision{{Rev: 0, Size: 36}},
	New:       func(rule.Family) Ext { return &NPT{Source: true} },
}

var nptOptions = [...]Option{
	{Name: "src-pfx", Value: "PREFIX/LENGTH", Required: true, Help: "prefix to translate, at most 64 bits long"},
	{Name: "dst-pfx", Value: "PREFIX/LENGTH", Required: true, Help: "prefix to translate it to"},
}

func init() {
	register(&dnpt)
	register(&snpt)
}

func (t *NPT) Name() string { return t.Def().Name }

func (t *NPT) Def() *Def {
	if t.Source {
		return &snpt
	}
	return &dnpt
}

func (t *NPT) Set(a *Arg) error {
	m, err := a.addrMask()
	length := uint8(128)
	if err == nil && m.Mask.IsValid() {
		length = uint8(maskLen(m.Mask))
	}
	if a.Is("src-pfx") {
		t.From, t.FromLen = m.IP, length
	} else {
		t.To, t.ToLen = m.IP, length
	}
	return err
}

// Save leaves prefixes of no length out, as 1.8.9 does, though they are required.
func (t *NPT) Save(p *Printer) {
	if t.FromLen != 0 {
		p.Str(" --src-pfx ")
		p.prefix(t.From, int(t.FromLen))
	}
	if t.ToLen != 0 {
		p.Str(" --dst-pfx ")
		p.prefix(t.To, int(t.ToLen))
	}
}

func (t *NPT) List(p *Printer) {
	p.Str(" " + t.Name() + " src-pfx ")
	p.prefix(t.From, int(t.FromLen))
	p.Str(" dst-pfx ")
	p.prefix(t.To, int(t.ToLen))
}

// Info writes struct ip6t_npt_tginfo; the adjustment in it is the kernel's own.
func (t *NPT) Info(w nft.Info, _ uint8, _ rule.Family) {
	inetAddr(w, t.From)
	inetAddr(w, t.To)
	w.U8(t.FromLen)
	w.U8(t.ToLen)
}

// Read reads struct ip6t_npt_tginfo.
func (t *NPT) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	t.From, t.To = readInetAddr(r, f, false), readInetAddr(r, f, false)
	t.FromLen, t.ToLen = r.U8(), r.U8()
	if t.FromLen > 128 || t.ToLen > 128 {
		return nft.ErrMalformed
	}
	return nil
}

// Mutate translates the address as section 3 of RFC 6296 says: the prefix is
// replaced, and one word behind it is changed so that checksums stay right.
func (t *NPT) Mutate(p *packet.Packet) {
	addr := &p.Dst
	if t.Source {
		addr = &p.Src
	}
	if !addr.Is6() || t.FromLen > 64 || t.ToLen > 64 {
		return
	}
	old, to := addr.As16(), t.To.As16()
	adjustment := onesSum(onesSum(0, maskedBytes(t.From, t.FromLen)), invert(maskedBytes(t.To, t.ToLen)))
	b := old
	for i := range max(t.FromLen, t.ToLen) {
		bit := byte(0x80 >> (i % 8))
		b[i/8] = b[i/8]&^bit | to[i/8]&bit
	}
	word := 6 // bytes 6 and 7: the subnet, when the prefixes leave it
	if max(t.FromLen, t.ToLen) > 48 {
		for word = 8; word < 14 && b[word] == 0xff && b[word+1] == 0xff; word += 2 {
		}
	}
	sum := onesSum(adjustment, b[word:word+2])
	if sum == 0xffff {
		sum = 0
	}
	binary.BigEndian.PutUint16(b[word:], sum)
	*addr = netip.AddrFrom16(b)
	if p.Bytes != nil {
		rewriteBytes(p)
	}
}

// maskedBytes are the first n bits of an address, and zeros.
func maskedBytes(a netip.Addr, n uint8) []byte {
	prefix, _ := a.Prefix(int(n))
	return prefix.Addr().AsSlice()
}

// invert gives the complement of each byte.
func invert(p []byte) []byte {
	for i := range p {
		p[i] = ^p[i]
	}
	return p
}

// onesSum adds 16-bit words to sum in ones' complement.
func onesSum(sum uint16, p []byte) uint16 {
	n := uint32(sum)
	for ; len(p) > 1; p = p[2:] {
		n += uint32(binary.BigEndian.Uint16(p))
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
