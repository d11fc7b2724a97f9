package ext

// ECN (the target): iptables-extensions(8), "ECN".
// UAPI: linux/netfilter_ipv4/ipt_ECN.h, struct ipt_ECN_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// ECNTarget changes the bits of explicit congestion notification. The kernel
// wants -p tcp for those of TCP.
type ECNTarget struct {
	SetIP, SetECE, SetCWR bool  // which are changed
	IP                    uint8 // 0 to 3
	ECE, CWR              bool
}

var ecnTarget = Def{
	Name: "ECN", Kind: Target, Families: V4,
	Summary: "change the bits of explicit congestion notification",
	Options: []Option{
		{Name: "ecn-tcp-remove", Excludes: []string{"ecn-tcp-cwr", "ecn-tcp-ece"}, Help: "clear all ECN bits of the TCP header"},
		{Name: "ecn-tcp-cwr", Value: "0|1", Help: "set or clear CWR"},
		{Name: "ecn-tcp-ece", Value: "0|1", Help: "set or clear ECE"},
		{Name: "ecn-ip-ect", Value: "NUMBER", Help: "set the codepoint in the IP header (0-3)"},
	},
	AnyOf:     []string{"ecn-tcp-remove", "ecn-tcp-cwr", "ecn-tcp-ece", "ecn-ip-ect"},
	Revisions: []Revision{{Rev: 0, Size: 3}},
	New:       func(rule.Family) Ext { return &ECNTarget{} },
}

func init() { register(&ecnTarget) }

// Operations of struct ipt_ECN_info: IPT_ECN_OP_*; and the bits of its last byte.
const (
	iptECNSetIP  = 0x01
	iptECNSetECE = 0x10
	iptECNSetCWR = 0x20
	iptECNKnown  = iptECNSetIP | iptECNSetECE | iptECNSetCWR
	iptECNECE    = 1
	iptECNCWR    = 2
)

func (t *ECNTarget) Name() string { return "ECN" }
func (t *ECNTarget) Def() *Def    { return &ecnTarget }

func (t *ECNTarget) Set(a *Arg) error {
	if a.Is("ecn-tcp-remove") {
		t.SetECE, t.SetCWR = true, true
		return nil
	}
	most := uint64(1)
	if a.Is("ecn-ip-ect") {
		most = 3
	}
	n, err := a.Uint(0, most)
	switch a.Option.Name {
	case "ecn-tcp-cwr":
		t.SetCWR, t.CWR = true, n == 1
	case "ecn-tcp-ece":
		t.SetECE, t.ECE = true, n == 1
	case "ecn-ip-ect":
		t.SetIP, t.IP = true, uint8(n)
	}
	return err
}

// removes reports whether --ecn-tcp-remove says all of it.
func (t *ECNTarget) removes() bool { return *t == ECNTarget{SetECE: true, SetCWR: true} }

func (t *ECNTarget) Save(p *Printer) {
	if t.removes() {
		p.Str(" --ecn-tcp-remove")
		return
	}
	t.print(p, " --ecn-tcp-ece ", " --ecn-tcp-cwr ", " --ecn-ip-ect ")
}

func (t *ECNTarget) List(p *Printer) {
	p.Str(" ECN")
	if t.removes() {
		p.Str(" TCP remove")
		return
	}
	t.print(p, " ECE=", " CWR=", " ECT codepoint=")
}

// print prints what is changed, each with its words before it.
func (t *ECNTarget) print(p *Printer, ece, cwr, ip string) {
	if t.SetECE {
		p.Str(ece)
		p.Byte('0' + flag[uint8](t.ECE, 1))
	}
	if t.SetCWR {
		p.Str(cwr)
		p.Byte('0' + flag[uint8](t.CWR, 1))
	}
	if t.SetIP {
		p.Str(ip)
		p.Byte('0' + t.IP)
	}
}

// Info writes struct ipt_ECN_info.
func (t *ECNTarget) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(flag[uint8](t.SetIP, iptECNSetIP) | flag[uint8](t.SetECE, iptECNSetECE) | flag[uint8](t.SetCWR, iptECNSetCWR))
	w.U8(t.IP)
	w.U8(flag[uint8](t.ECE, iptECNECE) | flag[uint8](t.CWR, iptECNCWR))
}

// Read reads struct ipt_ECN_info and forgets values that are not used.
func (t *ECNTarget) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	op, ip, tcp := r.U8(), r.U8(), r.U8()
	t.SetIP, t.SetECE, t.SetCWR = op&iptECNSetIP != 0, op&iptECNSetECE != 0, op&iptECNSetCWR != 0
	if op&^iptECNKnown != 0 || ip > 3 {
		return nft.ErrMalformed
	}
	t.ECE, t.CWR = t.SetECE && tcp&iptECNECE != 0, t.SetCWR && tcp&iptECNCWR != 0
	if t.SetIP {
		t.IP = ip
	}
	return nil
}

// Mutate changes the bits.
func (t *ECNTarget) Mutate(p *packet.Packet) {
	const ece, cwr = 64, 128 // bits of Transport.Flags
	if t.SetIP {
		p.TOS = p.TOS&^3 | t.IP
		rewritten(p, packet.KnowTOS)
	}
	if t.SetECE {
		p.Transport.Flags = p.Transport.Flags&^ece | flag[uint8](t.ECE, ece)
	}
	if t.SetCWR {
		p.Transport.Flags = p.Transport.Flags&^cwr | flag[uint8](t.CWR, cwr)
	}
	if t.SetECE || t.SetCWR {
		rewritten(p, packet.KnowFlags)
	}
}
