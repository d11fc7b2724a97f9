package ext

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Flags of struct xt_set_info and, from revision 2 on, of the match: enum
// ip_set_kopt and IPSET_FLAG_SKIP_* of linux/netfilter/ipset/ip_set.h.
const (
	setInverted               = 1 << 0
	setReturnNoMatch          = 1 << 7
	setSkipCounters           = 1 << 3
	setSkipSubcounters        = 1 << 4
	oldSetSrc                 = 1 // IPSET_SRC, IPSET_DST and IPSET_MATCH_INV of xt_set.h, revision 0
	oldSetDst                 = 2
	oldSetInverted            = 4
	setMatchFlags      uint32 = setReturnNoMatch | setSkipCounters | setSkipSubcounters
)

// info writes struct xt_set_info: bit n of its flags says that part n is the source.
func (s *SetRef) info(w nft.Info, flags uint8) {
	w.Host16(s.Index)
	for i, src := range s.Dirs {
		flags |= flag(src, uint8(2)<<i)
	}
	w.U8(uint8(len(s.Dirs)))
	w.U8(flags)
}

// read reads struct xt_set_info and gives the flags that are no directions.
func (s *SetRef) read(r *nft.InfoReader) (flags uint8, err error) {
	s.Index = r.Host16()
	dim := r.U8()
	flags = r.U8()
	if dim > maxSetDirs {
		return 0, nft.ErrMalformed
	}
	for i := range dim {
		s.Dirs = append(s.Dirs, flags>>(i+1)&1 != 0)
		flags &^= 2 << i
	}
	return flags, nil
}

// Info writes the layout of a revision: 0 has one number for each part, 1 and 2
// have struct xt_set_info alone, 3 and 4 have the counters, in which they differ.
func (m *SetMatch) Info(w nft.Info, rev uint8, _ rule.Family) {
	flags := flag[uint8](m.Not, setInverted)
	switch {
	case rev == 0:
		m.infoOld(w)
	case rev < 3:
		m.SetRef.info(w, flags|flag[uint8](rev == 2 && m.ReturnNoMatch, setReturnNoMatch))
	default:
		m.SetRef.info(w, flags)
		w.Align(8)
		m.Packets.info(w, rev)
		m.Octets.info(w, rev)
		w.Host32(flag[uint32](m.ReturnNoMatch, setReturnNoMatch) | flag[uint32](m.NoCounters, setSkipCounters) |
			flag[uint32](m.NoSubcounters, setSkipSubcounters))
	}
}

// info writes struct ip_set_counter_match0 (revision 3) or ip_set_counter_match.
func (c SetCounter) info(w nft.Info, rev uint8) {
	if rev == 3 {
		w.U8(c.Op)
		w.Host64(c.Value)
		return
	}
	w.Host64(c.Value)
	w.U8(c.Op)
	w.Align(8)
}

// infoOld writes struct xt_set_info_match_v0.
func (m *SetMatch) infoOld(w nft.Info) {
	w.Host16(m.Index)
	for i, src := range m.Dirs {
		f := uint32(oldSetDst)
		if src {
			f = oldSetSrc
		}
		w.Host32(f | flag[uint32](m.Not && i == 0, oldSetInverted))
	}
}

// Read reads the layout of a revision.
func (m *SetMatch) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if rev == 0 {
		return m.readOld(r)
	}
	flags, err := m.SetRef.read(r)
	m.Not = flags&setInverted != 0
	flags &^= setInverted
	if rev == 2 {
		m.ReturnNoMatch = flags&setReturnNoMatch != 0
		flags &^= setReturnNoMatch
	}
	if err != nil || flags != 0 || len(m.Dirs) == 0 {
		return nft.ErrMalformed
	}
	if rev < 3 {
		return nil
	}
	r.Align(8)
	if err := m.Packets.read(r, rev); err != nil {
		return err
	}
	if err := m.Octets.read(r, rev); err != nil {
		return err
	}
	more := r.Host32()
	m.ReturnNoMatch, m.NoCounters = more&setReturnNoMatch != 0, more&setSkipCounters != 0
	m.NoSubcounters = more&setSkipSubcounters != 0
	if more&^setMatchFlags != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// read reads struct ip_set_counter_match0 (revision 3) or ip_set_counter_match.
func (c *SetCounter) read(r *nft.InfoReader, rev uint8) error {
	if rev == 3 {
		c.Op = r.U8()
		c.Value = r.Host64()
	} else {
		c.Value = r.Host64()
		c.Op = r.U8()
		r.Align(8)
	}
	if c.Op > setCounterGT {
		return nft.ErrMalformed
	}
	if c.Op == setCounterNone {
		c.Value = 0
	}
	return nil
}

// readOld reads struct xt_set_info_match_v0, also in the form into which the
// kernel turns it: dimension and flags behind six numbers.
func (m *SetMatch) readOld(r *nft.InfoReader) error {
	m.Index = r.Host16()
	var numbers [maxSetDirs]uint32
	for i := range numbers {
		numbers[i] = r.Host32()
	}
	dim, flags := r.U8(), r.U8()
	for i, f := range numbers {
		switch {
		case dim > 0 && i < int(dim):
			m.Dirs = append(m.Dirs, flags>>(i+1)&1 != 0)
		case dim == 0 && f != 0:
			m.Dirs = append(m.Dirs, f&oldSetSrc != 0)
		}
	}
	m.Not = numbers[0]&oldSetInverted != 0
	if dim > 0 {
		m.Not = flags&setInverted != 0
	}
	if dim > maxSetDirs || len(m.Dirs) == 0 {
		return nft.ErrMalformed
	}
	return nil
}
