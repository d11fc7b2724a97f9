package ext

// ipvs: iptables-extensions(8), "ipvs". Kernels without IPVS refuse it.
// UAPI: linux/netfilter/xt_ipvs.h, struct xt_ipvs_mtinfo, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// IPVS matches what the kernel's load balancer knows of a packet's connection,
// which no packet tells.
type IPVS struct {
	Given    uint8 // xtIPVS* bits: the conditions asked for
	Not      uint8 // those of them that are inverted; of xtIPVSDir: REPLY
	Protocol uint8
	Addr     AddrMask
	Port     uint16
	Control  uint16 // port of the controlling connection
	Method   uint8  // IP_VS_CONN_F_* of linux/ip_vs.h
}

// The conditions: XT_IPVS_*.
const (
	xtIPVSProperty = 1 << iota
	xtIPVSProto
	xtIPVSAddr
	xtIPVSPort
	xtIPVSDir
	xtIPVSMethod
	xtIPVSControl
	xtIPVSAll = 1<<iota - 1
)

var ipvs = Def{
	Name: "ipvs", Kind: Match, Families: Both,
	Summary: "connections of the kernel's load balancer",
	Options: []Option{
		{Name: "ipvs", Not: true, Help: "the packet belongs to an IPVS connection; all other options imply it"},
		{Name: "vproto", Value: "PROTOCOL", Not: true, Help: "protocol of the virtual service, by number or name"},
		{Name: "vaddr", Value: "ADDRESS[/MASK]", Not: true, Help: "address of the virtual service"},
		{Name: "vport", Value: "PORT", Not: true, Help: "port of the virtual service, by number or name"},
		{Name: "vdir", Value: "DIRECTION", Help: "ORIGINAL or REPLY"},
		{Name: "vmethod", Value: "METHOD", Not: true, Help: "forwarding method GATE, IPIP or MASQ"},
		{Name: "vportctl", Value: "PORT", Not: true, Help: "port of the controlling connection, such as 21 for FTP"},
	},
	AnyOf:     []string{"ipvs", "vproto", "vaddr", "vport", "vdir", "vmethod", "vportctl"},
	Revisions: []Revision{{Rev: 0, Size: 40}},
	New:       func(rule.Family) Ext { return &IPVS{} },
}

func init() { register(&ipvs) }

// ipvsMethods are the forwarding methods by name: IP_VS_CONN_F_MASQ, _TUNNEL and _DROUTE.
var ipvsMethods = [...]struct {
	name  string
	value uint8
}{{"GATE", 3}, {"IPIP", 2}, {"MASQ", 0}}

func (m *IPVS) Name() string { return "ipvs" }
func (m *IPVS) Def() *Def    { return &ipvs }

func (m *IPVS) Set(a *Arg) (err error) {
	bit, not := uint8(xtIPVSProperty), a.Not
	switch a.Option.Name {
	case "vproto":
		var n uint16
		bit = xtIPVSProto
		n, err = a.protocol()
		m.Protocol = uint8(n)
	case "vaddr":
		bit = xtIPVSAddr
		m.Addr, err = a.addrMask()
	case "vport":
		bit = xtIPVSPort
		m.Port, err = a.loosePort(a.Value)
	case "vportctl":
		bit = xtIPVSControl
		m.Control, err = a.loosePort(a.Value)
	case "vdir":
		bit, not = xtIPVSDir, strings.EqualFold(a.Value, "REPLY")
		if !not && !strings.EqualFold(a.Value, "ORIGINAL") {
			err = a.Bad("ORIGINAL or REPLY")
		}
	case "vmethod":
		bit = xtIPVSMethod
		m.Method, err = a.ipvsMethod()
	}
	m.Given |= bit
	m.Not |= flag(not, bit)
	return err
}

// ipvsMethod reads the name of a method in any case.
func (a *Arg) ipvsMethod() (uint8, error) {
	for _, method := range ipvsMethods {
		if strings.EqualFold(method.name, a.Value) {
			return method.value, nil
		}
	}
	return 0, a.Bad("GATE, IPIP or MASQ")
}

// Check holds that packets of no IPVS connection have no properties of one.
func (m *IPVS) Check(*Context) error {
	if m.Not&xtIPVSProperty != 0 && m.Given != xtIPVSProperty {
		return Errorf(m, "'! --ipvs' cannot be given together with other options")
	}
	m.Given |= xtIPVSProperty
	return nil
}

func (m *IPVS) Save(p *Printer) { m.print(p, " --") }

// List prints the same words as Save without the dashes.
func (m *IPVS) List(p *Printer) { m.print(p, " ") }

// begin prints the name of a condition if it was given.
func (m *IPVS) begin(p *Printer, bit uint8, before, name string) bool {
	if m.Given&bit == 0 {
		return false
	}
	if m.Not&bit != 0 && bit != xtIPVSDir {
		p.Str(" !")
	}
	p.Str(before)
	p.Str(name)
	return true
}

// print prints the conditions; before stands in front of each name. That they
// imply an IPVS connection is not printed.
func (m *IPVS) print(p *Printer, before string) {
	if m.Given == xtIPVSProperty {
		m.begin(p, xtIPVSProperty, before, "ipvs")
	}
	if m.begin(p, xtIPVSProto, before, "vproto ") {
		p.Uint(uint64(m.Protocol))
	}
	if m.begin(p, xtIPVSAddr, before, "vaddr ") {
		m.Addr.print(p, true)
	}
	if m.begin(p, xtIPVSPort, before, "vport ") {
		p.Uint(uint64(m.Port))
	}
	if m.begin(p, xtIPVSDir, before, "vdir ") {
		if m.Not&xtIPVSDir != 0 {
			p.Str("REPLY")
		} else {
			p.Str("ORIGINAL")
		}
	}
	if m.begin(p, xtIPVSMethod, before, "vmethod ") {
		for _, method := range ipvsMethods {
			if method.value == m.Method {
				p.Str(method.name)
			}
		}
	}
	if m.begin(p, xtIPVSControl, before, "vportctl ") {
		p.Uint(uint64(m.Control))
	}
}

// Info writes struct xt_ipvs_mtinfo, ports in network order.
func (m *IPVS) Info(w nft.Info, _ uint8, _ rule.Family) {
	inetAddr(w, m.Addr.IP)
	if m.Given&xtIPVSAddr != 0 && !m.Addr.Mask.IsValid() { // 1.8.9 fills the whole union
		w.Bytes([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	} else {
		inetAddr(w, m.Addr.Mask)
	}
	w.BE16(m.Port)
	w.U8(m.Protocol)
	w.U8(m.Method)
	w.BE16(m.Control)
	w.U8(m.Not)
	w.U8(m.Given)
}

// Read reads struct xt_ipvs_mtinfo.
func (m *IPVS) Read(r *nft.InfoReader, _ uint8, f rule.Family) error {
	m.Addr = AddrMask{IP: readInetAddr(r, f, false), Mask: readInetAddr(r, f, true)}
	m.Port, m.Protocol, m.Method = r.BE16(), r.U8(), r.U8()
	m.Control, m.Not, m.Given = r.BE16(), r.U8(), r.U8()
	if m.Given&^xtIPVSAll != 0 || m.Given&xtIPVSProperty == 0 || m.Not&^m.Given != 0 ||
		m.Given&xtIPVSMethod != 0 && m.Method != 0 && m.Method != 2 && m.Method != 3 {
		return nft.ErrMalformed
	}
	if m.Given&xtIPVSAddr == 0 {
		m.Addr = AddrMask{}
	}
	return nil
}

// Equal compares what the matches ask for: a mask of all ones is the same as none.
func (m *IPVS) Equal(other Ext) bool {
	o, ok := other.(*IPVS)
	if !ok {
		return false
	}
	a, b := *m, *o
	a.Addr, b.Addr = a.Addr.normal(), b.Addr.normal()
	return a == b
}
