package ext

import (
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Info writes struct xt_conntrack_mtinfo1, 2 or 3. They differ in the width of
// the two sets and in the ports: one in network order up to revision 2, a range
// in host order since. Revision 0 is struct xt_state_info, which only reads.
func (m *Conntrack) Info(w nft.Info, rev uint8, _ rule.Family) {
	if rev == 0 {
		w.Host32(uint32(m.State&^xtStateUntracked) | uint32(flag[uint16](m.State&xtStateUntracked != 0, oldStateUntracked)))
		return
	}
	for i, a := range m.Addr {
		given := m.Given&(xtConntrackOrigSrc<<i) != 0
		inetAddr(w, a.IP)
		switch {
		case given && !a.Mask.IsValid(): // 1.8.9 fills the whole union
			w.Bytes([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
		default:
			inetAddr(w, a.Mask)
		}
	}
	w.Host32(m.Expires[0])
	w.Host32(m.Expires[1])
	w.Host16(m.Proto)
	for _, p := range m.Port {
		if rev < 3 {
			w.BE16(p.From)
		} else {
			w.Host16(p.From)
		}
	}
	w.Host16(m.Given)
	w.Host16(m.Not)
	if rev == 1 {
		w.U8(uint8(m.State))
		w.U8(uint8(m.Status))
		return
	}
	w.Host16(m.State)
	w.Host16(m.Status)
	if rev == 3 {
		for _, p := range m.Port {
			w.Host16(p.To)
		}
	}
}

// Read reads struct xt_conntrack_mtinfo1, 2 or 3, or struct xt_state_info as revision 0.
func (m *Conntrack) Read(r *nft.InfoReader, rev uint8, f rule.Family) error {
	if rev == 0 {
		return m.readState(r)
	}
	for i := range m.Addr {
		m.Addr[i].IP, m.Addr[i].Mask = readInetAddr(r, f, false), readInetAddr(r, f, true)
	}
	m.Expires = [2]uint32{r.Host32(), r.Host32()}
	m.Proto = r.Host16()
	for i := range m.Port {
		if rev < 3 {
			m.Port[i].From = r.BE16()
		} else {
			m.Port[i].From = r.Host16()
		}
		m.Port[i].To = m.Port[i].From
	}
	m.Given, m.Not = r.Host16(), r.Host16()
	if rev == 1 {
		m.State, m.Status = uint16(r.U8()), uint16(r.U8())
	} else {
		m.State, m.Status = r.Host16(), r.Host16()
	}
	for i := 0; rev == 3 && i < len(m.Port); i++ {
		m.Port[i].To = r.Host16()
	}
	return m.settle()
}

// settle forgets what stands in fields that no condition uses, and refuses
// what iptables has no words for.
func (m *Conntrack) settle() error {
	const other = xtConntrackAll &^ (xtConntrackState | xtConntrackStateAlias)
	if m.Given&^xtConntrackAll != 0 || m.Not&^m.Given != 0 || m.Given&^xtConntrackStateAlias == 0 || m.Status>>4 != 0 && m.Given&xtConntrackStatus != 0 {
		return nft.ErrMalformed
	}
	if m.isState() && (m.Given&other != 0 || m.Given&xtConntrackState == 0) {
		m.Given &^= xtConntrackStateAlias // more than -m state can say
	}
	m.Not &^= xtConntrackStateAlias
	for i := range m.Addr {
		if m.Given&(xtConntrackOrigSrc<<i) == 0 {
			m.Addr[i] = AddrMask{}
		}
		if m.Given&(xtConntrackOrigPort<<i) == 0 {
			m.Port[i] = HostPorts{}
		}
	}
	clearUnless(&m.State, m.Given&xtConntrackState)
	clearUnless(&m.Status, m.Given&xtConntrackStatus)
	clearUnless(&m.Proto, m.Given&xtConntrackProto)
	if m.Given&xtConntrackExpires == 0 {
		m.Expires = [2]uint32{}
	}
	return nil
}

// clearUnless sets *p to zero unless given is not.
func clearUnless(p *uint16, given uint16) {
	if given == 0 {
		*p = 0
	}
}

// inetAddr writes a union nf_inet_addr: an address, then zeros. The zero Addr is all zeros.
func inetAddr(w nft.Info, a netip.Addr) {
	n := w.Len()
	w.Bytes(a.AsSlice())
	w.PadTo(n + 16)
}

// readInetAddr reads a union nf_inet_addr. Sixteen bytes of ones are no mask
// given: the zero Addr.
func readInetAddr(r *nft.InfoReader, f rule.Family, isMask bool) netip.Addr {
	b := r.Bytes(16)
	if b == nil {
		return netip.Addr{}
	}
	full := isMask
	for _, c := range b {
		full = full && c == 0xff
	}
	if full {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(b[:f.AddrLen()])
	return a
}
