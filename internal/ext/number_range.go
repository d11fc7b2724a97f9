package ext

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
)

// NumberMatch is a condition on a 32-bit number: a run of numbers, both ends
// included. A run that ends before it begins holds none. Matches ah, esp,
// ipcomp and frag have one each.
type NumberMatch struct {
	From, To uint32
	Not      bool
}

// anyNumber is the condition that every number meets.
var anyNumber = NumberMatch{To: 1<<32 - 1}

// set takes an option of the form N, FROM:TO, FROM: or :TO.
func (m *NumberMatch) set(a *Arg) error {
	from, to, _, err := a.numberRange(1<<32 - 1)
	*m = NumberMatch{uint32(from), uint32(to), a.Not}
	return err
}

// isFull reports whether the run holds every number.
func (m NumberMatch) isFull() bool { return m.From == 0 && m.To == 1<<32-1 }

// has reports whether a number meets the condition.
func (m NumberMatch) has(n uint32) bool { return (n >= m.From && n <= m.To) != m.Not }

// save prints the option, unless the run is full: 1.8.9 leaves that out even
// where it is inverted.
func (m NumberMatch) save(p *Printer, name string) {
	if m.isFull() {
		return
	}
	p.Option(m.Not, name)
	p.Byte(' ')
	p.fromTo(uint64(m.From), uint64(m.To))
}

// list prints "spi:5" or "spis:5:6" for the name "spi", or nothing where every
// number will do. It reports whether it printed.
func (m NumberMatch) list(p *Printer, name string) bool {
	if m == anyNumber {
		return false
	}
	p.Str(name)
	if m.From != m.To {
		p.Byte('s')
	}
	p.Byte(':')
	p.notMark(m.Not)
	p.fromTo(uint64(m.From), uint64(m.To))
	return true
}

// info writes both ends, host order.
func (m NumberMatch) info(w nft.Info) {
	w.Host32(m.From)
	w.Host32(m.To)
}

// readNumbers reads what NumberMatch.info writes.
func readNumbers(r *nft.InfoReader) NumberMatch { return NumberMatch{From: r.Host32(), To: r.Host32()} }

// numberRange reads N, FROM:TO, FROM: or :TO, where what is left out is 0 or
// max; nothing at all is 0. The end may be before the beginning.
func (a *Arg) numberRange(max uint64) (from, to uint64, isRange bool, err error) {
	first, last, isRange := strings.Cut(a.Value, ":")
	if first != "" {
		if from, err = a.UintOf(first, 0, max); err != nil {
			return 0, 0, isRange, err
		}
	}
	switch {
	case !isRange:
		to = from
	case last == "":
		to = max
	default:
		to, err = a.UintOf(last, 0, max)
	}
	return from, to, isRange, err
}

// infoNot writes both ends and a byte of inversion flags, of which there is one:
// the whole of struct ipt_ah and xt_esp, whose fields are alike.
func (m NumberMatch) infoNot(w nft.Info) {
	m.info(w)
	w.Bool(m.Not)
}

// readNumbersNot reads what infoNot writes.
func readNumbersNot(r *nft.InfoReader) (m NumberMatch, err error) {
	m = readNumbers(r)
	return m, m.readNot(r.U8(), 1)
}

// readNot takes the inversion from flags, in which no other bits may be set.
func (m *NumberMatch) readNot(flags, bit uint8) error {
	m.Not = flags&bit != 0
	if flags&^bit != 0 {
		return nft.ErrMalformed
	}
	return nil
}

// matchSPI compares the security parameter index of the packet's transport
// header; a later fragment has none, and does not match even if inverted.
func (m NumberMatch) matchSPI(p *packet.Packet) packet.Answer {
	switch {
	case p.Fragment:
		return packet.No
	case !p.Has(packet.KnowSPI):
		return packet.Unknown
	}
	return packet.Of(m.has(p.Transport.SPI))
}
