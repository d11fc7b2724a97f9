package ext

// policy: iptables-extensions(8), "policy".
// UAPI: linux/netfilter/xt_policy.h, struct xt_policy_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Policy matches how IPsec treats the packet.
type Policy struct {
	Out      bool // the policy to come, not the one that was
	None     bool // the packet is not subject to IPsec
	Strict   bool // the elements are the whole policy, in order
	Elements []PolicyElement
}

// PolicyElement describes one transformation of a policy.
type PolicyElement struct {
	Given, Not uint8 // xtPolicy… bits
	Src, Dst   AddrMask
	SPI, ReqID uint32
	Proto      uint8 // 50 ESP, 51 AH, 108 IPComp
	Tunnel     bool  // mode tunnel, not transport
}

// Flags of the header, XT_POLICY_MATCH_*, the limit XT_POLICY_MAX_ELEM, and the
// conditions: the bits of struct xt_policy_spec.
const (
	policyIn       = 1 << 0
	policyOut      = 1 << 1
	policyNone     = 1 << 2
	policyStrict   = 1 << 3
	policyMax      = 4
	policySrc      = 1 << 0
	policyDst      = 1 << 1
	policyProto    = 1 << 2
	policyMode     = 1 << 3
	policySPI      = 1 << 4
	policyReqID    = 1 << 5
	policySpecBits = 1<<6 - 1
)

var policy = Def{
	Name: "policy", Kind: Match, Families: Both,
	Summary: "IPsec policy of the packet",
	Options: []Option{
		{Name: "dir", Value: "in|out", Help: "the policy the packet came by, or will leave by"},
		{Name: "pol", Value: "none|ipsec", Help: "no IPsec, or IPsec (default)"},
		{Name: "strict", Help: "the elements are the whole policy"},
		{Name: "reqid", Value: "ID", Not: true, Repeat: true, Help: "reqid of the element (0-4294967295)"},
		{Name: "spi", Value: "SPI", Not: true, Repeat: true, Help: "SPI of the element (0-4294967295)"},
		{Name: "tunnel-src", Value: "ADDRESS[/MASK]", Not: true, Repeat: true, Help: "source end of the tunnel (with --mode tunnel)"},
		{Name: "tunnel-dst", Value: "ADDRESS[/MASK]", Not: true, Repeat: true, Help: "destination end of the tunnel (with --mode tunnel)"},
		{Name: "proto", Value: "esp|ah|ipcomp", Not: true, Repeat: true, Help: "protocol of the element"},
		{Name: "mode", Value: "tunnel|transport", Not: true, Repeat: true, Help: "mode of the element"},
		{Name: "next", Repeat: true, Needs: []string{"strict"}, Help: "what follows describes the next element"},
	},
	AnyOf:     []string{"dir"},
	Revisions: []Revision{{Rev: 0, Size: 308}},
	New:       func(rule.Family) Ext { return &Policy{Elements: make([]PolicyElement, 1)} },
}

func init() { register(&policy) }

// policyProtos are the protocols an element can have.
var policyProtos = [...]struct {
	name   string
	number uint8
}{{"esp", 50}, {"ah", 51}, {"ipcomp", 108}}

func (m *Policy) Name() string { return "policy" }
func (m *Policy) Def() *Def    { return &policy }

func (m *Policy) Set(a *Arg) error {
	switch a.Option.Name {
	case "dir":
		m.Out = a.Value == "out"
		if a.Value != "in" && a.Value != "out" {
			return a.Bad("in or out")
		}
	case "pol":
		m.None = a.Value == "none"
		if a.Value != "none" && a.Value != "ipsec" {
			return a.Bad("none or ipsec")
		}
	case "strict":
		m.Strict = true
	case "next":
		if len(m.Elements) == policyMax {
			return a.Errorf("can be used %d times at most", policyMax-1)
		}
		m.Elements = append(m.Elements, PolicyElement{})
	default:
		return m.Elements[len(m.Elements)-1].set(a)
	}
	return nil
}

// set takes an option of an element.
func (e *PolicyElement) set(a *Arg) (err error) {
	bit := uint8(0)
	var n uint64
	switch a.Option.Name {
	case "tunnel-src":
		bit = policySrc
		e.Src, err = a.addrMask()
	case "tunnel-dst":
		bit = policyDst
		e.Dst, err = a.addrMask()
	case "proto":
		bit = policyProto
		e.Proto, err = a.policyProto()
	case "mode":
		bit = policyMode
		e.Tunnel = a.Value == "tunnel"
		if a.Value != "tunnel" && a.Value != "transport" {
			err = a.Bad("tunnel or transport")
		}
	case "spi":
		bit = policySPI
		n, err = a.Uint(0, 1<<32-1)
		e.SPI = uint32(n)
	case "reqid":
		bit = policyReqID
		n, err = a.Uint(0, 1<<32-1)
		e.ReqID = uint32(n)
	}
	if e.Given&bit != 0 {
		return a.Errorf("can only be used once in an element.")
	}
	e.Given |= bit
	e.Not |= flag(a.Not, bit)
	return err
}

func (a *Arg) policyProto() (uint8, error) {
	n, ok := ParseUint(a.Value)
	for _, p := range policyProtos {
		if p.name == a.Value || ok && uint64(p.number) == n {
			return p.number, nil
		}
	}
	return 0, a.Errorf("takes esp, ah or ipcomp: unknown protocol %q specified", a.Value)
}

// Check asks for a description where it must be given, and for tunnels where ends of them are.
func (m *Policy) Check(*Context) error {
	if m.None {
		if m.Strict {
			return Errorf(m, "--pol none cannot be used together with --strict")
		}
		return nil
	}
	for i, e := range m.Elements {
		switch {
		case m.Strict && e.Given == 0:
			return Errorf(m, "--strict: element %d needs one of --reqid, --spi, --tunnel-src, --tunnel-dst, --proto, --mode", i+1)
		case e.Given&(policySrc|policyDst) != 0 && (e.Given&policyMode == 0 || e.Tunnel == (e.Not&policyMode != 0)):
			return Errorf(m, "--tunnel-src and --tunnel-dst need --mode tunnel")
		}
	}
	return nil
}

func (m *Policy) Save(p *Printer) {
	m.print(p, " --")
}

func (m *Policy) List(p *Printer) {
	p.Str(" policy match")
	m.print(p, " ")
}

// print prints options; before stands in front of each name. Listings number
// the elements where there is more than one. What is described beside --pol
// none is not printed, as 1.8.9 does not.
func (m *Policy) print(p *Printer, before string) {
	p.Str(before)
	p.Str([...]string{"dir in", "dir out"}[flag[uint8](m.Out, 1)])
	p.Str(before)
	p.Str([...]string{"pol ipsec", "pol none"}[flag[uint8](m.None, 1)])
	if m.None {
		return
	}
	if m.Strict {
		p.Str(before)
		p.Str("strict")
	}
	for i := range m.Elements {
		switch {
		case before == " " && len(m.Elements) > 1:
			p.Str(" [")
			p.Uint(uint64(i))
			p.Byte(']')
		case before != " " && i > 0:
			p.Str(" --next")
		}
		m.Elements[i].print(p, before)
	}
}

// print prints an element in the order of 1.8.9.
func (e *PolicyElement) print(p *Printer, before string) {
	begin := func(bit uint8, name string) bool {
		if e.Given&bit == 0 {
			return false
		}
		p.notBefore(e.Not&bit != 0)
		p.Str(before)
		p.Str(name)
		return true
	}
	if begin(policyReqID, "reqid ") {
		p.Uint(uint64(e.ReqID))
	}
	if begin(policySPI, "spi ") {
		p.Hex(uint64(e.SPI))
	}
	if begin(policyProto, "proto ") {
		p.policyProto(e.Proto, p.Numeric && before == " ")
	}
	if begin(policyMode, "mode ") {
		p.Str([...]string{"transport", "tunnel"}[flag[uint8](e.Tunnel, 1)])
	}
	if begin(policyDst, "tunnel-dst ") {
		e.Dst.print(p, true)
	}
	if begin(policySrc, "tunnel-src ") {
		e.Src.print(p, true)
	}
}

// policyProto prints a protocol by its name or number.
func (p *Printer) policyProto(n uint8, numeric bool) {
	for _, x := range policyProtos {
		if x.number == n && !numeric {
			p.Str(x.name)
			return
		}
	}
	p.Uint(uint64(n))
}

// Info writes struct xt_policy_info. As in 1.8.9 the SPI is in host order.
func (m *Policy) Info(w nft.Info, _ uint8, _ rule.Family) {
	for i := range m.Elements {
		m.Elements[i].info(w)
	}
	const size = 76 // of struct xt_policy_elem
	w.PadTo(size * policyMax)
	w.Host16(flag[uint16](!m.Out, policyIn) | flag[uint16](m.Out, policyOut) | flag[uint16](m.None, policyNone) |
		flag[uint16](m.Strict, policyStrict))
	if m.None {
		w.Host16(0)
	} else {
		w.Host16(uint16(len(m.Elements)))
	}
}

func (e *PolicyElement) info(w nft.Info) {
	for i, a := range [...]AddrMask{e.Src, e.Dst} {
		inetAddr(w, a.IP)
		if e.Given&(policySrc<<i) != 0 && !a.Mask.IsValid() { // 1.8.9 fills the whole union
			w.Bytes([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
		} else {
			inetAddr(w, a.Mask)
		}
	}
	w.Host32(e.SPI)
	w.Host32(e.ReqID)
	w.U8(e.Proto)
	w.Bool(e.Tunnel)
	w.U8(e.Given)
	w.U8(e.Not)
}

// Read reads struct xt_policy_info.
func (m *Policy) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	var elements [policyMax]PolicyElement
	for i := range elements {
		elements[i].read(r, f)
	}
	flags, n := r.Host16(), int(r.Host16())
	m.Out, m.None, m.Strict = flags&policyOut != 0, flags&policyNone != 0, flags&policyStrict != 0
	if flags>>4 != 0 || flags&(policyIn|policyOut) == 0 || flags&(policyIn|policyOut) == policyIn|policyOut || n > policyMax {
		return nft.ErrMalformed
	}
	if m.None {
		n = 1 // the first is there, though nobody looks at it
	}
	m.Elements = append(m.Elements[:0], elements[:n]...)
	for i := range m.Elements {
		if err := m.Elements[i].settle(); err != nil {
			return err
		}
	}
	return nil
}

func (e *PolicyElement) read(r *nft.InfoReader, f rule.Family) {
	for _, a := range [...]*AddrMask{&e.Src, &e.Dst} {
		a.IP, a.Mask = readInetAddr(r, f, false), readInetAddr(r, f, true)
	}
	e.SPI, e.ReqID = r.Host32(), r.Host32()
	e.Proto, e.Tunnel = r.U8(), r.Bool()
	e.Given, e.Not = r.U8(), r.U8()
}

// settle forgets what stands in fields that no condition uses, and refuses
// what iptables has no words for.
func (e *PolicyElement) settle() error {
	if e.Given&^policySpecBits != 0 || e.Not&^e.Given != 0 {
		return nft.ErrMalformed
	}
	if e.Given&policySrc == 0 {
		e.Src = AddrMask{}
	}
	if e.Given&policyDst == 0 {
		e.Dst = AddrMask{}
	}
	if e.Given&policySPI == 0 {
		e.SPI = 0
	}
	if e.Given&policyReqID == 0 {
		e.ReqID = 0
	}
	e.Tunnel = e.Tunnel && e.Given&policyMode != 0
	if e.Given&policyProto == 0 {
		e.Proto = 0
		return nil
	}
	for _, p := range policyProtos {
		if p.number == e.Proto {
			return nil
		}
	}
	return nft.ErrMalformed
}

// Equal takes a full mask of an address for none.
func (m *Policy) Equal(other Ext) bool {
	o, ok := other.(*Policy)
	if !ok || m.Out != o.Out || m.None != o.None || m.Strict != o.Strict || len(m.Elements) != len(o.Elements) {
		return false
	}
	for i := range m.Elements {
		a, b := m.Elements[i], o.Elements[i]
		a.Src, b.Src, a.Dst, b.Dst = a.Src.normal(), b.Src.normal(), a.Dst.normal(), b.Dst.normal()
		if a != b {
			return false
		}
	}
	return true
}

// Match decides whether there is IPsec at all. What the policies are like is
// not part of a packet.
func (m *Policy) Match(p *packet.Packet) packet.Answer {
	switch {
	case !p.Has(packet.KnowPolicy):
		return packet.Unknown
	case m.None:
		return packet.Of(!p.PolicyIPsec)
	case !p.PolicyIPsec:
		return packet.No
	case !m.Strict && len(m.Elements) == 1 && m.Elements[0].Given == 0:
		return packet.Yes
	}
	return packet.Unknown
}
