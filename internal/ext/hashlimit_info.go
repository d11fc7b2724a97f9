package ext

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Names and scale of revision 1: IFNAMSIZ of linux/if.h, and the microseconds
// in one unit of XT_HASHLIMIT_SCALE.
const (
	hashLimitNameMax1 = 16
	hashLimitScale1   = 100
)

// Info writes struct xt_hashlimit_mtinfo1, 2 or 3. In revision 1 rates are
// coarser and names shorter; the interval came with 3.
func (m *HashLimit) Info(w nft.Info, rev uint8, _ rule.Family) {
	if rev == 1 {
		w.String(m.Group, hashLimitNameMax1)
		w.Host32(m.Mode)
		w.Host32(uint32(m.period1()))
		w.Host32(uint32(m.Burst))
	} else {
		w.String(m.Group, hashLimitNameMax)
		w.Host64(m.Period)
		w.Host64(m.Burst)
		w.Host32(m.Mode)
	}
	w.Host32(m.Size)
	w.Host32(m.Max)
	w.Host32(m.GC)
	w.Host32(m.Expire)
	if rev == 3 {
		w.Host32(m.Interval)
	}
	w.U8(m.SrcLen)
	w.U8(m.DstLen)
}

// period1 is the period as revision 1 counts it, at least 1 unless it is 0.
func (m *HashLimit) period1() uint64 {
	if m.isBytes() || m.Period == 0 {
		return m.Period
	}
	return max(m.Period/hashLimitScale1, 1)
}

// Read reads struct xt_hashlimit_mtinfo1, 2 or 3.
func (m *HashLimit) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	if rev == 1 {
		m.Group, m.Mode = r.String(hashLimitNameMax1), r.Host32()
		m.Period, m.Burst = uint64(r.Host32()), uint64(r.Host32())
		if !m.isBytes() {
			m.Period *= hashLimitScale1
		}
	} else {
		m.Group = r.String(hashLimitNameMax)
		m.Period, m.Burst, m.Mode = r.Host64(), r.Host64(), r.Host32()
	}
	m.Size, m.Max, m.GC, m.Expire = r.Host32(), r.Host32(), r.Host32(), r.Host32()
	if rev == 3 {
		m.Interval = r.Host32()
	}
	m.SrcLen, m.DstLen = r.U8(), r.U8()
	if m.Mode&^hashLimitAll != 0 || m.Group == "" {
		return nft.ErrMalformed
	}
	return nil
}
