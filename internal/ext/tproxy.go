package ext

// TPROXY: iptables-extensions(8), "TPROXY".
// UAPI: linux/netfilter/xt_TPROXY.h: revision 0 (IPv4 only) struct
// xt_tproxy_target_info, revision 1 struct xt_tproxy_target_info_v1.

import (
	"net/netip"
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// TProxy gives the packet to a local socket without changing it. The kernel
// wants -p tcp or -p udp.
type TProxy struct {
	IP          netip.Addr // unspecified: the incoming interface's
	Port        uint16     // 0: the packet's
	Value, Mask uint32     // the packet's mark loses the bits of Mask and is XORed with Value
}

var tproxy = Def{
	Name: "TPROXY", Kind: Target, Families: Both,
	Summary: "give the packet to a local socket, unchanged",
	Options: []Option{
		{Name: "on-port", Value: "PORT", Required: true, Help: "port of the socket; 0: the packet's destination port"},
		{Name: "on-ip", Value: "ADDRESS", Help: "address of the socket (default: the incoming interface's)"},
		{Name: "tproxy-mark", Value: "VALUE[/MASK]", Help: "change the packet's mark: clear the bits of MASK, then XOR with VALUE"},
	},
	Revisions: []Revision{{Rev: 0, Size: 16, Families: V4}, {Rev: 1, Size: 28}},
	New: func(f rule.Family) Ext {
		if f == rule.IPv6 {
			return &TProxy{IP: netip.IPv6Unspecified()}
		}
		return &TProxy{IP: netip.IPv4Unspecified()}
	},
}

func init() { register(&tproxy) }

func (t *TProxy) Name() string { return "TPROXY" }
func (t *TProxy) Def() *Def    { return &tproxy }

func (t *TProxy) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "on-port":
		t.Port, err = a.decimalPort()
	case "on-ip":
		t.IP, err = a.host(a.Value)
	case "tproxy-mark":
		t.Value, t.Mask, err = a.UintMask()
	}
	return err
}

// decimalPort reads a port as getaddrinfo(3) does: a decimal number modulo
// 65536, nothing as 0, or a service of any protocol.
func (a *Arg) decimalPort() (uint16, error) {
	digits := strings.TrimPrefix(strings.TrimLeft(a.Value, " \t"), "+")
	if n, err := strconv.ParseUint(digits, 10, 64); err == nil || a.Value == "" {
		return uint16(n), nil
	}
	if port, ok := a.Names.Service(a.Value, ""); ok {
		return port, nil
	}
	return 0, a.Bad("a port (0-65535) or a service of /etc/services")
}

func (t *TProxy) Save(p *Printer) {
	p.OptionUint(false, "on-port", uint64(t.Port))
	p.Str(" --on-ip ")
	p.Addr(t.IP)
	p.Str(" --tproxy-mark ")
	t.mark(p)
}

func (t *TProxy) mark(p *Printer) {
	p.Hex(uint64(t.Value))
	p.Byte('/')
	p.Hex(uint64(t.Mask))
}

func (t *TProxy) List(p *Printer) {
	p.Str(" TPROXY redirect ")
	p.Addr(t.IP)
	p.Byte(':')
	p.Uint(uint64(t.Port))
	p.Str(" mark ")
	t.mark(p)
}

// Info writes the struct of the revision.
func (t *TProxy) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host32(t.Mask)
	w.Host32(t.Value)
	if rev == 0 {
		w.Bytes(t.IP.AsSlice())
	} else {
		inetAddr(w, t.IP)
	}
	w.BE16(t.Port)
}

// Read reads the struct of the revision.
func (t *TProxy) Read(r *nft.InfoReader, rev uint8, f rule.Family) error {
	t.Mask, t.Value = r.Host32(), r.Host32()
	if rev == 0 {
		t.IP, _ = netip.AddrFromSlice(r.Bytes(4))
	} else {
		t.IP = readInetAddr(r, f, false)
	}
	t.Port = r.BE16()
	return nil
}

// Mutate changes the packet's mark.
func (t *TProxy) Mutate(p *packet.Packet) { changePacketMark(p, t.Value, t.Mask) }

// Fate of the packet is the local socket; where there is none, it is dropped.
func (t *TProxy) Fate() Fate { return AcceptsOrDrops }
